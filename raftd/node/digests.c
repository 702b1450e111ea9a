#include "raftd/node/digests.h"

#include <assert.h>
#include <string.h>

#include "raftd/base/num.h"

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

/* Of this entry. NULL: there is none. */
static struct digests_row *find(struct digests *d, uint64_t index)
{
    for (unsigned i = 0; i < DIGESTS_KEPT; i++)
        if (d->rows[i].index == index)
            return &d->rows[i];
    return NULL;
}

/* A row of an entry whose digest we still have, in place of the oldest one. NULL: it is older than all, or we
 * do not have its digest. */
static struct digests_row *add(struct digests *d, uint64_t index)
{
    const struct digests_own *own = &d->own[index % DIGESTS_OWN];
    struct digests_row *r = &d->rows[0];
    for (unsigned i = 1; i < DIGESTS_KEPT; i++)
        if (d->rows[i].index < r->index)
            r = &d->rows[i];
    if (own->index != index || index <= r->index)
        return NULL;
    *r = (struct digests_row){.index = index};
    r->has[d->self] = true;
    memcpy(r->of[d->self], own->digest, WIRE_DIGEST_BYTES);
    return r;
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
        most = (unsigned)max_u64(most, equal);
    }
    unsigned ours = count(d, r, d->self);
    if (ours == known || ours >= majority)
        return DIGESTS_AGREE;
    if (most >= majority)
        return DIGESTS_WRONG;
    return most + (d->voters - known) < majority ? DIGESTS_HOPELESS : DIGESTS_DISPUTED;
}

/* The newest entry as of which a majority has our digest; 0 = none. */
static uint64_t right_at(const struct digests *d)
{
    uint64_t index = 0;
    for (unsigned i = 0; i < DIGESTS_KEPT; i++)
        if (count(d, &d->rows[i], d->self) > d->voters / 2)
            index = max_u64(index, d->rows[i].index);
    return index;
}

static void judge(struct digests *d)
{
    uint64_t right = right_at(d);
    d->verdict = DIGESTS_AGREE;
    d->at = 0;
    for (unsigned i = 0; i < DIGESTS_KEPT; i++) {
        const struct digests_row *r = &d->rows[i];
        enum digests_verdict v = r->index > right ? judge_row(d, r) : DIGESTS_AGREE;
        if (v <= d->verdict)
            continue;
        d->verdict = v;
        d->at = r->index;
    }
    if (d->verdict == DIGESTS_DISPUTED && find(d, d->newest) == NULL)
        (void)add(d, d->newest);
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
        d->rows[i].told[to] = from < old->n && old->rows[i].told[from];
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

void digests_note(struct digests *d, uint64_t index, const uint8_t digest[WIRE_DIGEST_BYTES],
                  bool snapshot)
{
    struct digests_own *own = &d->own[index % DIGESTS_OWN];
    own->index = d->newest = index;
    memcpy(own->digest, digest, WIRE_DIGEST_BYTES);
    bool compared = snapshot || index % d->every == 0 || index == d->awaited;
    if (!compared || index == 0 || find(d, index) != NULL)
        return;
    (void)add(d, index);
    judge(d);
}

void digests_heard(struct digests *d, uint16_t from, const struct wire_digests *told)
{
    unsigned teller = place_of(d, from);
    if (teller == d->n || told->index == 0)
        return;
    if (told->index > d->newest) {
        if (d->awaited <= d->newest || told->index < d->awaited)
            d->awaited = told->index;
        return; /* it will be told again */
    }
    struct digests_row *r = find(d, told->index);
    if (r == NULL)
        r = add(d, told->index);
    if (told->ask)
        d->nodes[teller].wanted = told->index;
    if (r == NULL)
        return;
    r->told[teller] |= told->n == 0;
    for (unsigned i = 0; i < told->n; i++) {
        unsigned of = place_of(d, told->id[i]);
        if (of == d->self) {
            r->told[teller] |= memcmp(r->of[of], told->digest[i], WIRE_DIGEST_BYTES) == 0;
        } else if (of < d->n && (of == teller || !r->has[of])) {
            r->has[of] = true; /* of others the teller may know what is past */
            memcpy(r->of[of], told->digest[i], WIRE_DIGEST_BYTES);
        }
    }
    judge(d);
}

/* The row that this node must hear of, in this order: a disputed one of which it has said nothing; one in
 * which it differs from us, so that it can judge itself; or the oldest that it may not have. NULL: none. */
static const struct digests_row *due(struct digests *d, unsigned to)
{
    const struct digests_row *r = d->verdict != DIGESTS_AGREE ? find(d, d->at) : NULL,
                             *oldest = NULL;
    if (r != NULL && !r->has[to] && !r->told[to])
        return r;
    for (unsigned i = 0; i < DIGESTS_KEPT; i++) {
        r = &d->rows[i];
        if (r->has[to] && !same(r, to, d->self))
            return r;
        if (r->index != 0 && !r->told[to] && (oldest == NULL || r->index < oldest->index))
            oldest = r;
    }
    return oldest;
}

bool digests_tell(struct digests *d, uint16_t to, struct wire_digests *out)
{
    unsigned place = place_of(d, to);
    if (place == d->n)
        return false;
    uint64_t wanted = d->nodes[place].wanted;
    const struct digests_row *r = wanted != 0 ? find(d, wanted) : due(d, place);
    if (r == NULL && wanted == 0)
        return false;
    *out = (struct wire_digests){.index = r != NULL ? r->index : wanted};
    out->ask = r != NULL && (!r->told[place] || d->verdict != DIGESTS_AGREE);
    d->nodes[place].wanted = 0;
    for (unsigned i = 0; r != NULL && i < d->n; i++) {
        if (!r->has[i])
            continue;
        out->id[out->n] = d->nodes[i].id;
        memcpy(out->digest[out->n++], r->of[i], WIRE_DIGEST_BYTES);
    }
    return true;
}
