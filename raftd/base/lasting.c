/* lasting.c: see lasting.h. */
#include "raftd/base/lasting.h"

bool lasting_is(struct lasting *l, uint64_t now_us)
{
    bool begins = l->since_us == 0;
    if (begins)
        l->since_us = now_us;
    if (!begins && now_us - l->said_us < LASTING_AGAIN_US)
        return false;
    l->said_us = now_us;
    return true;
}

uint64_t lasting_over(struct lasting *l, uint64_t now_us)
{
    if (l->since_us == 0)
        return 0;
    uint64_t lasted_s = (now_us - l->since_us) / 1000000;
    *l = (struct lasting){0};
    return lasted_s > 0 ? lasted_s : 1;
}
