/* client.h: a small synchronous client of the local daemon: connect, send commands of Redis's protocol, get
 * whole replies, which hiredis takes apart.
 */
#ifndef RAFTCTL_CLIENT_H
#define RAFTCTL_CLIENT_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /* The daemon answers within the timeout of a command; after this much more it is taken as hung. */
    CTL_GRACE_MS = 1000,
    CTL_TIMEOUT_MAX_MS = 3600 * 1000, /* the daemon takes no longer one */
    CTL_WORDS_MAX = 1024,             /* nor a command of more words */
    CTL_REPLY_MAX_BYTES = 16 << 20,   /* the daemon gives no answer of more than a quarter of it */
};

enum ctl_outcome {
    CTL_ANSWERED,
    CTL_NOT_RUNNING, /* no daemon is there (errno says why), or it ended before it had the whole command:
                        nothing was done */
    CTL_NOT_TAKEN, /* a daemon did not take the command in time: nothing was done */
    CTL_TIMEOUT,   /* it has the command and gave no answer in time */
    CTL_LOST,      /* it had the command, and the connection ended */
    CTL_NONSENSE,  /* the answer does not parse, or is too large to hold */
};

/* A command, which borrows its words from the caller. {.n = 0} has none yet. */
struct ctl_words {
    int n;
    const char *at[CTL_WORDS_MAX];
    size_t len[CTL_WORDS_MAX];
};

/* Add a word. There is room. */
void ctl_add(struct ctl_words *w, const void *bytes, size_t len);
void ctl_add_text(struct ctl_words *w, const char *text);

/* Makes the bytes of a command, to be freed with redisFreeCommand(). Returns how many; 0 without memory. */
size_t ctl_format(const struct ctl_words *w, char **text);

/* A connection, to be ended with ctl_close() after any outcome of ctl_open(). Only client.c looks inside; the
 * fd is for those who wait for other things, too. */
struct ctl {
    int fd;
    redisReader *reader;
};

/* A connected, non-blocking socket, or -1 with errno. */
int ctl_connect(const char *path);

/* All wait until ctl_now_ns() is `deadline_ns` at most. ctl_open() and ctl_send() end with CTL_ANSWERED, too,
 * when all went well. */
enum ctl_outcome ctl_open(struct ctl *c, const char *path, uint64_t deadline_ns);
enum ctl_outcome ctl_send(struct ctl *c, const struct ctl_words *w, uint64_t deadline_ns);
/* Takes the next reply, to be freed with freeReplyObject(). */
enum ctl_outcome ctl_receive(struct ctl *c, redisReply **reply, uint64_t deadline_ns);
void ctl_close(struct ctl *c);

/* What a whole call asks for beside its words. */
struct ctl_call {
    const char *path;    /* the daemon's socket */
    uint32_t timeout_ms; /* how long the daemon may take */
    bool at_once;        /* it is a command that waits for nothing, and need not be told that */
    bool local;          /* of reads: from what this node has */
};

/* Opens a connection, sends one command, and waits for its reply for at most timeout_ms + CTL_GRACE_MS.
 * *reply is NULL unless it is answered; a daemon that says why it ends the connection has answered. */
enum ctl_outcome ctl_call(const struct ctl_call *call, const struct ctl_words *w,
                          redisReply **reply);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t ctl_now_ns(void);

#endif
