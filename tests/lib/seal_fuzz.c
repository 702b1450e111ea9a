/* seal_fuzz.c: see seal_fuzz.h. */
#include "tests/lib/seal_fuzz.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "net/wire.h"
#include "tests/lib/pair.h"

struct session_keys fuzz_keys(uint64_t id)
{
    return (struct session_keys){.has = {true}, .key = {{1}}, .own = pair_of(id)};
}

void draws_fill(struct draws *d, void *buf, size_t len)
{
    uint8_t seed[randombytes_SEEDBYTES] = {len == 32};
    uint64_t *series = len == 32 ? &d->keys : &d->others;
    ++*series;
    memcpy(seed + 1, series, sizeof *series);
    randombytes_buf_deterministic(buf, len, seed);
}

struct sessions *fuzz_peer(uint16_t id, uint64_t boot, uint64_t now,
                           void (*random)(void *ctx, void *buf, size_t len), void *ctx)
{
    struct session_config sc = {
        .cluster = wire_cluster_id("fuzz"),
        .self = id,
        .boot = boot,
        .voters = wire_voters_digest((const uint16_t[]){1, 2, 3}, 3),
        .random = random,
        .random_ctx = ctx,
    };
    const struct session_keys keys = fuzz_keys(id);
    struct sessions *s = sessions_new(&sc, &keys);
    if (s == NULL || !sessions_add_peer(s, 1, now))
        abort();
    return s;
}
