/* lease.h: until when a node may believe that its clients still hold what they hold. Pure.
 *
 * Locks and keys can belong to a client's connection, and so to one process of one node. They are held by
 * being alive: nothing is written while they are held. So two clocks decide. The leader frees what belongs
 * to a process that has been silent for long enough, by an entry of the log. The node stops believing before
 * that, by its own clock, whether it hears anybody or not. No two clients may believe at the same time that
 * they hold the same lock.
 *
 * How it is renewed. In a datagram that goes to its leader anyway a node asks, and stamps the question with
 * its clock. The leader answers when a majority has answered a round that it began after the question had
 * come, and when an entry of its own term is committed. The node believes until `stamp` plus the lease, less
 * 1 %. The leader's own node asks in the same way, but for the datagram.
 *
 * Why it is safe. Let a question be sent at s, and come to leader L at a, which is not before s. Whoever was
 * elected before a, in a later term than L's, had the vote of one of the majority that answered L's round
 * after a; but that voter would not have answered L any more. So no later leader was elected before s.
 *  - L frees a process when it was silent for the lease and 1 % more, counted from its newest question, so
 *    not before a.
 *  - A later leader knows nothing of what came before it. So it counts at the earliest from its election,
 *    which was after s.
 * Clocks run at rates within 1 % of the true one: this is the assumption. Then s plus the lease has come in
 * true time before anybody frees, and the node has stopped believing by then. The clocks are CLOCK_BOOTTIME,
 * which goes on while a box is suspended.
 *
 * Frees that are in logs before the question comes: some may be committed later, and the node does not know
 * yet. So the answer carries an index, and counts only when the node has applied the log up to there: then
 * its own state shows what was freed. The index covers the frees of L, and those of earlier leaders that are
 * in L's log. Those in another log never come to anything, since the entry of L's own term is committed.
 *
 * A stale leader, which a majority does not answer any more, renews nothing, not for its own node either. Its
 * frees die with its log.
 *
 * Pauses. A process may be stopped at any moment. What the leader takes is dated when the clock is read next,
 * so it does not matter whether that was before or after it came. A node that was stopped past its lease sees
 * that by its clock. So it reads the clock after the state, and before it tells a client anything. A program
 * that itself is stopped past its lease, or between looking at its clock and acting, needs the fence: the
 * lock's revision, which grows from holder to holder, and which writes can be made conditional on.
 *
 * All processes are treated alike, whether a node was switched off, cut off, removed or replaced, or is back
 * as another process: the clients of a process that ended may still believe, by their own clocks, what it
 * told them last. Who is no member is not listened to, and so becomes silent.
 *
 * How long it takes: a process that ended is freed when the time of lease_over_at() is over, counted from
 * its last question or, if there is a new leader, from its election. */
#ifndef RAFTD_LEASE_H
#define RAFTD_LEASE_H

#include "net/wire.h"
#include "raftd/core/raft.h"

enum {
    LEASE_DEFAULT_US = 10000000,
    LEASE_CLOCK_PARTS = 100, /* clocks are wrong by one part of so many at most */
    LEASE_ASKS = 10,         /* questions in a lease: most may get lost */
    LEASE_MARGIN_US =
        500000, /* between a node's last moment of belief and its leader's first free */
    /* Processes that a leader knows. There are no more nodes than places for members, but nodes restart. */
    LEASE_ROWS_MAX = 64,
};

/* A process of a member, as its leader knows it. */
struct lease_row {
    uint16_t member; /* 0 = a free row */
    uint64_t process;
    uint64_t newest; /* stamp of its newest question: a copy of that one, come late, says nothing */
    uint64_t heard;  /* when that came ... */
    bool undated;    /* ... which was in this iteration: it is dated in the next one */
    uint64_t stamp;  /* of the oldest question without an answer, ... */
    uint64_t
        need; /* ... which needs that this round, or a later one, is confirmed; 0 = there is none */
};

/* Only lease.c looks inside. */
struct lease {
    const struct raft *raft;
    uint64_t process;
    uint64_t lease_us;
    uint64_t asked;   /* stamp of our newest question; 0 = none */
    uint64_t stamp;   /* of a question that was answered, and ... */
    uint64_t index;   /* ... counts when the log is applied up to here; stamp 0 = there is none */
    uint64_t counted; /* stamp of the newest one that counts; 0 = none does */
    /* Leader of `term`: */
    uint64_t term;
    uint64_t since; /* it leads */
    bool undated;   /* as a row's */
    uint64_t frees; /* the newest entry that frees is not above this index */
    struct lease_row rows[LEASE_ROWS_MAX];
};

/* The core outlives it. `process` is the random name of this process, never 0. */
void lease_init(struct lease *l, const struct raft *r, uint64_t process, uint64_t lease_us);

/* What is to be told to this node in a datagram that leaves now: a question to our leader, or the answer to a
 * question. False: nothing. lease_told(): it leaves. */
bool lease_tell(const struct lease *l, uint64_t now, uint16_t to, struct wire_lease *w);
void lease_told(struct lease *l, uint16_t to, const struct wire_lease *w);

/* A question came from the node of that id and data directory (raft_msg.incarnation). */
void lease_asked(struct lease *l, uint64_t now, uint16_t from, uint64_t incarnation,
                 const struct wire_lease *w);

/* An answer came, from whatever leader: what it says stays true. */
void lease_renewed(struct lease *l, const struct wire_lease *w);

/* Once per iteration, after readers were shown the log up to `applied`. A leader may have no peers whose
 * datagrams wake it. */
void lease_step(struct lease *l, uint64_t now, uint64_t applied);
uint64_t lease_deadline(const struct lease *l);

/* By our clock our clients hold what the state says until then; 0: they hold nothing. shortest_us: of all
 * leases that nodes are configured with, in case they differ. */
uint64_t lease_until(const struct lease *l, uint64_t shortest_us);

/* Leader: when what belongs to that process may be freed. NEVER: it is not known yet, or we do not lead. */
uint64_t lease_over_at(const struct lease *l, uint16_t member, uint64_t process);

/* Leader: the next entry that is appended to the log frees what belonged to a process. */
void lease_frees(struct lease *l);

#endif
