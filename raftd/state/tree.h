/* tree.h: an ordered map from keys to objects, of which nothing changes once it is published.
 *
 * A B-tree whose nodes hold pointers to objects, sorted by key (bytes, the shorter first). One thread
 * writes. What it made since it last published (its batch) it edits in place, for nobody else can reach
 * it yet. Of everything older it makes a copy first, from the root down to what it changes. So who got a
 * root before sees the map as it was then, for as long as its memory is kept.
 *
 * Every step that needs memory gets it before it changes anything, and a copy holds what the original
 * does: when memory is refused in the middle, the map's contents are what they were.
 */
#ifndef RAFTD_TREE_H
#define RAFTD_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /* A copy of a path costs a malloc() and some hundred bytes per level: with fewer keys a node there are
     * more levels, with more keys larger copies. */
    TREE_KEYS_MIN = 15, /* in a node that is not the root */
    TREE_KEYS_MAX = 2 * TREE_KEYS_MIN + 1,
    TREE_HEIGHT_MAX = 14, /* 16^14 keys: more than memory holds */
};

/* What is at the head of all that is made by malloc() and published. */
struct tree_block {
    union {
        uint64_t batch;          /* in which it was made, while the writer's map holds it */
        struct tree_block *next; /* afterwards: of a list of what is to be freed */
    };
};

/* Whether a change of the history (history.h) names an object. If so, the object stays. */
enum tree_told {
    TREE_UNTOLD,
    TREE_TOLD,      /* and the map has it */
    TREE_TOLD_GONE, /* and the map does not have it any more ... */
    TREE_TOLD_KEPT, /* ... but the image that was open then has it */
};

/* One key as it is, or was. */
struct kv_object {
    struct tree_block block;
    uint64_t
        create_revision; /* index of the log entry that made the key, after its last deletion */
    uint64_t modify_revision; /* index of the log entry that wrote this object */
    uint32_t value_len;
    uint16_t key_len;
    uint8_t lead_len; /* bytes before the key, see kv.h */
    uint8_t told;     /* enum tree_told; only the writer looks at it */
    uint8_t bytes[];  /* the lead, the key, the value */
};

static inline const uint8_t *kv_key(const struct kv_object *o)
{
    return o->bytes + o->lead_len;
}

static inline const uint8_t *kv_value(const struct kv_object *o)
{
    return o->bytes + o->lead_len + o->key_len;
}

/* For tree.c and its unit test alone. */
struct tree_node {
    struct tree_block block;
    uint16_t n; /* keys */
    bool leaf;
    /* All keys share their first `skip` bytes; `head` has the next four of each, zeros behind its end, as
     * a number. So most comparisons need not look at an object, which costs a cache line each. */
    uint16_t skip;
    uint32_t head[TREE_KEYS_MAX];
    struct kv_object *key[TREE_KEYS_MAX];
    struct tree_node *child[]; /* n + 1 of them; none in a leaf */
};

/* What is needed no more goes to one of two lists, unless nobody else has seen it: that is freed at once. */
struct tree_memory {
    uint64_t batch;             /* the present one, from 1 */
    uint64_t frozen;            /* what was made in this batch or before is kept; 0 = nothing is */
    struct tree_block *garbage; /* to be freed when all readers have left */
    struct tree_block *kept;    /* to be freed later than that ... */
    uint64_t kept_bytes;        /* ... and how much it is */
    uint64_t retired;           /* blocks that went to either list */
};

/* Puts an object that a map does not hold any more on a list, or frees it. If a change names it, that is left
 * to tree_untell(). */
void tree_retire(struct tree_memory *m, struct kv_object *o);

/* No change names the object any more. */
void tree_untell(struct tree_memory *m, struct kv_object *o);

/* Likewise puts anything else away that was made in block->batch, and that no image needs. */
void tree_retire_block(struct tree_memory *m, struct tree_block *block);

/* Frees the first blocks of a list, at most n; returns how many more might have been freed. */
size_t tree_free(struct tree_block **list, size_t n);

/* All functions: root NULL = no keys. */

/* The object of that key, or NULL. */
struct kv_object *tree_find(const struct tree_node *root, const uint8_t *key, size_t len);

/* Puts o, made in this batch, in the place of *old, the object of the same key, which is the caller's to
 * retire, or NULL when there is none. False: no memory, o is still the caller's. */
bool tree_put(struct tree_memory *m, struct tree_node **root, struct kv_object *o,
              struct kv_object **old);

/* Takes out the object of a key that is there, and retires it. False: no memory. */
bool tree_delete(struct tree_memory *m, struct tree_node **root, const uint8_t *key, size_t len);

/* Retires all. */
void tree_clear(struct tree_memory *m, struct tree_node **root);

/* The same for whole maps that nobody looks at any more: a list of their roots. A node is freed together with
 * all its keys. */
size_t tree_free_maps(struct tree_node **roots, size_t n);

/* A place between two keys. */
struct tree_cursor {
    unsigned height; /* used of path */
    struct {
        const struct tree_node *node;
        unsigned at; /* the next key of this node; its children before it have been passed */
    } path[TREE_HEIGHT_MAX];
};

/* Before the first object whose key is not smaller. */
void tree_seek(const struct tree_node *root, const uint8_t *key, size_t len, struct tree_cursor *c);

/* The object behind the cursor, which passes it; NULL at the end. */
const struct kv_object *tree_next(struct tree_cursor *c);

/* As memcmp(), of two keys. */
int tree_compare(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len);

#endif
