#include "raftd/node/frees.h"

#include "raftd/base/bytes.h"
#include "raftd/base/num.h"
#include "raftd/state/cmd.h"
#include "raftd/state/holders.h"
#include "raftd/state/kv.h"

/* Of the processes that have something, the one that is over first, and when. NEVER: none will be, as far as
 * is known. */
static uint64_t first_over(const struct frees *f, uint16_t *member, uint64_t *process)
{
    const struct kv_view claims = kv_draft(machine_claims(f->machine));
    uint16_t m = 0;
    uint64_t p = 0, first = NEVER;
    while (holders_next_process(&claims, &m, &p)) {
        uint64_t at = lease_over_at(f->lease, m, p);
        if (at >= first)
            continue;
        first = at;
        *member = m;
        *process = p;
    }
    return first;
}

static uint64_t due(void *ctx, uint64_t now)
{
    uint16_t member;
    uint64_t process;
    (void)now;
    return first_over(ctx, &member, &process);
}

/* Whatever more the process has is due then, if one entry can't free it all. */
static size_t fill(void *ctx, uint64_t now, uint8_t cmd[KEEPER_CMD_BYTES_MAX])
{
    struct frees *f = ctx;
    uint8_t key[CMD_PROCESS_BYTES];
    uint16_t member = 0;
    uint64_t process = 0;
    (void)now;
    (void)first_over(f, &member, &process);
    put_u16(key, member);
    put_u64(key + 2, process);
    lease_frees(f->lease);
    return cmd_encode_one(cmd,
                          &(struct cmd_item){.kind = CMD_FREE, .key = key, .key_len = sizeof key});
}

void frees_init(struct frees *f, struct keeper *k, struct lease *l, const struct machine *machine)
{
    *f = (struct frees){l, machine};
    keeper_add(k, &(struct keeper_duty){.due = due, .fill = fill, .ctx = f});
}
