/* keeper.h: what a leader does to the state by itself, without a client: its duties.
 *
 * A duty is looked at when it is due, by a leader that has applied an entry of its own term, and so all that
 * was committed before. It is done by commands in the log (housekeeping, cmd.h). What is due at one time goes
 * there together, up to KEEPER_BATCH_MAX commands of a duty, and then nothing more of that duty before they
 * are applied. A command that is lost with its leader is not missed: what it was to do is still due, and the
 * next leader sees that.
 */
#ifndef RAFTD_KEEPER_H
#define RAFTD_KEEPER_H

#include "raftd/node/replica.h"
#include "raftd/state/machine.h"

enum {
    KEEPER_DUTIES_MAX = 4,
    KEEPER_CMD_BYTES_MAX = 256, /* of a command of housekeeping */
    KEEPER_BATCH_MAX = 8, /* more than there are other nodes; a duty may look at much for each */
    /* When a command is made anew that the log did not take: it is full, or the leader hands over. */
    KEEPER_RETRY_US = 100000,
};

struct keeper_duty {
    /* When there is something to do, CLOCK_BOOTTIME; NEVER: nothing is known of. */
    uint64_t (*due)(void *ctx, uint64_t now);
    /* Writes the command for what is due now, and is not done by the `before` ones that it has written for
     * this `now`; returns how many bytes it has. 0: there is no more, and not of the first one. */
    size_t (*fill)(void *ctx, uint64_t now, unsigned before, uint8_t cmd[KEEPER_CMD_BYTES_MAX]);
    void *ctx;
    /* Of the last command that the log took. For keeper.c alone. */
    uint64_t index, term;
};

/* Only keeper.c looks inside. */
struct keeper {
    struct replica *replica;
    const struct machine *machine;
    unsigned n;
    struct keeper_duty duties[KEEPER_DUTIES_MAX];
    uint64_t retry_at; /* nothing is tried before */
    size_t to_end;     /* keys for which commands are being written */
};

/* *k is zeroed. Its first duty is to end keys whose expiry has come (CMD_END_DUE). All that is passed here
 * outlives it. */
void keeper_init(struct keeper *k, struct replica *r, const struct machine *machine);

/* One more duty. */
void keeper_add(struct keeper *k, const struct keeper_duty *duty);

/* Once per iteration: does what is due. Not while the state may be wrong. */
void keeper_step(struct keeper *k, uint64_t now);

/* When keeper_step() has something to do. */
uint64_t keeper_deadline(const struct keeper *k, uint64_t now);

#endif
