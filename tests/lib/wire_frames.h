/* wire_frames.h: one frame of each type as a value and as bytes, and what a codec's tests do with them. */
#ifndef TESTS_WIRE_FRAMES_H
#define TESTS_WIRE_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/wire.h"

enum {
    FRAMES_FROM = 0x0123, /* both bytes of an id are in use */
    FRAMES_TO = 0xFEDC,
    GOLDEN_FRAMES = 22,
};

#define FRAMES_TERM UINT64_C(0x0708090a0b0c0d0e)

/* A preamble of zeros, but for the term. */
extern const struct wire_header FRAMES_HEADER;

/* One frame of each type with all its flags, and the bytes it stands for. */
struct golden {
    struct wire_frame f; /* see golden() */
    uint8_t flags;       /* those with a meaning */
    const char *hex;
};

extern const struct golden GOLDEN[GOLDEN_FRAMES];

/* GOLDEN[i].f with the term and the ends of a message filled in. */
struct wire_frame golden(size_t i);

/* Bytes of a string of hex digits; returns how many. */
size_t unhex(uint8_t *out, const char *hex);

/* FRAMES_HEADER and the given bytes as frames; `buf` has room for WIRE_DATAGRAM_MAX. */
size_t payload_of(uint8_t *buf, const uint8_t *frames, size_t len);

/* Every golden frame in order, and padding with something in it before that of number
 * GOLDEN_FRAMES / 2. ends[i] is set to where the i-th of all these ends. */
size_t payload_all(uint8_t *buf, size_t ends[GOLDEN_FRAMES + 1]);

/* wire_check() of a copy of exactly this size, so that the sanitizer sees every byte read behind it.
 * Ends the program if a refused payload's header was touched. */
bool payload_check(const uint8_t *buf, size_t len, struct wire_header *h);

/* Reads all of a payload that was found right, and writes it again: the same without reserved bits,
 * padding, rests of bodies, empty data and unknown frames. Returns the new length; *frames counts
 * what was written. Ends the program if anything that was read cannot be written or be read again as
 * the same. */
size_t payload_rewrite(const uint8_t *buf, size_t len, uint8_t *out, unsigned *frames);

/* false: does not fit as a whole. */
bool frame_put(struct wire_writer *w, const struct wire_frame *f);
bool frame_same(const struct wire_frame *a, const struct wire_frame *b);

#endif
