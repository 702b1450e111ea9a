#include "net/udp.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Ancillary data of a datagram: the kernel's count of those that were dropped before it. */
struct control {
    _Alignas(struct cmsghdr) uint8_t bytes[CMSG_SPACE(sizeof(uint32_t))];
};

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78 /* <linux/in6.h>; the C library's headers may be older */
#endif

/* What the kernel tells of an error (struct sock_extended_err of <linux/errqueue.h>, which not every C
 * library can include), and the address of the host that reported it. */
struct icmp_error {
    uint32_t code_of_errno;
    uint8_t origin, type, code, pad;
    uint32_t info, data;
    union {
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } from;
};

struct error_control {
    _Alignas(struct cmsghdr) uint8_t bytes[CMSG_SPACE(sizeof(struct icmp_error))];
};

struct udp {
    int fd;
    int family;
    bool bound; /* an unbound socket sends nothing: it would do so from a port that nobody knows */
    int rcvbuf_bytes;
    struct udp_counters count;
    uint32_t rxq_ovfl; /* the kernel's count of drops as last seen; it wraps */

    struct mmsghdr rx_hdr[UDP_BATCH];
    struct iovec rx_iov[UDP_BATCH];
    struct sockaddr_storage rx_from[UDP_BATCH];
    struct control rx_control[UDP_BATCH];
    uint8_t rx_bytes[UDP_BATCH][UDP_RECEIVE_BYTES];

    unsigned n_refused;
    size_t refused_len[UDP_REFUSED];
    struct sockaddr_storage refused_to[UDP_REFUSED];

    bool reported; /* the kernel may have errors for us */
    unsigned n_closed;
    struct sockaddr_storage closed_to[UDP_CLOSED];

    unsigned queued;
    struct mmsghdr tx_hdr[UDP_QUEUE];
    struct iovec tx_iov[UDP_QUEUE];
    struct sockaddr_storage tx_to[UDP_QUEUE];
    uint8_t tx_bytes[UDP_QUEUE][UDP_SEND_BYTES];
};

static bool set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

/* False and errno if an option that we need is refused. */
static bool set_options(struct udp *u, int fd)
{
    /* With CAP_NET_ADMIN the buffers may be larger than net.core.rmem_max; else that is the limit. */
    if (!set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, UDP_RCVBUF_BYTES) &&
        !set_int(fd, SOL_SOCKET, SO_RCVBUF, UDP_RCVBUF_BYTES))
        return false;
    if (!set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, UDP_SNDBUF_BYTES) &&
        !set_int(fd, SOL_SOCKET, SO_SNDBUF, UDP_SNDBUF_BYTES))
        return false;
    socklen_t len = sizeof u->rcvbuf_bytes;
    if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &u->rcvbuf_bytes, &len) != 0)
        return false;
    (void)set_int(fd, SOL_SOCKET, SO_RXQ_OVFL, 1); /* else our own drops look like the network's */
    /* The address may come later, go and come back; IP_FREEBIND keeps the port meanwhile. */
    if (u->family == AF_INET) {
        (void)set_int(fd, IPPROTO_IP, IP_FREEBIND, 1);
        (void)set_int(fd, IPPROTO_IP, IP_RECVERR, 1);
        return set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    }
    (void)set_int(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1);
    (void)set_int(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
    return set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) &&
           set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
}

static void wire_up(struct udp *u)
{
    for (unsigned i = 0; i < UDP_BATCH; i++) {
        u->rx_iov[i] = (struct iovec){u->rx_bytes[i], UDP_RECEIVE_BYTES};
        u->rx_hdr[i].msg_hdr.msg_iov = &u->rx_iov[i];
        u->rx_hdr[i].msg_hdr.msg_iovlen = 1;
        u->rx_hdr[i].msg_hdr.msg_name = &u->rx_from[i];
        u->rx_hdr[i].msg_hdr.msg_control = &u->rx_control[i];
    }
    for (unsigned i = 0; i < UDP_QUEUE; i++) {
        u->tx_iov[i].iov_base = u->tx_bytes[i];
        u->tx_hdr[i].msg_hdr.msg_iov = &u->tx_iov[i];
        u->tx_hdr[i].msg_hdr.msg_iovlen = 1;
        u->tx_hdr[i].msg_hdr.msg_name = &u->tx_to[i];
    }
}

/* A socket with all options. Negative errno on failure. */
static int open_socket(struct udp *u)
{
    int fd = socket(u->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
    if (fd < 0)
        return -errno;
    if (set_options(u, fd))
        return fd;
    int err = errno;
    (void)close(fd); /* nothing was written: there is nothing to lose */
    return -err;
}

struct udp *udp_new(int family)
{
    if (family != AF_INET && family != AF_INET6) {
        errno = EAFNOSUPPORT;
        return NULL;
    }
    struct udp *u = calloc(1, sizeof *u);
    if (u == NULL)
        return NULL;
    u->family = family;
    u->fd = open_socket(u);
    if (u->fd < 0) {
        int err = -u->fd;
        free(u);
        errno = err;
        return NULL;
    }
    wire_up(u);
    return u;
}

int udp_bind(struct udp *u, const struct sockaddr *addr, socklen_t addr_len)
{
    int fd = open_socket(u);
    if (fd < 0)
        return fd;
    /* The former address and the new one may overlap, and only then may two sockets have them. */
    (void)set_int(u->fd, SOL_SOCKET, SO_REUSEADDR, 1);
    (void)set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    int rc = bind(fd, addr, addr_len) == 0 && dup3(fd, u->fd, O_CLOEXEC) >= 0 ? 0 : -errno;
    (void)set_int(u->fd, SOL_SOCKET, SO_REUSEADDR, 0);
    (void)close(fd);
    if (rc == 0) {
        u->bound = true;
        u->rxq_ovfl = 0; /* it counts from its own start */
    }
    return rc;
}

void udp_close(struct udp *u)
{
    if (u == NULL)
        return;
    (void)close(u->fd); /* the descriptor is gone whatever it says */
    free(u);
}

int udp_fd(const struct udp *u)
{
    return u->fd;
}

uint32_t udp_window_bytes(const struct udp *u)
{
    return (uint32_t)u->rcvbuf_bytes / UDP_WINDOW_SHARE;
}

const struct udp_counters *udp_counters(const struct udp *u)
{
    return &u->count;
}

/* The destination's own host says that the port is closed (RFC 792; RFC 4443, 3.1). A router or a firewall
 * that says so knows less. */
static bool is_closed(const struct icmp_error *e, const struct sockaddr_storage *to)
{
    enum { ORIGIN_ICMP = 2, UNREACHABLE = 3, PORT = 3 };
    enum { ORIGIN_ICMP6 = 3, UNREACHABLE6 = 1, PORT6 = 4 };
    const struct sockaddr_in *in = (const struct sockaddr_in *)to;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)to;
    if (e->origin == ORIGIN_ICMP && to->ss_family == AF_INET)
        return e->type == UNREACHABLE && e->code == PORT &&
               e->from.in.sin_addr.s_addr == in->sin_addr.s_addr;
    return e->origin == ORIGIN_ICMP6 && to->ss_family == AF_INET6 && e->type == UNREACHABLE6 &&
           e->code == PORT6 &&
           memcmp(&e->from.in6.sin6_addr, &in6->sin6_addr, sizeof in6->sin6_addr) == 0;
}

/* Without a free place the destination is not remembered: the next datagram to it will be answered, too. */
static void note_closed(struct udp *u, const struct sockaddr_storage *to, size_t to_len)
{
    unsigned k = 0;
    while (k < u->n_closed && memcmp(&u->closed_to[k], to, to_len) != 0)
        k++;
    if (k == u->n_closed && k < UDP_CLOSED)
        u->closed_to[u->n_closed++] = *to;
}

bool udp_closed(struct udp *u, struct sockaddr_storage *to)
{
    if (u->n_closed == 0)
        return false;
    *to = u->closed_to[--u->n_closed];
    return true;
}

/* Takes the kernel's count of drops, which comes with a datagram unless it is zero. The pragma is for musl,
 * whose CMSG_NXTHDR has an implicit conversion in it. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
static void count_drops(struct udp *u, struct msghdr *h)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
        uint32_t ovfl;
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_RXQ_OVFL ||
            c->cmsg_len != CMSG_LEN(sizeof ovfl))
            continue;
        memcpy(&ovfl, CMSG_DATA(c), sizeof ovfl);
        uint32_t more = ovfl - u->rxq_ovfl;
        if (more <= INT32_MAX) { /* else it went back: counted on another CPU meanwhile */
            u->rxq_ovfl = ovfl;
            u->count.rxq_drops += more;
        }
    }
}

/* Reads reported errors. As long as there are some, the descriptor is ready to read. */
static void take_errors(struct udp *u)
{
    u->reported = false;
    for (unsigned i = 0; i < UDP_CLOSED; i++) {
        struct sockaddr_storage to = {0};
        struct error_control control;
        struct msghdr h = {.msg_name = &to,
                           .msg_namelen = sizeof to,
                           .msg_control = &control,
                           .msg_controllen = sizeof control};
        if (recvmsg(u->fd, &h, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            return;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c != NULL; c = CMSG_NXTHDR(&h, c)) {
            struct icmp_error e = {0};
            bool ours = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
                        (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
            size_t len = c->cmsg_len - CMSG_LEN(0);
            if (!ours)
                continue;
            memcpy(&e, CMSG_DATA(c), len < sizeof e ? len : sizeof e);
            if (is_closed(&e, &to))
                note_closed(u, &to, h.msg_namelen);
        }
    }
    u->reported = true; /* there may be more */
}
#pragma GCC diagnostic pop

size_t udp_receive(struct udp *u, udp_receiver *receive, void *ctx)
{
    size_t done = 0;
    unsigned errors = 0;
    while (done < UDP_RECEIVE_MAX && errors < UDP_RECEIVE_ERRORS) {
        for (unsigned i = 0; i < UDP_BATCH; i++) {
            u->rx_hdr[i].msg_hdr.msg_namelen = sizeof u->rx_from[i];
            u->rx_hdr[i].msg_hdr.msg_controllen = sizeof u->rx_control[i];
        }
        int n = recvmmsg(u->fd, u->rx_hdr, UDP_BATCH, MSG_DONTWAIT, NULL);
        if (n < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK) {
                u->reported |= done == 0; /* what were we woken for? */
                break;
            }
            u->reported = true;
            errors++; /* a signal, or ICMP's answer to a datagram that went to a closed port */
            u->count.receive_errors++;
            continue;
        }
        for (int i = 0; i < n; i++) {
            struct msghdr *h = &u->rx_hdr[i].msg_hdr;
            count_drops(u, h);
            u->count.received++;
            receive(ctx, u->rx_bytes[i], u->rx_hdr[i].msg_len,
                    (const struct sockaddr *)&u->rx_from[i], h->msg_namelen);
        }
        done += (size_t)n;
        if (n < UDP_BATCH)
            break;
    }
    if (u->reported)
        take_errors(u);
    return done;
}

void udp_queue(struct udp *u, const struct sockaddr *to, socklen_t to_len, const uint8_t *bytes,
               size_t len)
{
    assert(len <= UDP_SEND_BYTES && to_len <= sizeof u->tx_to[0]);
    if (u->queued == UDP_QUEUE)
        udp_flush(u);
    unsigned i = u->queued++;
    memcpy(u->tx_bytes[i], bytes, len);
    memcpy(&u->tx_to[i], to, to_len);
    u->tx_iov[i].iov_len = len;
    u->tx_hdr[i].msg_hdr.msg_namelen = to_len;
}

/* Without a free place the destination is not remembered: its next datagram will be refused, too. */
static void note_refused(struct udp *u, unsigned i)
{
    size_t to_len = u->tx_hdr[i].msg_hdr.msg_namelen, len = u->tx_iov[i].iov_len;
    unsigned k = 0;
    while (k < u->n_refused && memcmp(&u->refused_to[k], &u->tx_to[i], to_len) != 0)
        k++;
    if (k == UDP_REFUSED || (k < u->n_refused && u->refused_len[k] <= len))
        return;
    u->refused_to[k] = u->tx_to[i];
    u->refused_len[k] = len;
    u->n_refused += k == u->n_refused;
}

size_t udp_refused(struct udp *u, struct sockaddr_storage *to)
{
    if (u->n_refused == 0)
        return 0;
    *to = u->refused_to[--u->n_refused];
    return u->refused_len[u->n_refused];
}

/* The kernel refused a datagram, and does not say that this was for its length. */
static void count_lost(struct udp *u, int why)
{
    u->count.lost++;
    u->count.lost_errno = why;
}

void udp_flush(struct udp *u)
{
    unsigned i = 0, tries = 0;
    if (!u->bound) {
        u->count.lost += u->queued;
        u->count.lost_errno = EADDRNOTAVAIL;
        i = u->queued;
    }
    while (i < u->queued) {
        int n = sendmmsg(u->fd, u->tx_hdr + i, u->queued - i, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n <= 0) {
            /* The error is of the first datagram alone, or of one that was sent before, perhaps to
             * another place: a router says EMSGSIZE, too. Others may go another way, so only this one
             * is skipped, and not at once. */
            bool too_big = n < 0 && errno == EMSGSIZE;
            u->reported = true;
            if (++tries < UDP_SEND_TRIES)
                continue;
            if (too_big)
                note_refused(u, i);
            else
                count_lost(u, n < 0 ? errno : 0);
            u->count.too_big += too_big;
            tries = 0;
            i++;
            continue;
        }
        tries = 0;
        u->count.sent += (uint64_t)n;
        i += (unsigned)n;
    }
    u->queued = 0;
}
