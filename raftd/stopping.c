#include "raftd/stopping.h"

#include "raftd/base/num.h"

void stopping_init(struct stopping *s, struct node *node, struct shared *shared,
                   const struct listener *listener, uint64_t election_timeout_us)
{
    *s = (struct stopping){
        .node = node,
        .shared = shared,
        .listener = listener,
        .patience_us = min_u64(STOPPING_TIMEOUTS * election_timeout_us, STOPPING_MOST_US),
        .until = NEVER,
    };
}

bool stopping_begin(struct stopping *s, uint64_t now)
{
    if (s->until != NEVER)
        return true;
    node_drain(s->node, now);
    const struct raft *r = node_raft(s->node);
    /* Just after a hand-over that failed the next one begins a little later. */
    bool hands = r->heir != 0 || (r->role == RAFT_LEADER && now < r->transfer_at);
    s->until = now + (hands ? s->patience_us : 0);
    return false;
}

static bool clients_ended(const struct shared *shared)
{
    for (unsigned i = 0; i < shared->n_readers; i++)
        if (!atomic_load_explicit(&shared->readers[i].ended, memory_order_acquire))
            return false;
    return true;
}

static void end_clients(struct shared *shared)
{
    atomic_store_explicit(&shared->ends, true, memory_order_release);
    for (unsigned i = 0; i < shared->n_readers; i++)
        shared->readers[i].wake(shared->readers[i].wake_ctx);
}

bool stopping_step(struct stopping *s, uint64_t now)
{
    const struct raft *r = node_raft(s->node);
    if (s->until == NEVER)
        return false;
    if (s->ends)
        return now >= s->until || clients_ended(s->shared);
    if (now < s->until && (r->leader == 0 || r->leader == r->cfg.id))
        return false;
    s->ends = true;
    s->until = now + s->patience_us;
    listener_end(s->listener);
    end_clients(s->shared);
    return false;
}
