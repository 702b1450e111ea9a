#include "raftd/node/frees.h"

#include "raftd/base/bytes.h"
#include "raftd/base/num.h"
#include "raftd/state/cmd.h"
#include "raftd/state/holders.h"
#include "raftd/state/kv.h"

/* When the first of the processes that have something is over; NEVER: none will be, as far as is known. */
static uint64_t due(void *ctx, uint64_t now)
{
    const struct frees *f = ctx;
    const struct kv_view claims = kv_draft(machine_claims(f->machine));
    uint16_t member = 0;
    uint64_t process = 0, first = NEVER;
    (void)now;
    while (holders_next_process(&claims, &member, &process))
        first = min_u64(first, lease_over_at(f->lease, member, process));
    return first;
}

/* Goes on to the next process that is over. False: there is none. */
static bool next(struct frees *f, const struct kv_view *claims, uint64_t now)
{
    bool found;
    do
        found = holders_next_process(claims, &f->member, &f->process);
    while (found && lease_over_at(f->lease, f->member, f->process) > now);
    if (found)
        f->left = holders_count(claims, f->member, f->process, KEEPER_BATCH_MAX * HOLDERS_FREE_MAX);
    return found;
}

/* All that is over by now, as many commands for each process as it takes (HOLDERS_FREE_MAX). */
static size_t fill(void *ctx, uint64_t now, unsigned before, uint8_t cmd[KEEPER_CMD_BYTES_MAX])
{
    struct frees *f = ctx;
    const struct kv_view claims = kv_draft(machine_claims(f->machine));
    uint8_t key[CMD_PROCESS_BYTES];
    if (before == 0)
        f->member = 0, f->process = 0, f->left = 0;
    if (f->left == 0 && !next(f, &claims, now))
        return 0;
    f->left -= f->left < HOLDERS_FREE_MAX ? f->left : HOLDERS_FREE_MAX;
    put_u16(key, f->member);
    put_u64(key + 2, f->process);
    lease_frees(f->lease);
    return cmd_encode_one(cmd,
                          &(struct cmd_item){.kind = CMD_FREE, .key = key, .key_len = sizeof key});
}

void frees_init(struct frees *f, struct keeper *k, struct lease *l, const struct machine *machine)
{
    *f = (struct frees){.lease = l, .machine = machine};
    keeper_add(k, &(struct keeper_duty){.due = due, .fill = fill, .ctx = f});
}
