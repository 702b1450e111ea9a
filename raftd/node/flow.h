/* flow.h: streams of bytes between this node and a peer, whatever they carry.
 *
 * A flow is one end of a stream (net/stream/stream.h) with a name: which stream it is, the term it belongs
 * to, and an id within that term. Its bytes come from a source or go to a sink, which is a table of functions
 * and their ctx. Sending, acknowledgements, deadlines and status use these tables alone. So another stream
 * takes one more table, and one more flow in the peers' struct flows, and nothing else.
 *
 * One flow goes out to a peer at a time: the first one that says so.
 */
#ifndef RAFTD_FLOW_H
#define RAFTD_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/stream/link.h"
#include "net/stream/mtu.h"
#include "net/stream/stream.h"
#include "net/wire.h"

enum { FLOWS_MAX = 4 }; /* of a peer, in each direction */

/* The way to a peer: what all its flows share. */
struct path {
    struct link link;
    struct mtu mtu;
    uint32_t envelope_bytes; /* around the payload of each datagram */
    uint64_t cap_us; /* timers of streams back off to this at most: the heartbeat interval */
};

/* Bytes of a payload in the largest datagram. */
size_t path_payload(const struct path *p);

/* Bytes of a stream that a full datagram carries. */
size_t path_room(const struct path *p);

enum flow_state {
    FLOW_NONE,  /* it does not go to this peer */
    FLOW_RESTS, /* it goes to this peer, but nothing is sent now */
    FLOW_GOES,
};

/* Where the bytes of an outgoing flow come from. */
struct flow_source {
    enum wire_stream stream;
    bool after_lead; /* a LEAD goes before its first piece in each iteration */
    bool resumes;    /* nothing is sent until the peer has said how much it has from before */
    /* Brings the flow up to date with what there is to send to this peer. */
    void (*sync)(void *ctx, uint16_t peer);
    enum flow_state (*state)(const void *ctx, uint64_t now, uint16_t peer);
    /* The bytes at offset `off` and how many follow in one piece; NULL: they are not in memory now. */
    const uint8_t *(*at)(const void *ctx, uint64_t off, size_t *len);
    /* All bytes below tx.una have arrived. NULL: the source need not know. */
    void (*acked)(void *ctx);
    /* The peer will use nothing of this stream from s->contig on. NULL: peers never say that. */
    void (*shut)(void *ctx, const struct wire_sack *s);
};

struct flow_out {
    const struct flow_source *source;
    void *ctx; /* of the source */
    uint64_t term;
    uint32_t id; /* with term: which stream this is */
    struct stream_tx tx;
};

/* Another stream begins, without bytes yet. `path` outlives it. */
void flow_begin(struct flow_out *f, const struct path *path, uint64_t term, uint32_t id);

/* May a SACK leave now? */
enum flow_ride {
    FLOW_ALONE,    /* it would make a datagram of its own */
    FLOW_WITH,     /* a datagram to the peer is under construction */
    FLOW_WITH_ACK, /* and an ACK of the core, to a leader, is in it */
};

/* Where the bytes of an incoming flow go. */
struct flow_sink {
    enum wire_stream stream;
    bool of_leader; /* only the leader sends it: it shows that the leader lives */
    /* Is this piece, which is of our term, one of the present stream? The call may begin another stream. */
    bool (*takes)(void *ctx, uint16_t peer, const struct wire_data *d);
    /* A piece was put into rx. NULL: a SACK goes soon, and at once when something is missing. */
    void (*arrived)(void *ctx, enum stream_put how);
    /* Does the flow come from this peer now? Then its SACKs go there. */
    bool (*lives)(const void *ctx, uint16_t peer);
    /* Uses what has arrived without a gap. */
    void (*drain)(void *ctx, uint64_t now);
};

struct flow_in {
    const struct flow_sink *sink;
    void *ctx; /* of the sink */
    uint64_t term;
    uint32_t id;
    struct stream_rx rx;
    unsigned unacked; /* datagrams since the last SACK, if the sink counts them */
    uint64_t ack_by;  /* when a SACK goes at the latest; NEVER = only beside an ACK of the core */
    uint64_t bad;     /* contradictions since flows_take_bad() */
    bool shut;        /* nothing behind what was consumed will be used: SACKs say so */
    bool log_full;    /* shut because of log_max_bytes */
};

/* The flows of one peer. A flow that changes its peer is among those of several. */
struct flows {
    struct flow_out *out[FLOWS_MAX];
    struct flow_in *in[FLOWS_MAX];
    unsigned n_out, n_in;
};

void flows_add_out(struct flows *fs, struct flow_out *f);
void flows_add_in(struct flows *fs, struct flow_in *f);

/* Brings the flow up to date that goes to this peer now. NULL: none does. */
struct flow_out *flows_sync(struct flows *fs, uint64_t now, uint16_t peer);

/* The flow that goes to this peer or rests, as it was brought up to date last. NULL: none. */
const struct flow_out *flows_current(const struct flows *fs, uint64_t now, uint16_t peer);

/* A SACK of our term came from the peer in a datagram that echoes this stamp. False: it speaks of
 * bytes never sent. */
bool flows_acked(struct flows *fs, uint64_t now, uint16_t peer, const struct wire_sack *s,
                 uint64_t stamp);

/* A piece of our term came from the peer. */
void flows_put(struct flows *fs, uint64_t now, uint16_t peer, const struct wire_data *d);

/* Does only a leader send this stream? */
bool flows_of_leader(const struct flows *fs, uint8_t stream);

void flows_drain(struct flows *fs, uint64_t now);

/* Gives the next SACK that is to leave in this way, and moves *i behind its flow. False: there are no more.
 * Begin with *i == 0. */
bool flows_sack(struct flows *fs, uint64_t now, uint16_t peer, uint64_t term, enum flow_ride ride,
                unsigned *i, struct wire_sack *s);

/* When a piece or a SACK is due. */
uint64_t flows_deadline(const struct flows *fs, uint64_t now, uint16_t peer, uint64_t term);

/* How often bytes that came contradicted what is known, since the last call. */
uint64_t flows_take_bad(struct flows *fs);

#endif
