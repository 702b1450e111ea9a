/* tally.c: see tally.h. */
#include "raftd/serve/tally.h"

#include <assert.h>

#include "raftd/serve/commands.h"
#include "raftd/serve/shared.h"

void tally_call(struct tally *t, const struct command *c, unsigned number)
{
    if (c == NULL) {
        tally_add(&t->others);
        return;
    }
    assert(number < TALLY_CALLS_MAX);
    tally_add(c->kind == COMMAND_READ    ? &t->reads
              : c->kind == COMMAND_WRITE ? &t->writes
                                         : &t->others);
    tally_add(&t->calls[number].n);
    atomic_store_explicit(&t->calls[number].name, c->name, memory_order_release);
}

struct tally_sum tally_sum(const struct shared *s)
{
    struct tally_sum sum = {
        .clients = atomic_load_explicit(&s->users.used[USERS_CONNS], memory_order_relaxed)};
    for (unsigned i = 0; i < s->n_readers; i++) {
        const struct tally *t = &s->readers[i].tally;
        sum.connections += atomic_load_explicit(&t->connections, memory_order_relaxed);
        sum.refused += atomic_load_explicit(&t->refused, memory_order_relaxed);
        sum.reads += atomic_load_explicit(&t->reads, memory_order_relaxed);
        sum.writes += atomic_load_explicit(&t->writes, memory_order_relaxed);
        sum.commands += atomic_load_explicit(&t->others, memory_order_relaxed);
        sum.blocked += atomic_load_explicit(&t->blocked, memory_order_relaxed);
    }
    sum.commands += sum.reads + sum.writes;
    return sum;
}

const char *tally_calls(const struct shared *s, unsigned number, uint64_t *n)
{
    const char *name = NULL;
    *n = 0;
    for (unsigned i = 0; i < s->n_readers; i++) {
        const struct tally *t = &s->readers[i].tally;
        const char *here = atomic_load_explicit(&t->calls[number].name, memory_order_acquire);
        name = here != NULL ? here : name;
        *n += atomic_load_explicit(&t->calls[number].n, memory_order_relaxed);
    }
    return name;
}
