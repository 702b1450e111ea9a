/* origins.h: which commands have been applied, so that none is applied twice.
 *
 * An origin is a node whose clients write. Its process numbers its commands from 1 and may send each as
 * often as it likes, to any leader: copies come in any order and at any time. The state keeps, per
 * origin, the process that counts (the current one) and what became of its newest ORIGIN_WINDOW numbers.
 * All of it depends on the log alone, so it is the same on all nodes, and a snapshot carries it.
 *
 * No command is applied twice: a number is applied only if it is not in the window as applied, and only
 * above the window's lower end, which never falls; so what has left the window is never applied
 * again. No command of a living process is lost to the window: the process has at most
 * ORIGIN_WINDOW commands under way, and its newest number is less than ORIGIN_WINDOW above its oldest
 * one that is not answered (raftd/node gives number n only when n - ORIGIN_WINDOW is answered).
 *
 * Which process counts: a process becomes current by its first command that names the current one as
 * predecessor. Commands of any other process are refused. So a late command of an ended process, which
 * names a predecessor from before, can't displace the living one. No process becomes current a second
 * time: for that its command would have to name the process before it, which it had seen as current
 * before its own time; that one would have become current a second time before it, and so on back to
 * the first process, which named none. A living process whose command is refused learns the current
 * one by applying its own command, and sends it again with that predecessor.
 */
#ifndef RAFTD_ORIGINS_H
#define RAFTD_ORIGINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ORIGIN_WINDOW = 4096, /* 36 KiB per origin: what a process may have under way */
    ORIGINS_MAX = 32, /* more than a cluster has nodes (9); bounds memory, and a snapshot's part */
    ORIGINS_HEAD_BYTES = 4,
    ORIGIN_HEAD_BYTES = 24,
    ORIGIN_KEPT_BYTES = 12,
    ORIGINS_BYTES_MAX = ORIGINS_HEAD_BYTES +
                        ORIGINS_MAX * (ORIGIN_HEAD_BYTES + ORIGIN_WINDOW * ORIGIN_KEPT_BYTES),
    ORIGINS_DIGEST_BYTES = 16,
};

/* What is kept of a command: `outcome` is the caller's, below 256. */
struct kept {
    uint64_t index; /* of its log entry, never 0 */
    uint8_t outcome;
};

/* Who sends a command, see cmd.h. */
struct sender {
    uint16_t origin;
    uint64_t process, predecessor, number;
};

enum origin_says {
    ORIGIN_NEW,      /* to be applied, and kept with origins_keep() */
    ORIGIN_REPEATED, /* was applied already */
    ORIGIN_PASSED,   /* below the window: was applied or never will be */
    ORIGIN_ENDED,    /* of a process that is not the current one, nor succeeds it */
    ORIGIN_CROWD,    /* one origin too many */
    ORIGIN_NOBODY,   /* names no origin, process or number */
};

struct origins;

/* Knows nobody; NULL without memory. */
struct origins *origins_new(void);
void origins_free(struct origins *o);

/* NULL without memory. */
struct origins *origins_copy(const struct origins *o);

/* What is to be done with a command. *first is what was kept of it, with ORIGIN_REPEATED. */
enum origin_says origins_look(const struct origins *o, const struct sender *s, struct kept *first);

/* A command that is ORIGIN_NEW has had this outcome. False: no memory, nothing changed. */
bool origins_keep(struct origins *o, const struct sender *s, struct kept kept);

/* The current process of an origin; 0: none. */
uint64_t origins_current(const struct origins *o, uint16_t origin);

/* For snapshots: as bytes, equal bytes exactly for equal windows. The buffer holds origins_size(). */
size_t origins_size(const struct origins *o);
void origins_encode(const struct origins *o, uint8_t *buf);
/* NULL: these bytes are none, or no memory (*bad tells them apart). */
struct origins *origins_decode(const uint8_t *buf, size_t len, bool *bad);

/* Hash of what origins_encode() gives, 128 bits. False: no memory. */
bool origins_digest(const struct origins *o, uint8_t out[ORIGINS_DIGEST_BYTES]);

#endif
