/* refused.h: what to say when the data directory cannot be used, what to do about it, and which exit
 * code it is. */
#ifndef RAFTD_REFUSED_H
#define RAFTD_REFUSED_H

#include <stdbool.h>
#include <sys/stat.h>

#include "storage/wal.h"

/* DIR, or the nearest directory above it that can be looked at; *shut: this user may not enter it. False:
 * none can. */
bool nearest_dir(const char *dir, char path[WAL_PATH_MAX], struct stat *st, bool *shut);

/* A system call on `dir` or below it failed with -errno rc; `what` says which one. If a permission is
 * missing, the message says whose the files are, or which directory is in the way, and the code is
 * RAFTD_EXIT_DATA_DIR; so it is if `dir` is no directory, or a file of it no regular file. A lack of
 * descriptors or memory is RAFTD_EXIT_INTERNAL. All else is the disk's fault: RAFTD_EXIT_DISK. */
int refused(const char *dir, int rc, const char *what);

/* The same while the daemon runs: ends the process at once, for nobody knows what of a write is on the
 * disk. A file system that is read-only has become so since the start: the disk's fault, too. */
_Noreturn void refused_running(const char *dir, int rc, const char *what);

#endif
