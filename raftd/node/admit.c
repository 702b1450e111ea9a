/* admit.c: which peers count. A vote or an acknowledgement stands for what is on a disk. So it is
 * worth something only from a node that counts majorities among the same nodes as we do, and from the
 * very data directory that we know under its id: whoever got a new one has forgotten what it
 * promised (dissertation 3.8 requires persistent state to persist). Until members are part of the log
 * such a node stays out.
 *
 * A node that hears from a peer that its own directory is new takes no part at all, for good. A third
 * node may never have met the old one: with a majority of those two what the old one acknowledged
 * could be lost.
 *
 * A peer's storage id is taken for its own when it is first heard, and is on our disk before anything
 * of that peer counts: else we could forget it together with what the peer told us.
 */
#include "raftd/node/node_impl.h"

#include "net/wire.h"

enum {
    REMEMBER_AGAIN_US = 1000000, /* after a disk that had no room */
    GREET_US = 50000,            /* as a HELLO */
    GREETS = 20,                 /* then less often: nobody listens, or it does not help */
    GREET_SELDOM_US = 1000000,
};

void admit_init(struct node *n)
{
    const struct node_config *cfg = &n->cfg;
    uint16_t ids[RAFT_VOTERS_MAX];
    for (unsigned i = 0; i < cfg->n_voters; i++) {
        unsigned at = i; /* in ascending order */
        for (; at > 0 && ids[at - 1] > cfg->voters[i]; at--)
            ids[at] = ids[at - 1];
        ids[at] = cfg->voters[i];
    }
    n->voters_digest = wire_voters_digest(ids, cfg->n_voters);
    for (unsigned i = 0; i < cfg->n_voters; i++)
        if (cfg->voters[i] == cfg->id)
            n->before_us = cfg->known[i] != cfg->storage_id ? cfg->known[i] : 0;
        else
            n->peers[raft_peer_slot(&n->raft, cfg->voters[i])].storage = cfg->known[i];
    n->before_us_kept = n->before_us != 0;
}

enum admit admit_state(const struct node *n, unsigned slot)
{
    const struct peer *p = &n->peers[slot];
    const struct about *a = &p->about;
    if (a->storage == 0)
        return ADMIT_SILENT;
    if (a->voters != n->voters_digest)
        return ADMIT_OTHER_LIST;
    if (p->storage != 0 && p->storage != a->storage)
        return ADMIT_OTHER_DISK;
    if (a->known != 0 && a->known != n->cfg.storage_id)
        return ADMIT_NEW_DISK;
    if (n->before_us != 0)
        return ADMIT_NONE;
    return p->storage != 0 ? ADMIT_YES : ADMIT_FIRST;
}

/* Our directory is new to a peer that counts: that holds from now on, and after a restart. */
static void take_part_no_more(struct node *n, uint64_t now, const struct about *about)
{
    if (n->before_us == 0)
        n->before_us = about->known;
    if (n->before_us_kept || n->before_us_asked || now < n->before_us_at)
        return;
    n->before_us_asked = true;
    n->io.remember(n->io.ctx, n->raft.n_peers, n->before_us);
}

void admit_heard(struct node *n, uint64_t now, unsigned slot, const struct about *about)
{
    struct peer *p = &n->peers[slot];
    if (p->about.storage != about->storage || p->about.known != about->known)
        p->greets = 0;
    p->about = *about;
    if (admit_state(n, slot) == ADMIT_NEW_DISK)
        take_part_no_more(n, now, about);
    if (admit_state(n, slot) != ADMIT_FIRST || p->remembering != 0 || now < p->remember_at)
        return;
    p->remembering = about->storage;
    n->io.remember(n->io.ctx, slot, about->storage);
}

void node_remembered(struct node *n, uint64_t now, unsigned slot, bool done)
{
    if (slot == n->raft.n_peers) {
        n->before_us_asked = false;
        n->before_us_kept = done;
        n->before_us_at = now + REMEMBER_AGAIN_US;
        return;
    }
    struct peer *p = &n->peers[slot];
    if (done) {
        p->storage = p->remembering;
        if (n->sessions != NULL)
            sessions_know(n->sessions, n->raft.peers[slot].id, p->storage);
    }
    p->remember_at = now + REMEMBER_AGAIN_US;
    p->remembering = 0;
}

/* Without sessions there is no handshake: until both count each other, greetings tell who we are. */
static bool greets(const struct node *n, unsigned slot)
{
    return n->sessions == NULL &&
           !(admit_state(n, slot) == ADMIT_YES && n->peers[slot].about.known == n->cfg.storage_id);
}

uint64_t admit_greet_at(const struct node *n, unsigned slot)
{
    return greets(n, slot) ? n->peers[slot].greet_at : RAFT_NEVER;
}

void admit_greeted(struct node *n, uint64_t now, unsigned slot)
{
    struct peer *p = &n->peers[slot];
    p->greet_at = now + (p->greets < GREETS ? GREET_US : GREET_SELDOM_US);
    p->greets += p->greets < GREETS;
}
