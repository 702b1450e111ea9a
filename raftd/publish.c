/* publish.c: see publish.h. */
#include "raftd/publish.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "raftd/base/clock.h"
#include "raftd/base/num.h"
#include "raftd/node/health.h"
#include "raftd/state/kv.h"

enum {
    STATUS_INTERVAL_US = 2000, /* least time between two statuses, so that a busy loop can work */
    STATUS_ASKED_US = 100000,  /* the same when only counters and ages have changed ... */
    /* ... and nobody has asked for a status since: it costs three threads a wake-up. The next heartbeat comes
     * before it is two seconds old. */
    STATUS_IDLE_US = 2000000,
};

static void clients_status(const struct shared *shared, struct status *s)
{
    const struct tally_sum sum = tally_sum(shared);
    s->clients = sum.clients;
    s->clients_blocked = sum.blocked;
    s->clients_refused = sum.refused;
    s->connections = sum.connections;
    s->commands = sum.commands;
    s->reads = sum.reads;
    s->writes = sum.writes;
}

static void fill_status(struct publisher *p, const struct publish_from *from, uint64_t now_us,
                        struct status *s)
{
    node_status(from->node, now_us, s);
    diskio_status(from->disk, s);
    leaders_status(&p->leaders, s);
    post_status(from->post, s);
    clients_status(from->shared, s);
    s->loop_max_us = from->loop_max_us;
    if (!s->local_reads && atomic_load_explicit(&from->shared->old_reads, memory_order_relaxed))
        (void)snprintf(s->recovering, sizeof s->recovering, "applying the log");
    s->loop_max_cpu_us = from->loop_max_cpu_us;
    health_fill(s, HEALTH_LAG_MAX);
    node_self(from->node, s);
}

bool publish_start(struct shared *shared, const struct conf *conf, const char *what)
{
    struct status_box *box = calloc(1, sizeof *box);
    const struct kv_view *view = kv_view(shared->kv); /* nobody replaces it meanwhile */
    if (box == NULL)
        return false;
    struct status *s = &box->status;
    s->id = conf_self(conf)->id;
    (void)snprintf(s->cluster, sizeof s->cluster, "%s", conf->name);
    (void)snprintf(s->recovering, sizeof s->recovering, "%s", what);
    s->now_us = s->start_us = clock_us();
    s->applied_index = s->snapshot_index = view->index;
    s->keys = kv_count(shared->kv);
    health_fill(s, HEALTH_LAG_MAX);
    shared_publish(shared, box);
    return true;
}

static struct glimpse glimpse_of(const struct node *n, uint64_t now_us)
{
    const struct raft *r = node_raft(n);
    return (struct glimpse){node_glimpse(n, now_us), r->members.index,
                            raft_disk_full(r) || r->log_full || r->no_room, r->differs};
}

static bool is_same(const struct glimpse *a, const struct glimpse *b)
{
    return a->members_index == b->members_index && a->node.silent == b->node.silent &&
           a->node.leader_health == b->node.leader_health && a->full == b->full &&
           a->differs == b->differs;
}

/* How old the published status may become: 0 if its first lines are not true any more. What stands still is
 * watched, whether somebody asks or not. */
static uint64_t status_lasts(const struct status *old, const struct raft *r, bool asked)
{
    if (old == NULL || old->role != r->role || old->term != r->term || old->leader != r->leader ||
        old->doubt_index != r->doubt_index || (old->doubt == STATUS_DOUBT_DAMAGED) != r->damaged ||
        old->transfer != r->transfer || old->transfers != r->transfers ||
        old->drained != r->drained)
        return 0;
    bool moved = old->commit_index != r->commit_index || old->last_index != r->trail.last ||
                 old->durable_index != r->durable_index || old->applied_index != old->commit_index;
    if (moved)
        return STATUS_INTERVAL_US;
    /* What waits for a disk may become a trouble, or end one. */
    bool calm = r->leader != 0 && old->recovering[0] == '\0' && !old->disk_full && !old->log_full &&
                !old->imaging && old->install_of_bytes == 0 && r->inflight_seq == 0 &&
                old->disk_pending_us == 0 && r->commit_index == r->trail.last;
    uint64_t idle = STATUS_IDLE_US - min_u64(r->cfg.heartbeat, STATUS_IDLE_US / 2);
    return calm && !asked ? idle : STATUS_ASKED_US;
}

/* What a reader of the status file must not learn late. */
static bool is_news(const struct status *old, const struct status *s)
{
    return old->role != s->role || old->term != s->term || old->leader != s->leader ||
           old->health != s->health;
}

/* Without memory the next iteration tries again. */
static void tell_events(struct publisher *p, struct shared *shared)
{
    if (p->untold)
        p->untold = !shared_tell(shared, &p->happened);
}

void publish(struct publisher *p, const struct publish_from *from, uint64_t now_us)
{
    const struct raft *r = node_raft(from->node);
    news_raft(&p->news, r, now_us);
    tell_events(p, from->shared);
    /* Only the loop replaces the status, so the loop needs no read-side section to look at it. */
    bool asked = atomic_load_explicit(&from->shared->status_asked, memory_order_relaxed);
    struct glimpse glimpse = glimpse_of(from->node, now_us);
    uint64_t lasts = is_same(&glimpse, &p->glimpse) ? status_lasts(from->shared->status, r, asked)
                                                    : 0;
    bool fresh = now_us - p->published_us < lasts;
    p->late = fresh && lasts == STATUS_INTERVAL_US;
    if (fresh)
        return;
    struct status_box *box = calloc(1, sizeof *box);
    if (box == NULL)
        return; /* readers keep the old one; the next iteration tries again */
    atomic_store_explicit(&from->shared->status_asked, false, memory_order_relaxed);
    fill_status(p, from, now_us, &box->status);
    news_status(&p->news, &box->status, now_us);
    p->published_us = now_us;
    p->glimpse = glimpse;
    p->untold |= happened_take(&p->happened, &box->status);
    const struct status *old = from->shared->status;
    bool out = status_left_out(&box->status) && !status_left_out(old);
    bool news = is_news(old, &box->status);
    shared_publish(from->shared, box);
    status_file_changed(p->file, news);
    for (unsigned i = 0; out && i < from->shared->n_readers; i++)
        from->shared->readers[i].wake(from->shared->readers[i].wake_ctx);
    tell_events(p, from->shared);
}

uint64_t publisher_at(const struct publisher *p)
{
    return p->late ? p->published_us + STATUS_INTERVAL_US : NEVER;
}
