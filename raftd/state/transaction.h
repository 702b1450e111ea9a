/* transaction.h: one command worked out beside the state: what each key that it touches is going to be.
 *
 * Only when all of it is known to be possible, the keys that change are written, once each. The rules are
 * those of machine.h.
 */
#ifndef RAFTD_TRANSACTION_H
#define RAFTD_TRANSACTION_H

#include "raftd/state/cmd.h"
#include "raftd/state/holders.h"
#include "raftd/state/kv.h"
#include "raftd/state/machine.h"

enum { TRANSACTION_DIGITS_MAX = 20 }; /* of INT64_MIN, with its sign */

/* A key as the operations so far leave it. The bytes are borrowed from the command or from the state. */
struct change {
    struct kv_content now;
    bool exists;         /* with `now` */
    bool written;        /* it differs from what is in the state ... */
    uint64_t before;     /* ... where it counts so many bytes; 0: it is not there */
    uint32_t operations; /* those on it, as the history has them */
    bool held;           /* in the state it goes with a holder ... */
    bool given;          /* ... and now with the command's */
};

/* 30 KiB: whoever has one clears it once, not for each command. */
struct transaction {
    const struct kv *kv, *claims;
    struct holder holder; /* who gives the command, if it has a connection */
    uint64_t index, cluster_ms;
    uint64_t tells_bytes; /* of values read */
    unsigned n;
    struct change changes[CMD_OPERATIONS_MAX]; /* of different keys */
    struct told told[CMD_OPERATIONS_MAX];
    uint8_t digits[CMD_OPERATIONS_MAX][TRANSACTION_DIGITS_MAX]; /* of sums */
};

/* Works out what the command does as entry `index`. Nothing is changed. If it can't be done, *failed says
 * which condition or operation is why, else it is 0. What is told stays valid until the state is changed. */
enum outcome transaction_work_out(struct transaction *t, const struct kv *kv,
                                  const struct kv *claims, const struct cmd *c, uint64_t index,
                                  uint64_t cluster_ms, unsigned *failed);

/* Writes what was worked out, and is to be done. False: no memory. */
bool transaction_carry_out(const struct transaction *t, struct kv *kv, struct kv *claims);

#endif
