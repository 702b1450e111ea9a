/* refused.h: what to say when the data directory cannot be used, what to do about it, and which exit
 * code it is. */
#ifndef RAFTD_REFUSED_H
#define RAFTD_REFUSED_H

#include <stdbool.h>
#include <sys/stat.h>

#include "storage/wal.h"

/* Finds the nearest directory that can be looked at: `dir`, or one above it. `path` is its name; *shut is
 * true if this user may not enter it. False: there is none. */
bool nearest_dir(const char *dir, char path[WAL_PATH_MAX], struct stat *st, bool *shut);

/* A system call on `dir` or below it failed with rc, which is -errno; `what` says which one. Says so and
 * returns the exit code. If a right is missing, the message says whose the files are, or which directory is
 * in the way, and the code is RAFTD_EXIT_DATA_DIR; it is the same if `dir` is no directory, or a file in it
 * no regular file. A lack of descriptors or memory is RAFTD_EXIT_INTERNAL. All else is the fault of the
 * disk: RAFTD_EXIT_DISK. */
int refused(const char *dir, int rc, const char *what);

/* The same while the daemon runs. Ends the process at once, for nobody knows what of a write is on the disk.
 * A file system that is read-only now was not so at the start, so that is the fault of the disk, too. */
_Noreturn void refused_running(const char *dir, int rc, const char *what);

/* While the daemon runs, something failed with rc that may pass by itself (wal_refused()). Says what is
 * lacking, what waits for it, and what helps. */
void refused_for_now(int rc, const char *error, const char *what_waits);

#endif
