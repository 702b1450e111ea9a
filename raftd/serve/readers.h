/* readers.h: the threads that serve local clients.
 *
 * Each thread has its own event loop and one instance of clients.h; all accept from one socket.
 */
#ifndef RAFTD_READERS_H
#define RAFTD_READERS_H

#include "raftd/serve/shared.h"

struct readers;

/* Starts n threads (1..READERS_MAX), which are the readers 0..n-1 of `shared` and do not outlive it. All
 * signals are blocked in them. Returns 0, and all wake calls are filled in; or -errno, and nothing runs. */
int readers_start(struct readers **out, struct shared *shared, int listen_fd, unsigned n);

/* Has the threads send the answers that they have, waits until they end, and frees all. From the call on
 * nobody may wake them or push answers. They may call shared->wake_loop until this returns. */
void readers_stop(struct readers *r);

#endif
