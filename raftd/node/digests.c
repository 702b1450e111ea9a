#include "raftd/node/digests.h"

#include <assert.h>
#include <string.h>

void digests_init(struct digests *d, const struct raft_members *m, uint16_t self, uint64_t every)
{
    *d = (struct digests){.every = every != 0 ? every : DIGESTS_EVERY, .n = 1};
    d->nodes[0].id = self;
    digests_follow(d, m);
}

/* Place of that node in d->nodes; d->n: it is none of them. */
static unsigned place_of(const struct digests *d, uint16_t id)
{
    unsigned i = 0;
    while (i < d->n && d->nodes[i].id != id)
        i++;
    return i;
}

static struct digests_row *slot(struct digests *d, uint64_t index)
{
    return &d->rows[index / d->every % DIGESTS_KEPT];
}

static bool same(const struct digests_row *r, unsigned a, unsigned b)
{
    return memcmp(r->of[a], r->of[b], WIRE_DIGEST_BYTES) == 0;
}

/* How many voters are known to have the digest of this one. */
static unsigned count(const struct digests *d, const struct digests_row *r, unsigned as)
{
    unsigned n = 0;
    for (unsigned i = 0; i < d->n; i++)
        n += d->nodes[i].votes && r->has[i] && same(r, i, as);
    return n;
}

static enum digests_verdict judge_row(const struct digests *d, const struct digests_row *r)
{
    unsigned majority = d->voters / 2 + 1, known = 0, most = 0;
    for (unsigned i = 0; i < d->n; i++) {
        unsigned equal = r->has[i] ? count(d, r, i) : 0;
        known += d->nodes[i].votes && r->has[i];
        most = equal > most ? equal : most;
    }
    unsigned ours = count(d, r, d->self);
    if (ours == known || ours >= majority)
        return DIGESTS_AGREE;
    if (most >= majority)
        return DIGESTS_WRONG;
    return most + (d->voters - known) < majority ? DIGESTS_HOPELESS : DIGESTS_DISPUTED;
}

static void judge(struct digests *d)
{
    d->verdict = DIGESTS_AGREE;
    d->at = 0;
    for (unsigned i = 0; i < DIGESTS_KEPT; i++) {
        const struct digests_row *r = &d->rows[i];
        enum digests_verdict v = r->index != 0 ? judge_row(d, r) : DIGESTS_AGREE;
        if (v <= d->verdict)
            continue;
        d->verdict = v;
        d->at = r->index;
    }
}

/* Adds a node. If it was there before, what is known of it stays. */
static void take_place(struct digests *d, const struct digests *old, uint16_t id, bool votes)
{
    unsigned from = place_of(old, id), to = d->n++;
    d->nodes[to] = from < old->n ? old->nodes[from] : (struct digests_node){.id = id};
    d->nodes[to].votes = votes;
    d->voters += votes;
    for (unsigned i = 0; i < DIGESTS_KEPT; i++) {
        d->rows[i].has[to] = from < old->n && old->rows[i].has[from];
        if (d->rows[i].has[to])
            memcpy(d->rows[i].of[to], old->rows[i].of[from], WIRE_DIGEST_BYTES);
    }
}

void digests_follow(struct digests *d, const struct raft_members *m)
{
    const struct digests old = *d;
    uint16_t self = old.nodes[old.self].id;
    d->n = d->voters = 0;
    for (unsigned i = 0; i < m->n; i++)
        take_place(d, &old, m->m[i].id, m->m[i].standing == RAFT_VOTER);
    if (raft_member(m, self) == NULL)
        take_place(d, &old, self, false);
    d->self = place_of(d, self);
    judge(d);
}

bool digests_wants(const struct digests *d, uint64_t index)
{
    return index % d->every == 0;
}

void digests_note(struct digests *d, uint64_t index, const uint8_t digest[WIRE_DIGEST_BYTES])
{
    assert(digests_wants(d, index) && index > d->newest);
    struct digests_row *r = slot(d, index);
    *r = (struct digests_row){.index = index};
    r->has[d->self] = true;
    memcpy(r->of[d->self], digest, WIRE_DIGEST_BYTES);
    d->newest = index;
    judge(d);
}

void digests_heard(struct digests *d, uint16_t from, const struct wire_digests *told)
{
    struct digests_row *r = slot(d, told->index);
    unsigned teller = place_of(d, from);
    if (teller == d->n || told->index == 0 || r->index != told->index)
        return;
    if (told->ask)
        d->nodes[teller].wanted = told->index;
    for (unsigned i = 0; i < told->n; i++) {
        unsigned of = place_of(d, told->id[i]);
        if (of == d->self) {
            if (memcmp(r->of[of], told->digest[i], WIRE_DIGEST_BYTES) == 0 &&
                told->index > d->nodes[teller].known)
                d->nodes[teller].known = told->index;
        } else if (of < d->n && (of == teller || !r->has[of])) {
            r->has[of] = true; /* of others the teller may know what is past */
            memcpy(r->of[of], told->digest[i], WIRE_DIGEST_BYTES);
        }
    }
    judge(d);
}

/* The row that this node must hear of, in this order: the one that it asked for; a disputed one for which it
 * has told us nothing; one in which it differs from us, so that it can judge itself; or the newest, until it
 * has that. NULL: none. */
static const struct digests_row *due(struct digests *d, unsigned to)
{
    if (d->nodes[to].wanted != 0)
        return slot(d, d->nodes[to].wanted);
    if (d->verdict != DIGESTS_AGREE && !slot(d, d->at)->has[to])
        return slot(d, d->at);
    for (unsigned i = 0; i < DIGESTS_KEPT; i++)
        if (d->rows[i].has[to] && !same(&d->rows[i], to, d->self))
            return &d->rows[i];
    return d->nodes[to].known < d->newest ? slot(d, d->newest) : NULL;
}

bool digests_tell(struct digests *d, uint16_t to, struct wire_digests *out)
{
    unsigned place = place_of(d, to);
    const struct digests_row *r = place < d->n ? due(d, place) : NULL;
    if (r == NULL)
        return false;
    *out = (struct wire_digests){.index = r->index};
    out->ask = d->nodes[place].known < r->index || d->verdict != DIGESTS_AGREE;
    d->nodes[place].wanted = 0;
    for (unsigned i = 0; i < d->n; i++) {
        if (!r->has[i])
            continue;
        out->id[out->n] = d->nodes[i].id;
        memcpy(out->digest[out->n++], r->of[i], WIRE_DIGEST_BYTES);
    }
    return true;
}
