/* loop.h: the daemon's event loop: drives one node with real sockets, disk, clock and clients. */
#ifndef RAFTD_LOOP_H
#define RAFTD_LOOP_H

#include <stdbool.h>

#include "raftd/conf.h"
#include "storage/peerids.h"
#include "storage/snapshot.h"
#include "storage/wal.h"

struct loop;
struct machine;

/* Opens what only one daemon can have: this node's UDP port and its client socket. The caller does so
 * before it changes the log; what peers and clients send until loop_run() waits in the kernel. `conf`
 * outlives the loop. Returns an exit code (exits.h). If it is not 0, the reason has been said, nothing is
 * left open and *out is NULL. */
int loop_open(struct loop **out, const struct conf *conf);

/* Before anything is read: clients have status from now on, and RESULT_NOT_YET to all else. Returns
 * as loop_open() does. */
int loop_serve(struct loop *l);

/* Between loop_serve() and loop_run(): `what` tells clients how far the start is. If a snapshot is in the
 * machine they have local reads from now on, marked as recovering. */
void loop_starting(struct loop *l, const char *what);

/* The state, which is empty at first. A snapshot may be loaded there before loop_run(). */
struct machine *loop_machine(struct loop *l);

/* Runs node conf->self on the snapshot in the machine (NULL: none) and the recovered log until SIGTERM or
 * SIGINT, which it handles from now on; stopped() says whether one came before. To be called once. `ids`
 * is the list of keys beside the node's identity. joins: its directory has no list of nodes. `w` and
 * `ids` stay the caller's. Returns as loop_open() does. */
int loop_run(struct loop *l, struct wal *w, const struct wal_report *report,
             const struct snapshot_name *newest, struct peerids *ids, bool joins,
             bool (*stopped)(void));

/* Closes the sockets, removes the file of the client socket and frees the loop. */
void loop_close(struct loop *l);

#endif
