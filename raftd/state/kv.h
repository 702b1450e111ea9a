/* kv.h: the state machine: keys to values, with the revisions of each key.
 *
 * One thread writes (it applies committed entries in order), any number of threads read. Objects
 * never change once they can be found: a put replaces the whole object, and the old one is freed
 * when all readers have left. A reader therefore sees one key's value and revisions as of one
 * moment. Revisions are log indexes, the same on all nodes:
 *   create_revision  entry that made the key (since its last deletion)
 *   modify_revision  entry that wrote this value
 *
 * Every thread here has called rcu_thread_begin(). Memory refused to the writer ends the process:
 * a state machine that skips a committed entry is no longer the cluster's.
 */
#ifndef RAFTD_KV_H
#define RAFTD_KV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftd/state/cmd.h"
#include "raftd/base/rcu.h"

enum {
    KV_HASH_KEY_BYTES = 16,
    KV_DIGEST_BYTES = 32,
    KV_KEY_BYTES =
        64, /* counted for each key beside its bytes and its value's: about what it costs */
};

struct kv;
struct kv_object;

typedef _Atomic(struct kv_object *) kv_link;

struct kv_object {
    struct rcu_head rcu; /* of kv.c */
    uint64_t create_revision;
    uint64_t modify_revision;
    uint32_t value_len;
    uint16_t key_len;
    uint8_t height;  /* of kv.c */
    kv_link links[]; /* `height` of them, of kv.c; behind them key, value */
};

static inline const uint8_t *kv_key(const struct kv_object *o)
{
    return (const uint8_t *)o + sizeof(*o) + o->height * sizeof(kv_link);
}

static inline const uint8_t *kv_value(const struct kv_object *o)
{
    return kv_key(o) + o->key_len;
}

/* No keys; NULL without memory. hash_key (copied) should be secret and random, so that nobody
 * can choose keys that make it slow; a simulation passes a constant. */
struct kv *kv_new(const uint8_t hash_key[KV_HASH_KEY_BYTES]);

/* Frees everything, at once. No other thread may use kv any more; not in a read-side section. */
void kv_free(struct kv *kv);

enum kv_outcome {
    KV_DONE,
    KV_NO_KEY,    /* delete: there was none */
    KV_FULL,      /* put: the data would grow beyond the command's limit. Nothing was done */
    KV_NO_MEMORY, /* nothing was changed, and no later entry may be applied before this one */
};

/* Applies the command of log entry `index`. But for KV_NO_MEMORY the outcome depends on the
 * entries up to it alone, so it is the same on all nodes, whatever their configurations say. */
enum kv_outcome kv_apply(struct kv *kv, uint64_t index, const struct cmd *c);

/* Whether c, applied now, would be KV_FULL. Of the writer's thread. */
bool kv_is_full_for(struct kv *kv, const struct cmd *c);

/* The object of that key or NULL. Inside a read-side section, valid until it ends. */
const struct kv_object *kv_get(struct kv *kv, const uint8_t *key, size_t len);

/* Which keys: those that start with `prefix` and sort after `after` (after_len 0 = all). */
struct kv_range {
    const uint8_t *prefix;
    size_t prefix_len;
    const uint8_t *after;
    size_t after_len;
};

/* The first object of the range and the one behind another, by key (bytes, shorter first), each key
 * once; NULL: there is none. Inside a read-side section, valid until it ends.
 *
 * Every key is as of some moment during the section; all together are not of one moment when writes
 * are applied meanwhile. A step costs the same however many keys there are. */
const struct kv_object *kv_first(struct kv *kv, const struct kv_range *range);
const struct kv_object *kv_next(const struct kv_object *o, const struct kv_range *range);

/* Number of keys, and of bytes as they count against the limit; from any thread. */
uint64_t kv_count(const struct kv *kv);
uint64_t kv_bytes(const struct kv *kv);

/* Hash over all keys in order with values and revisions (not the hash key): two nodes that applied
 * the same entries have equal digests. Of the writer's thread or while nothing is applied. */
void kv_digest(struct kv *kv, uint8_t out[KV_DIGEST_BYTES]);

#endif
