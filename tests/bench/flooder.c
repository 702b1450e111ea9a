// LINK: raftd/base/clock.c
/* flooder.c: sends a flood of datagrams to a node, as somebody on the network would who has no key.
 *
 *     flooder record FILE
 *         writes every UDP datagram that passes an interface of this network namespace to FILE;
 *         in the namespace of a bridge that is what its hosts send to each other
 *     flooder send KIND FILE FROM TO PORT MBIT_S
 *         sends datagrams of that kind to TO:PORT with the address FROM, without end, at a steady
 *         rate (of bytes with their IP header); the port is their source port too. FILE: what
 *         FROM (or TO, for what is reflected) had sent when it was recorded
 *     flooder sink ADDR PORT, flooder hole ADDR PORT
 *         a socket to send the same to: sink reads whatever comes and does nothing with it, hole
 *         lets its queue be full
 *     flooder kinds
 *         their names
 *
 * All but the last end at SIGTERM. record, sink and hole say "ready" first; send says what it reached:
 * datagrams=N mbit_s=R. Exit 3: nothing of that kind was recorded. Needs root, and belongs into
 * network namespaces that were made for it (../lib/netns.sh).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "net/seal/session.h"
#include "net/seal/session_impl.h"
#include "raftd/base/clock.h"

enum {
    HEADERS = sizeof(struct iphdr) + sizeof(struct udphdr),
    PACKET_MAX = HEADERS + WIRE_DATAGRAM_MAX,
    AMMUNITION = 1024,     /* datagrams that a flood repeats */
    BATCH = 32,            /* sent or received by one system call */
    PAUSE_NS = 500 * 1000, /* between batches */
    BEHIND_MAX_US = 20000, /* a flooder that was kept from running does not make up for more */
    EXIT_NOTHING_RECORDED = 3,
    BIG = 1200,
    FIRST_BYTE = WIRE_VERSION_NOW << 4, /* and the kind */
};

/* A datagram with its headers, as recorded and as sent. */
struct packet {
    uint16_t len;
    uint8_t bytes[PACKET_MAX];
};

struct packets {
    struct packet *at;
    size_t n, room;
};

/* Who is flooded in whose name, and what is known of the two. */
struct aim {
    struct in_addr from, to;
    uint16_t port;
    struct packets recorded; /* what FROM sent to TO */
    struct packets opposite; /* what TO sent to FROM */
};

static volatile sig_atomic_t ended;

static void on_term(int sig)
{
    (void)sig;
    ended = 1;
}

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static void fill(uint8_t *bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = getrandom(bytes + done, len - done, 0);
        if (n < 0 && errno != EINTR)
            die("getrandom");
        done += n > 0 ? (size_t)n : 0;
    }
}

static unsigned below(unsigned n)
{
    uint32_t r;
    fill((uint8_t *)&r, sizeof r);
    return r % n;
}

/* --- packets --------------------------------------------------------------------------------- */

static uint8_t *payload(struct packet *p)
{
    return p->bytes + HEADERS;
}

static size_t payload_len(const struct packet *p)
{
    return (size_t)p->len - HEADERS;
}

static struct packet *add(struct packets *list)
{
    if (list->n == list->room) {
        list->room = list->room != 0 ? 2 * list->room : 64;
        list->at = realloc(list->at, list->room * sizeof *list->at);
        if (list->at == NULL)
            die("realloc");
    }
    struct packet *p = &list->at[list->n++];
    p->len = HEADERS;
    return p;
}

static void add_bytes(struct packets *list, const uint8_t *bytes, size_t len)
{
    struct packet *p = add(list);
    memcpy(payload(p), bytes, len);
    p->len = (uint16_t)(HEADERS + len);
}

static void add_random(struct packets *list, size_t len)
{
    struct packet *p = add(list);
    fill(payload(p), len);
    p->len = (uint16_t)(HEADERS + len);
}

/* No options, no fragment; a checksum of zero is none. */
static bool is_udp(const uint8_t *bytes, size_t len)
{
    struct iphdr ip;
    if (len < HEADERS || len > PACKET_MAX)
        return false;
    memcpy(&ip, bytes, sizeof ip);
    return ip.version == 4 && ip.ihl == 5 && ip.protocol == IPPROTO_UDP &&
           (ntohs(ip.frag_off) & ~IP_DF) == 0 && ntohs(ip.tot_len) == len;
}

static void head(struct packet *p, const struct aim *aim, struct in_addr from)
{
    struct iphdr ip = {
        .version = 4,
        .ihl = 5,
        .ttl = 64,
        .tot_len = htons(p->len),
        .protocol = IPPROTO_UDP,
        .saddr = from.s_addr,
        .daddr = aim->to.s_addr,
    };
    struct udphdr udp = {
        .source = htons(aim->port),
        .dest = htons(aim->port),
        .len = htons((uint16_t)(p->len - sizeof ip)),
    };
    memcpy(p->bytes, &ip, sizeof ip);
    memcpy(p->bytes + sizeof ip, &udp, sizeof udp);
}

/* --- record ---------------------------------------------------------------------------------- */

static int record(const char *path)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        die(path);
    int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL));
    if (fd < 0)
        die("packet socket");
    struct timeval tick = {.tv_usec = 100000};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick) != 0)
        die("SO_RCVTIMEO");
    puts("ready");
    fflush(stdout);
    while (!ended) {
        struct sockaddr_ll from = {0};
        socklen_t from_len = sizeof from;
        struct packet p = {0};
        ssize_t n = recvfrom(fd, p.bytes, sizeof p.bytes, MSG_TRUNC, (struct sockaddr *)&from,
                             &from_len);
        /* A bridge shows each packet where it comes in and where it leaves: the first counts. */
        if (n < 0 || from.sll_pkttype == PACKET_OUTGOING || !is_udp(p.bytes, (size_t)n))
            continue;
        p.len = (uint16_t)n;
        if (fwrite(&p.len, sizeof p.len, 1, file) != 1 || fwrite(p.bytes, p.len, 1, file) != 1)
            die(path);
    }
    if (fclose(file) != 0)
        die(path);
    return 0;
}

static void read_recorded(const char *path, struct aim *aim)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        die(path);
    struct packet p;
    while (fread(&p.len, sizeof p.len, 1, file) == 1) {
        if (p.len > PACKET_MAX || fread(p.bytes, p.len, 1, file) != 1 || !is_udp(p.bytes, p.len)) {
            fprintf(stderr, "flooder: %s: no recording\n", path);
            exit(1);
        }
        struct iphdr ip;
        memcpy(&ip, p.bytes, sizeof ip);
        if (ip.saddr == aim->from.s_addr && ip.daddr == aim->to.s_addr)
            *add(&aim->recorded) = p;
        else if (ip.saddr == aim->to.s_addr && ip.daddr == aim->from.s_addr)
            *add(&aim->opposite) = p;
    }
    fclose(file);
}

/* --- kinds of flood -------------------------------------------------------------------------- */

enum { NEWEST = 1, OLDER = 2 };

/* The recorded ones of a kind of datagram (0: any): the newest, all but that, or all of them. */
static void pick(struct packets *out, const struct packets *recorded, int kind, int which)
{
    struct packets all = {0};
    for (size_t i = 0; i < recorded->n; i++) {
        struct packet *p = &recorded->at[i];
        if (payload_len(p) > 0 && (kind == 0 || payload(p)[0] == (FIRST_BYTE | kind)))
            add_bytes(&all, payload(p), payload_len(p));
    }
    size_t begin = 0, end = all.n;
    if (which == NEWEST && end > 0)
        begin = end - 1;
    if (which == OLDER) /* HELLOs are sent again byte for byte */
        while (end > 0 && memcmp(payload(&all.at[end - 1]), payload(&all.at[all.n - 1]),
                                 SESSION_HEAD_BYTES + 32) == 0)
            end--;
    for (size_t i = begin; i < end && out->n < AMMUNITION; i++)
        add_bytes(out, payload(&all.at[i]), payload_len(&all.at[i]));
    free(all.at);
}

static void recorded_hello_newest(struct packets *out, const struct aim *aim)
{
    pick(out, &aim->recorded, SESSION_KIND_HELLO, NEWEST);
}

static void recorded_hello_older(struct packets *out, const struct aim *aim)
{
    pick(out, &aim->recorded, SESSION_KIND_HELLO, OLDER);
}

static void recorded_ack(struct packets *out, const struct aim *aim)
{
    pick(out, &aim->recorded, SESSION_KIND_HELLO_ACK, 0);
}

static void recorded_challenge(struct packets *out, const struct aim *aim)
{
    pick(out, &aim->recorded, SESSION_KIND_CHALLENGE, 0);
}

static void recorded_data(struct packets *out, const struct aim *aim)
{
    pick(out, &aim->recorded, SESSION_KIND_DATA, 0);
}

static void recorded_data_newest(struct packets *out, const struct aim *aim)
{
    pick(out, &aim->recorded, SESSION_KIND_DATA, NEWEST);
}

static void reflected(struct packets *out, const struct aim *aim)
{
    pick(out, &aim->opposite, 0, 0);
}

static void random_small(struct packets *out, const struct aim *aim)
{
    (void)aim;
    while (out->n < AMMUNITION)
        add_random(out, SESSION_HELLO_BYTES);
}

static void random_big(struct packets *out, const struct aim *aim)
{
    (void)aim;
    while (out->n < AMMUNITION)
        add_random(out, BIG);
}

/* Random bytes behind what everybody may see in a genuine HELLO. */
static void junk_hello(struct packets *out, const struct aim *aim)
{
    struct packets hello = {0};
    pick(&hello, &aim->recorded, SESSION_KIND_HELLO, NEWEST);
    while (hello.n > 0 && out->n < AMMUNITION) {
        add_random(out, SESSION_HELLO_BYTES);
        memcpy(payload(&out->at[out->n - 1]), payload(&hello.at[0]), SESSION_HEAD_BYTES);
    }
    free(hello.at);
}

static void junk_data(struct packets *out, const struct aim *aim)
{
    (void)aim;
    static const uint8_t begin[4] = {FIRST_BYTE | SESSION_KIND_DATA};
    while (out->n < AMMUNITION) {
        add_random(out, SESSION_HELLO_BYTES); /* long enough to be answered by a HELLO */
        memcpy(payload(&out->at[out->n - 1]), begin, sizeof begin);
    }
}

static void truncated(struct packets *out, const struct aim *aim)
{
    pick(out, &aim->recorded, 0, 0);
    for (size_t i = 0; i < out->n; i++)
        out->at[i].len = (uint16_t)(HEADERS + below((unsigned)payload_len(&out->at[i])));
}

static void other_cluster(struct packets *out, const struct aim *aim)
{
    pick(out, &aim->recorded, SESSION_KIND_HELLO, 0);
    for (size_t i = 0; i < out->n; i++)
        payload(&out->at[i])[8] ^= 1;
}

static void other_version(struct packets *out, const struct aim *aim)
{
    pick(out, &aim->recorded, 0, 0);
    for (size_t i = 0; i < out->n; i++)
        payload(&out->at[i])[0] ^= 0x10;
}

static void plain_text(struct packets *out, const struct aim *aim)
{
    random_small(out, aim);
    for (size_t i = 0; i < out->n; i++)
        payload(&out->at[i])[0] = FIRST_BYTE;
}

static const struct kind {
    const char *name;
    void (*load)(struct packets *out, const struct aim *aim);
} kinds[] = {
    {"random", random_small},
    {"random-1200", random_big},
    {"junk-hello", junk_hello},
    {"junk-data", junk_data},
    {"hello-newest", recorded_hello_newest},
    {"hello-older", recorded_hello_older},
    {"hello-ack", recorded_ack},
    {"challenge", recorded_challenge},
    {"data", recorded_data},
    {"data-newest", recorded_data_newest},
    {"reflected", reflected},
    {"truncated", truncated},
    {"other-cluster", other_cluster},
    {"other-version", other_version},
    {"plain-text", plain_text},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* --- send ------------------------------------------------------------------------------------ */

static int raw_socket(const struct aim *aim)
{
    int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = aim->to};
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("raw socket");
    return fd;
}

/* Sends up to n packets from `next` on, round and round; returns how many bytes. */
static uint64_t send_batch(int fd, const struct packets *p, size_t *next, unsigned n)
{
    struct mmsghdr messages[BATCH] = {0};
    struct iovec parts[BATCH];
    for (unsigned i = 0; i < n; i++) {
        struct packet *one = &p->at[(*next + i) % p->n];
        parts[i] = (struct iovec){.iov_base = one->bytes, .iov_len = one->len};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    int sent = sendmmsg(fd, messages, n, 0);
    if (sent < 0 && errno != EINTR && errno != ENOBUFS)
        die("sendmmsg");
    uint64_t bytes = 0;
    for (int i = 0; i < sent; i++)
        bytes += p->at[(*next + (size_t)i) % p->n].len;
    *next += sent > 0 ? (size_t)sent : 0;
    return bytes;
}

static void flood(int fd, const struct packets *p, uint64_t mbit_s)
{
    uint64_t start = clock_us(), due_from = start, bytes = 0, due_bytes = 0;
    size_t next = 0;
    while (!ended) {
        uint64_t now = clock_us();
        if ((now - due_from) * mbit_s / 8 > due_bytes + BEHIND_MAX_US * mbit_s / 8) {
            due_from = now - BEHIND_MAX_US;
            due_bytes = 0;
        }
        while (!ended && due_bytes < (now - due_from) * mbit_s / 8) {
            uint64_t n = send_batch(fd, p, &next, BATCH);
            bytes += n;
            due_bytes += n;
        }
        struct timespec pause = {.tv_nsec = PAUSE_NS};
        nanosleep(&pause, NULL);
    }
    printf("datagrams=%zu mbit_s=%.1f\n", next, (double)bytes * 8 / (double)(clock_us() - start));
}

static int send_kind(const char *name, const char *path, struct aim *aim, uint64_t mbit_s)
{
    const struct kind *kind = NULL;
    for (int i = 0; i < KINDS; i++)
        if (strcmp(kinds[i].name, name) == 0)
            kind = &kinds[i];
    if (kind == NULL) {
        fprintf(stderr, "flooder: no kind %s\n", name);
        return 2;
    }
    read_recorded(path, aim);
    struct packets out = {0};
    kind->load(&out, aim);
    if (out.n == 0) {
        fprintf(stderr, "flooder: %s: nothing of the kind %s was recorded\n", path, name);
        return EXIT_NOTHING_RECORDED;
    }
    for (size_t i = 0; i < out.n; i++)
        head(&out.at[i], aim, aim->from);
    int fd = raw_socket(aim);
    flood(fd, &out, mbit_s);
    close(fd);
    free(out.at);
    free(aim->recorded.at);
    free(aim->opposite.at);
    return 0;
}

/* --- sink ------------------------------------------------------------------------------------ */

static int sink(struct in_addr addr, uint16_t port, bool reads)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in self = {.sin_family = AF_INET, .sin_addr = addr, .sin_port = htons(port)};
    struct timeval tick = {.tv_usec = 100000};
    if (fd < 0 || bind(fd, (struct sockaddr *)&self, sizeof self) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick) != 0)
        die("sink");
    puts("ready");
    fflush(stdout);
    static uint8_t room[BATCH][PACKET_MAX];
    struct mmsghdr messages[BATCH] = {0};
    struct iovec parts[BATCH];
    for (unsigned i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){.iov_base = room[i], .iov_len = PACKET_MAX};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    while (!ended) {
        struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};
        if (!reads)
            nanosleep(&pause, NULL);
        else if (recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL) < 0 && errno != EAGAIN &&
                 errno != EINTR)
            die("recvmmsg");
    }
    close(fd);
    return 0;
}

/* --- the command line ------------------------------------------------------------------------ */

static _Noreturn void usage(void)
{
    fputs("usage: flooder record FILE\n"
          "       flooder send KIND FILE FROM TO PORT MBIT_S\n"
          "       flooder sink ADDR PORT\n"
          "       flooder hole ADDR PORT\n"
          "       flooder kinds\n",
          stderr);
    exit(2);
}

static struct in_addr address(const char *text)
{
    struct in_addr a;
    if (inet_pton(AF_INET, text, &a) != 1)
        usage();
    return a;
}

static uint16_t number(const char *text)
{
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || n < 1 || n > UINT16_MAX)
        usage();
    return (uint16_t)n;
}

int main(int argc, char **argv)
{
    struct sigaction act = {.sa_handler = on_term};
    if (sigaction(SIGTERM, &act, NULL) != 0)
        die("sigaction");
    if (argc == 3 && strcmp(argv[1], "record") == 0)
        return record(argv[2]);
    if (argc == 4 && (strcmp(argv[1], "sink") == 0 || strcmp(argv[1], "hole") == 0))
        return sink(address(argv[2]), number(argv[3]), argv[1][0] == 's');
    if (argc == 8 && strcmp(argv[1], "send") == 0) {
        struct aim aim = {
            .from = address(argv[4]), .to = address(argv[5]), .port = number(argv[6])};
        return send_kind(argv[2], argv[3], &aim, number(argv[7]));
    }
    if (argc != 2 || strcmp(argv[1], "kinds") != 0)
        usage();
    for (int i = 0; i < KINDS; i++)
        puts(kinds[i].name);
    return 0;
}
