#include "raftd/node/catch_up.h"

#include "raftd/base/num.h"

void catch_up_count(struct catch_up *c, uint64_t now, uint64_t log_end)
{
    if (now < c->until)
        return;
    uint64_t wrote = log_end > c->seen ? log_end - c->seen : 0;
    if (wrote > 0)
        c->wrote_at = now;
    bool calm = c->wrote_at == 0 || now - c->wrote_at >= CATCH_UP_CALM_US;
    c->left = calm ? UINT64_MAX : max_u64(CATCH_UP_TIMES * wrote, CATCH_UP_BYTES);
    c->seen = log_end;
    c->until = now + CATCH_UP_US;
    c->waits = false;
}

size_t catch_up_take(struct catch_up *c, size_t want, size_t least)
{
    if (c->left < least) {
        c->waits = true;
        return 0;
    }
    want = (size_t)min_u64(want, c->left);
    c->left -= want;
    return want;
}

uint64_t catch_up_deadline(const struct catch_up *c)
{
    return c->waits ? c->until : NEVER;
}
