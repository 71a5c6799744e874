/* What the benchmark's generators share: arguments, namespaces, clients, sinks, time.
 *
 * Owns nothing but helpers. Everything here ends the program with a message and exit code 3 where it
 * cannot do what it says: a generator that carries on after a failure would measure something else.
 */
#ifndef BENCHMARK_COMMON_H
#define BENCHMARK_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CLIENTS 4096
#define MAX_SINKS 256
#define FIRST_SOURCE_PORT 1024
#define SOURCE_PORTS 64512
#define SECOND 1000000000ull
#define MILLISECOND 1000000ull

struct client {
    uint32_t address; /* network byte order */
    uint16_t port;    /* destination, host byte order */
};

static struct client clients[MAX_CLIENTS];
static unsigned client_count;

static inline _Noreturn void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(3);
}

static inline _Noreturn void refuse(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(3);
}

static inline uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static inline void pause_ns(uint64_t nanoseconds) {
    struct timespec wait = {.tv_sec = (time_t)(nanoseconds / SECOND), .tv_nsec = (long)(nanoseconds % SECOND)};
    nanosleep(&wait, NULL);
}

/* Value of a word NAME=VALUE of the command line, or the default; NULL as default: it must be there. */
static inline const char *text_argument(int argc, char **argv, const char *name, const char *otherwise) {
    size_t length = strlen(name);
    for (int i = 1; i < argc; i++)
        if (!strncmp(argv[i], name, length) && argv[i][length] == '=')
            return argv[i] + length + 1;
    if (!otherwise) {
        fprintf(stderr, "missing argument %s=...\n", name);
        exit(3);
    }
    return otherwise;
}

static inline uint64_t number_argument(int argc, char **argv, const char *name, const char *otherwise) {
    const char *text = text_argument(argc, argv, name, otherwise);
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (*end || !*text) {
        fprintf(stderr, "%s=%s is not a number\n", name, text);
        exit(3);
    }
    return value;
}

/* Our parent measures with us; without it nobody would stop us. Sleeps are meant to be short ones. */
static inline void settle(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_TIMERSLACK, 1000);
    signal(SIGPIPE, SIG_IGN);
}

/* Move this thread, and the sockets that it makes from now on, into a network namespace. */
static inline void enter(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "/run/netns/%s", name);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0 || setns(descriptor, CLONE_NEWNET))
        die(path);
    close(descriptor);
}

/* Lines "ADDRESS PORT": who sends, and to which port. */
static inline void read_clients(const char *path) {
    FILE *file = fopen(path, "re");
    char text[64];
    unsigned port;
    if (!file)
        die(path);
    while (client_count < MAX_CLIENTS && fscanf(file, "%63s %u", text, &port) == 2) {
        struct client *client = &clients[client_count++];
        if (inet_pton(AF_INET, text, &client->address) != 1 || port > 65535)
            refuse("the file of clients has a line that is not ADDRESS PORT");
        client->port = (uint16_t)port;
    }
    fclose(file);
    if (!client_count)
        refuse("the file of clients is empty");
}

/* Ports of the clients, each once. */
static inline unsigned distinct_ports(uint16_t *ports) {
    unsigned count = 0;
    for (unsigned i = 0; i < client_count; i++) {
        unsigned at = 0;
        while (at < count && ports[at] != clients[i].port)
            at++;
        if (at < count)
            continue;
        if (count == MAX_SINKS)
            refuse("the clients send to too many ports");
        ports[count++] = clients[i].port;
    }
    return count;
}

static inline struct sockaddr_in place(uint32_t address, uint16_t port) {
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = address};
}

/* A UDP socket that counts what reaches it and keeps nothing: its filter refuses every packet, and the
 * kernel counts those. So the count is exact, costs no reader, and no buffer can overflow. */
static inline int counting_sink(uint32_t address, uint16_t port) {
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {.len = 1, .filter = &nothing};
    struct sockaddr_in here = place(address, port);
    int sink = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sink < 0 || setsockopt(sink, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program))
        die("sink");
    if (bind(sink, (struct sockaddr *)&here, sizeof here))
        die("bind sink");
    return sink;
}

static inline uint32_t sink_count(int sink) {
    uint32_t memory[SK_MEMINFO_VARS];
    socklen_t size = sizeof memory;
    if (getsockopt(sink, SOL_SOCKET, SO_MEMINFO, memory, &size))
        die("SO_MEMINFO");
    return memory[SK_MEMINFO_DROPS];
}

#endif
