/* restore.h: the state of one cluster as the beginning of another. */
#ifndef RAFTD_RESTORE_H
#define RAFTD_RESTORE_H

#include "raftd/conf.h"
#include "storage/ident.h"

/* Makes the snapshot in the file `path` the first one of the new directory conf->data_dir, whose identity
 * will be `id`. The cluster that it comes from must have had another name: then no node of that one is
 * listened to. Ends the process when that can't be done. */
void restore(const struct conf *conf, const struct ident *id, const char *path);

/* Reads all of such a file, and prints what it is: an exit code. */
int restore_check(const char *path);

#endif
