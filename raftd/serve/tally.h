/* tally.h: what clients have asked for since the start. Each reader counts for itself, so that nobody waits
 * for others; who asks adds up. */
#ifndef RAFTD_TALLY_H
#define RAFTD_TALLY_H

#include <stdatomic.h>
#include <stdint.h>

struct command;
struct shared;

enum { TALLY_CALLS_MAX = 128 }; /* more than there are commands; tally_call() checks it */

/* Written by one thread, read by all. */
struct tally {
    _Atomic uint64_t connections, refused; /* that came, and of these, that were over the limit */
    _Atomic uint64_t reads, writes,
        others;               /* commands that were taken; errors are among the others */
    _Atomic unsigned blocked; /* commands that wait for a lock now */
    struct {
        const char *_Atomic name; /* NULL: it was never asked for */
        _Atomic uint64_t n;
    } calls[TALLY_CALLS_MAX]; /* by command_number() */
};

struct tally_sum {
    uint64_t connections, refused, reads, writes, commands; /* since the start */
    uint64_t clients, blocked;                              /* now */
};

/* One more. Only one thread writes, so it need not be one step. */
static inline void tally_add(_Atomic uint64_t *n)
{
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* A command was taken, with the number of command_number(); NULL: there is no such command. */
void tally_call(struct tally *t, const struct command *command, unsigned number);

/* Those of all readers. */
struct tally_sum tally_sum(const struct shared *s);
/* How often command `number` was asked for, and its name; NULL: never. */
const char *tally_calls(const struct shared *s, unsigned number, uint64_t *n);

#endif
