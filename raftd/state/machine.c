/* machine.c: see machine.h. */
#include "raftd/state/machine.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/num.h"
#include "raftd/base/bytes.h"
#include "raftd/state/history.h"
#include "raftd/state/holders.h"
#include "raftd/state/image.h"
#include "raftd/state/kv.h"
#include "raftd/state/origins.h"
#include "raftd/state/outcomes.h"
#include "raftd/state/transaction.h"

enum {
    KEPT_MAX_BYTES = 16 << 20, /* for an open image, if the state is small */
};

struct machine {
    struct kv *kv;
    struct kv *claims; /* holders.h */
    struct origins *origins;
    struct outcomes *outcomes;
    uint64_t index, cluster_ms;     /* of the last entry applied */
    struct transaction transaction; /* of one call */
};

struct machine *machine_new(struct kv *kv)
{
    struct machine *m = calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    m->kv = kv;
    m->claims = kv_new();
    m->origins = origins_new();
    m->outcomes = outcomes_new();
    if (m->claims != NULL && m->origins != NULL && m->outcomes != NULL)
        return m;
    machine_free(m);
    return NULL;
}

void machine_free(struct machine *m)
{
    if (m == NULL)
        return;
    kv_free(m->claims);
    origins_free(m->origins);
    outcomes_free(m->outcomes);
    free(m);
}

static struct state_parts parts_of(const struct machine *m)
{
    return (struct state_parts){
        .keys = m->kv, .claims = m->claims, .origins = m->origins, .outcomes = m->outcomes};
}

/* Some claim of a process, or of one connection of it. */
static bool find_claim(const struct machine *m, const struct holder *h, uint8_t kind,
                       struct claim *c)
{
    const struct kv_view v = kv_draft(m->claims);
    return kind == CMD_FREE ? holders_of_process(&v, h->origin, h->process, c)
                            : holders_of_connection(&v, h, c);
}

/* Ends claims, HOLDERS_FREE_MAX at most, by a command of this kind. The keys among them go. False: no
 * memory. */
static bool end_claims(struct machine *m, const struct holder *h, uint8_t kind, struct applied *a)
{
    struct claim c;
    for (; a->ended < HOLDERS_FREE_MAX && find_claim(m, h, kind, &c); a->ended++) {
        bool is_key = c.kind == CLAIM_KEY;
        if (is_key && (kv_delete(m->kv, c.name, c.name_len) != KV_DONE ||
                       !kv_tell(m->kv, m->index, HISTORY_DELETED, UINT32_C(1) << (kind - CMD_PUT),
                                c.name, c.name_len)))
            return false;
        if (!holders_end(m->claims, &c, m->index))
            return false;
    }
    return true;
}

/* Ends keys in the order of their expiry, with the claims on them. False: no memory. */
static bool end_due(struct machine *m, struct applied *a)
{
    uint8_t key[CMD_KEY_MAX_BYTES];
    const struct kv_object *o;
    for (; a->ended < MACHINE_ENDS_MAX && (o = kv_first_due(m->kv)) != NULL &&
           kv_expiry_ms(o) <= m->cluster_ms;
         a->ended++) {
        uint16_t len = o->key_len;
        memcpy(key, kv_key(o), len);
        if ((kv_holder(o) != 0 && !holders_drop_key(m->claims, key, len)) ||
            kv_delete(m->kv, key, len) != KV_DONE ||
            !kv_tell(m->kv, m->index, HISTORY_EXPIRED, 1U << (CMD_END_DUE - CMD_PUT), key, len))
            return false;
    }
    return true;
}

static struct cmd_item first_operation(const struct cmd *c)
{
    const uint8_t *at = c->items;
    for (unsigned i = 0; i < c->conditions; i++)
        (void)cmd_next(&at);
    return cmd_next(&at);
}

static bool take_lock(struct machine *m, const struct cmd_item *it, enum outcome *outcome,
                      uint64_t *number)
{
    const struct lock_wish w = {.holder = m->transaction.holder,
                                .name = it->key,
                                .name_len = it->key_len,
                                .word = it->value + 1,
                                .word_len = it->value_len - 1,
                                .tries = it->value[0] == CMD_LOCK_TRIES};
    return holders_take(m->claims, &w, m->index, outcome, number);
}

/* Does the operation of a command that stands for itself, if it is one of those; all its conditions hold.
 * False: no memory. */
static bool change_claims(struct machine *m, const struct cmd *c, struct applied *a)
{
    enum outcome *outcome = &a->outcome;
    struct cmd_item it = first_operation(c);
    struct told *told = &m->transaction.told[0];
    struct holder h = m->transaction.holder;
    uint64_t number = 0;
    bool ok;
    switch (it.kind) {
    case CMD_LOCK: ok = take_lock(m, &it, outcome, &number); break;
    case CMD_UNLOCK:
        ok = holders_give(m->claims, &h, it.key, it.key_len, cmd_number(&it), m->index, outcome);
        break;
    case CMD_FREE_CONNECTION:
        h.connection = get_u64(it.key);
        ok = end_claims(m, &h, it.kind, a);
        break;
    default: return true;
    }
    *told = (struct told){.outcome = *outcome, .modify_revision = number};
    return ok;
}

/* A command whose token says that it is not to be done: another one with this token was, or may have been. */
static bool refused_by_token(const struct machine *m, const struct cmd *c, struct applied *a)
{
    struct kept first = {m->index, MACHINE_TOO_OLD};
    if ((c->flags & CMD_HAS_TOKEN) == 0)
        return false;
    enum outcomes_say says = outcomes_look(m->outcomes, &c->token, m->index, &first);
    if (says == OUTCOME_NEW)
        return false;
    a->repeated = says == OUTCOME_KNOWN;
    a->outcome = first.outcome;
    a->revision = first.index;
    return true;
}

/* Does it. False: no memory. */
static bool carry_out(struct machine *m, const struct cmd *c,
                      const struct machine_listener *listener, struct applied *a)
{
    struct transaction *t = &m->transaction;
    a->outcome = transaction_work_out(t, m->kv, m->claims, c, m->index, m->cluster_ms, &a->at);
    a->revision = m->index;
    if (outcome_is_done(a->outcome) && !change_claims(m, c, a))
        return false;
    if (outcome_is_done(a->outcome)) {
        if (listener != NULL)
            listener->hear(listener->ctx, a, t->told, c->operations);
        if (!transaction_carry_out(t, m->kv, m->claims))
            return false;
    }
    struct kept kept = {m->index, (uint8_t)a->outcome};
    return (c->flags & CMD_HAS_TOKEN) == 0 || outcomes_keep(m->outcomes, &c->token, kept);
}

/* Applies a command that was not applied before. */
static bool apply_new(struct machine *m, const struct cmd *c, const struct sender *s,
                      const struct machine_listener *listener, struct applied *a)
{
    if (!refused_by_token(m, c, a) && !carry_out(m, c, listener, a))
        return false;
    return origins_keep(m->origins, s, (struct kept){a->revision, (uint8_t)a->outcome});
}

void machine_pass(struct machine *m, uint64_t index, uint64_t cluster_ms)
{
    assert(index > m->index);
    m->index = index;
    m->cluster_ms = max_u64(m->cluster_ms, cluster_ms);
}

bool machine_apply(struct machine *m, uint64_t index, uint64_t cluster_ms, const uint8_t *cmd,
                   size_t len, const struct machine_listener *listener, struct applied *applied)
{
    struct cmd c;
    int rc = cmd_decode(cmd, len, &c);
    assert(rc == 0); /* checked before it entered any log */
    (void)rc;
    machine_pass(m, index, cluster_ms);
    if (cmd_is_housekeeping(&c)) {
        *applied = (struct applied){.outcome = MACHINE_DONE, .revision = index};
        const struct cmd_item it = first_operation(&c);
        if (it.kind == CMD_END_DUE)
            return end_due(m, applied);
        const struct holder h = {.origin = get_u16(it.key), .process = get_u64(it.key + 2)};
        return end_claims(m, &h, it.kind, applied);
    }
    struct sender s = {c.origin, c.process, c.predecessor, c.number};
    struct kept first;
    *applied = (struct applied){
        .origin = c.origin, .process = c.process, .predecessor = c.predecessor, .number = c.number};
    switch (origins_look(m->origins, &s, &first)) {
    case ORIGIN_NEW: return apply_new(m, &c, &s, listener, applied);
    case ORIGIN_REPEATED:
        applied->outcome = first.outcome;
        applied->revision = first.index;
        applied->repeated = true;
        break;
    case ORIGIN_ENDED: applied->outcome = MACHINE_ENDED; break;
    case ORIGIN_PASSED:
    case ORIGIN_NOBODY: applied->outcome = MACHINE_CANT_TELL; break;
    }
    return true;
}

bool machine_publish(struct machine *m)
{
    const struct outcomes_view outcomes = outcomes_view(m->outcomes);
    kv_set_outcomes(m->kv, &outcomes);
    /* Claims change rarely. They come first: who sees the keys of an index sees its claims, too. */
    if (!(kv_all_published(m->claims) || kv_publish(m->claims, m->index, m->cluster_ms)) ||
        !kv_publish(m->kv, m->index, m->cluster_ms))
        return false;
    outcomes_published(m->outcomes);
    return true;
}

const struct kv *machine_claims(const struct machine *m)
{
    return m->claims;
}

uint64_t machine_applied(const struct machine *m)
{
    return m->index;
}

uint64_t machine_cluster_ms(const struct machine *m)
{
    return m->cluster_ms;
}

uint64_t machine_next_expiry(const struct machine *m)
{
    const struct kv_object *o = kv_first_due(m->kv);
    return o != NULL ? kv_expiry_ms(o) : UINT64_MAX;
}

size_t machine_count_due(const struct machine *m, uint64_t until_ms, size_t most)
{
    return kv_count_due(m->kv, until_ms, most);
}

bool machine_is_full_for(struct machine *m, const uint8_t *cmd, size_t len, uint16_t limit)
{
    struct cmd c;
    struct kept first;
    unsigned failed;
    uint64_t most = len + (uint64_t)CMD_OPERATIONS_MAX * (KV_KEY_BYTES + TRANSACTION_DIGITS_MAX);
    if (limit == 0 || kv_bytes(m->kv) + most <= (uint64_t)limit * CMD_LIMIT_BYTES)
        return false;
    int rc = cmd_decode(cmd, len, &c);
    assert(rc == 0);
    (void)rc;
    c.limit = limit;
    if ((c.flags & CMD_HAS_TOKEN) != 0 &&
        outcomes_look(m->outcomes, &c.token, m->index + 1, &first) != OUTCOME_NEW)
        return false; /* what became of the first copy is told from the log */
    return transaction_work_out(&m->transaction, m->kv, m->claims, &c, m->index + 1, m->cluster_ms,
                                &failed) == MACHINE_FULL;
}

/* ---- images ------------------------------------------------------------------------------ */

struct image *machine_freeze(struct machine *m)
{
    const struct state_parts parts = parts_of(m);
    assert(kv_draft(m->kv).index == m->index); /* the origins are as of that one */
    return image_new(&parts);
}

void machine_thaw(struct machine *m, struct image *image)
{
    const struct state_parts parts = parts_of(m);
    image_free(image, &parts);
}

uint64_t machine_kept_bytes(const struct machine *m)
{
    return kv_kept_bytes(m->kv) + kv_kept_bytes(m->claims);
}

uint64_t machine_kept_max_bytes(const struct machine *m)
{
    return max_u64(KEPT_MAX_BYTES, kv_bytes(m->kv) / 2);
}

void machine_replace(struct machine *m, struct image_load *load, uint64_t index,
                     uint64_t cluster_ms)
{
    const struct state_parts parts = image_load_take(load);
    origins_free(m->origins);
    m->origins = parts.origins;
    m->index = index;
    m->cluster_ms = cluster_ms;
    outcomes_replace(m->outcomes, parts.outcomes);
    const struct outcomes_view outcomes = outcomes_view(m->outcomes);
    kv_set_outcomes(parts.keys, &outcomes);
    kv_replace(m->claims, parts.claims, index, cluster_ms);
    kv_replace(m->kv, parts.keys, index, cluster_ms);
    outcomes_published(m->outcomes);
}

void machine_discard(struct machine *m, struct image_load *load)
{
    const struct state_parts parts = image_load_take(load);
    origins_free(parts.origins);
    outcomes_free(parts.outcomes);
    kv_discard(m->kv, parts.keys);
    kv_discard(m->claims, parts.claims);
}

bool machine_tidy(struct machine *m)
{
    bool more = kv_tidy(m->claims);
    return kv_tidy(m->kv) || more;
}

void machine_digest(const struct machine *m, uint8_t out[MACHINE_DIGEST_BYTES])
{
    const struct state_parts parts = parts_of(m);
    image_digest_of(&parts, out);
}

uint64_t machine_process(const struct machine *m, uint16_t origin)
{
    return origins_current(m->origins, origin);
}

bool machine_look_up(const struct machine *m, uint16_t origin, uint64_t process, uint64_t number,
                     struct applied *applied)
{
    struct sender s = {.origin = origin, .process = process, .number = number};
    struct kept first;
    if (origins_look(m->origins, &s, &first) != ORIGIN_REPEATED)
        return false;
    *applied = (struct applied){.outcome = first.outcome,
                                .repeated = true,
                                .revision = first.index,
                                .origin = origin,
                                .process = process,
                                .number = number};
    return true;
}
