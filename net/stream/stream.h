/* stream.h: a stream of bytes addressed by offset, over datagrams; both ends, no I/O.
 *
 * A piece is {offset, bytes}. It means the same whenever, however often and however cut it
 * arrives, so the sender may cut the same bytes anew at each resend. The receiver answers with a
 * SACK: all below contig is here, and these ranges above. Bytes belong to the caller on both
 * sides: the sender is only told how many exist, the receiver puts them into memory it was given.
 *
 * Sender, offsets on one line:
 *
 *      0 ....... una ..[acked]..[lost]..[acked]..... nxt ............ end
 *      received   | all else here is in flight        | not sent yet    | does not exist yet
 *
 * How a loss is found. Each datagram has a stamp (net/stream/link.h), each piece is remembered with the
 * stamp of the datagram that it left in last, and a SACK arrives beside the stamp that its sender
 * had received last. So (RACK, RFC 8985):
 *
 *   A piece is lost if it is not acknowledged and a datagram that left later has arrived, by
 *   reo_wnd of time or, as long as the path is not known to reorder, by three pieces.
 *
 * reo_wnd is min_rtt / 4. A piece that is sent again because of this rule or of the timer says so,
 * and the receiver counts those that it had already: reo_wnd then grows by another min_rtt / 4, up
 * to srtt, and is back where it was after 16 episodes of loss without such a proof (RFC 8985, 6.2
 * step 4).
 *
 * When no later datagram arrives, the timer runs out: PTO (net/stream/rtt.h) after the byte at una was
 * last sent, or una moved. It brings one datagram of the lowest missing bytes, two from the fourth
 * timeout in a row on, whatever the windows say (RFC 9002, 6.2.4 and 7.5). When nothing has been heard
 * for long, it is one byte. A timeout finds no loss: the answer to its datagram shows by the rule above
 * what is missing. After a loss the stream goes on where it stood.
 *
 * Two ways to need neither on a path that is seen to lose datagrams:
 *   - A small unacknowledged tail rides along in front of new bytes, in the same datagram.
 *   - With 2.5 % of loss in a direction, a tail of one datagram is copied after 1/4 and 1/2 PTO,
 *     or later, when the answer usually takes longer.
 *
 * What is sent, in this order: what the timer asks for; lost bytes, lowest first; new bytes. The
 * last two within the congestion window, and paced (net/stream/cwnd.h).
 *
 * Offsets come from the network: nothing is added to one before it is known to be in range.
 */
#ifndef STREAM_H
#define STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/stream/cwnd.h"
#include "net/stream/flight.h"
#include "net/stream/link.h"
#include "net/stream/ranges.h"
#include "net/stream/rtt.h"
#include "net/wire.h"
#include "raftd/base/num.h"

enum {
    STREAM_FIRST_WINDOW_BYTES = 64 * 1024, /* until the first SACK names the receiver's window */
    STREAM_LATER_PIECES = 3,  /* kPacketThreshold of RFC 9002, 6.1.1; DupThresh of RFC 8985 */
    STREAM_REO_EPISODES = 16, /* RFC 8985, 6.2 step 4 */
    STREAM_RIDE_BYTES = 512,  /* the longest tail that rides along: half a datagram per srtt / 4 */
    STREAM_RIDE_LOSS = LINK_LOSS_FULL / 100, /* 1 %: with less loss it would only cost bytes */
    STREAM_COPY_LOSS = LINK_LOSS_FULL / 40,  /* 2.5 %: one write in twenty waits for a timer */
    STREAM_COPIES = 2,                       /* of one tail */
    STREAM_SILENT_TIMEOUTS = 3, /* without an answer: the path may be another one by now */
    STREAM_DEAF_TIMEOUTS = 20,  /* without an answer: one byte is enough to get one */
};

struct stream_tx_config {
    uint64_t ack_delay_us;   /* how long the peer may wait before it acknowledges */
    uint64_t cap_us;         /* backoff ends here: the heartbeat interval */
    uint32_t window_bytes;   /* most in flight, whatever the receiver offers */
    uint32_t datagram_bytes; /* of the stream in a full datagram, at first: cwnd_mss() changes it */
    bool resumes; /* the receiver may have its beginning from before: so its first SACK says */
};

/* Since stream_tx_init(). */
struct stream_tx_stats {
    uint64_t resent_datagrams; /* because of loss, and at timeouts */
    uint64_t resent_bytes;
    uint64_t spurious; /* resent pieces that the receiver had already */
    uint64_t timeouts;
};

enum stream_kind { STREAM_FRESH, STREAM_LOST, STREAM_DUE, STREAM_COPY };

/* What to send. */
struct stream_piece {
    uint64_t off;
    size_t len;
    bool again; /* was sent before and is thought lost: for wire_data.again */
};

/* Sending half. Only the functions below write it, except where noted. */
struct stream_tx {
    uint64_t una;      /* lowest byte not acknowledged. Invariant: una <= nxt <= end */
    uint64_t nxt;      /* lowest byte never sent */
    uint64_t end;      /* bytes that exist */
    uint64_t edge;     /* the receiver takes bytes below this: highest contig + rwnd heard */
    bool heard;        /* a SACK came; until then `edge` is a guess */
    uint64_t una_echo; /* newest stamp that a SACK knew of which moved una */
    bool fell; /* a later SACK has less than an earlier one: the receiver began anew, and will never
                             have the beginning of this stream */
    struct ranges acked;  /* above una, with a hole before each, below nxt */
    struct ranges lost;   /* to be sent again; within una..nxt, nothing of acked */
    struct flight flight; /* pieces of the bytes in flight, and some that no longer are */
    struct cwnd cwnd;
    struct rtt answer; /* from sending the byte at una to its acknowledgement */

    uint64_t rack;         /* newest stamp that a SACK knew of, 0 = none */
    uint64_t rack_at;      /* when that SACK arrived */
    uint64_t known;        /* that SACK spoke of all bytes below this */
    uint64_t reo_at;       /* when a piece in flight will be lost, unless it is acknowledged */
    unsigned reo_steps;    /* reo_wnd is (1 + this) * min_rtt / 4 */
    unsigned reo_episodes; /* reo_steps becomes 0 after so many more episodes of loss */
    uint64_t reo_since;    /* proofs that arrive before a newer stamp than this are one */
    bool judged;           /* since the last proof or timeout something that was taken for lost was
                              sent again */
    uint16_t spurious;     /* the receiver's count */

    uint64_t timer_us;     /* the timer runs from here */
    unsigned timeouts;     /* in a row */
    unsigned silent;       /* how many of these had no answer between them */
    unsigned due;          /* datagrams that the last timeout still allows */
    uint64_t due_from;     /* they carry the lowest missing bytes from here on */
    unsigned copies;       /* of the tail, sent or missed, since its newest byte was sent */
    enum stream_kind next; /* what stream_tx_next() gave last */
    bool paced;            /* stream_tx_next() gave nothing, only because of the pace */
    bool urgent;           /* the first resend of an episode waits for no window and no pace (RFC
                              9002, 7.3.2) */

    uint32_t arrived_max; /* longest piece that arrived in one datagram; the caller may reset it */
    uint32_t missing_max; /* longest piece in flight when the timer ran out last */
    struct stream_tx_stats stats;
    const struct link *link; /* shared per peer, outlives this */
    struct stream_tx_config cfg;
};

/* Receiving half. Only the functions below write it. */
struct stream_rx {
    uint8_t *buf; /* the caller's */
    size_t cap;
    size_t head;         /* buf[head] is the byte at consumed */
    uint32_t window;     /* most that may be on its way to us */
    uint64_t consumed;   /* memory is for [consumed, consumed + cap) */
    uint64_t contig;     /* all below is here. Invariant: consumed <= contig <= consumed + cap */
    struct ranges ahead; /* arrived above contig, with a hole before each */
    uint16_t spurious;   /* pieces sent again that were here, mod 65536 */
};

enum stream_put {
    STREAM_NEW,           /* contig moved */
    STREAM_DUPLICATE,     /* all of it was here: the peer missed an acknowledgement */
    STREAM_GAP,           /* kept, but bytes before it are missing */
    STREAM_BEYOND_WINDOW, /* not kept: there is no place for it, or there are too many holes. What a
                             SACK named is never dropped */
};

/* A stream without bytes at offset 0. */
void stream_tx_init(struct stream_tx *tx, const struct link *link,
                    const struct stream_tx_config *cfg);

/* The bytes below `end` exist; never falls. */
void stream_tx_end(struct stream_tx *tx, uint64_t end);

/* What to send now, at most max_len bytes (0: false): the room in the present datagram. Call it
 * until it says false, each time followed by stream_tx_sent() with what was really put into a
 * datagram, or by nothing if that can't be done now. */
bool stream_tx_next(struct stream_tx *tx, uint64_t now_us, size_t max_len,
                    struct stream_piece *piece);

/* Bytes were sent in the datagram with this stamp (link_stamp(); never falls): 1 up to the
 * piece's `len` that stream_tx_next() just gave, from its `off`. */
void stream_tx_sent(struct stream_tx *tx, uint64_t now_us, uint64_t stamp, uint64_t off,
                    size_t len);

/* A SACK of this stream (the caller has compared s->stream and s->id) and link_echoed() of the
 * datagram that it came in. Old and repeated ones are harmless. False: it speaks of bytes never
 * sent; nothing was changed. */
bool stream_tx_ack(struct stream_tx *tx, uint64_t now_us, const struct wire_sack *s, uint64_t echo);

/* When stream_tx_next() may have something that it has not now; NEVER if never. */
uint64_t stream_tx_deadline(const struct stream_tx *tx, uint64_t now_us);

/* Bytes that were sent, and are neither acknowledged nor taken for lost. */
uint64_t stream_tx_in_flight(const struct stream_tx *tx);

/* An empty stream into `cap` bytes of memory, at least 1 and below 4 GiB. What the caller
 * consumes as a whole (a record) must fit into it. window: how much the sender may have on its way
 * to us, at least 1; the sum over all streams should fit the socket's buffer. */
void stream_rx_init(struct stream_rx *rx, uint8_t *buf, size_t cap, uint32_t window);

/* The bytes below `off` are here and consumed; of an empty stream. */
void stream_rx_resume(struct stream_rx *rx, uint64_t off);

/* Moves all that is here to other memory of `cap` bytes; the old memory is the caller's again. False:
 * it does not fit, nothing was changed. */
bool stream_rx_move(struct stream_rx *rx, uint8_t *buf, size_t cap);

/* A piece arrived (again: wire_data.again). Any off and len are safe. May move bytes: pointers of
 * stream_rx_ready() end. */
enum stream_put stream_rx_put(struct stream_rx *rx, uint64_t off, const uint8_t *bytes, size_t len,
                              bool again);

/* Bytes without a gap, not consumed; valid until the next put or consume. False if none. */
bool stream_rx_ready(const struct stream_rx *rx, const uint8_t **bytes, size_t *len);

/* The first n of those are done with. */
void stream_rx_consume(struct stream_rx *rx, size_t n);

/* Fills contig, rwnd, spurious and ranges of a SACK that is sent now; stream and id are the
 * caller's. If there are more ranges than a SACK takes, it names those that were named least often
 * since they changed: the next ones make up for an acknowledgement that gets lost. */
void stream_rx_sack(struct stream_rx *rx, struct wire_sack *s);

#endif
