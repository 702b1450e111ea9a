/* image.h: the whole state of one log index as a row of bytes, and back.
 *
 * A row is cut into chunks of at most IMAGE_CHUNK_MAX_BYTES, each of one section; sections ascend, and one
 * may go on in the next chunk. Equal states give equal chunks, on every node.
 *
 *   section 1   what is kept of the origins, see origins.c
 *   section 2   the objects, in the order of their keys, each:
 *                 0 u64 create revision   8 u64 modify revision   16 u64 expiry   24 u64 holder
 *                32 u32 value length     36 u16 key length        38 u16 0
 *                40 key, then value
 *   section 3   what became of the newest requests with tokens, see outcomes.c
 *   section 4   as section 2, the claims of holders (holders.h); only if there are any
 *
 * A reader refuses a section that it does not know, unless its number has IMAGE_OPTIONAL in it.
 *
 * An image is opened, read by one thread, which may be another than the writer's, and closed by the writer
 * (machine.h). A load is filled by one thread, and handed to the writer when it is whole. Nobody sees
 * what is in it before.
 */
#ifndef RAFTD_IMAGE_H
#define RAFTD_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    IMAGE_CHUNK_MAX_BYTES = 1 << 16,
    IMAGE_DIGEST_BYTES = 16,
    IMAGE_OPTIONAL = 0x8000, /* of a section's number: who does not know it passes over it */
};

struct kv;
struct origins;
struct outcomes;
struct image;
struct image_load;

/* What a state consists of. */
struct state_parts {
    struct kv *keys;
    struct kv *claims; /* holders.h */
    struct origins *origins;
    struct outcomes *outcomes;
};

/* An image of what was last published of keys and claims, and of the origins as they are now; all as of one
 * index. NULL: an image is open already, or no memory. Costs a copy of the windows, and later the memory of
 * what the writer replaces (kv_kept_bytes()). For machine_freeze(). */
struct image *image_new(const struct state_parts *parts);

/* To be called when nobody reads it any more and all that was written to the parts is published. For
 * machine_thaw(). */
void image_free(struct image *image, const struct state_parts *parts);

uint64_t image_index(const struct image *image);
uint64_t image_cluster_ms(const struct image *image);

/* IMAGE_DIGEST_BYTES that name the state, as machine_digest() does. */
const uint8_t *image_digest(const struct image *image);

/* The next chunk, valid until the next call: 1; 0 at the end. An image is read once. */
int image_next(struct image *image, uint16_t *section, const uint8_t **bytes, size_t *len);

/* A load without chunks; NULL without memory. */
struct image_load *image_load_new(void);

/* May be NULL. */
void image_load_free(struct image_load *load);

/* The next chunk. After an error the load can only be freed.
 *   -EBADMSG  these are no bytes of an image
 *   -ENOTSUP  a section that only a newer raftd knows
 *   -ENOMEM */
int image_load_chunk(struct image_load *load, uint16_t section, const uint8_t *bytes, size_t len);

/* There are no more chunks. 0: it is whole, and the state of this digest; -EBADMSG, -ENOMEM. */
int image_load_done(struct image_load *load, const uint8_t digest[IMAGE_DIGEST_BYTES]);

/* Hands over what is in a load that is done, and frees it. For machine_replace(). */
struct state_parts image_load_take(struct image_load *load);

/* The digest of a state, of all its parts. */
void image_digest_of(const struct state_parts *parts, uint8_t out[IMAGE_DIGEST_BYTES]);

#endif
