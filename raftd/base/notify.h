/* notify.h: tell the service manager about our state, sd_notify(3)'s protocol without its library
 * (one datagram; libsystemd would pull in five more libraries).
 */
#ifndef RAFTD_NOTIFY_H
#define RAFTD_NOTIFY_H

/* Sends `state`, for example "READY=1\nSTATUS=follower" or "STOPPING=1", to the socket that
 * NOTIFY_SOCKET names. Returns 0 if it was sent or if there is no such variable, else -errno. Never
 * blocks. */
int notify_send(const char *state);

#endif
