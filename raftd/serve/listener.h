/* listener.h: the socket that local clients connect to, and its file.
 *
 * Others may remove the file or replace it: somebody who tidies up, a service manager that removes the
 * directory, a second daemon. So the daemon removes the file only if it is the one that it made, and can
 * make it again.
 */
#ifndef RAFTD_LISTENER_H
#define RAFTD_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

enum { LISTENER_BACKLOG = 128 }; /* connections that wait for accept */

struct listener {
    int tcp; /* the same for TCP */
    int fd;  /* non-blocking, close-on-exec; -1: none */
    const char *path;
    mode_t mode; /* permission bits */
    dev_t dev;   /* this and ino name the file that we made */
    ino_t ino;
};

/* Creates the listening socket `path` with these permission bits, and its directory if only that is missing.
 * Removes a socket that a dead daemon left there. `path` outlives `l`. Returns 0, or -1 with one line in err:
 * a daemon answers there, something else has that name, there is no such directory, or no right to it. */
int listener_open(struct listener *l, const char *path, mode_t mode, char *err, size_t err_size);

/* Has clients come by TCP to this address, too; `name` is its text. Returns 0, or -1 with one line in err. */
int listener_open_tcp(struct listener *l, const char *name, const struct sockaddr *addr,
                      socklen_t len, char *err, size_t err_size);

/* Makes the socket again if the file is gone or is not ours. Returns 0 if it is there; 1 if it was made
 * again, with the same descriptor, which must be polled anew; -1 with a line in err if that failed,
 * and then nothing has changed. */
int listener_renew(struct listener *l, char *err, size_t err_size);

/* Removes the file if it is ours. */
void listener_unlink(const struct listener *l);

/* Removes the file if it is ours, and nobody can connect any more; whoever has can still be accepted. */
void listener_end(const struct listener *l);

/* Removes the file if it is ours, and closes the descriptors. */
void listener_close(struct listener *l);

/* Closes a connection so that the client can still read the answers in it. With requests unread, the kernel
 * would give the client an error in their place. */
void close_gently(int fd);

/* Tells a client that is not served why, which is an error of RESP without its mark and end, and closes the
 * connection. */
void turn_away(int fd, const char *why);

#endif
