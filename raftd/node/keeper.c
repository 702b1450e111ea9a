#include "raftd/node/keeper.h"

#include <assert.h>

#include "raftd/base/num.h"
#include "raftd/state/cmd.h"

/* ---- keys whose expiry has come ---- */

static uint64_t end_due_at(void *ctx, uint64_t now)
{
    const struct keeper *k = ctx;
    uint64_t ms = machine_next_expiry(k->machine);
    (void)now;
    return ms == UINT64_MAX ? NEVER : cluster_time_when(replica_time(k->replica), ms);
}

/* As many commands as all that is due takes (MACHINE_ENDS_MAX). */
static size_t end_due(void *ctx, uint64_t now, unsigned before, uint8_t cmd[KEEPER_CMD_BYTES_MAX])
{
    struct keeper *k = ctx;
    if (before == 0)
        k->to_end = machine_count_due(k->machine, cluster_time_ms(replica_time(k->replica), now),
                                      KEEPER_BATCH_MAX * MACHINE_ENDS_MAX);
    if (before > 0 && k->to_end <= (size_t)before * MACHINE_ENDS_MAX)
        return 0;
    return cmd_encode_one(cmd, &(struct cmd_item){.kind = CMD_END_DUE});
}

/* ---- all duties ---- */

void keeper_init(struct keeper *k, struct replica *r, const struct machine *machine)
{
    k->replica = r;
    k->machine = machine;
    keeper_add(k, &(struct keeper_duty){.due = end_due_at, .fill = end_due, .ctx = k});
}

void keeper_add(struct keeper *k, const struct keeper_duty *duty)
{
    assert(k->n < KEEPER_DUTIES_MAX);
    k->duties[k->n++] = *duty;
}

static bool leads(const struct keeper *k)
{
    const struct raft *r = replica_raft(k->replica);
    return r->role == RAFT_LEADER && replica_applied(k->replica) >= r->term_first;
}

/* When the duty is due; NEVER while its command is under way. */
static uint64_t due_at(const struct keeper *k, const struct keeper_duty *d, uint64_t now)
{
    bool under_way = d->term == replica_raft(k->replica)->term &&
                     replica_applied(k->replica) < d->index;
    return under_way ? NEVER : max_u64(d->due(d->ctx, now), k->retry_at);
}

/* False: the log takes no more. */
static bool do_duty(struct keeper *k, struct keeper_duty *d, uint64_t now)
{
    const struct raft *r = replica_raft(k->replica);
    uint8_t cmd[KEEPER_CMD_BYTES_MAX];
    size_t len;
    for (unsigned n = 0; n < KEEPER_BATCH_MAX && (len = d->fill(d->ctx, now, n, cmd)) > 0; n++) {
        if (!replica_propose(k->replica, now, cmd, len))
            return false;
        d->index = r->trail.last;
        d->term = r->term;
    }
    return true;
}

void keeper_step(struct keeper *k, uint64_t now)
{
    for (unsigned i = 0; leads(k) && i < k->n; i++) {
        struct keeper_duty *d = &k->duties[i];
        if (due_at(k, d, now) > now)
            continue;
        if (!do_duty(k, d, now)) {
            k->retry_at = now + KEEPER_RETRY_US;
            return;
        }
    }
}

uint64_t keeper_deadline(const struct keeper *k, uint64_t now)
{
    uint64_t at = NEVER;
    for (unsigned i = 0; leads(k) && i < k->n; i++)
        at = min_u64(at, due_at(k, &k->duties[i], now));
    return at;
}
