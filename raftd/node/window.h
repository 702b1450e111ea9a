/* window.h: what is read from disk ahead of a peer, as the bytes [start, end) of its stream. Byte `off` lies
 * at off % WINDOW_BYTES; records larger than the window pass through in parts.
 */
#ifndef RAFTD_WINDOW_H
#define RAFTD_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftd/node/io.h"

enum {
    WINDOW_BYTES = NODE_WINDOW_BYTES, /* as many as may be on their way */
    WINDOW_FETCH_BYTES = 1 << 15,     /* read on when there is room for so much */
};

struct window {
    uint8_t *buf;        /* WINDOW_BYTES; NULL until first needed */
    uint64_t start, end; /* Invariant: start <= end <= start + WINDOW_BYTES */
    struct wal_pos next; /* of the log: place of the byte at end */
    bool fetching;       /* a fetch writes behind end */
    uint64_t generation; /* of what is read; grows when what is asked for is of no use any more */
    uint64_t asked;      /* generation of that fetch */
};

/* generation: the first one. */
void window_init(struct window *w, uint64_t generation);

/* What was read is of no use any more; the next byte read is the one at stream offset `off`, which
 * stands at `next` in the log. */
void window_restart(struct window *w, uint64_t off, struct wal_pos next);

/* Gives the memory back, unless the disk is writing to it. */
void window_free(struct window *w);

/* The bytes below `una` are needed no more. Returns how many bytes may be asked for now; 0: none. */
size_t window_wants(struct window *w, uint64_t una);

/* At most *len bytes are going to be asked for. Returns where they go to, and in *len how many fit there in
 * one piece; NULL: short of memory. */
uint8_t *window_fetch(struct window *w, size_t *len);

/* A fetch is back. False: it brings nothing, for others are wanted by now. */
bool window_fetched(struct window *w, uint64_t generation, size_t len, const struct wal_pos *next);

/* The bytes at `off` and how many follow in one piece; NULL: they are not here. */
const uint8_t *window_at(const struct window *w, uint64_t off, size_t *len);

#endif
