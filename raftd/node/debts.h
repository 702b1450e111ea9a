/* debts.h: answers that one peer owes its leader, and that no stream waits for. The peer has all bytes of
 * the log but has not said that its disk has them; or it has not said that it heard the commit index that
 * its clients wait for, be it for what became of a write or for what anybody changes. The answer may be
 * lost, so it is asked for on the timers of resends, which are shorter than those of heartbeats. */
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
    bool awaits;         /* some of its clients wait for whatever is committed next */
    bool lead_due;       /* its clients wait for the commit index, which is to be sent */
    uint64_t lead_round; /* the LEAD with it: the peer owes us an ACK of this round */
    uint64_t term;       /* with epoch: the stream of the log for which lead_round counts */
    uint32_t epoch;
    uint64_t owed_at;   /* since when it owes us an answer; 0 = it owes none */
    uint64_t asked_at;  /* when it was asked last, or owed_at */
    struct rtt settles; /* how long its answers take */
    unsigned asks;      /* questions since owed_at, for backoff */
    uint64_t debt;      /* another value when it owes something else */
};

/* All that is passed here outlives it. */
void debts_init(struct debts *d, const struct replica *r, const struct log_out *log,
                const struct link *link, uint16_t peer);

/* A write of the peer's clients was applied here: they wait until the peer hears of it. */
void debts_wait(struct debts *d);
bool debts_waits(const struct debts *d);

/* The peer says whether clients of it wait for whatever is committed next. */
void debts_await(struct debts *d, bool awaits);

/* Something was applied here. True: the peer is to be told soon. One that was silent for two election
 * timeouts, and may be gone, is not told of everything, whatever it said last. */
bool debts_applied(struct debts *d, uint64_t now);

/* This LEAD goes to the peer. */
void debts_lead(struct debts *d, const struct raft_msg *m);

/* After all was sent to the peer in this iteration. */
void debts_note(struct debts *d, uint64_t now);

/* When the peer is to be asked; NEVER = it owes nothing. */
uint64_t debts_ask_at(const struct debts *d);

/* It is asked now. */
void debts_asked(struct debts *d, uint64_t now);

#endif
