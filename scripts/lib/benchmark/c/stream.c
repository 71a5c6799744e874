/* One TCP connection that sends as fast as it can: what a connection costs that lives already.
 *
 *   stream sender=NS guarded=NS target=ADDRESS clients=FILE [milliseconds=2000]
 *
 * The first client connects and sends; a thread in the guarded namespace reads and counts. The first 200 ms
 * are left out: the connection is then at its speed. Prints one JSON object. Bounded by `milliseconds`.
 */
#include "common.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/time.h>

#define BUFFER (128 * 1024)
#define WARM_UP (SECOND / 5)

static int server;
static _Atomic uint64_t received;

static void *drain(void *unused) {
    static char buffer[BUFFER];
    (void)unused;
    int from = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    if (from < 0)
        die("accept");
    for (ssize_t got; (got = recv(from, buffer, sizeof buffer, 0)) > 0;)
        atomic_fetch_add(&received, (uint64_t)got);
    close(from);
    return NULL;
}

int main(int argc, char **argv) {
    static char buffer[BUFFER];
    static const struct timeval patience = {.tv_sec = 5};
    int one = 1;
    uint32_t target;
    pthread_t thread;
    settle();
    const char *sender_space = text_argument(argc, argv, "sender", NULL);
    if (inet_pton(AF_INET, text_argument(argc, argv, "target", NULL), &target) != 1)
        refuse("target= is not an IPv4 address");
    read_clients(text_argument(argc, argv, "clients", NULL));
    uint64_t length = number_argument(argc, argv, "milliseconds", "2000") * MILLISECOND;

    struct sockaddr_in there = place(target, clients[0].port), here = place(clients[0].address, 0);
    enter(text_argument(argc, argv, "guarded", NULL));
    server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server < 0 || setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
        bind(server, (struct sockaddr *)&there, sizeof there) || listen(server, 1))
        die("server");
    if (pthread_create(&thread, NULL, drain, NULL))
        die("pthread_create");

    enter(sender_space);
    int out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (out < 0 || setsockopt(out, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) ||
        bind(out, (struct sockaddr *)&here, sizeof here))
        die("client");
    if (connect(out, (struct sockaddr *)&there, sizeof there))
        die("connect");

    uint64_t began = now_ns(), end = began + WARM_UP + length, counted_from = 0, before = 0, now;
    while ((now = now_ns()) < end) {
        if (!counted_from && now >= began + WARM_UP) {
            counted_from = now;
            before = atomic_load(&received);
        }
        if (send(out, buffer, sizeof buffer, 0) < 0)
            die("send");
    }
    uint64_t bytes = atomic_load(&received) - before;
    now = now_ns();
    shutdown(out, SHUT_WR);
    pthread_join(thread, NULL);
    printf("{\"bytes\": %lu, \"seconds\": %.9f}\n", (unsigned long)bytes, (double)(now - counted_from) / SECOND);
    return 0;
}
