/* Sends one packet of a new UDP flow at fixed intervals, and times the way of each to its receiver.
 *
 *   probe sender=NS guarded=NS target=ADDRESS clients=FILE [interval=1000] [milliseconds=10000] [until=0] [first=0]
 *
 * `interval` is in microseconds and is kept whatever becomes of the packets: one that waits holds up no other.
 * Flow numbers are those of flood.c. Prints `ready` once it sends. Ends after `milliseconds`, on SIGTERM, or with
 * until=1 when the first packet has arrived; then it waits 300 ms for what is still under way.
 *
 * Prints one JSON object, latencies in microseconds, and `first_ns`, when the first packet arrived (CLOCK_MONOTONIC).
 */
#include "common.h"
#include "histogram.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#define REST (300 * MILLISECOND)
#define READY 64

static volatile sig_atomic_t stopped;
static _Atomic uint64_t sent, received, first_ns;
static struct histogram latency;
static int poller;

static void stop(int number) {
    (void)number;
    stopped = 1;
}

static void *receive(void *unused) {
    struct epoll_event ready[READY];
    uint64_t sent_at;
    (void)unused;
    for (;;) {
        int count = epoll_wait(poller, ready, READY, -1);
        for (int i = 0; i < count; i++)
            while (recv(ready[i].data.fd, &sent_at, sizeof sent_at, 0) == sizeof sent_at) {
                uint64_t now = now_ns();
                if (!atomic_load(&received))
                    atomic_store(&first_ns, now);
                note(&latency, now - sent_at);
                atomic_fetch_add(&received, 1);
            }
    }
    return NULL;
}

static void open_receivers(const char *space, uint32_t target) {
    uint16_t ports[MAX_SINKS];
    pthread_t thread;
    unsigned count = distinct_ports(ports);
    enter(space);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        die("epoll");
    for (unsigned i = 0; i < count; i++) {
        struct sockaddr_in here = place(target, ports[i]);
        int made = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct epoll_event interest = {.events = EPOLLIN, .data.fd = made};
        if (made < 0 || bind(made, (struct sockaddr *)&here, sizeof here) ||
            epoll_ctl(poller, EPOLL_CTL_ADD, made, &interest))
            die("receiver");
    }
    if (pthread_create(&thread, NULL, receive, NULL))
        die("pthread_create");
}

static void send_one(uint32_t target, uint64_t number) {
    const struct client *client = &clients[number % client_count];
    struct sockaddr_in here = place(client->address, (uint16_t)(FIRST_SOURCE_PORT + number / client_count % SOURCE_PORTS));
    struct sockaddr_in there = place(target, client->port);
    int out = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (out < 0 || bind(out, (struct sockaddr *)&here, sizeof here))
        die("sender");
    uint64_t now = now_ns();
    if (sendto(out, &now, sizeof now, 0, (struct sockaddr *)&there, sizeof there) == sizeof now)
        atomic_fetch_add(&sent, 1);
    close(out);
}

int main(int argc, char **argv) {
    uint32_t target;
    settle();
    signal(SIGTERM, stop);
    const char *sender_space = text_argument(argc, argv, "sender", NULL);
    if (inet_pton(AF_INET, text_argument(argc, argv, "target", NULL), &target) != 1)
        refuse("target= is not an IPv4 address");
    read_clients(text_argument(argc, argv, "clients", NULL));
    uint64_t interval = number_argument(argc, argv, "interval", "1000") * 1000;
    uint64_t number = number_argument(argc, argv, "first", "0");
    uint64_t until = number_argument(argc, argv, "until", "0");
    open_receivers(text_argument(argc, argv, "guarded", NULL), target);
    enter(sender_space);

    printf("ready\n");
    fflush(stdout);
    uint64_t next = now_ns(), end = next + number_argument(argc, argv, "milliseconds", "10000") * MILLISECOND;
    while (!stopped && next < end && !(until && atomic_load(&received))) {
        struct timespec at = {.tv_sec = (time_t)(next / SECOND), .tv_nsec = (long)(next % SECOND)};
        if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL))
            continue; /* a signal: look why */
        send_one(target, number++);
        next += interval;
    }
    for (uint64_t since = now_ns(); atomic_load(&received) < atomic_load(&sent) && !until && now_ns() - since < REST;)
        pause_ns(MILLISECOND);
    printf("{\"sent\": %lu, \"arrived\": %lu, \"first_ns\": %lu, ", (unsigned long)sent, (unsigned long)received,
           (unsigned long)first_ns);
    print_percentiles(&latency);
    printf("}\n");
    return 0;
}
