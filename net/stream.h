/* stream.h: a stream of bytes addressed by offset, over datagrams; both ends, no I/O.
 *
 * A piece is {offset, bytes}. It means the same whenever, however often and however cut it
 * arrives, so the sender may cut the same bytes anew at each resend. The receiver answers with a
 * SACK: all below contig is here, and these ranges above. Bytes belong to the caller on both
 * sides: the sender is only told how many exist, the receiver puts them into memory it was given.
 *
 * Sender, offsets on one line:
 *
 *      0 ....... una ....[acked]...[acked]....... nxt ............ end
 *      received   | missing, or on their way       | not sent yet    | does not exist yet
 *
 * What is sent, in this order:
 *   1. Missing bytes below the highest acknowledged one, once: all bytes are first sent in order
 *      of offset, so they were sent earlier than bytes that have arrived. (`resent` is the mark:
 *      below it bytes may have been sent more than once, and order says nothing.)
 *   2. After a timeout (rtt_pto) the lowest missing bytes: one datagram, two from the fourth
 *      timeout in a row on; and all of 1. again. Each acknowledgement that then moves una allows
 *      two more, so that a lost flight is repaired in a few round trips.
 *   3. New bytes within the window: least of the receiver's and STREAM_WINDOW_BYTES.
 * The timer runs from the last time the byte at una was sent, or una moved.
 *
 * Offsets come from the network: nothing is added to one before it is known to be in range.
 */
#ifndef STREAM_H
#define STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/rtt.h"
#include "net/wire.h"

enum {
    STREAM_WINDOW_BYTES = 256 * 1024,      /* on their way: 20 Mbit/s at 100 ms; with the kernel's
                                              overhead a quarter of UDP_RCVBUF_BYTES as granted */
    STREAM_FIRST_WINDOW_BYTES = 64 * 1024, /* until the first SACK names the receiver's window */
    STREAM_RANGES = 64,    /* holes known at a time: 30 % lost of a full window have some 50 */
    STREAM_BURST_MAX = 16, /* datagrams resent on one acknowledgement after a timeout */
};

#define STREAM_NEVER UINT64_MAX

/* Bytes [start, end) each. Invariant: start < end < next start. */
struct stream_ranges {
    unsigned n;
    struct {
        uint64_t start;
        uint64_t end;
    } r[STREAM_RANGES];
};

/* Sending half. Only the functions below write it. */
struct stream_tx {
    uint64_t una;  /* lowest byte not acknowledged. Invariant: una <= nxt <= end */
    uint64_t nxt;  /* lowest byte never sent */
    uint64_t end;  /* bytes that exist */
    uint64_t edge; /* the receiver takes bytes below this: highest contig + rwnd heard */
    struct stream_ranges acked; /* above una, with a hole before each */
    uint64_t resent;            /* see above */
    uint64_t recover;           /* nxt at the last timeout */
    unsigned burst;             /* datagrams below recover that may be resent now */
    unsigned timeouts;          /* in a row */
    uint64_t timer_us;          /* the timer runs from here */
    const struct rtt *rtt;      /* shared per peer, outlives this */
    uint64_t ack_delay_us;      /* how long the peer may wait before it acknowledges */
    uint64_t cap_us;            /* backoff ends here: the heartbeat interval */
};

/* Receiving half. Only the functions below write it. */
struct stream_rx {
    uint8_t *buf; /* the caller's */
    size_t cap;
    size_t head;       /* buf[head] is the byte at consumed */
    uint64_t consumed; /* the window is [consumed, consumed + cap) */
    uint64_t contig;   /* all below is here. Invariant: consumed <= contig <= consumed + cap */
    struct stream_ranges held; /* above contig, with a hole before each */
    uint64_t newest;           /* offset of the piece that came last */
};

enum stream_put {
    STREAM_NEW,           /* contig moved */
    STREAM_DUPLICATE,     /* all of it was here: the peer missed an acknowledgement */
    STREAM_GAP,           /* kept, but bytes before it are missing */
    STREAM_BEYOND_WINDOW, /* not kept: no place for it, or too many holes. What was reported as
                             held is never dropped */
};

/* A stream without bytes at offset 0. */
void stream_tx_init(struct stream_tx *tx, const struct rtt *rtt, uint64_t ack_delay_us,
                    uint64_t cap_us);

/* The bytes below `end` exist; never falls. */
void stream_tx_end(struct stream_tx *tx, uint64_t end);

/* What to send now: `len` bytes at `off`, at most max_len (0: false). Call it until it says false,
 * each time followed by stream_tx_sent() with what was really put into a datagram. */
bool stream_tx_next(struct stream_tx *tx, uint64_t now_us, size_t max_len, uint64_t *off,
                    size_t *len);

/* Bytes were sent: 1 up to the `len` that stream_tx_next() just gave, from its `off`. */
void stream_tx_sent(struct stream_tx *tx, uint64_t now_us, uint64_t off, size_t len);

/* A SACK of this stream (the caller has compared s->stream and s->id). Old and repeated ones are
 * harmless. False: it speaks of bytes never sent; nothing was changed. */
bool stream_tx_ack(struct stream_tx *tx, uint64_t now_us, const struct wire_sack *s);

/* When stream_tx_next() may have something that it has not now; STREAM_NEVER if never. */
uint64_t stream_tx_deadline(const struct stream_tx *tx);

/* An empty stream into `cap` bytes of memory, at least 1 and below 4 GiB. What the caller
 * consumes as a whole (a record) must fit into it. */
void stream_rx_init(struct stream_rx *rx, uint8_t *buf, size_t cap);

/* A piece arrived. Any off and len are safe. May move bytes: pointers of stream_rx_ready() end. */
enum stream_put stream_rx_put(struct stream_rx *rx, uint64_t off, const uint8_t *bytes, size_t len);

/* Bytes without a gap, not consumed; valid until the next put or consume. False if none. */
bool stream_rx_ready(const struct stream_rx *rx, const uint8_t **bytes, size_t *len);

/* The first n of those are done with. */
void stream_rx_consume(struct stream_rx *rx, size_t n);

/* Fills contig, rwnd and ranges; stream and id are the caller's. If more ranges are held than a
 * SACK takes, the lowest are named and the one that grew last. */
void stream_rx_sack(const struct stream_rx *rx, struct wire_sack *s);

#endif
