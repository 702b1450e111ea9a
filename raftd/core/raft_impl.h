/* raft_impl.h: what the files of raftd/core share with each other and with nobody else.
 *
 * The files are a stack. Each calls only those below it:
 *
 *   step.c      the cycle (step, ready, advance, deadline), names
 *   check.c     invariants as code
 *   change.c    how a leader changes the members (chapter 4)
 *   transfer.c  hand-over of the lead (section 3.10)
 *   lead.c      the log at a leader (sections 3.5, 3.6, 6.2, 10.2.1)
 *   read.c      linearizable reads (section 6.4)
 *   follow.c    the log at a follower (section 3.5)
 *   election.c  terms, votes, timers, roles (sections 3.4, 4.2.3, 6.2, 9.6)
 *   peers.c     which configuration is in force, and who is a peer
 *   msgs.c      messages, and when they are sent again
 *   member.c    who counts (member.h)
 *   trail.c     the log as runs of terms (trail.h)
 *
 * How the work is split in time: raft_step() changes state and emits answers. raft_ready() sends
 * what time or state makes due (heartbeats, probes, resends, acknowledgements): each file has a
 * `flush` for that and a `deadline` that says when the next one is due. Only RAFT_EV_TICK changes
 * a role because of time.
 */
#ifndef RAFT_IMPL_H
#define RAFT_IMPL_H

#include "raftd/core/raft.h"

#include <assert.h>
#include <string.h>

/* A term above this is a peer's nonsense: at a thousand elections per second it takes 290 million
 * years. It keeps term + 1 from wrapping. */
#define RAFT_TERM_MAX (UINT64_MAX / 2)

/* A term that is so far above our own is not believed either: even a node that was away for years is not so
 * far behind. Else one message could take all nodes to the last term, for ever. */
#define RAFT_TERM_JUMP_MAX (UINT64_C(1) << 32)

/* Campaigns in a row in which requests for votes are repeated: enough for 30 % loss. After that a node is
 * taken to be cut off, until it hears a peer that was silent for as many election timeouts: after a
 * shorter silence it is still eager, and a peer that is there is rarely silent for so long. */
enum { RAFT_EAGER_CAMPAIGNS = 4 };

/* Stands for the time at which a node last heard from itself. It is half of the range, so that adding a
 * timeout to it does not wrap. */
#define RAFT_ALWAYS (RAFT_NEVER / 2)

static inline uint64_t raft_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t raft_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Section 3.6.1: a log that ends at (term, index) is at least as up-to-date as one that ends at
 * (than_term, than_index): last terms first, then length. */
static inline bool raft_up_to_date(uint64_t term, uint64_t index, uint64_t than_term,
                                   uint64_t than_index)
{
    return term > than_term || (term == than_term && index >= than_index);
}

enum {
    /* Tries at the plain interval, before backoff: at 30 % loss enough for 87 of 100 questions. */
    RAFT_PLAIN_TRIES = 3,
    /* Before a follower gives up its leader, or a leader itself, it asks without backoff, but not more
     * often than this in an election timeout. Half of the timeout is left for it: enough to keep 996 of
     * 1000 leaders at 30 % loss. An election ends it, so a dead peer costs no storm. */
    RAFT_LAST_TRIES = 16,
    RAFT_HEARTBEAT_JITTER =
        5, /* a heartbeat that is late by more than a fifth of its interval is missed */
    /* Election timeouts between two PINGs to a live leader that PreVotes cause. Who hears nobody, but is
     * heard, asks for them without end. */
    RAFT_DOUBT_TIMEOUTS = 10,
    RAFT_HEIR_STEPS = 5, /* in an election timeout: an election takes less, where no disk is slow */
};

enum {
    RAFT_ELECTION_WRITES = 2, /* in a row: the candidate's vote for itself, then its voters' */
    /* A leader's disk stalls when a batch takes so many times what batches took lately: times vary. */
    RAFT_DISK_PATIENCE = 4,
    /* All must be calm for so long before the lead goes to a voter of higher priority. If earlier
     * hand-overs of this kind did not last it must be calm for longer, up to the second time. */
    RAFT_CALM_US = 10000000,
    RAFT_CALM_MAX_US = 64 * RAFT_CALM_US,
    /* Elections wait no longer for a disk: one that takes more than this hangs rather than works. */
    RAFT_DISK_SLOW_MAX_US = 3000000,
};

static inline void raft_try_reset(struct raft_try *t)
{
    t->due = 0;
    t->sent = 0;
}

/* Pace of the last questions before a leader is given up. */
static inline raft_time raft_last_tries(const struct raft *r, const struct raft_peer *p)
{
    return raft_max(p->pto, r->cfg.election_timeout / RAFT_LAST_TRIES);
}

/* When a peer that stays silent is taken to be away. */
static inline raft_time raft_lost_at(const struct raft *r, const struct raft_peer *p)
{
    return p->seen + RAFT_EAGER_CAMPAIGNS * r->cfg.election_timeout;
}

/* Something happened after which the lead is not given away for the sake of priority, for a while. */
static inline void raft_restless(struct raft *r, raft_time now, enum raft_waits what)
{
    r->restless_at = now;
    r->restless = what;
}

/* What is promised by (term, vote) is on disk (figure 3.1: "Updated on stable storage before
 * responding to RPCs"). */
static inline bool raft_hard_state_durable(const struct raft *r)
{
    return r->term == r->durable_term && r->vote == r->durable_vote;
}

/* This node knows what it promised, or which entry makes up for it: see raft.damaged. */
static inline bool raft_knows(const struct raft *r)
{
    return !r->damaged || r->doubt_index != 0;
}

/* msgs.c */

/* What a batch takes these days, 0 if that is not known: the faster one of the last two, so that a single
 * slow one does not count. */
raft_time raft_disk_time(const struct raft *r);

/* Its members let this node stand for election (section 4.2.2). */
bool raft_may_stand(const struct raft *r);

/* Queues *m with this node's id and term: in `now` if (term, vote) is durable, else in `after`. An
 * earlier message of the same kind to the same peer that has not left yet is replaced: it says
 * nothing that the new one does not, and so the lists are bounded. */
void raft_emit(struct raft *r, struct raft_msg *m);

/* This node would not lead, see ack.unfit. */
bool raft_unfit(const struct raft *r);

/* Moves what waits for (term, vote) to `now` if they are durable. */
void raft_release(struct raft *r);

/* The message goes to that peer now; sets when it is due again. */
void raft_try_sent(const struct raft *r, raft_time now, const struct raft_peer *p,
                   struct raft_try *t);

/* peers.c */

/* The configuration m, which has become an entry of the log, is in force. */
void raft_members_add(struct raft *r, const struct raft_members *m, struct raft_edit *edit);

/* The configuration m, which is committed, is in force, and the log has no later one. */
void raft_members_reset(struct raft *r, const struct raft_members *m, struct raft_edit *edit);

/* Makes peers of all members. Peers that are members no more go later. */
void raft_peers_sync(struct raft *r);

/* A node, member or not, leads or asks for votes. Returns its slot, or -1 if there is no place for it. */
int raft_peers_meet(struct raft *r, raft_time now, uint16_t id, uint64_t incarnation,
                    struct raft_edit *edit);

/* Peers whose removal is committed go after a while. */
void raft_peers_settle(struct raft *r, raft_time now);
void raft_peers_on_tick(struct raft *r, raft_time now, struct raft_edit *edit);
raft_time raft_peers_deadline(const struct raft *r);

/* election.c */

void raft_election_reset_timer(struct raft *r, raft_time now);

/* Becomes follower of `term` (>= the current one; the vote is kept in the same term), with no
 * leader known. `why` is recorded if a role is lost. */
void raft_election_step_down(struct raft *r, raft_time now, uint64_t term, enum raft_why why);

/* `from` sent what only the leader of the current term sends. False if that can't be. */
bool raft_election_heard_leader(struct raft *r, raft_time now, uint16_t from);

/* Something came from the peer, in answer or not. */
void raft_election_seen(struct raft *r, raft_time now, struct raft_peer *p);

/* The present (term, vote) has become durable. */
void raft_election_durable(struct raft *r, raft_time now);

void raft_election_on_tick(struct raft *r, raft_time now);
void raft_election_closed(struct raft *r, raft_time now, uint16_t peer);

/* Its leader hands over: it stands at once, without asking first who would vote for it. */
void raft_election_handed(struct raft *r, raft_time now);

/* True if the request came to a leader from a peer in the leader's term. Such a peer does not hear the
 * leader, so the request is a ping, too. */
bool raft_election_on_vote_req(struct raft *r, raft_time now, const struct raft_msg *m);

void raft_election_on_vote_rsp(struct raft *r, raft_time now, const struct raft_msg *m);

/* Another node says that the configuration of this index is committed, and that this node is not in it. */
void raft_election_removed(struct raft *r, raft_time now, uint64_t index);

/* A majority has voted for this node: it leads (raft_lead_start()). */
bool raft_election_won(const struct raft *r);

/* Leader: time of the newest contact with a majority, the start of leadership included. RAFT_ALWAYS if this
 * node is the only voter. */
raft_time raft_election_quorum_heard(const struct raft *r);

/* Forgets pending acknowledgements. */
void raft_election_forget_acks(struct raft *r);

void raft_election_flush(struct raft *r, raft_time now);
raft_time raft_election_deadline(const struct raft *r);

/* follow.c */

void raft_follow_on_lead(struct raft *r, raft_time now, const struct raft_msg *m);
void raft_follow_on_probe(struct raft *r, raft_time now, const struct raft_msg *m);
void raft_follow_on_append(struct raft *r, raft_time now, const struct raft_event *ev,
                           struct raft_edit *edit);

/* Tells a stale leader or its stream our term. */
void raft_follow_refuse_term(struct raft *r, uint16_t to);

/* Commits what the leader has committed and is verified here. */
void raft_follow_commit(struct raft *r, uint64_t leader_commit);

/* A node in doubt is done with it as soon as it has again what it promised. */
void raft_follow_settle_doubt(struct raft *r);

/* A snapshot is durable here (chapter 5). */
void raft_follow_on_install(struct raft *r, const struct raft_event *ev, struct raft_edit *edit);

void raft_follow_flush(struct raft *r, raft_time now);
raft_time raft_follow_deadline(const struct raft *r);

/* read.c */

void raft_read_on_read(struct raft *r, uint64_t req);
void raft_read_on_req(struct raft *r, const struct raft_msg *m);
void raft_read_on_rsp(struct raft *r, const struct raft_msg *m);

/* Leader: takes over the reads asked for here when leadership starts. */
void raft_read_start(struct raft *r);

/* Leader: answers what is confirmed. */
void raft_read_settle(struct raft *r);

/* Leader: what reads want of its LEADs. One round at a time, so that many reads share it. */
enum raft_round {
    RAFT_ROUND_NONE,
    RAFT_ROUND_START, /* LEADs to all are due */
    RAFT_ROUND_OPEN,  /* peers that have not acknowledged read_round are asked again */
};

enum raft_round raft_read_round(const struct raft *r);

void raft_read_flush(struct raft *r, raft_time now);
raft_time raft_read_deadline(const struct raft *r);

/* lead.c */

/* The node has won the election: leader of the current term. */
void raft_lead_start(struct raft *r, raft_time now, struct raft_edit *edit);

void raft_lead_on_tick(struct raft *r, raft_time now);
void raft_lead_on_propose(struct raft *r, uint64_t n, struct raft_edit *edit);
void raft_lead_on_ping(struct raft *r, raft_time now, const struct raft_msg *m);
void raft_lead_on_probe_ack(struct raft *r, const struct raft_msg *m);
void raft_lead_on_ack(struct raft *r, const struct raft_msg *m);

/* Makes the entry that a damaged peer waits for, if nobody else does. */
void raft_lead_heal(struct raft *r, struct raft_edit *edit);

/* Section 4.2.1: a round of catching up ends when the peer has what the log held at its beginning. */
void raft_lead_rounds(struct raft *r, raft_time now);

/* The peer is there, and has what the log held an election timeout ago. */
bool raft_lead_caught_up(const struct raft *r, raft_time now, const struct raft_peer *p);

/* The peer counts, and was heard within the time after which a leader without a majority steps down. */
bool raft_lead_hears(const struct raft *r, raft_time now, const struct raft_peer *p);

/* Commits what a majority has on disk. */
void raft_lead_commit(struct raft *r);

/* New members get the log from now on. */
void raft_lead_serve(struct raft *r, raft_time now);

/* How long a majority may be silent before its leader steps down (section 6.2). */
raft_time raft_lead_patience(const struct raft *r);

/* This node is no voter any more, and that is committed (section 4.2.2). */
bool raft_lead_removed(const struct raft *r);

/* How far that voter's disk has the leader's log (for raft_majority()). */
uint64_t raft_lead_copy_of(const void *ctx, uint16_t id);

void raft_lead_flush(struct raft *r, raft_time now);
raft_time raft_lead_deadline(const struct raft *r);

/* change.c */

void raft_change_on_propose(struct raft *r, raft_time now, const struct raft_event *ev,
                            struct raft_edit *edit);

/* Leader: promotes a learner that has caught up. */
void raft_change_settle(struct raft *r, raft_time now, struct raft_edit *edit);

/* transfer.c */

void raft_transfer_on_ask(struct raft *r, raft_time now, const struct raft_event *ev);
void raft_transfer_on_msg(struct raft *r, raft_time now, const struct raft_msg *m);
void raft_transfer_on_timeout_now(struct raft *r, raft_time now, const struct raft_msg *m);
void raft_transfer_on_tick(struct raft *r, raft_time now);

/* After each step: a leader that should not lead hands over by itself. */
void raft_transfer_settle(struct raft *r, raft_time now);

void raft_transfer_flush(struct raft *r, raft_time now);
raft_time raft_transfer_deadline(const struct raft *r);

#endif
