/* holders.h: who holds a lock, who waits for it, and which keys go when their holder goes.
 *
 * A holder is one connection of a client to its node. Whatever it has it has by a claim: a place in the
 * queue for a lock, or a key. The first place in a queue is the lock: who has it holds the lock. Its fence is
 * the index of the log entry by which it became the first, so it grows from holder to holder. A claim is
 * written when it is made and when it ends, and not while it lasts.
 *
 * The claims are the objects of a kv of their own (kv.h), so they are published, frozen and freed as the
 * keys are. The keys of that kv are rows of bytes, numbers in them big-endian, so that they sort:
 *
 *   1, u16 length of the name, the name, u64 place     a place in the queue for a lock
 *        create revision: the place, which is the index of the entry that made it
 *        modify revision: the fence of the first one; of others the place
 *        value: the holder, the holder's word
 *   2, u16 length of the key, the key                  a key that goes with its holder
 *        create and modify revision: index of the entry that gave it to the holder
 *        value: the holder
 *   3, the holder, 1 or 2, the name or the key         the same claims by holder
 *        create and modify revision: the claim's create revision; no value
 *
 * A holder is u16 origin, u64 process, u64 connection.
 *
 * Writers: true; false: no memory, and no later entry may be applied. Readers look at a view: a published
 * one, or the writer's own (kv_draft()).
 */
#ifndef RAFTD_HOLDERS_H
#define RAFTD_HOLDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftd/state/machine.h"

enum {
    /* In the queue for one lock: whoever comes has them counted. */
    HOLDERS_WAITERS_MAX = 1024,
    /* Of all claims, as kv_bytes() counts: some 30 000, in the memory of every node. */
    HOLDERS_MAX_BYTES = 8 << 20,
    /* Claims that end by one entry: the loop waits for it, some milliseconds on a small board. */
    HOLDERS_FREE_MAX = 1024,
    HOLDERS_ROW_MAX_BYTES = 1 + 18 + 1 + 256, /* a row of the third kind */
};

struct kv;
struct kv_content;
struct kv_view;

struct holder {
    uint16_t origin;     /* the member that the client is connected to, */
    uint64_t process;    /* its process, */
    uint64_t connection; /* and the connection, by a number that the process uses once */
};

enum claim_kind {
    CLAIM_LOCK = 1,
    CLAIM_KEY = 2,
};

/* A claim as it is in a view. The bytes are borrowed from that. */
struct claim {
    enum claim_kind kind;
    uint16_t name_len;
    const uint8_t *name; /* of the lock, or the key */
    struct holder holder;
    const uint8_t *word; /* of a lock's: what the holder says about itself */
    uint32_t word_len;
    uint64_t place; /* index of the entry that made it */
    uint64_t fence; /* of who holds the lock: index of the entry by which it got it */
};

/* ---- looking ----------------------------------------------------------------------------------- */

/* Who holds a lock. False: nobody. */
bool holders_lock(const struct kv_view *v, const uint8_t *name, size_t len, struct claim *c);

/* How many have a place in the queue for a lock, who holds it included: at most HOLDERS_WAITERS_MAX + 1. */
unsigned holders_queue(const struct kv_view *v, const uint8_t *name, size_t len);

/* What a holder has of a lock: *before says how many places are before its own; 0: it holds it. False: it
 * has no place. */
bool holders_place(const struct kv_view *v, const struct holder *h, const uint8_t *name, size_t len,
                   struct claim *c, unsigned *before);

/* Some claim of a process, or of one connection of it. False: there is none. */
bool holders_of_process(const struct kv_view *v, uint16_t origin, uint64_t process,
                        struct claim *c);
bool holders_of_connection(const struct kv_view *v, const struct holder *h, struct claim *c);

/* The first process that has a claim, by origin and number, after the given one, which it replaces. Begin
 * with 0 and 0. The other looks at the connections of one process, beginning with 0. False: no more. */
bool holders_next_process(const struct kv_view *v, uint16_t *origin, uint64_t *process);
bool holders_next_connection(const struct kv_view *v, struct holder *h);

/* How many claims a process has; not more than `most` are counted. */
unsigned holders_count(const struct kv_view *v, uint16_t origin, uint64_t process, unsigned most);

/* ---- writing ----------------------------------------------------------------------------------- */

/* A holder wants a lock. */
struct lock_wish {
    struct holder holder;
    const uint8_t *name, *word;
    uint16_t name_len;
    uint32_t word_len;
    bool tries; /* it wants no place in the queue */
};

/* By entry `index`. Who has a place already keeps it, and its word. *outcome: MACHINE_DONE: the holder has
 * the lock, *number is the fence; MACHINE_WAITS: *number is how many are before it; MACHINE_TAKEN,
 * MACHINE_LOCKS_FULL: nothing was changed. */
bool holders_take(struct kv *claims, const struct lock_wish *w, uint64_t index,
                  enum outcome *outcome, uint64_t *number);

/* A holder gives a lock back, or its place in the queue. fence: it holds the lock with exactly this; 0: it
 * wants to have nothing of it any more. MACHINE_DONE or MACHINE_NOT_HELD. */
bool holders_give(struct kv *claims, const struct holder *h, const uint8_t *name, size_t len,
                  uint64_t fence, uint64_t index, enum outcome *outcome);

/* There is room for so many claims on keys more. */
bool holders_have_room(const struct kv *claims, unsigned keys);

/* A key goes with that holder from now on, or with nobody. */
bool holders_keep_key(struct kv *claims, const struct holder *h, const uint8_t *key, size_t len,
                      uint64_t index);
bool holders_drop_key(struct kv *claims, const uint8_t *key, size_t len);

/* Ends a claim that was found in kv_draft(claims); what it borrows is gone then. The key of a claim on one
 * is the caller's to delete. */
bool holders_end(struct kv *claims, const struct claim *c, uint64_t index);

/* ---- images ------------------------------------------------------------------------------------ */

/* An object belongs into an image: the rest follows from those. */
bool holders_in_image(const uint8_t *row, size_t len);

/* Puts the next object of an image, with what follows from it, to claims. Their order is checked already.
 * 0; -EBADMSG: it is no claim, or none that can follow those before; -ENOMEM. *c: the claim, which borrows
 * from `o`. */
int holders_load(struct kv *claims, const struct kv_content *o, struct claim *c);

#endif
