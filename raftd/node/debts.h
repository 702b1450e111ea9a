/* debts.h: what one peer owes a leader that no stream waits for. It has all bytes of the log but has not
 * said that its disk has them, or not that it heard the commit index its clients wait for. The answer
 * may be lost, so it is asked for on the clock of resends, not on that of heartbeats. */
#ifndef RAFTD_DEBTS_H
#define RAFTD_DEBTS_H

#include "raftd/node/log_out.h"
#include "raftd/node/replica.h"

/* Only debts.c looks inside. */
struct debts {
    const struct replica *replica;
    const struct log_out *log;
    const struct link *link;
    uint16_t peer;
    bool lead_due;       /* its clients wait for the commit index ... */
    uint64_t lead_round; /* ... which this round carried: the peer owes us an ACK of it ... */
    uint64_t term;       /* ... on this stream of the log */
    uint32_t epoch;
    uint64_t owed_at;   /* it owes us an answer since; 0 = owes none */
    uint64_t asked_at;  /* since then, or was asked again then */
    struct rtt settles; /* how long it takes to give one */
    unsigned asks;      /* in a row, for backoff */
    uint64_t debt;      /* changes with what it owes */
};

/* The others outlive it. */
void debts_init(struct debts *d, const struct replica *r, const struct log_out *log,
                const struct link *link, uint16_t peer);

/* Something of the peer's clients was applied: they wait for the commit index. */
void debts_wait(struct debts *d);
bool debts_waits(const struct debts *d);

/* This LEAD goes to the peer. */
void debts_lead(struct debts *d, const struct raft_msg *m);

/* All that is sent in this iteration was sent. */
void debts_note(struct debts *d, uint64_t now);

/* When the peer is to be asked; NEVER = it owes nothing. It was asked. */
uint64_t debts_ask_at(const struct debts *d);
void debts_asked(struct debts *d, uint64_t now);

#endif
