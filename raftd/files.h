/* files.h: how many files (descriptors) the process may have open, and how many of them are for local
 * clients. Clients never get the descriptors that the log, the network and the threads need. */
#ifndef RAFTD_FILES_H
#define RAFTD_FILES_H

struct shared;

enum {
    /* Standard streams, lock, log and its directories, sockets, event loop, timers, keys and a message to the
     * service manager; 20 were seen. */
    FILES_OWN = 32,
    FILES_PER_READER = 4,  /* its event loop, and a connection that is being turned away */
    FILES_CLIENTS_MIN = 8, /* connections that a node must have room for */
};

/* Raises the limit of open files as far as it may be raised. Returns the limit, at most UINT_MAX. */
unsigned files_limit(void);

/* How many of `limit` descriptors are for connections of local clients, guests included, beside so many
 * reader threads. With fewer than FILES_CLIENTS_MIN of them raftd cannot run. */
unsigned files_for_clients(unsigned limit, unsigned readers);

/* Gives clients what they may have, and says so if that is less than they could need. */
void files_limit_clients(struct shared *s, unsigned readers);

#endif
