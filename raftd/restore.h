/* restore.h: the state of one cluster as the beginning of another. */
#ifndef RAFTD_RESTORE_H
#define RAFTD_RESTORE_H

#include "raftd/conf.h"
#include "storage/ident.h"

/* Makes the snapshot in the file `path` the first one of the new directory conf->data_dir, whose identity
 * will be `id`. The cluster that the snapshot comes from must have had another name, so that its nodes are
 * not listened to. Ends the process when this can't be done. */
void restore(const struct conf *conf, const struct ident *id, const char *path);

/* Reads all of such a file and prints what is in it. Returns an exit code. */
int restore_check(const char *path);

#endif
