/* seal_fuzz.h: keys and peers for fuzz targets that drive a sealed node: node 1 of 3 in cluster "fuzz". */
#ifndef TESTS_SEAL_FUZZ_H
#define TESTS_SEAL_FUZZ_H

#include "net/seal/session.h"

/* How many random numbers were drawn: the same in each run. */
struct draws {
    uint64_t keys, others;
};

/* Of node `id`. */
struct session_keys fuzz_keys(uint64_t id);

/* Keys (32 bytes) have a series of their own: they are few, and seal_recall.c knows them. */
void draws_fill(struct draws *d, void *buf, size_t len);

/* Node `id`, 2 or 3, as another process with these keys; aborts without memory. random as in struct
 * session_config. */
struct sessions *fuzz_peer(uint16_t id, uint64_t boot, uint64_t now,
                           void (*random)(void *ctx, void *buf, size_t len), void *ctx);

#endif
