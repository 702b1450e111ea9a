/* nodump.c: see nodump.h. */
#include "raftd/base/nodump.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>

int nodump(void)
{
    /* The limit alone is not enough: it does not count for cores that go to a program, core(5). It is set for
     * those who look into /proc/PID/limits, and for programs that this one becomes. */
    const struct rlimit none = {0, 0};
    if (prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) != 0 || setrlimit(RLIMIT_CORE, &none) != 0)
        return -errno;
    return 0;
}
