#include "raftd/node/admit.h"

#include <assert.h>
#include <string.h>

#include "net/wire.h"
#include "raftd/base/num.h"

enum {
    REMEMBER_AGAIN_US = 1000000, /* a disk that had no room is asked again after so long */
    GREET_US = 50000,            /* the same as between two HELLOs */
    GREETS = 20,                 /* after so many the peer does not listen, and they get rarer */
    GREET_SELDOM_US = 1000000,
};

static unsigned place_of(const struct admit *a, uint16_t id)
{
    unsigned i = 0;
    while (i < a->n_peers && a->peers[i].id != id)
        i++;
    return i;
}

static const struct admitted *find(const struct admit *a, uint16_t id)
{
    unsigned i = place_of(a, id);
    assert(i < a->n_peers);
    return &a->peers[i];
}

static struct admitted *find_mine(struct admit *a, uint16_t id)
{
    return &a->peers[find(a, id) - a->peers];
}

void admit_init(struct admit *a, const struct node_config *cfg, const struct node_io *io,
                bool plain)
{
    uint16_t ids[RAFT_VOTERS_MAX];
    *a = (struct admit){.cfg = cfg, .io = io, .plain = plain};
    for (unsigned i = 0; i < cfg->n_voters; i++) {
        unsigned at = i; /* in ascending order */
        for (; at > 0 && ids[at - 1] > cfg->voters[i]; at--)
            ids[at] = ids[at - 1];
        ids[at] = cfg->voters[i];
        if (cfg->voters[i] == cfg->id && about_handle(cfg->known[i]) != about_handle(cfg->key))
            a->before_us = about_handle(cfg->known[i]);
    }
    a->voters = wire_voters_digest(ids, cfg->n_voters);
    a->before_us_kept = a->before_us != 0;
}

void admit_add(struct admit *a, uint16_t peer)
{
    assert(a->n_peers < RAFT_PEERS_MAX);
    struct admitted *p = &a->peers[a->n_peers++];
    *p = (struct admitted){.id = peer};
    for (unsigned i = 0; !a->by_log && i < a->cfg->n_voters; i++)
        if (a->cfg->voters[i] == peer)
            memcpy(p->known, a->cfg->known[i], sizeof p->known);
}

void admit_remove(struct admit *a, uint16_t peer)
{
    a->peers[find(a, peer) - a->peers] = a->peers[a->n_peers - 1];
    a->n_peers--;
}

void admit_follow(struct admit *a, const struct members_at *m, bool settled)
{
    const struct member *self = members_find(&m->members, a->cfg->id);
    bool same = a->by_log && a->followed == m->index; /* only peers came */
    a->by_log = m->index != 0 || a->cfg->n_voters == 0;
    a->followed = m->index;
    if (!a->by_log)
        return;
    /* A configuration without our key may be an older one, of a log that is still being copied to us, and
     * of before a recovery, which gave the cluster another id. So until our key is there we tell no id, and
     * refuse nobody for his. */
    bool ours = self != NULL && about_same_key(self->key, a->cfg->key);
    a->members = ours && settled ? m->members.cluster_id : 0;
    a->voters = a->members != 0 ? m->index : 0;
    if (ours || (self != NULL && !member_has_key(self)))
        a->before_us = 0; /* the members mean our directory */
    for (unsigned i = 0; i < a->n_peers; i++) {
        const struct member *e = members_find(&m->members, a->peers[i].id);
        a->peers[i].named = e != NULL;
        if (same && about_handle(a->peers[i].known) != 0)
            continue;
        memset(a->peers[i].known, 0, sizeof a->peers[i].known);
        if (e != NULL)
            memcpy(a->peers[i].known, e->key, sizeof e->key);
    }
}

struct about admit_about(const struct admit *a, uint16_t peer)
{
    const struct admitted *p = find(a, peer);
    /* A process that has not heard the peer yet says so: then it is greeted. */
    bool silent = a->plain && about_handle(p->shown) == 0;
    return (struct about){a->members, silent ? 0 : about_handle(admit_key(a, peer)), a->voters};
}

static bool differ(uint64_t a, uint64_t b)
{
    return a != 0 && b != 0 && a != b;
}

/* The peer is named by members that are newer than ours: it is who it says, though ours name another. */
static bool is_ahead(const struct admit *a, const struct admitted *p)
{
    return a->by_log && p->about.cluster != 0 && !differ(p->about.cluster, a->members) &&
           p->about.voters > a->followed;
}

/* We are named by members that are newer than the peer's: it will see. */
static bool is_behind(const struct admit *a, const struct admitted *p)
{
    bool by_log = p->about.cluster != 0 || p->about.voters == 0;
    return a->members != 0 && by_log && p->about.voters < a->followed;
}

const uint8_t *admit_key(const struct admit *a, uint16_t id)
{
    static const uint8_t none[ABOUT_KEY_BYTES];
    unsigned i = place_of(a, id);
    if (id == a->cfg->id)
        return a->cfg->key;
    if (i == a->n_peers)
        return none;
    return is_ahead(a, &a->peers[i]) ? a->peers[i].shown : a->peers[i].known;
}

const uint8_t *admit_shown(const struct admit *a, uint16_t peer)
{
    return find(a, peer)->shown;
}

enum admit_state admit_state(const struct admit *a, uint16_t peer)
{
    const struct admitted *p = find(a, peer);
    bool known = about_handle(p->known) != 0;
    if (about_handle(p->shown) == 0)
        return ADMIT_SILENT;
    if (differ(p->about.cluster, a->members))
        return ADMIT_OTHER_CLUSTER;
    if (!a->by_log && p->about.cluster == 0 && differ(p->about.voters, a->voters))
        return ADMIT_OTHER_LIST;
    if (known && !about_same_key(p->known, p->shown) && !is_ahead(a, p))
        return ADMIT_OTHER_DISK;
    if (differ(p->about.known, about_handle(a->cfg->key)) && !is_behind(a, p))
        return ADMIT_NEW_DISK;
    if (a->before_us != 0)
        return ADMIT_NONE;
    if (p->cloned_at != 0)
        return ADMIT_CLONED;
    return known ? ADMIT_YES : ADMIT_FIRST;
}

/* A peer that counts knows another directory under our id. That is remembered across restarts, too. */
static void take_part_no_more(struct admit *a, uint64_t now, const struct about *about)
{
    if (a->by_log)
        return; /* the members decide */
    if (a->before_us == 0)
        a->before_us = about->known;
    if (a->before_us_kept || a->before_us_asked || now < a->before_us_at)
        return;
    a->before_us_asked = true;
    uint8_t key[ABOUT_KEY_BYTES] = {0};
    put_u64(key, a->before_us);
    a->io->remember(a->io->ctx, a->cfg->id, key);
}

void admit_heard(struct admit *a, uint64_t now, uint16_t peer, const uint8_t key[ABOUT_KEY_BYTES],
                 const struct about *about)
{
    struct admitted *p = find_mine(a, peer);
    if (!about_same_key(p->shown, key) || p->about.known != about->known)
        p->greets = 0;
    if (!about_same_key(p->shown, key)) {
        p->boot = p->cloned_at = 0;
        memset(p->former, 0, sizeof p->former);
    }
    memcpy(p->shown, key, sizeof p->shown);
    p->about = *about;
    if (admit_state(a, peer) == ADMIT_NEW_DISK)
        take_part_no_more(a, now, about);
    if (a->by_log && admit_state(a, peer) != ADMIT_OTHER_CLUSTER &&
        (!p->named || about_handle(p->known) == 0))
        memcpy(p->known, key, sizeof p->known);
    if (admit_state(a, peer) != ADMIT_FIRST || about_handle(p->remembering) != 0 ||
        now < p->remember_at || a->asked == RAFT_PEERS_MAX)
        return;
    a->asked++;
    memcpy(p->remembering, key, sizeof p->remembering);
    a->io->remember(a->io->ctx, peer, key);
}

void admit_process(struct admit *a, uint64_t now, uint16_t peer, uint64_t boot)
{
    struct admitted *p = find_mine(a, peer);
    if (boot == p->boot && now - p->cloned_at >= ADMIT_ALONE_US)
        p->cloned_at = 0;
    if (boot == p->boot)
        return;
    unsigned i = 0;
    while (i < ADMIT_FORMER - 1 && p->former[i] != boot)
        i++;
    if (p->former[i] == boot)
        p->cloned_at = now;
    memmove(p->former + 1, p->former, i * sizeof p->former[0]);
    p->former[0] = p->boot;
    p->boot = boot;
}

void admit_remembered(struct admit *a, uint64_t now, uint16_t id,
                      const uint8_t key[ABOUT_KEY_BYTES], bool done)
{
    if (id == a->cfg->id) {
        a->before_us_asked = false;
        a->before_us_kept = done;
        a->before_us_at = now + REMEMBER_AGAIN_US;
        return;
    }
    a->asked--;
    unsigned i = place_of(a, id);
    struct admitted *p = &a->peers[i];
    if (i == a->n_peers || !about_same_key(p->remembering, key))
        return; /* of a peer that had this id before */
    if (done && !a->by_log)
        memcpy(p->known, key, sizeof p->known);
    p->remember_at = now + REMEMBER_AGAIN_US;
    memset(p->remembering, 0, sizeof p->remembering);
}

/* Without handshakes: until both count each other, and both know that, greetings tell who we are. Else a
 * process that is started again would be deaf to a peer until that has something to tell it. */
uint64_t admit_greet_at(const struct admit *a, uint16_t peer)
{
    const struct admitted *p = find(a, peer);
    bool known = admit_state(a, peer) == ADMIT_YES && p->about.known == about_handle(a->cfg->key) &&
                 p->told == admit_about(a, peer).known;
    return a->plain && !known ? p->greet_at : NEVER;
}

void admit_greeted(struct admit *a, uint64_t now, uint16_t peer)
{
    struct admitted *p = find_mine(a, peer);
    p->greet_at = now + (p->greets < GREETS ? GREET_US : GREET_SELDOM_US);
    p->greets += p->greets < GREETS;
    p->told = admit_about(a, peer).known;
}
