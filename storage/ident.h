/* ident.h: whose data directory this is, and the lock on it.
 *
 *   DIR        locked by the running daemon, since a file in it could be tidied away
 *   DIR/ident  two copies of one 4 KiB block, at offsets 0 and 4096, written once; locked, too
 *   DIR/log/   the log (wal.h), made together with the identity
 *
 *   block:  0  4 crc32c of bytes 4 .. 4095        24  9 x 2 the voters' ids, ascending; then zero
 *           4  4 magic "RID1"                     42     22 zero
 *           8  2 version, 3                       64     64 name of the cluster; then zero
 *          10  2 node id                         128     32 secret of the key pair (X25519)
 *          12  2 number of voters                160     32 its public key, the first 8 bytes not all zero
 *          14  2 length of the name              192 .. zero
 *          16  8 created
 *
 * The key pair says which directory this is: other nodes know the public key, and who speaks in this
 * node's name proves to them that he has the secret. So a directory that was made anew under the same node
 * id is another one, and so is the box of a thief who has the cluster's key alone. The public key's first
 * 8 bytes, as a number, are the storage id that log, snapshots and the list of peers carry.
 *
 * Without an identity nothing is read and nothing is created silently: an emptied or swapped
 * directory would make a node forget its vote and its entries, and then a majority can elect two
 * leaders in one term (dissertation 3.8 requires persistent state to persist).
 *
 * The voters are here because majorities are counted among them: with one list before a start and
 * another one after it, or with two lists in one cluster, two majorities need not have a node in
 * common, and what one of them acknowledged is lost in the other (dissertation 4.1).
 */
#ifndef STORAGE_IDENT_H
#define STORAGE_IDENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/disk.h"

enum {
    IDENT_VOTERS_MAX = 9,
    IDENT_NAME_MAX = 64, /* bytes */
    IDENT_KEY_BYTES = 32,
};

struct ident {
    char name[IDENT_NAME_MAX + 1];     /* of the cluster, printable */
    uint16_t voters[IDENT_VOTERS_MAX]; /* ids of the nodes that count, ascending */
    unsigned n_voters;                 /* 1..IDENT_VOTERS_MAX */
    uint8_t key[IDENT_KEY_BYTES];      /* public: no other directory has it */
    uint64_t created;                  /* seconds of the wall clock, for humans only */
    uint16_t node_id;
};

/* What the functions here return; or -errno if a system call failed. -ENOTDIR is also for a name that leads
 * to nothing. */
enum ident_result {
    IDENT_OK,
    IDENT_MISSING,       /* no DIR, or no identity in it */
    IDENT_DAMAGED,       /* neither copy is whole, or the two differ */
    IDENT_OTHER_CLUSTER, /* whole, but of another cluster */
    IDENT_OTHER_NODE,    /* of this cluster, but of another node */
    IDENT_OTHER_VOTERS,  /* of this node, but made for another list of nodes */
    IDENT_OTHER_VERSION, /* whole, but in a format that is not known here */
    IDENT_NOT_EMPTY,     /* DIR holds something that a new node would not have */
    IDENT_LOCKED,        /* another process has the lock */
};

/* In all functions `err` receives one sentence for humans unless the result is IDENT_OK. With IDENT_OK it is
 * empty, or a warning that one copy is damaged. */

/* Descriptors that hold the lock until they are closed with d->close or the process ends; -1: none. There
 * are two, so that neither another identity put into the directory, nor another directory put around the
 * identity, seems to be free. */
struct ident_lock {
    int dir;
    int ident; /* -1 after `create`: there was none yet */
};

/* Locks DIR and its identity for this process. With `create`, DIR and the directories above it are made if
 * they are missing, and only DIR is locked. Without, a DIR that is missing or has no identity is
 * IDENT_MISSING. Makes no file. */
int ident_lock(const struct disk *d, const char *dir, bool create, struct ident_lock *lock,
               char *err, size_t err_size);

/* Returns what ident_create() would return for this DIR, and changes nothing. */
int ident_none(const struct disk *d, const char *dir, char *err, size_t err_size);

/* What log, snapshots and peers name the directory by; never 0. */
uint64_t ident_storage_id(const struct ident *id);

/* Makes a new identity, and an empty log with segments of `segment_bytes` (0: default), in a DIR that holds
 * nothing but lost+found and snap. With IDENT_OK all is durable: the file, the log, DIR, and the name of
 * DIR in its parent. What a crash in the middle leaves behind is recognised and made again. The caller
 * holds the lock. `secret` is that of id->key, whose first 8 bytes are not all zero. */
int ident_create(const struct disk *d, const char *dir, const struct ident *id,
                 const uint8_t secret[IDENT_KEY_BYTES], uint32_t segment_bytes, char *err,
                 size_t err_size);

/* Reads the identity and compares name, node_id and voters with those of `want` (NULL: any will do). *out is
 * filled for IDENT_OK, IDENT_OTHER_CLUSTER, _NODE and _VOTERS. Changes nothing: see ident_mend(). */
int ident_load(const struct disk *d, const char *dir, const struct ident *want, struct ident *out,
               char *err, size_t err_size);

/* If one copy of an identity that ident_load() took is damaged, writes it anew from the other one, durably;
 * *mended tells that. The whole copy is not touched, whatever fails and whenever the power is cut: after a
 * failure (any other result than IDENT_OK) the node may start all the same. The caller holds the lock. */
int ident_mend(const struct disk *d, const char *dir, bool *mended, char *err, size_t err_size);

/* Reads the secret alone, of an identity that ident_load() took. The caller wipes it. With any other result
 * than IDENT_OK it is all zero. */
int ident_secret(const struct disk *d, const char *dir, uint8_t secret[IDENT_KEY_BYTES], char *err,
                 size_t err_size);

#endif
