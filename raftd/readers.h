/* readers.h: the threads that serve local clients, and the socket where clients come in.
 *
 * Each thread has its own event loop and one instance of clients.h; all accept from one socket.
 */
#ifndef RAFTD_READERS_H
#define RAFTD_READERS_H

#include <stddef.h>
#include <sys/types.h>

#include "raftd/shared.h"

enum { READERS_BACKLOG = 128 }; /* connections that wait for accept */

struct readers;

/* Starts n threads (1..READERS_MAX), reader numbers 0..n-1 of `shared`, which outlives them. When
 * this returns all wake calls are filled in. All signals are blocked in the threads. Returns 0 or
 * -errno, then nothing runs. */
int readers_start(struct readers **out, struct shared *shared, int listen_fd, unsigned n);

/* Ends the threads after they have handed over the answers that have come, and frees all. Nothing
 * may wake them or push answers meanwhile; shared->wake_loop may be called until this returns. */
void readers_stop(struct readers *r);

/* Creates the listening socket `path` with these permission bits, and removes one that a dead
 * daemon left there. Returns the descriptor (non-blocking, close-on-exec), or -1 and one line in
 * err: a daemon answers there, something else is there, no such directory, no permission. */
int clients_listen(const char *path, mode_t mode, char *err, size_t err_size);

#endif
