/* readers.h: the threads that serve local clients.
 *
 * Each thread has its own event loop and one instance of clients.h; all accept from one socket.
 */
#ifndef RAFTD_READERS_H
#define RAFTD_READERS_H

#include "raftd/serve/shared.h"

struct readers;

/* Starts n threads (1..READERS_MAX), reader numbers 0..n-1 of `shared`, which outlives them. When
 * this returns all wake calls are filled in. All signals are blocked in the threads. Returns 0 or
 * -errno, then nothing runs. */
int readers_start(struct readers **out, struct shared *shared, int listen_fd, unsigned n);

/* The threads hand over the answers that they have, and end; all is freed. From the call on nobody may
 * wake them or push answers. They may call shared->wake_loop until this returns. */
void readers_stop(struct readers *r);

#endif
