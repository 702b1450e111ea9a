/* origins.h: the commands that have been applied, so that none is applied twice.
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
 * names an earlier predecessor, can't displace the living one. No process becomes current a second time.
 * For that the process before it, which it names, would have to be current a second time first, and so on
 * back to the first process, which named none. A living process whose command is refused learns the
 * current one by applying its own command, and sends it again with that predecessor.
 *
 * ORIGIN_WINDOWS origins have a window. When one more needs one, the window of the origin whose newest
 * command is the oldest entry of the log goes: of nodes that were removed long ago, or do not write. There
 * are more windows than members, so nobody who writes now is without. Of an origin without a window its
 * process and newest number are kept for good, and every number up to that one is refused, applied or not.
 * So it is safe whichever origin it hits: no number up to the newest is applied again, and none above it was
 * applied before. If the whole origin were forgotten, a late copy of a command of its first process, which
 * names no predecessor, would be applied a second time.
 */
#ifndef RAFTD_ORIGINS_H
#define RAFTD_ORIGINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftd/state/kept.h"

enum {
    ORIGIN_WINDOW = 4096, /* commands that a process may have under way; 36 KiB per window */
    ORIGIN_WINDOWS = 32,  /* twice as many as there may be members; bounds memory and snapshots */
    ORIGINS_MAX = UINT16_MAX, /* one for each id that a node can have, 40 bytes without a window */
    ORIGINS_HEAD_BYTES = 4,
    ORIGIN_HEAD_BYTES = 24,
    ORIGIN_KEPT_BYTES = 12,
    ORIGINS_BYTES_MAX = ORIGINS_HEAD_BYTES + ORIGINS_MAX * ORIGIN_HEAD_BYTES +
                        ORIGIN_WINDOWS * ORIGIN_WINDOW * ORIGIN_KEPT_BYTES,
};

/* Who sends a command, see cmd.h. */
struct sender {
    uint16_t origin;
    uint64_t process, predecessor, number;
};

enum origin_says {
    ORIGIN_NEW,      /* to be applied, and kept with origins_keep() */
    ORIGIN_REPEATED, /* was applied already */
    ORIGIN_PASSED,   /* below the window: it was applied or never will be */
    ORIGIN_ENDED,    /* of a process that is not the current one, nor follows it */
    ORIGIN_NOBODY,   /* names no origin, process or number */
};

struct origins;

/* Without any origin at first. NULL: memory is short. */
struct origins *origins_new(void);
void origins_free(struct origins *o);

/* NULL: memory is short. */
struct origins *origins_copy(const struct origins *o);

/* What is to be done with a command. ORIGIN_REPEATED: *first is what was kept of it. */
enum origin_says origins_look(const struct origins *o, const struct sender *s, struct kept *first);

/* A command that is ORIGIN_NEW has had this outcome. False: memory is short, nothing changed. */
bool origins_keep(struct origins *o, const struct sender *s, struct kept kept);

/* The current process of an origin; 0: none. */
uint64_t origins_current(const struct origins *o, uint16_t origin);

/* All of it as bytes, for snapshots. Equal windows give equal bytes. The buffer has origins_size() bytes. */
size_t origins_size(const struct origins *o);
void origins_encode(const struct origins *o, uint8_t *buf);

/* NULL: the bytes are malformed (*bad), or memory is short. */
struct origins *origins_decode(const uint8_t *buf, size_t len, bool *bad);

/* Two numbers that follow every change, and depend on all that origins_encode() gives. */
const uint64_t *origins_digest(const struct origins *o);

#endif
