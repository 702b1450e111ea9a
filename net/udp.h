/* udp.h: one non-blocking UDP socket that takes and gives datagrams in batches.
 *
 * UDP loses datagrams anyway, so a datagram whose sending fails UDP_SEND_TRIES times in a row counts as lost:
 * no error is fatal and none makes a busy loop (a link that is down gives ENETUNREACH for each datagram, for
 * hours). The caller polls udp_fd() for reading only.
 *
 * When a process has ended, its host answers datagrams to it with ICMP's "port unreachable", which the
 * kernel reports (IP_RECVERR). Anybody who can send us a datagram can forge that: it is a hint.
 */
#ifndef UDP_H
#define UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    UDP_BATCH = 16,           /* datagrams per recvmmsg() */
    UDP_RECEIVE_BYTES = 2048, /* each; longer ones are cut, and still longer than any of ours */
    UDP_RECEIVE_MAX = 64,     /* per udp_receive(): then timers and disk have their turn */
    UDP_RECEIVE_ERRORS = 8,   /* per udp_receive(): then the next poll is soon enough */
    UDP_QUEUE = 64,           /* datagrams kept until udp_flush() */
    UDP_SEND_BYTES = 1500,    /* each: more is fragmented on most paths */
    UDP_REFUSED = 16,         /* destinations of refused datagrams that are remembered ... */
    UDP_CLOSED = 16,          /* ... and closed ones; errors that are read per udp_receive() */
    UDP_SEND_TRIES = 2, /* of a datagram whose sending reports an error: maybe another one's */
    UDP_RCVBUF_BYTES = 1 << 20, /* the kernel charges about 2 kB for each datagram: some 500 */
    UDP_SNDBUF_BYTES = 1 << 20, /* for peers together: what finds no room is lost, control too */
    UDP_WINDOW_SHARE = 3,       /* of the receive buffer a third is promised to bulk: it holds that
                                   in datagrams of 1200 bytes, and as much again in small ones */
};

/* Since udp_new(). */
struct udp_counters {
    uint64_t sent;    /* datagrams given to the kernel */
    uint64_t lost;    /* datagrams that the kernel refused, but not for their size */
    int lost_errno;   /* why it refused the last one of these; 0 = none yet */
    uint64_t too_big; /* datagrams refused as longer than the device sends without fragments */
    uint64_t received;
    uint64_t rxq_drops; /* datagrams that found no room in our receive queue (SO_RXQ_OVFL): this box
                         * is too slow, not the network; known with the next one that found room */
    uint64_t receive_errors; /* what was reported instead of data, such as ICMP's errors */
};

struct udp;

/* Called for each datagram. `bytes` and `from` are valid during the call; the callee may change the bytes,
 * and may call udp_queue(). */
typedef void udp_receiver(void *ctx, uint8_t *bytes, size_t len, const struct sockaddr *from,
                          socklen_t from_len);

/* A socket (AF_INET, AF_INET6) with all memory it will ever need. Datagrams are never fragmented, and
 * never shortened by what ICMP says (IP_PMTUDISC_PROBE). Until it is bound nothing comes, and what is
 * sent is lost. NULL and errno on failure. */
struct udp *udp_new(int family);

/* Binds the socket, also one that was bound before; datagrams that were not yet taken are lost then. The
 * address need not be this machine's yet: what is sent until it is, is lost. Returns 0, or -errno, and
 * then the socket is as before. Its descriptor keeps the number but names another socket: whoever polls
 * it must begin again. */
int udp_bind(struct udp *u, const struct sockaddr *addr, socklen_t addr_len);

/* Drops what is queued. NULL is allowed. */
void udp_close(struct udp *u);

/* The descriptor, to be polled for reading. */
int udp_fd(const struct udp *u);

/* How many bytes of bulk may be on their way to us in full datagrams: all of them, and the control
 * datagrams between them, then fit into the receive buffer that the kernel granted. */
uint32_t udp_window_bytes(const struct udp *u);

/* Hands waiting datagrams to `receive`, at most UDP_RECEIVE_MAX. Returns how many; 0 when there is
 * nothing left. */
size_t udp_receive(struct udp *u, udp_receiver *receive, void *ctx);

/* Copies a datagram into the queue; a full queue is flushed first. len <= UDP_SEND_BYTES. */
void udp_queue(struct udp *u, const struct sockaddr *to, socklen_t to_len, const uint8_t *bytes,
               size_t len);

/* Sends the queue, all with one sendmmsg() when nothing is wrong. */
void udp_flush(struct udp *u);

/* The next datagram that the kernel refused as too long for the route: where to, and its length.
 * Returns 0 when there is no more. Of many to one destination the shortest stands for all. */
size_t udp_refused(struct udp *u, struct sockaddr_storage *to);

/* The next destination whose host has said since the last call that nobody listens there. False: there is
 * none, or none more. */
bool udp_closed(struct udp *u, struct sockaddr_storage *to);

const struct udp_counters *udp_counters(const struct udp *u);

#endif
