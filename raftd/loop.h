/* loop.h: the daemon's event loop: drives one node with real sockets, disk, clock and clients. */
#ifndef RAFTD_LOOP_H
#define RAFTD_LOOP_H

#include <stdbool.h>

#include "raftd/conf.h"
#include "storage/peerids.h"
#include "storage/wal.h"

struct loop;

/* Takes what only one daemon can have: this node's UDP port and its client socket. So it comes before
 * anything may change the log, and what peers and clients send meanwhile waits in the kernel. `conf`
 * outlives the loop. Returns an exit code (exits.h), and has said why when it is not 0; then nothing
 * is left and *out is NULL. */
int loop_open(struct loop **out, const struct conf *conf);

/* Before loop_run(): tells the clients that have come meanwhile to come again, and `why`. */
void loop_turn_away(struct loop *l, const char *why);

/* Runs node conf->self on the recovered log until SIGTERM or SIGINT; once. It takes these signals over:
 * stopped() says whether one came before. `ids` are kept beside its identity. `w` is still the caller's
 * afterwards. Returns as loop_open(). */
int loop_run(struct loop *l, struct wal *w, const struct wal_report *report, struct peerids *ids,
             bool (*stopped)(void));

/* Gives the sockets back, and removes the client socket's file. */
void loop_close(struct loop *l);

#endif
