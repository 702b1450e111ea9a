/* files.c: see files.h. */
#include "raftd/files.h"

#include <limits.h>
#include <sys/resource.h>

unsigned files_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return FILES_OWN; /* cannot happen */
    if (files.rlim_cur < files.rlim_max) {
        struct rlimit raised = {files.rlim_max, files.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            files = raised;
    }
    return files.rlim_cur < UINT_MAX ? (unsigned)files.rlim_cur : UINT_MAX;
}

unsigned files_for_clients(unsigned limit, unsigned readers)
{
    unsigned own = FILES_OWN + FILES_PER_READER * readers;
    return limit > own ? limit - own : 0;
}
