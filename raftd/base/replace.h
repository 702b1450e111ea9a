/* replace.h: writes a file anew in one step: who reads it sees the old bytes or the new ones, and never a
 * part. */
#ifndef RAFTD_REPLACE_H
#define RAFTD_REPLACE_H

#include <stddef.h>
#include <sys/types.h>

/* By way of the file PATH.new, so one process at a time. Nothing is synced: this is for what can be told
 * again. `mode`: permissions, whatever the umask. Returns 0, or -errno, and then the old file is there as it
 * was. -EEXIST: a device, a link or the like is there, which others may need. */
int replace_file(const char *path, mode_t mode, const void *bytes, size_t len);

/* What that result means, in words for people. */
const char *replace_error(int rc);

#endif
