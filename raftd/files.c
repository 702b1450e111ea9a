/* files.c: see files.h. */
#include "raftd/files.h"

#include <limits.h>
#include <sys/resource.h>

#include "raftd/base/say.h"
#include "raftd/serve/clients.h"

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

void files_limit_clients(struct shared *s, unsigned readers)
{
    unsigned files = files_limit(), wanted = s->n_readers * CLIENTS_CONNS_MAX;
    unsigned served = clients_set_limits(s, files_for_clients(files, readers));
    if (served < wanted)
        say_warn("%u open files are allowed, so %u clients are served at a time and not %u; a "
                 "limit of %u serves all (LimitNOFILE= of the unit, ulimit -Hn)",
                 files, served, wanted,
                 files + wanted + s->n_readers * 2 * CLIENTS_GUESTS_MAX -
                     files_for_clients(files, readers));
}
