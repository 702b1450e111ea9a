/* notify.h: tells the service manager about our state, by the protocol of sd_notify(3). That is one datagram;
 * libsystemd would bring five more libraries with it. */
#ifndef RAFTD_NOTIFY_H
#define RAFTD_NOTIFY_H

/* Sends `state`, for example "READY=1\nSTATUS=follower" or "STOPPING=1", to the socket that
 * NOTIFY_SOCKET names. Returns 0 if it was sent or if there is no such variable, else -errno. Never
 * blocks. */
int notify_send(const char *state);

#endif
