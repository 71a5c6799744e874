/* Opens and closes TCP connections, no two of the same addresses and ports, and times each connect().
 *
 *   connect sender=NS guarded=NS target=ADDRESS clients=FILE threads=N [milliseconds=2000] [most=1000000] [first=0]
 *
 * Connection number j comes from client j % K and source port 1024 + (j / K) % 64512, so each is new to
 * conntrack. A client resets what it has opened: nothing is left in TIME_WAIT, and the next number is free.
 * One thread in the guarded namespace accepts and closes.
 *
 * A connect() that takes 900 ms or more has lost its SYN or the answer: it is counted as `retried`. One that
 * fails, or takes more than 3 s, as `failed`.
 *
 * Prints one JSON object, latencies in microseconds. Bounded by `milliseconds` and by `most` connections.
 */
#include "common.h"
#include "histogram.h"

#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#define MAX_THREADS 64
#define READY 64
#define RETRIED (900 * MILLISECOND)

static const char *sender_space, *guarded_space;
static uint32_t target;
static uint64_t most, first, deadline;
static _Atomic uint64_t taken, failed, retried;
static struct histogram latencies[MAX_THREADS];

static int listener(uint16_t port) {
    int one = 1;
    struct sockaddr_in here = place(target, port);
    int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made < 0 || setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one))
        die("listener");
    if (bind(made, (struct sockaddr *)&here, sizeof here) || listen(made, 65535))
        die("listen");
    return made;
}

/* Accept and close, for ever: the program's end is this thread's. */
static void *serve(void *argument) {
    int poller = *(int *)argument;
    struct epoll_event ready[READY];
    for (;;) {
        int count = epoll_wait(poller, ready, READY, -1);
        for (int i = 0; i < count; i++)
            for (int made; (made = accept4(ready[i].data.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
                close(made);
    }
    return NULL;
}

static void open_server(void) {
    static int poller;
    uint16_t ports[MAX_SINKS];
    pthread_t thread;
    unsigned count = distinct_ports(ports);
    enter(guarded_space);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        die("epoll");
    for (unsigned i = 0; i < count; i++) {
        struct epoll_event interest = {.events = EPOLLIN, .data.fd = listener(ports[i])};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, interest.data.fd, &interest))
            die("epoll");
    }
    if (pthread_create(&thread, NULL, serve, &poller))
        die("pthread_create");
}

static int client_socket(uint64_t number) {
    static const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    static const struct timeval patience = {.tv_sec = 3};
    const struct client *client = &clients[number % client_count];
    struct sockaddr_in here = place(client->address, (uint16_t)(FIRST_SOURCE_PORT + number / client_count % SOURCE_PORTS));
    int one = 1;
    int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made < 0 || setsockopt(made, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) ||
        setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
        setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience))
        die("client socket");
    if (bind(made, (struct sockaddr *)&here, sizeof here))
        die("bind client");
    return made;
}

static void *knock(void *argument) {
    struct histogram *mine = argument;
    enter(sender_space);
    while (now_ns() < deadline) {
        uint64_t number = atomic_fetch_add(&taken, 1);
        if (number >= most)
            break;
        struct sockaddr_in there = place(target, clients[(first + number) % client_count].port);
        int made = client_socket(first + number);
        uint64_t began = now_ns();
        int refused = connect(made, (struct sockaddr *)&there, sizeof there);
        uint64_t took = now_ns() - began;
        close(made);
        if (refused) {
            atomic_fetch_add(&failed, 1);
            continue;
        }
        if (took >= RETRIED)
            atomic_fetch_add(&retried, 1);
        note(mine, took);
    }
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t threads[MAX_THREADS];
    settle();
    sender_space = text_argument(argc, argv, "sender", NULL);
    guarded_space = text_argument(argc, argv, "guarded", NULL);
    if (inet_pton(AF_INET, text_argument(argc, argv, "target", NULL), &target) != 1)
        refuse("target= is not an IPv4 address");
    read_clients(text_argument(argc, argv, "clients", NULL));
    unsigned count = (unsigned)number_argument(argc, argv, "threads", "1");
    most = number_argument(argc, argv, "most", "1000000");
    first = number_argument(argc, argv, "first", "0");
    if (!count || count > MAX_THREADS)
        refuse("threads must be 1-64");
    open_server();

    uint64_t began = now_ns();
    deadline = began + number_argument(argc, argv, "milliseconds", "2000") * MILLISECOND;
    for (unsigned i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, knock, &latencies[i]))
            die("pthread_create");
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    double seconds = (double)(now_ns() - began) / SECOND;
    for (unsigned i = 1; i < count; i++)
        merge(&latencies[0], &latencies[i]);
    printf("{\"connected\": %lu, \"failed\": %lu, \"retried\": %lu, \"seconds\": %.9f, ",
           (unsigned long)latencies[0].total, (unsigned long)failed, (unsigned long)retried, seconds);
    print_percentiles(&latencies[0]);
    printf("}\n");
    return 0;
}
