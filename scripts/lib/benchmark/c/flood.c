/* Sends first packets of UDP flows, no two alike, at the pace at which they arrive.
 *
 *   flood sender=NS guarded=NS interface=eth0 target=ADDRESS clients=FILE flows=N
 *         [window=768] [batch=64] [senders=1] [milliseconds=30000] [first=0] [same=0] [refuse=0] [rate=0]
 *
 * Flow number j comes from client j % K and source port 1024 + (j / K) % 64512: distinct as long as no more
 * than K * 64512 are sent. Frames are written to a packet socket in the sender's namespace, so that the
 * generator costs little of what is measured. What arrives is counted by sockets in the guarded namespace
 * (common.h), behind the whole firewall.
 *
 * Closed loop: no more than `window` flows are under way. So the rate is what the firewall can sustain: a
 * sender that overran it would measure how fast a full queue throws away. If nothing arrives for 200 ms with
 * flows under way, those are counted as lost (a stall), and the flood goes on. The clock runs from the first
 * packet sent to the last one that arrived, stalls included.
 * With window=0 the loop is open: everything is sent as fast as it goes, and what does not arrive is lost.
 *
 * `same=1`: one flow per client, over and over: packets of connections that live.
 * `refuse=N`: every Nth flow goes to the discard port, where no policy lets anybody. Those are judged like the others,
 * counted as `unwanted`, and awaited by nobody.
 * `rate=R`: no more than so many packets a second, all senders together. What was held up is made up for.
 *
 * Prints one JSON object. Bounded by `flows` and by `milliseconds`.
 */
#include "common.h"

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>

#define MAX_BATCH 256
#define MAX_SENDERS 16
#define FRAME 60
#define STALL (200 * MILLISECOND)
#define POLL 20000ull
#define DISCARD_PORT 9

struct frame {
    struct ether_header ethernet;
    struct iphdr ip;
    struct udphdr udp;
    char payload[FRAME - sizeof(struct ether_header) - sizeof(struct iphdr) - sizeof(struct udphdr)];
} __attribute__((packed));

static const char *sender_space, *interface;
static uint32_t target;
static uint64_t flows, window, first, deadline;
static uint64_t refuse_each, rate, start;
static unsigned batch, senders, same;
static uint8_t from_address[ETH_ALEN], to_address[ETH_ALEN];
static int sinks[MAX_SINKS];
static uint32_t sink_before[MAX_SINKS];
static unsigned sink_total;

static _Atomic uint64_t sent, unwanted, lost, refused, stalls, arrived, last_arrival;

/* Ask the sinks what has arrived, and note when that last changed. Any thread may ask. */
static uint64_t count_arrivals(void) {
    uint64_t total = 0;
    for (unsigned i = 0; i < sink_total; i++)
        total += (uint32_t)(sink_count(sinks[i]) - sink_before[i]);
    if (total != atomic_load(&arrived)) {
        atomic_store(&arrived, total);
        atomic_store(&last_arrival, now_ns());
    }
    return total;
}

static void hardware_address(uint8_t *address) {
    struct ifreq request = {0};
    int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
    if (any < 0 || ioctl(any, SIOCGIFHWADDR, &request))
        die(interface);
    memcpy(address, request.ifr_hwaddr.sa_data, ETH_ALEN);
    close(any);
}

static uint16_t ip_checksum(const struct frame *frame) {
    uint16_t words[sizeof frame->ip / 2];
    uint32_t sum = 0;
    memcpy(words, &frame->ip, sizeof words);
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        sum += words[i];
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t) ~(sum + (sum >> 16));
}

static void blank(struct frame *frame) {
    memset(frame, 0, sizeof *frame);
    memcpy(frame->ethernet.ether_dhost, to_address, ETH_ALEN);
    memcpy(frame->ethernet.ether_shost, from_address, ETH_ALEN);
    frame->ethernet.ether_type = htons(ETHERTYPE_IP);
    frame->ip.version = 4;
    frame->ip.ihl = 5;
    frame->ip.ttl = 64;
    frame->ip.protocol = IPPROTO_UDP;
    frame->ip.tot_len = htons(FRAME - sizeof frame->ethernet);
    frame->ip.daddr = target;
    /* UDP over IPv4 may go without a checksum (RFC 768): nobody here would look at it. */
    frame->udp.len = htons(FRAME - sizeof frame->ethernet - sizeof frame->ip);
}

static int is_unwanted(uint64_t number) {
    return refuse_each && number % refuse_each == refuse_each - 1;
}

static void aim(struct frame *frame, uint64_t number) {
    const struct client *client = &clients[number % client_count];
    uint64_t turn = same ? 0 : number / client_count;
    frame->ip.saddr = client->address;
    frame->ip.check = 0;
    frame->ip.check = ip_checksum(frame);
    frame->udp.source = htons((uint16_t)(FIRST_SOURCE_PORT + turn % SOURCE_PORTS));
    frame->udp.dest = htons(is_unwanted(number) ? DISCARD_PORT : client->port);
}

static int packet_socket(void) {
    int one = 1;
    int made = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    struct sockaddr_ll here = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(interface)};
    if (made < 0 || bind(made, (struct sockaddr *)&here, sizeof here))
        die("packet socket");
    if (setsockopt(made, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one))
        die("PACKET_QDISC_BYPASS");
    return made;
}

/* Fewer than none are under way when some came after they had been written off: they were not lost, but late. */
static int has_room(void) {
    uint64_t gone = atomic_load(&lost);
    int64_t under_way = (int64_t)(atomic_load(&sent) - atomic_load(&arrived) - gone);
    if (under_way < 0)
        atomic_compare_exchange_strong(&lost, &gone, gone + (uint64_t)under_way);
    return under_way + (int64_t)batch <= (int64_t)window;
}

/* Wait until there is room for a batch. The sinks are asked only if there was none when they were last
 * asked. What does not come any more is written off. */
static void wait_for_room(void) {
    uint64_t since = now_ns();
    while (!has_room()) {
        uint64_t before = atomic_load(&arrived), gone = atomic_load(&lost);
        if (count_arrivals() != before) {
            since = now_ns();
            continue;
        }
        if (now_ns() - since > STALL) {
            uint64_t under_way = atomic_load(&sent) - before - gone;
            if (atomic_compare_exchange_strong(&lost, &gone, gone + under_way))
                atomic_fetch_add(&stalls, 1);
        }
        pause_ns(POLL);
    }
}

/* Wait until a packet of this number may be sent. */
static void wait_for_time(uint64_t number) {
    uint64_t due = rate ? start + number * SECOND / rate : 0, now = now_ns();
    if (due > now)
        pause_ns(due - now);
}

/* Put a batch on the wire; what the device refuses is sent again. */
static void put(int out, struct mmsghdr *messages, unsigned count) {
    for (unsigned done = 0; done < count;) {
        int went = sendmmsg(out, messages + done, count - done, 0);
        if (went > 0) {
            done += (unsigned)went;
            continue;
        }
        if (errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
            die("sendmmsg");
        atomic_fetch_add(&refused, 1);
    }
}

static void *send_share(void *argument) {
    uint64_t number = (uintptr_t)argument;
    static _Thread_local struct frame frames[MAX_BATCH];
    struct iovec parts[MAX_BATCH];
    struct mmsghdr messages[MAX_BATCH] = {0};
    enter(sender_space);
    int out = packet_socket();
    for (unsigned i = 0; i < batch; i++) {
        blank(&frames[i]);
        parts[i] = (struct iovec){.iov_base = &frames[i], .iov_len = FRAME};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    while (number < flows && now_ns() < deadline) {
        unsigned count = 0, unawaited = 0;
        for (; count < batch && number < flows; count++, number += senders) {
            aim(&frames[count], first + number);
            unawaited += (unsigned)is_unwanted(first + number);
        }
        wait_for_time(number);
        if (window)
            wait_for_room();
        atomic_fetch_add(&sent, count - unawaited);
        atomic_fetch_add(&unwanted, unawaited);
        put(out, messages, count);
    }
    close(out);
    return NULL;
}

/* Wait for what is still under way, until nothing has come for a while. */
static void wait_for_rest(void) {
    uint64_t since = now_ns();
    for (uint64_t before = atomic_load(&arrived), have; now_ns() - since < 2 * STALL; before = have) {
        have = count_arrivals();
        if (have >= atomic_load(&sent))
            return;
        if (have != before)
            since = now_ns();
        pause_ns(POLL);
    }
}

static void open_sinks(const char *guarded) {
    uint16_t ports[MAX_SINKS];
    enter(guarded);
    hardware_address(to_address);
    sink_total = distinct_ports(ports);
    for (unsigned i = 0; i < sink_total; i++) {
        sinks[i] = counting_sink(target, ports[i]);
        sink_before[i] = sink_count(sinks[i]);
    }
}

int main(int argc, char **argv) {
    pthread_t threads[MAX_SENDERS];
    settle();
    sender_space = text_argument(argc, argv, "sender", NULL);
    interface = text_argument(argc, argv, "interface", "eth0");
    if (inet_pton(AF_INET, text_argument(argc, argv, "target", NULL), &target) != 1)
        refuse("target= is not an IPv4 address");
    read_clients(text_argument(argc, argv, "clients", NULL));
    flows = number_argument(argc, argv, "flows", NULL);
    window = number_argument(argc, argv, "window", "768");
    batch = (unsigned)number_argument(argc, argv, "batch", "64");
    senders = (unsigned)number_argument(argc, argv, "senders", "1");
    first = number_argument(argc, argv, "first", "0");
    same = (unsigned)number_argument(argc, argv, "same", "0");
    refuse_each = number_argument(argc, argv, "refuse", "0");
    rate = number_argument(argc, argv, "rate", "0");
    if (!batch || batch > MAX_BATCH || !senders || senders > MAX_SENDERS || (window && window < batch * senders))
        refuse("batch must be 1-256, senders 1-16, and a window hold a batch of each sender");
    open_sinks(text_argument(argc, argv, "guarded", NULL));
    enter(sender_space);
    hardware_address(from_address);

    uint64_t began = start = now_ns();
    deadline = began + number_argument(argc, argv, "milliseconds", "30000") * MILLISECOND;
    for (uintptr_t i = 0; i < senders; i++)
        if (pthread_create(&threads[i], NULL, send_share, (void *)i))
            die("pthread_create");
    for (unsigned i = 0; i < senders; i++)
        pthread_join(threads[i], NULL);
    wait_for_rest();
    printf("{\"sent\": %lu, \"unwanted\": %lu, \"arrived\": %lu, \"seconds\": %.9f, \"stalls\": %lu, "
           "\"refused\": %lu}\n",
           (unsigned long)sent, (unsigned long)unwanted, (unsigned long)arrived,
           (double)(last_arrival - began) / SECOND, (unsigned long)stalls, (unsigned long)refused);
    return 0;
}
