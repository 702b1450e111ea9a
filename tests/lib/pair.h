/* pair.h: key pairs of data directories, named by a number. */
#ifndef PAIR_H
#define PAIR_H

#include <sodium.h>
#include <stdlib.h>

#include "net/seal/noise.h"
#include "raftd/base/bytes.h"

static inline struct noise_pair pair_of(uint64_t number)
{
    struct noise_pair pair = {.secret = {0x40}};
    put_u64(pair.secret + 1, number);
    if (crypto_scalarmult_base(pair.key, pair.secret) != 0)
        abort();
    return pair;
}

#endif
