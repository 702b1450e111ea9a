/* kv.h: the keys and values of the cluster, in order, as of one log index at a time.
 *
 * One thread writes: it applies the committed entries in order, and publishes what came of a batch of
 * them as one view. Nobody else sees anything before. Any number of threads read views, without locks;
 * a view and all that it holds never change, and are freed when all readers have left and, if an image
 * of it is open, when that is closed. A view also has the newest changes (history.h): those of entries up
 * to its index.
 *
 * Every thread here has called rcu_thread_begin(). Memory refused to the writer ends the process: a state
 * machine that skips a committed entry is no longer the cluster's.
 */
#ifndef RAFTD_KV_H
#define RAFTD_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftd/base/rcu.h"
#include "raftd/state/history.h"
#include "raftd/state/outcomes.h"
#include "raftd/state/tree.h"

enum {
    /* Counted for each key beside its bytes and its value's: about what it costs. The head of the object is
     * 32 bytes, its place in a node 13 (full) to 27 (half full), what malloc() adds about 12. Not
     * counted are some 40 bytes more for a key that has an expiry. Nor is what is replaced while an image is
     * open: at most as much again. */
    KV_KEY_BYTES = 64,
};

struct kv;

/* ---- the writer ------------------------------------------------------------------------------ */

/* No keys, published as of index 0; NULL without memory. */
struct kv *kv_new(void);

/* Frees everything, at once. No other thread may use kv any more, no image is open; not in a read-side
 * section. */
void kv_free(struct kv *kv);

enum kv_outcome {
    KV_DONE,
    KV_NO_KEY,    /* delete: there was none */
    KV_NO_MEMORY, /* nothing was changed, and no later entry may be applied before this one */
};

/* What a put stores, in the place of all that the key had. */
struct kv_content {
    const uint8_t *key;
    const uint8_t *value;
    uint16_t key_len;
    uint32_t value_len;
    uint64_t create_revision, modify_revision;
    uint64_t expiry_ms; /* cluster time at which the key ends; 0 = never */
    uint64_t holder;    /* number of whom the key belongs to; 0 = nobody */
};

/* The object of a key as it is for the writer, or NULL. Valid until the key is changed or something is
 * published. */
const struct kv_object *kv_find(const struct kv *kv, const uint8_t *key, size_t len);

/* Content and key may be of the object that they replace or delete. KV_DONE or KV_NO_MEMORY; kv_delete() also
 * KV_NO_KEY. */
enum kv_outcome kv_put(struct kv *kv, const struct kv_content *c);
enum kv_outcome kv_delete(struct kv *kv, const uint8_t *key, size_t len);

/* Of the keys as they are for the writer, the one whose expiry comes first (of several, the first by key), as
 * kv_find(). NULL: none has an expiry. */
const struct kv_object *kv_first_due(const struct kv *kv);

/* How many of them have an expiry up to that cluster time, but no more than `most`. */
size_t kv_count_due(const struct kv *kv, uint64_t until_ms, size_t most);

/* Adds to the history what entry `index` has just made of a key: it was put, by the last kv_put(), or was
 * deleted or expired. Once per entry and key. `operations`: see history.h. False: no memory. */
bool kv_tell(struct kv *kv, uint64_t index, enum history_kind kind, uint32_t operations,
             const uint8_t *key, size_t len);

/* Deletes all keys, and the history; the next index and cluster time may be any. */
void kv_clear(struct kv *kv);

struct kv_view;

/* Number of keys, and of bytes as they count against the limit. */
uint64_t kv_count(const struct kv *kv);
uint64_t kv_bytes(const struct kv *kv);

/* All that is written, also what is not published yet, as a view for the writer alone: valid until it writes
 * or publishes something. Its index and time are those of what is published. */
struct kv_view kv_draft(const struct kv *kv);

/* What a key counts. */
uint64_t kv_cost(size_t key_len, size_t value_len);

/* What is published next has these outcomes. */
void kv_set_outcomes(struct kv *kv, const struct outcomes_view *outcomes);

/* Publishes all that was written in one step, as of this index and cluster time, which never fall. False: no
 * memory, and nothing is published yet. */
bool kv_publish(struct kv *kv, uint64_t index, uint64_t cluster_ms);

/* Nothing is written that is not published, too. */
bool kv_all_published(const struct kv *kv);

/* Publishes all that was written to `by` in one step, in place of all that is in kv, with an empty history.
 * Before, nothing of `by` was published or told, and all of kv was published. The index and cluster time may
 * be any. Needs no memory; frees `by`. */
void kv_replace(struct kv *kv, struct kv *by, uint64_t index, uint64_t cluster_ms);

/* Frees `other`, of which nothing was published: what is in it goes as kv_tidy() comes to it. */
void kv_discard(struct kv *kv, struct kv *other);

/* Frees a part of what nobody looks at any more. It is more than the writer has replaced since the last call,
 * so the rest shrinks. Each publication does so, too. True: there is more to free. */
bool kv_tidy(struct kv *kv);

/* ---- readers --------------------------------------------------------------------------------- */

struct kv_view {
    const struct tree_node *root; /* of kv.c */
    uint64_t index;               /* of the last log entry in it */
    uint64_t cluster_ms;          /* as that entry has it */
    uint64_t count, bytes;        /* as kv_count(), kv_bytes() */
    uint64_t expiring;            /* keys that have an expiry */
    /* The sums of both halves of all objects' hashes, so the order of writes does not matter. If a fault, as
     * of memory, makes two nodes differ at one index, their sums differ, but for one chance in 2^128. It is
     * no proof against somebody who chooses keys and values. */
    uint64_t digest[2];
    struct history_view history;   /* of an image: not to be used */
    struct outcomes_view outcomes; /* of requests with tokens, as of the same index */
};

/* The newest one. In a read-side section; it is valid until that ends. */
const struct kv_view *kv_view(const struct kv *kv);

/* The object of that key or NULL; valid as long as the view. */
const struct kv_object *kv_get(const struct kv_view *v, const uint8_t *key, size_t len);

uint64_t kv_expiry_ms(const struct kv_object *o);
uint64_t kv_holder(const struct kv_object *o);

/* Which keys: those that start with `prefix` and sort after `after` (after_len 0 = all). */
struct kv_range {
    const uint8_t *prefix;
    size_t prefix_len;
    const uint8_t *after;
    size_t after_len;
};

struct kv_cursor {
    struct kv_range range;
    struct tree_cursor at;
};

/* The first object of the range, and the next one; by key (bytes, shorter first); NULL: there is none. A
 * step costs the same however many keys there are. The bytes that `range` points to must stay. */
const struct kv_object *kv_first(const struct kv_view *v, const struct kv_range *range,
                                 struct kv_cursor *c);
const struct kv_object *kv_next(struct kv_cursor *c);

/* ---- images ---------------------------------------------------------------------------------- */

struct kv_image;

/* Keeps what is published until kv_thaw(), at the cost of nothing but the memory of what is replaced
 * meanwhile: at most as much as the state takes now. By the writer, when all that it wrote is published.
 * NULL: one is open already, or no memory. */
struct kv_image *kv_freeze(struct kv *kv);

/* How much was replaced since then, bytes: 0 when no image is open. By the writer. */
uint64_t kv_kept_bytes(const struct kv *kv);

/* For any thread, in a read-side section or not, until kv_thaw(). */
const struct kv_view *kv_image_view(const struct kv_image *image);

/* By the writer, when nobody looks at the image any more and all that it wrote is published. */
void kv_thaw(struct kv *kv, struct kv_image *image);

#endif
