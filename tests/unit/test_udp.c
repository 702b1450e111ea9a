// LINK: net/udp.c
/* The socket on 127.0.0.1 and ::1: whole datagrams in order, and no error stalls it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/udp.h"

enum { WAIT_MS = 2000, LOG_MAX = 256 };

struct address {
    struct sockaddr_storage a;
    socklen_t len;
};

struct taken {
    unsigned n;
    size_t len[LOG_MAX];
    uint8_t first[LOG_MAX];
    uint8_t last[LOG_MAX];
    struct address from;
    struct udp *echo_on; /* answer from within the call */
};

static const struct sockaddr *sa(const struct address *a)
{
    return (const struct sockaddr *)&a->a;
}

static struct address loopback(uint16_t port)
{
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct address a = {.len = sizeof in};
    memcpy(&a.a, &in, sizeof in);
    return a;
}

static struct udp *udp_open(const struct sockaddr *addr, socklen_t len)
{
    struct udp *u = udp_new(addr->sa_family);
    if (u != NULL && udp_bind(u, addr, len) != 0) {
        udp_close(u);
        return NULL;
    }
    return u;
}

static struct address loopback6(void)
{
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct address a = {.len = sizeof in};
    memcpy(&a.a, &in, sizeof in);
    return a;
}

static struct address bound_to(const struct udp *u)
{
    struct address a = {.len = sizeof a.a};
    assert_int_equal(getsockname(udp_fd(u), (struct sockaddr *)&a.a, &a.len), 0);
    return a;
}

static struct udp *open_any(void)
{
    struct address any = loopback(0);
    struct udp *u = udp_open(sa(&any), any.len);
    assert_non_null(u);
    return u;
}

/* A port of 127.0.0.1 where nobody listens. */
static struct address closed_port(void)
{
    struct udp *u = open_any();
    struct address a = bound_to(u);
    udp_close(u);
    return a;
}

static void take(void *ctx, uint8_t *bytes, size_t len, const struct sockaddr *from,
                 socklen_t from_len)
{
    struct taken *t = ctx;
    assert_true(t->n < LOG_MAX && from_len <= sizeof t->from.a);
    t->len[t->n] = len;
    t->first[t->n] = len > 0 ? bytes[0] : 0;
    t->last[t->n] = len > 0 ? bytes[len - 1] : 0;
    t->n++;
    memcpy(&t->from.a, from, from_len);
    t->from.len = from_len;
    if (t->echo_on)
        udp_queue(t->echo_on, from, from_len, bytes, len);
}

static size_t receive(struct udp *u, struct taken *t)
{
    struct pollfd p = {.fd = udp_fd(u), .events = POLLIN};
    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    return udp_receive(u, take, t);
}

static void test_there_and_back(void **state)
{
    (void)state;
    struct udp *a = open_any();
    struct udp *b = open_any();
    struct address to = bound_to(b);
    struct taken t = {.echo_on = b};
    uint8_t bytes[UDP_SEND_BYTES];
    for (unsigned i = 0; i < 10; i++) {
        memset(bytes, (int)i, sizeof bytes);
        udp_queue(a, sa(&to), to.len, bytes, i == 9 ? sizeof bytes : i * 100);
    }
    assert_int_equal(udp_counters(a)->sent, 0); /* nothing leaves before the flush */
    udp_flush(a);
    udp_flush(a); /* empty: nothing */
    assert_int_equal(udp_counters(a)->sent, 10);
    assert_int_equal(receive(b, &t), 10);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(t.len[i], i == 9 ? sizeof bytes : i * 100);
        assert_int_equal(t.first[i], i);
        assert_int_equal(t.last[i], i);
    }
    struct address from = bound_to(a);
    assert_int_equal(t.from.len, from.len);
    assert_memory_equal(&t.from.a, &from.a, from.len);
    assert_int_equal(udp_receive(b, take, &t), 0);

    udp_flush(b);
    struct taken back = {0};
    assert_int_equal(receive(a, &back), 10);
    assert_int_equal(back.len[9], sizeof bytes);
    assert_int_equal(udp_counters(a)->received, 10);
    assert_int_equal(udp_counters(a)->lost + udp_counters(b)->lost, 0);
    udp_close(a);
    udp_close(b);
}

/* A full queue flushes itself; a receiver stops after UDP_RECEIVE_MAX and goes on in the next call. */
static void test_limits(void **state)
{
    (void)state;
    struct udp *a = open_any();
    struct udp *b = open_any();
    struct address to = bound_to(b);
    enum { N = UDP_QUEUE + UDP_QUEUE / 2 };
    for (unsigned i = 0; i < N; i++) {
        uint8_t byte = (uint8_t)i;
        udp_queue(a, sa(&to), to.len, &byte, 1);
        assert_int_equal(udp_counters(a)->sent, i < UDP_QUEUE ? 0 : UDP_QUEUE);
    }
    udp_flush(a);
    struct taken t = {0};
    assert_int_equal(receive(b, &t), UDP_RECEIVE_MAX);
    assert_int_equal(receive(b, &t), N - UDP_RECEIVE_MAX);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(t.first[i], i);
    assert_int_equal(udp_receive(b, take, &t), 0);
    udp_close(a);
    udp_close(b);
}

/* What is too long for the receiver is not lost in silence. */
static void test_long_ones_are_cut(void **state)
{
    (void)state;
    struct udp *b = open_any();
    struct address to = bound_to(b);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    static const uint8_t big[UDP_RECEIVE_BYTES + 1];
    for (size_t len = UDP_RECEIVE_BYTES - 1; len <= UDP_RECEIVE_BYTES + 1; len++)
        assert_int_equal(sendto(fd, big, len, 0, sa(&to), to.len), len);
    struct taken t = {0};
    assert_int_equal(receive(b, &t), 3);
    assert_int_equal(t.n, 3);
    assert_int_equal(t.len[0], UDP_RECEIVE_BYTES - 1);
    assert_int_equal(t.len[1], UDP_RECEIVE_BYTES);
    assert_int_equal(t.len[2], UDP_RECEIVE_BYTES);
    assert_int_equal(close(fd), 0);
    udp_close(b);
}

/* Nobody listens at one peer: that is told, once for each time that it was asked for, and the other one gets
 * all. */
static void closed_port_of(struct udp *a, struct udp *b, const struct address *dead)
{
    struct address to = bound_to(b);
    struct sockaddr_storage who;
    struct taken t = {0};
    assert_false(udp_closed(a, &who));
    for (unsigned i = 0; i < 40; i++) {
        uint8_t byte = (uint8_t)i;
        udp_queue(a, sa(dead), dead->len, &byte, 1);
        udp_queue(a, sa(&to), to.len, &byte, 1);
        udp_flush(a);
    }
    while (t.n < 40)
        assert_true(receive(b, &t) > 0);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(t.first[i], i);
    while (udp_receive(a, take, &t) > 0 || poll(&(struct pollfd){.fd = udp_fd(a)}, 1, 0) > 0)
        continue; /* until nothing is reported any more */
    assert_int_equal(udp_counters(a)->lost, 0);
    assert_true(udp_closed(a, &who));
    assert_memory_equal(&who, &dead->a, dead->len);
    assert_false(udp_closed(a, &who));
    udp_close(a);
    udp_close(b);
}

static void test_closed_port(void **state)
{
    (void)state;
    struct address dead = closed_port();
    closed_port_of(open_any(), open_any(), &dead);
}

static void test_closed_port6(void **state)
{
    (void)state;
    struct address any = loopback6();
    struct udp *a = udp_open(sa(&any), any.len), *b = udp_open(sa(&any), any.len),
               *c = udp_open(sa(&any), any.len);
    if (a == NULL)
        skip(); /* a machine without IPv6 */
    assert_true(a != NULL && b != NULL && c != NULL);
    struct address dead = bound_to(c);
    udp_close(c);
    closed_port_of(a, b, &dead);
}

/* Each send to the dead port makes the next system call fail with ECONNREFUSED, surely so if the socket is
 * connected: that costs nothing, for what was not sent is sent again. */
static void test_refused(void **state)
{
    (void)state;
    struct udp *a = open_any();
    struct udp *b = open_any();
    struct address dead = closed_port();
    struct address to = bound_to(b);
    assert_int_equal(connect(udp_fd(a), sa(&dead), dead.len), 0);
    enum { ROUNDS = 20 };
    struct taken t = {0};
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint8_t byte = (uint8_t)i;
        udp_queue(a, sa(&dead), dead.len, &byte, 1);
        udp_flush(a);
        udp_queue(a, sa(&to), to.len, &byte, 1);
        udp_queue(a, sa(&to), to.len, &byte, 1);
        udp_flush(a);
    }
    const struct udp_counters *c = udp_counters(a);
    assert_int_equal(c->sent, 3 * ROUNDS);
    assert_int_equal(c->lost, 0);
    while (t.n < c->sent - ROUNDS)
        assert_true(receive(b, &t) > 0);

    /* On receipt: the pending error is counted, then there is nothing. */
    uint8_t byte = 0;
    udp_queue(a, sa(&dead), dead.len, &byte, 1);
    udp_flush(a);
    assert_int_equal(receive(a, &t), 0);
    assert_int_equal(c->receive_errors, 1);
    assert_int_equal(udp_receive(a, take, &t), 0);
    udp_close(a);
    udp_close(b);
}

/* RFC 1071, of an even number of bytes, as it stands in memory. */
static uint16_t checksum(const uint8_t *bytes, size_t len)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < len; i += 2) {
        uint16_t word;
        memcpy(&word, bytes + i, sizeof word);
        sum += word;
    }
    sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t) ~(sum + (sum >> 16));
}

/* A router on the way to 127.0.0.77 tells the sender at that address that its datagram was too long (RFC 792,
 * RFC 1191). */
static void tell_narrow(int raw, const struct sockaddr_in *sender)
{
    enum { IP_AT = 8, UDP_AT = IP_AT + 20, LEN = UDP_AT + 8 };
    uint8_t icmp[LEN] = {3, 4, 0, 0, 0, 0, 1400 >> 8, 1400 & 255};
    const uint8_t ip[] = {0x45, 0, 5, 220, 0, 0, 0x40, 0, 64, IPPROTO_UDP};
    const uint8_t there[] = {127, 0, 0, 77, 1, 1, 5, 200, 0, 0};
    memcpy(icmp + IP_AT, ip, sizeof ip);
    memcpy(icmp + IP_AT + 12, &sender->sin_addr, 4);
    memcpy(icmp + IP_AT + 16, there, 4);
    memcpy(icmp + UDP_AT, &sender->sin_port, 2);
    memcpy(icmp + UDP_AT + 2, there + 4, 6);
    uint16_t sum = checksum(icmp, sizeof icmp);
    memcpy(icmp + 2, &sum, sizeof sum);
    assert_int_equal(
        sendto(raw, icmp, sizeof icmp, 0, (const struct sockaddr *)sender, sizeof *sender),
        sizeof icmp);
}

/* What a router says of the path to one node does not touch what goes to another. */
static void test_narrow_elsewhere(void **state)
{
    (void)state;
    int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    if (raw < 0)
        skip(); /* only root may */
    struct udp *a = open_any();
    struct udp *b = open_any();
    struct address from = bound_to(a), to = bound_to(b);
    struct sockaddr_storage who;
    struct taken t = {0};
    struct sockaddr_in sender;
    memcpy(&sender, sa(&from), sizeof sender);
    tell_narrow(raw, &sender);
    assert_int_equal(poll(&(struct pollfd){.fd = udp_fd(a)}, 1, 5000), 1); /* it is told */
    uint8_t byte = 7;
    udp_queue(a, sa(&to), to.len, &byte, 1);
    udp_flush(a);
    assert_int_equal(udp_counters(a)->sent, 1);
    assert_int_equal(udp_counters(a)->too_big, 0);
    assert_int_equal(udp_refused(a, &who), 0);
    assert_int_equal(receive(b, &t), 1);
    while (udp_receive(a, take, &t) > 0 || poll(&(struct pollfd){.fd = udp_fd(a)}, 1, 0) > 0)
        continue; /* until nothing is reported any more */
    assert_false(udp_closed(a, &who));
    (void)close(raw);
    udp_close(a);
    udp_close(b);
}

/* Datagrams that the kernel can't send are lost one by one, and those between them are not. */
static void test_unsendable(void **state)
{
    (void)state;
    struct udp *a = open_any();
    struct udp *b = open_any();
    struct address to = bound_to(b);
    struct address six = loopback6(); /* not on this socket */
    struct address nil = loopback(0); /* port 0 */
    uint8_t byte = 7;
    for (unsigned i = 0; i < 10; i++) {
        udp_queue(a, sa(&six), six.len, &byte, 1);
        udp_queue(a, sa(&to), to.len, &byte, 1);
        udp_queue(a, sa(&nil), nil.len, &byte, 1);
    }
    udp_flush(a);
    assert_int_equal(udp_counters(a)->sent, 10);
    assert_int_equal(udp_counters(a)->lost, 20);
    assert_int_not_equal(udp_counters(a)->lost_errno, 0);
    struct taken t = {0};
    assert_int_equal(receive(b, &t), 10);
    udp_close(a);
    udp_close(b);
}

/* More than the receive queue holds: what is missing is counted as our own loss, exactly. */
static void test_overflow(void **state)
{
    (void)state;
    struct udp *b = open_any();
    struct address to = bound_to(b);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    int small = 0, on = 1; /* the kernel's least: a few datagrams */
    if (setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on) != 0)
        skip(); /* an emulator that passes no counts on */
    assert_int_equal(setsockopt(udp_fd(b), SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    static const uint8_t bytes[1000];
    uint64_t sent = 0;
    struct taken t = {0};
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 50; i++, sent++)
            assert_int_equal(sendto(fd, bytes, sizeof bytes, 0, sa(&to), to.len), sizeof bytes);
        while (udp_receive(b, take, &t) > 0)
            continue;
        assert_int_equal(sendto(fd, bytes, sizeof bytes, 0, sa(&to), to.len), sizeof bytes);
        sent++;
        assert_int_equal(receive(b, &t), 1); /* it found room, and brings the count */
        assert_true(udp_counters(b)->rxq_drops > 50 / 2 * (round + 1));
        assert_int_equal(udp_counters(b)->rxq_drops + udp_counters(b)->received, sent);
    }
    assert_int_equal(close(fd), 0);
    udp_close(b);
}

static void ignore(void *ctx, uint8_t *bytes, size_t len, const struct sockaddr *from,
                   socklen_t from_len)
{
    (void)ctx;
    (void)bytes;
    (void)len;
    (void)from;
    (void)from_len;
}

/* What is promised to bulk finds room in a real queue that nobody reads, and as many small datagrams
 * between: with the buffer that we ask for, and with what Linux grants to everybody. */
static void test_window_fits(void **state)
{
    (void)state;
    enum { STREAM_BYTES = 1100, STOCK_BYTES = 212992 };
    static const uint8_t bytes[1200];
    for (int stock = 0; stock <= 1; stock++) {
        struct udp *b = open_any();
        struct address to = bound_to(b);
        int fd = socket(AF_INET, SOCK_DGRAM, 0), granted = STOCK_BYTES;
        socklen_t len = sizeof granted;
        if (stock == 1)
            assert_int_equal(setsockopt(udp_fd(b), SOL_SOCKET, SO_RCVBUF, &granted, len), 0);
        assert_int_equal(getsockopt(udp_fd(b), SOL_SOCKET, SO_RCVBUF, &granted, &len), 0);
        uint32_t window = stock ? (uint32_t)granted / UDP_WINDOW_SHARE : udp_window_bytes(b);
        uint64_t sent = 0;
        for (uint32_t at = 0; at < window; at += STREAM_BYTES, sent += 2) {
            assert_int_equal(sendto(fd, bytes, sizeof bytes, 0, sa(&to), to.len), sizeof bytes);
            assert_int_equal(sendto(fd, bytes, 100, 0, sa(&to), to.len), 100);
        }
        while (udp_receive(b, ignore, NULL) > 0)
            continue;
        assert_int_equal(sendto(fd, bytes, 100, 0, sa(&to), to.len), 100);
        assert_int_equal(udp_receive(b, ignore, NULL), 1); /* it brings the count of drops */
        assert_int_equal(udp_counters(b)->rxq_drops, 0);
        assert_int_equal(udp_counters(b)->received, sent + 1);
        assert_int_equal(close(fd), 0);
        udp_close(b);
    }
}

/* On a device of 1280 bytes, in a network of this process's own. */
static void too_big_in_own_network(void)
{
    struct ifreq lo = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        _exit(77);
    (void)close(fd); /* it was the old network's */
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    lo.ifr_mtu = 1280;
    if (fd < 0 || ioctl(fd, SIOCSIFMTU, &lo) != 0)
        _exit(77);
    lo.ifr_flags = IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &lo) != 0)
        _exit(77);
    struct udp *a = open_any();
    struct udp *b = open_any();
    struct address to = bound_to(b);
    static const uint8_t bytes[1300];
    udp_queue(a, sa(&to), to.len, bytes, 1252); /* 20 of IPv4, 8 of UDP */
    udp_queue(a, sa(&to), to.len, bytes, 1253);
    udp_queue(a, sa(&to), to.len, bytes, 1300);
    udp_queue(a, sa(&to), to.len, bytes, 1);
    udp_flush(a);
    struct taken t = {0};
    const struct udp_counters *c = udp_counters(a);
    struct sockaddr_storage refused;
    bool told = udp_refused(a, &refused) == 1253 && memcmp(&refused, sa(&to), to.len) == 0 &&
                udp_refused(a, &refused) == 0;
    bool good = told && c->too_big == 2 && c->lost == 0 && c->lost_errno == 0 && c->sent == 2 &&
                receive(b, &t) == 2 && t.len[0] == 1252 && t.len[1] == 1;
    udp_close(a);
    udp_close(b);
    (void)close(fd);
    _exit(good ? 0 : 1);
}

static void test_too_big(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        too_big_in_own_network();
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip(); /* no such right here */
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_open(void **state)
{
    (void)state;
    struct udp *a = open_any();
    struct address used = bound_to(a);
    assert_true(udp_window_bytes(a) > 0);
    int value = 0;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(udp_fd(a), IPPROTO_IP, IP_MTU_DISCOVER, &value, &len), 0);
    assert_int_equal(value, IP_PMTUDISC_PROBE);
    errno = 0;
    assert_null(udp_open(sa(&used), used.len));
    assert_int_equal(errno, EADDRINUSE);
    struct sockaddr un = {.sa_family = AF_UNIX};
    assert_null(udp_open(&un, sizeof un));
    assert_int_equal(errno, EAFNOSUPPORT);
    udp_close(a);
    udp_close(NULL);
}

static void test_ipv6(void **state)
{
    (void)state;
    struct address any = loopback6();
    struct udp *a = udp_open(sa(&any), any.len);
    if (!a) /* a host without IPv6 */
        skip();
    struct address to = bound_to(a);
    udp_queue(a, sa(&to), to.len, (const uint8_t *)"x", 1);
    udp_flush(a);
    struct taken t = {0};
    assert_int_equal(receive(a, &t), 1);
    assert_int_equal(t.first[0], 'x');
    assert_memory_equal(&t.from.a, &to.a, to.len);
    udp_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_long_ones_are_cut),
        cmocka_unit_test(test_closed_port),
        cmocka_unit_test(test_closed_port6),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_narrow_elsewhere),
        cmocka_unit_test(test_unsendable),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_window_fits),
        cmocka_unit_test(test_too_big),
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_ipv6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
