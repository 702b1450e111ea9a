/* loop.h: the daemon's event loop: drives one node with real sockets, disk, clock and clients. */
#ifndef RAFTD_LOOP_H
#define RAFTD_LOOP_H

#include "raftd/conf.h"
#include "storage/wal.h"

/* Runs node conf->self on the recovered log until SIGTERM or SIGINT. `w` is still the caller's
 * afterwards. Returns an exit code (exits.h) and has said why when it is not 0. */
int loop_run(const struct conf *conf, struct wal *w, const struct wal_report *report);

#endif
