/* peerids.h: which data directory each peer had when it was first heard.
 *
 *   DIR/peers  two copies of one 4 KiB block, at offsets 0 and 4096: the one with the higher number
 *              counts, the other one is written next
 *
 *   block:  0  4 crc32c of bytes 4 .. 4095        16  8 number of this copy, never 0
 *           4  4 magic "RPE1"                     24  8 storage id of this directory
 *           8  2 version, 2                       32  entries of 40: 2 node id, 6 zero, 32 public key
 *          10  2 how many entries                 ..  zero
 *          12  4 zero
 *
 * A peer that comes with another directory later has forgotten what it promised, see admit.c. An entry with
 * the id of this node names the directory that it had before this one, by which other nodes know it: of
 * that key the first 8 bytes are known, and the others are zero.
 */
#ifndef STORAGE_PEERIDS_H
#define STORAGE_PEERIDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/disk.h"

enum {
    PEERIDS_MAX = 16, /* more than there are voters */
    PEERIDS_KEY_BYTES = 32,
};

struct peerids {
    uint64_t storage_id; /* of the directory that the file is in */
    uint64_t number;     /* of the copy that counts; 0 = there is no file yet */
    unsigned n;          /* 0..PEERIDS_MAX */
    struct peerid {
        uint16_t node_id;
        uint8_t key[PEERIDS_KEY_BYTES]; /* of that node's directory; not all zero */
    } known[PEERIDS_MAX];
};

/* Reads DIR/peers; if there is no such file, no peer is known. The caller holds the lock and has compared
 * the identity, whose storage_id this is. Returns 0; -EBADMSG if neither copy is whole, or in a format
 * that is not known here, or they are of another directory; or -errno. `err` receives one sentence for
 * humans unless the result is 0. */
int peerids_load(const struct disk *d, const char *dir, uint64_t storage_id, struct peerids *out,
                 char *err, size_t err_size);

/* Adds a peer, unless it is known by this key already. With 0 the file is durable and *ids is what it holds;
 * else *ids is as before. -EEXIST: it is known by another key, which stays. After that, -ENOSPC, -EDQUOT,
 * -EMFILE, -ENFILE and -ENOMEM nothing was changed, and the caller may try again later; after any other
 * failure nobody knows what the disk holds. `err` as for peerids_load(). */
int peerids_add(const struct disk *d, const char *dir, struct peerids *ids, uint16_t node_id,
                const uint8_t key[PEERIDS_KEY_BYTES], char *err, size_t err_size);

/* The key of a node's directory; false, and zeros: none is known. */
bool peerids_find(const struct peerids *ids, uint16_t node_id, uint8_t key[PEERIDS_KEY_BYTES]);

#endif
