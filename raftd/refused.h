/* refused.h: the data directory cannot be used: says so with a word on what to do, and knows the exit
 * code.
 */
#ifndef RAFTD_REFUSED_H
#define RAFTD_REFUSED_H

/* A system call on DIR or below failed with -errno rc; `what` says which one. Who lacks a permission is
 * told whose the files are, or which directory is in the way: RAFTD_EXIT_DATA_DIR, as for a DIR that
 * is none. A lack of descriptors or memory is RAFTD_EXIT_INTERNAL. All else is the disk's fault:
 * RAFTD_EXIT_DISK. */
int refused(const char *dir, int rc, const char *what);

/* The same while the daemon runs, when nobody can know what of a write is on the disk: ends the process
 * at once. There a file system that is read-only has become so, which is the disk's fault, too. */
_Noreturn void refused_running(const char *dir, int rc, const char *what);

#endif
