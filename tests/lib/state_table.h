/* state_table.h: the hash table that once held the keys, for benchmarks of what holds them now: liburcu's
 * lock-free table of objects, each freed by a call_rcu() of its own. A list looks at all keys and sorts. */
#ifndef RAFTD_TESTS_STATE_TABLE_H
#define RAFTD_TESTS_STATE_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <urcu/rculfhash.h>

#include "raftd/base/rcu.h"

struct table_object {
    struct cds_lfht_node node;
    struct rcu_head rcu;
    uint64_t create_revision;
    uint64_t modify_revision;
    uint32_t value_len;
    uint16_t key_len;
    uint8_t bytes[]; /* key, value */
};

/* Large enough for n keys: its resizing need not be waited for. */
struct cds_lfht *table_new(unsigned long n);
void table_free(struct cds_lfht *t);
void table_put(struct cds_lfht *t, uint64_t index, const void *key, size_t key_len,
               const void *value, size_t value_len);

/* In a read-side section. */
const struct table_object *table_get(struct cds_lfht *t, const void *key, size_t len);

/* All that start with prefix, in order; *list is the caller's to free. Returns how many. */
size_t table_list(struct cds_lfht *t, const void *prefix, size_t len,
                  const struct table_object ***list);

#endif
