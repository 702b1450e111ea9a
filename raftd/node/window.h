/* window.h: the bytes [start, end) of a peer's stream, read from disk ahead of what the peer
 * acknowledges. Byte `off` lies at off % WINDOW_BYTES. Records larger than the window pass through in
 * parts.
 */
#ifndef RAFTD_WINDOW_H
#define RAFTD_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftd/node/io.h"

enum {
    WINDOW_BYTES = NODE_WINDOW_BYTES, /* as many as a stream may have on its way */
    WINDOW_FETCH_BYTES = 1 << 15,     /* no read is made for less room */
};

struct window {
    uint8_t *buf;        /* WINDOW_BYTES; NULL until first needed */
    uint64_t start, end; /* Invariant: start <= end <= start + WINDOW_BYTES */
    struct wal_pos next; /* of the log: place of the byte at end */
    bool fetching;       /* a fetch writes behind end */
    uint64_t generation; /* grows when what was asked for is of no use any more */
    uint64_t asked;      /* generation of the fetch */
};

/* generation: the first one. */
void window_init(struct window *w, uint64_t generation);

/* What was read is of no use any more. The next byte to read is at offset `off` of the stream, which is at
 * `next` in the log. */
void window_restart(struct window *w, uint64_t off, struct wal_pos next);

/* Gives the memory back, unless a fetch writes to it. */
void window_free(struct window *w);

/* The bytes below `una` are not needed any more. Returns how many bytes may be asked for now; 0: none. */
size_t window_wants(struct window *w, uint64_t una);

/* The caller will fetch at most *len bytes. Returns where they go to, and in *len how many fit there in one
 * piece; NULL: memory is short. */
uint8_t *window_fetch(struct window *w, size_t *len);

/* A fetch is back. False: what it brings is of no use any more. */
bool window_fetched(struct window *w, uint64_t generation, size_t len, const struct wal_pos *next);

/* The bytes at `off` and how many follow in one piece; NULL: they are not here. */
const uint8_t *window_at(const struct window *w, uint64_t off, size_t *len);

#endif
