/* cluster_time.h: cluster time, as this node knows it now.
 *
 * Cluster time is what expiries are counted in: milliseconds, stamped by leaders into entries, never falling
 * along a log. A key that an entry of stamp s gives t ms to live ends by an entry whose stamp is s + t or
 * more (CMD_END_DUE). So no key ends early if this holds, where r is how much faster than true time a node's
 * monotonic clock may run (1 %):
 *
 *     (A) If entry y comes after x in a log, their stamps differ by at most 1 + r times the true time that
 *         passed between their making.
 *
 * What makes it hold is that each node has a copy of one leader's time only: that of the leader who made the
 * last entry of the node's own log. It begins with the stamp of that entry, follows what that leader says
 * later (LEAD, younger entries), and goes on by the node's own clock from the newest of these. A node that
 * is elected goes on with its copy, which is its own time then.
 *
 * Proof of (A), for entries that follow each other; for others it adds up. Both made by one leader: the
 * stamps are of one clock. Made by two: y is the first entry of its leader N, and x was the last one in N's
 * log when N was elected. So N's copy is of the time of the leader L who made x. It says what L's time was
 * at some moment, not before x was made, because it never falls behind a stamp in the log; since then it
 * went on by N's clock. L's time ran at 1 + r at most from x to that moment, N's copy from there to y.
 *
 * `now` is what the clock says after that has come which it dates: the write that is stamped, the LEAD or the
 * entries that are heard. A process may be stopped between the two. A clock that was read before would date a
 * write before its client sent it, and a leader's time before that leader told it. A clock that was read long
 * before what is due is looked at only makes that late.
 *
 * So it does not matter who else believes to lead, for how long a leader was stopped before it goes on, or
 * which clocks are fast. What a deposed leader says counts only where its own last entry is the end of the
 * log, and there it is true. Two rules are easy to lose. The greatest time that was ever heard is not the
 * one to go on from: a former leader with a fast clock may be days ahead of the entries that its slow
 * successors stamped since. And what is heard later takes the place of what the own clock made of it, also if
 * that is more: over months it would run away from the leader's.
 *
 * How late: a copy lags by as long as what was heard last was on its way. Cluster time also loses what passed
 * between the last entry in the log and now if the new leader's process has heard no LEAD since: all nodes
 * were off, or those that were not could not lead.
 */
#ifndef RAFTD_CLUSTER_TIME_H
#define RAFTD_CLUSTER_TIME_H

#include <stdint.h>

struct cluster_time {
    uint64_t term; /* of the last entry in the log: whose leader's time it is */
    uint64_t ms;   /* the newest that was heard of it ... */
    uint64_t at;   /* ... and when; CLOCK_BOOTTIME, us */
};

/* An entry of that term and with that stamp became the last one in the log. */
void cluster_time_entry(struct cluster_time *t, uint64_t now, uint64_t term, uint64_t ms);

/* The leader of that term said that its time was so. */
void cluster_time_heard(struct cluster_time *t, uint64_t now, uint64_t term, uint64_t ms);

/* This node leads `term`: the copy is its own time from now on. */
void cluster_time_lead(struct cluster_time *t, uint64_t term);

/* What it is now. */
uint64_t cluster_time_ms(const struct cluster_time *t, uint64_t now);

/* What it is ahead of our clock, modulo 2^64. */
uint64_t cluster_time_ahead_us(const struct cluster_time *t);

/* When it will be `ms`, by our clock, if nothing newer is heard; NEVER: not in this clock's life. */
uint64_t cluster_time_when(const struct cluster_time *t, uint64_t ms);

#endif
