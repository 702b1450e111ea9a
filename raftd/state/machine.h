/* machine.h: the state machine. It applies committed entries, one by one, in order.
 *
 * What it does depends on the entries alone, so it is the same on all nodes, whatever their
 * configurations and clocks say. The state is the keys (kv.h), and what became of the newest commands of each
 * origin (origins.h) and of the newest requests with tokens (outcomes.h). By these, a command that comes
 * again is not applied again.
 *
 * A command is a transaction (cmd.h). Its conditions and operations are looked at in order, each on the
 * state as the operations before it leave it. If a condition does not hold or an operation can't be done,
 * nothing is changed. The revision of every key that it changes becomes the entry's index.
 *
 *   put      stores the value; the key then has no expiry, or with CMD_PUT_KEEP its own
 *   delete   takes the key away; that there is none is no failure, but is told (MACHINE_NO_KEY)
 *   add      MACHINE_NOT_NUMBER if the value is not a decimal number as add itself writes it,
 *            MACHINE_OVERFLOW if the sum is not between INT64_MIN and INT64_MAX; keeps the expiry
 *   expire   sets or clears the expiry; without the key as delete
 *   read     tells the value; without the key as delete
 *   put held as put; MACHINE_LOCKS_FULL. The key goes with the holder, until it is put, deleted or put held
 *            again by anybody
 *   lock     MACHINE_DONE or MACHINE_WAITS, MACHINE_TAKEN, MACHINE_LOCKS_FULL; see holders_take()
 *   unlock   MACHINE_NOT_HELD; see holders_give()
 *   free     ends the claims of a process or a connection, and the keys among them: HOLDERS_FREE_MAX at
 *            most, so whoever wants them all to end looks what is left
 *
 * A guard that does not hold is no failure: the operations that it guards, also guards, are skipped.
 *
 * The limit of all data (of the entry, see cmd.h) is compared with what the whole transaction leaves.
 * What shrinks the data or leaves their size as it is always passes, also beyond the limit.
 *
 * Cluster time: milliseconds of the leaders' clocks, stamped into entries. It never falls. A key is there
 * until an entry takes it away, whatever its expiry says: what ends it is CMD_END_DUE, which looks at the
 * cluster time of its own entry.
 *
 * All calls are made by one thread. Memory refused ends the process: a state machine that skips a
 * committed entry is no longer the cluster's.
 */
#ifndef RAFTD_MACHINE_H
#define RAFTD_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MACHINE_DIGEST_BYTES = 16,
    /* Of values that one command may read: half of what all writes of a node may take. A small command could
     * else make its node copy 128 of the largest values at once. */
    MACHINE_TELL_MAX_BYTES = 4 << 20,
    MACHINE_ENDS_MAX =
        256, /* keys that one CMD_END_DUE ends: the loop waits a millisecond for it */
};

struct image;
struct image_load;
struct kv;
struct machine;

/* What became of a command, or of one operation. The numbers are in the state: they never change. */
enum outcome {
    MACHINE_DONE = 1,
    MACHINE_NO_KEY = 2, /* done, but for an operation that found no key */
    MACHINE_SKIPPED =
        10, /* done, but for operations whose guard does not hold; some may lack keys, too */
    MACHINE_WAITS = 16, /* lock: done, by a place in its queue: another one holds it */
    /* Nothing was changed: */
    MACHINE_CONDITION = 3,  /* a condition does not hold */
    MACHINE_FULL = 4,       /* the data would grow beyond the limit */
    MACHINE_NOT_NUMBER = 5, /* add: the value is no number */
    MACHINE_OVERFLOW = 6,   /* add: the sum has no room */
    MACHINE_TOO_MUCH = 12,  /* it would tell values of more than MACHINE_TELL_MAX_BYTES */
    MACHINE_TAKEN = 17, /* lock: another one holds it, and the caller wants no place in its queue */
    MACHINE_NOT_HELD = 18,   /* unlock: the caller has no such fence, or place */
    MACHINE_LOCKS_FULL = 19, /* there is no room for more claims (holders.h), or in this queue */
    /* Nor was anything decided. A copy of the command may have been applied, or not: */
    MACHINE_ENDED = 7,     /* its process is not the current one of its origin */
    MACHINE_CANT_TELL = 8, /* it is too old for its window */
    MACHINE_TOO_OLD =
        11, /* its token is, so a request with that one may have been done (outcomes.h) */
    /* 9 was given to what is never refused now, and is not used again. */
};

struct applied {
    enum outcome outcome;
    bool repeated;     /* nothing was done now: the outcome is that of the first copy ... */
    uint64_t revision; /* ... and so is this, the index of its entry */
    unsigned at;       /* which condition, or which operation, failed, each counted from 0; of a
                          repeated one it is not known: 0 */
    uint16_t origin;   /* who sent it; 0: it is housekeeping (cmd.h) */
    unsigned ended;    /* keys that were due, and claims that were freed */
    uint64_t process, predecessor, number;
};

/* Whether a command with this outcome was done. Of none it is known whether an earlier copy was. */
static inline bool outcome_is_done(enum outcome outcome)
{
    return outcome == MACHINE_DONE || outcome == MACHINE_NO_KEY || outcome == MACHINE_SKIPPED ||
           outcome == MACHINE_WAITS;
}

/* What one operation did. */
struct told {
    /* MACHINE_DONE, MACHINE_NO_KEY or MACHINE_SKIPPED; of a guard that does not hold MACHINE_CONDITION */
    enum outcome outcome;
    uint64_t modify_revision;  /* of the key after it; 0: there is none */
    uint64_t expiry_before_ms; /* of the key before it, as cluster time; 0: none, or no key */
    const uint8_t *value;      /* read, add: the value, else NULL; valid during the call */
    uint32_t value_len;
};

/* Whom to tell what the operations did: one for each, guards included, in order; before any key is changed,
 * and only if all of it is going to be done. */
struct machine_listener {
    void (*hear)(void *ctx, const struct applied *a, const struct told *told, unsigned n);
    void *ctx;
};

/* A machine on an empty kv, which stays the caller's. NULL without memory. */
struct machine *machine_new(struct kv *kv);
void machine_free(struct machine *m);

/* Applies the command of entry `index`, which is well-formed. listener: NULL if nobody wants to know.
 * False: no memory; no later entry may be applied. */
bool machine_apply(struct machine *m, uint64_t index, uint64_t cluster_ms, const uint8_t *cmd,
                   size_t len, const struct machine_listener *listener, struct applied *applied);

/* Entry `index` has no command. */
void machine_pass(struct machine *m, uint64_t index, uint64_t cluster_ms);

/* Publishes all that was applied. False: no memory. */
bool machine_publish(struct machine *m);

/* Who holds what (holders.h). Its newest view is at least as new as that of the keys. */
const struct kv *machine_claims(const struct machine *m);

/* Index of the last entry applied; the cluster time as of it. */
uint64_t machine_applied(const struct machine *m);
uint64_t machine_cluster_ms(const struct machine *m);

/* The earliest expiry of all keys, cluster time; UINT64_MAX: none has one. */
uint64_t machine_next_expiry(const struct machine *m);

/* How many keys have an expiry up to that cluster time, but no more than `most`. */
size_t machine_count_due(const struct machine *m, uint64_t until_ms, size_t most);

/* A well-formed command, applied now, would be MACHINE_FULL. If it has a token, that says nothing of copies
 * that may be under way elsewhere. */
bool machine_is_full_for(struct machine *m, const uint8_t *cmd, size_t len, uint16_t limit);

/* Keeps the state as it is now, all of it published, until machine_thaw(): see image.h. NULL: there is an
 * open one, or no memory. */
struct image *machine_freeze(struct machine *m);
void machine_thaw(struct machine *m, struct image *image);

/* How many replaced bytes an open image keeps in memory. Beyond the second number it should be given up. */
uint64_t machine_kept_bytes(const struct machine *m);
uint64_t machine_kept_max_bytes(const struct machine *m);

/* A load that is done, of that index and cluster time, becomes the state, and readers see it in one step;
 * frees the load. All of the state before is published. An open image stays as it is. */
void machine_replace(struct machine *m, struct image_load *load, uint64_t index,
                     uint64_t cluster_ms);

/* Frees a load that is done, and of no use. */
void machine_discard(struct machine *m, struct image_load *load);

/* As kv_tidy(): frees a part of what was replaced, discarded or in an image. True: there is more. */
bool machine_tidy(struct machine *m);

/* A digest of the whole state as of the last entry applied, which follows every change. If two nodes differ
 * in it at one index, one is broken. */
void machine_digest(const struct machine *m, uint8_t out[MACHINE_DIGEST_BYTES]);

/* For an origin: its current process, 0 if none; and what became of a command of it that has been
 * applied, if that is still known (as of a repeated one). */
uint64_t machine_process(const struct machine *m, uint16_t origin);
bool machine_look_up(const struct machine *m, uint16_t origin, uint64_t process, uint64_t number,
                     struct applied *applied);

#endif
