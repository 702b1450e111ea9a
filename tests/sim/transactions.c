/* transactions.c: what a transaction of a client does as a certain entry, by the plainest of models.
 *
 * It is worked out on the committed state before its entry, which is all that it may depend on. The model of
 * the state takes over what it changes, and its client must be told just that. An entry is committed after
 * its client asked and before he is answered, and reads show all that was committed before them: so the order
 * of the log explains what all clients of transactions saw, their conditions included. */
#include <string.h>

#include "tests/sim/impl.h"

static struct version at_index(const struct sim *s, uint32_t key, uint64_t index)
{
    const struct version *v = sim_version_at(&s->keys[key], index);
    return v != NULL ? *v : (struct version){.op = NO_OP};
}

static bool holds(const struct sim *s, uint32_t key, const struct version *v,
                  const struct cmd_item *it)
{
    bool there = v->op != NO_OP;
    switch (it->kind) {
    case CMD_IF_ABSENT: return !there;
    case CMD_IF_PRESENT: return there;
    case CMD_IF_REVISION: return there && v->index == cmd_number(it);
    default: return there && sim_shows(s, key, v, it->value, it->value_len);
    }
}

static void write(struct version *v, uint64_t index, uint32_t op)
{
    if (v->op == NO_OP)
        v->create = index;
    v->index = index;
    v->op = op;
}

static enum outcome operate(struct version *v, const struct cmd_item *it, uint64_t index,
                            uint32_t op)
{
    int64_t sum = v->op != NO_OP ? v->number : 0;
    switch (it->kind) {
    case CMD_PUT:
        write(v, index, op);
        v->expiry_ms = 0;
        v->holder = (struct holder){0};
        return MACHINE_DONE;
    case CMD_ADD:
        if (__builtin_add_overflow(sum, (int64_t)cmd_number(it), &sum))
            return MACHINE_OVERFLOW;
        write(v, index, op);
        v->number = sum;
        return MACHINE_DONE;
    }
    if (v->op == NO_OP)
        return MACHINE_NO_KEY;
    if (it->kind == CMD_DELETE)
        *v = (struct version){.index = index, .op = NO_OP};
    return MACHINE_DONE;
}

static void all_operations(const struct sim *s, const struct op *o, const struct asked *a,
                           uint64_t index, struct transacted *t)
{
    unsigned skip_to = 0;
    for (unsigned i = 0; i < a->c.operations; i++) {
        const struct cmd_item *it = &a->it[a->c.conditions + i];
        bool counter = it->key == a->counter, guard = it->kind < CMD_PUT;
        struct version *v = counter ? &t->counter : &t->key;
        struct model_told *told = &t->told[i];
        *told = (struct model_told){.outcome = MACHINE_SKIPPED, .now.op = NO_OP};
        if (i < skip_to)
            continue;
        told->expiry_before_ms = v->expiry_ms;
        if (!guard)
            told->outcome = operate(v, it, index, o->first);
        else
            told->outcome = holds(s, counter ? sim_counter_of(s, o) : o->key, v, it)
                                ? MACHINE_DONE
                                : MACHINE_CONDITION;
        told->now = *v;
        told->value = it->kind == CMD_ADD || it->kind == CMD_READ;
        if (told->outcome == MACHINE_OVERFLOW) {
            t->outcome = told->outcome;
            t->at = i;
            return;
        }
        if (told->outcome == MACHINE_CONDITION) {
            skip_to = i + 1 + it->guards;
            t->outcome = MACHINE_SKIPPED;
        } else if (t->outcome == MACHINE_DONE) {
            t->outcome = told->outcome;
        }
    }
}

void sim_transact(const struct sim *s, const struct op *o, uint64_t index, struct transacted *t)
{
    struct asked a;
    sim_asked(s, o->first, &a);
    *t = (struct transacted){.outcome = MACHINE_DONE,
                             .key = at_index(s, o->key, index - 1),
                             .counter = at_index(s, sim_counter_of(s, o), index - 1)};
    if (holds(s, o->key, &t->key, &a.it[0]))
        all_operations(s, o, &a, index, t);
    else
        t->outcome = MACHINE_CONDITION;
    t->n = outcome_is_done(t->outcome) ? a.c.operations : 0;
}

static bool is_told(const struct sim *s, uint32_t key, const struct model_told *is,
                    const struct told *told)
{
    bool there = is->now.op != NO_OP, value = is->value && there;
    return told->outcome == is->outcome && told->modify_revision == (there ? is->now.index : 0) &&
           told->expiry_before_ms == is->expiry_before_ms && (told->value != NULL) == value &&
           (!value || sim_shows(s, key, &is->now, told->value, told->value_len));
}

void sim_check_transaction(struct sim *s, const struct sim_node *m, const struct op *o,
                           const struct results *r)
{
    struct asked a;
    struct transacted t;
    sim_asked(s, o->first, &a);
    sim_transact(s, o, o->committed, &t);
    if (r->outcome != t.outcome || r->at != (r->repeated ? 0 : t.at))
        sim_broken(s, "transaction",
                   "node %u: entry %" PRIu64 " has outcome %d at %u, should be %d at %u", m->at + 1,
                   o->committed, (int)r->outcome, r->at, (int)t.outcome, t.at);
    if (r->n != (r->repeated ? 0 : t.n))
        sim_broken(s, "transaction-told", "node %u: entry %" PRIu64 " tells of %u operations",
                   m->at + 1, o->committed, r->n);
    for (unsigned i = 0; i < r->n; i++)
        if (!is_told(s, a.it[a.c.conditions + i].key == a.counter ? sim_counter_of(s, o) : o->key,
                     &t.told[i], &r->told[i]))
            sim_broken(s, "transaction-told",
                       "node %u: entry %" PRIu64 " tells of operation %u what it did not do",
                       m->at + 1, o->committed, i);
    s->t.transactions++;
    s->t.conditions += t.outcome == MACHINE_CONDITION;
}
