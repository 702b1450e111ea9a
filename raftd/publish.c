/* publish.c: see publish.h. */
#include "raftd/publish.h"

#include <inttypes.h>
#include <stdlib.h>

#include "raftd/base/num.h"
#include "raftd/base/say.h"
#include "raftd/say_commits.h"

enum {
    STATUS_INTERVAL_US = 2000, /* at most so often a new status is published ... */
    STATUS_IDLE_US = 100000,   /* ... and so often when only counters and ages have changed */
    DATA_HIGH_PERCENT = 80,    /* of max_data_bytes: said once ... */
    DATA_LOW_PERCENT = 75,     /* ... and again after it was below this */
};

static void say_changes(struct publisher *p, const struct raft *r, uint64_t now_us)
{
    say_doubt(&p->doubt, r, now_us);
    if (r->term == p->term && r->role == p->role && r->leader == p->leader)
        return;
    bool was_leader = p->role == RAFT_LEADER;
    if (r->role == RAFT_LEADER && !was_leader)
        say_info("leader of term %" PRIu64 " (%s)", r->term, raft_why_name(r->why));
    else if (was_leader && r->role != RAFT_LEADER)
        say_warn("no longer leader: %s (term %" PRIu64 ")", raft_why_name(r->why), r->term);
    else if (r->role == RAFT_FOLLOWER && r->leader != 0 &&
             (r->leader != p->leader || r->term != p->term))
        say_info("node %u leads term %" PRIu64, r->leader, r->term);
    else if (r->role == RAFT_CANDIDATE && p->role != RAFT_CANDIDATE)
        say_info("candidate in term %" PRIu64 ": %s", r->term, raft_why_name(r->why));
    p->term = r->term;
    p->role = r->role;
    p->leader = r->leader;
}

static void fill_status(struct publisher *p, const struct publish_from *from, uint64_t now_us,
                        struct status *s)
{
    node_status(from->node, now_us, s);
    diskio_status(from->disk, s);
    leaders_status(&p->leaders, s);
    const struct udp_counters *u = udp_counters(from->udp);
    s->send_lost = u->lost;
    s->send_errno = u->lost_errno;
    s->send_too_big = u->too_big;
    s->rxq_drops = u->rxq_drops;
    s->receive_errors = u->receive_errors;
}

/* How long the published status may still stand for what is true now. */
static uint64_t status_lasts(const struct status *old, const struct raft *r)
{
    if (old == NULL || old->role != r->role || old->term != r->term || old->leader != r->leader ||
        old->doubt_index != r->doubt_index)
        return 0;
    bool moved = old->commit_index != r->commit_index || old->last_index != r->trail.last ||
                 old->durable_index != r->durable_index || old->applied_index != old->commit_index;
    return moved ? STATUS_INTERVAL_US : STATUS_IDLE_US;
}

static void say_data(struct publisher *p, const struct status *s)
{
    uint64_t percent = s->data_bytes * 100 / s->max_data_bytes;
    if (percent >= DATA_HIGH_PERCENT && !p->data_high)
        say_warn(
            "the data have reached %" PRIu64 " %% of max_data_bytes (%" PRIu64 " of %" PRIu64
            " bytes): delete something, or raise it on all nodes; beyond it new data are refused",
            percent, s->data_bytes, s->max_data_bytes);
    if (percent >= DATA_HIGH_PERCENT || percent < DATA_LOW_PERCENT)
        p->data_high = percent >= DATA_HIGH_PERCENT;
}

void publish(struct publisher *p, const struct publish_from *from, uint64_t now_us)
{
    const struct raft *r = node_raft(from->node);
    say_changes(p, r, now_us);
    /* Only the loop replaces the old one, so it needs no read-side section. */
    uint64_t lasts = status_lasts(from->shared->status, r);
    bool fresh = now_us - p->published_us < lasts;
    p->late = fresh && lasts == STATUS_INTERVAL_US;
    if (fresh)
        return;
    struct status_box *box = calloc(1, sizeof *box);
    if (box == NULL)
        return; /* readers keep the old one; the next iteration tries again */
    fill_status(p, from, now_us, &box->status);
    say_peers(&p->peers, &box->status, now_us);
    say_data(p, &box->status);
    say_paths(&p->paths, &box->status, now_us);
    say_commits(&p->uncommitted, &box->status, now_us);
    p->published_us = now_us;
    shared_publish(from->shared, box);
}

uint64_t publisher_at(const struct publisher *p)
{
    return p->late ? p->published_us + STATUS_INTERVAL_US : NEVER;
}
