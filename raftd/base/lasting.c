/* lasting.c: see lasting.h. */
#include "raftd/base/lasting.h"

bool lasting_is(struct lasting *l, uint64_t after_us, uint64_t now_us)
{
    bool begins = l->since_us == 0;
    if (begins)
        l->since_us = now_us;
    bool at_once = begins && after_us == 0;
    if (now_us - l->since_us < after_us ||
        (!at_once && l->said_us != 0 && now_us - l->said_us < LASTING_AGAIN_US))
        return false;
    l->said_us = now_us;
    l->told = true;
    return true;
}

uint64_t lasting_over(struct lasting *l, uint64_t now_us)
{
    uint64_t lasted_s = (now_us - l->since_us) / 1000000;
    bool told = l->told;
    l->since_us = 0;
    l->told = false;
    if (!told)
        return 0;
    return lasted_s > 0 ? lasted_s : 1;
}
