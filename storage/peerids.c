/* peerids.c: see peerids.h. When the power goes during an update, the other copy is whole. */
#include "storage/peerids.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "storage/crc32c.h"
#include "storage/segment.h"
#include "storage/wal.h"
#include "storage/zero.h"

enum {
    BLOCK_BYTES = 4096,
    COPIES = 2,
    PEERIDS_MAGIC = 0x31455052, /* "RPE1" */
    PEERIDS_VERSION = 2,
    AT_ENTRIES = 32,
    AT_KEY = 8, /* in an entry */
    ENTRY_BYTES = AT_KEY + PEERIDS_KEY_BYTES,
};

_Static_assert(AT_ENTRIES + PEERIDS_MAX * ENTRY_BYTES <= BLOCK_BYTES, "all fit");

static void encode(uint8_t b[BLOCK_BYTES], const struct peerids *ids)
{
    memset(b, 0, BLOCK_BYTES);
    put_u32(b + 4, PEERIDS_MAGIC);
    put_u16(b + 8, PEERIDS_VERSION);
    put_u16(b + 10, (uint16_t)ids->n);
    put_u64(b + 16, ids->number);
    put_u64(b + 24, ids->storage_id);
    for (unsigned i = 0; i < ids->n; i++) {
        uint8_t *p = b + AT_ENTRIES + i * ENTRY_BYTES;
        put_u16(p, ids->known[i].node_id);
        memcpy(p + AT_KEY, ids->known[i].key, PEERIDS_KEY_BYTES);
    }
    put_u32(b, crc32c(0, b + 4, BLOCK_BYTES - 4));
}

static bool decode(const uint8_t b[BLOCK_BYTES], struct peerids *ids)
{
    unsigned n = get_u16(b + 10);
    if (get_u32(b) != crc32c(0, b + 4, BLOCK_BYTES - 4) || get_u32(b + 4) != PEERIDS_MAGIC ||
        get_u16(b + 8) != PEERIDS_VERSION || n > PEERIDS_MAX || get_u64(b + 16) == 0)
        return false;
    size_t end = AT_ENTRIES + (size_t)n * ENTRY_BYTES;
    if (!all_zero(b + end, BLOCK_BYTES - end))
        return false;
    *ids = (struct peerids){.storage_id = get_u64(b + 24), .number = get_u64(b + 16), .n = n};
    for (unsigned i = 0; i < n; i++) {
        const uint8_t *p = b + AT_ENTRIES + i * ENTRY_BYTES;
        ids->known[i].node_id = get_u16(p);
        memcpy(ids->known[i].key, p + AT_KEY, PEERIDS_KEY_BYTES);
    }
    return true;
}

/* Writes `n` copies of *ids from copy `first` on into an open file, durably, and closes it. */
static int write_copies(const struct disk *d, int fd, const struct peerids *ids, unsigned first,
                        int n, char *err, size_t err_size, const char *path)
{
    uint8_t block[BLOCK_BYTES];
    struct iovec iov[COPIES];
    encode(block, ids);
    for (int i = 0; i < n; i++)
        iov[i] = (struct iovec){.iov_base = block, .iov_len = sizeof block};
    int rc = d->pwritev(d->ctx, fd, iov, n, (uint64_t)first * BLOCK_BYTES);
    if (rc != 0)
        (void)segment_fail(err, err_size, rc, "write", path);
    else if ((rc = d->fdatasync(d->ctx, fd)) != 0)
        (void)segment_fail(err, err_size, rc, "fdatasync", path);
    int closed = d->close(d->ctx, fd);
    if (rc == 0 && closed != 0)
        rc = segment_fail(err, err_size, closed, "close", path);
    return rc;
}

/* Makes the file for the first peer. It gets its name only when it is whole. */
static int create(const struct disk *d, const char *dir, const char *path,
                  const struct peerids *ids, char *err, size_t err_size)
{
    char tmp[WAL_PATH_MAX];
    (void)snprintf(tmp, sizeof tmp, "%s/peers.tmp", dir);
    int rc = d->unlink(d->ctx, tmp); /* left by an attempt that was cut short */
    if (rc != 0 && rc != -ENOENT)
        return segment_fail(err, err_size, rc, "unlink", tmp);
    int fd = d->open(d->ctx, tmp, DISK_CREATE);
    if (fd < 0)
        return segment_fail(err, err_size, fd, "create", tmp);
    rc = write_copies(d, fd, ids, 0, COPIES, err, err_size, tmp);
    if (rc != 0)
        return rc;
    if ((rc = d->rename(d->ctx, tmp, path)) != 0)
        return segment_fail(err, err_size, rc, "rename", tmp);
    rc = d->sync_dir(d->ctx, dir);
    return rc == 0 ? 0 : segment_fail(err, err_size, rc, "fsync", dir);
}

static int path_of(char path[WAL_PATH_MAX], const char *dir, char *err, size_t err_size)
{
    if (err_size > 0)
        err[0] = '\0';
    if (strlen(dir) + sizeof "/peers.tmp" > WAL_PATH_MAX)
        return segment_fail(err, err_size, -ENAMETOOLONG, "open", dir);
    (void)snprintf(path, WAL_PATH_MAX, "%s/peers", dir);
    return 0;
}

int peerids_load(const struct disk *d, const char *dir, uint64_t storage_id, struct peerids *out,
                 char *err, size_t err_size)
{
    char path[WAL_PATH_MAX];
    uint8_t blocks[COPIES * BLOCK_BYTES] = {0};
    struct peerids ids[COPIES];
    int rc = path_of(path, dir, err, err_size);
    if (rc != 0)
        return rc;
    *out = (struct peerids){.storage_id = storage_id};
    int fd = d->open(d->ctx, path, DISK_READ);
    if (fd == -ENOENT)
        return 0;
    if (fd < 0)
        return segment_fail(err, err_size, fd, "open", path);
    ssize_t n = d->pread(d->ctx, fd, blocks, sizeof blocks, 0);
    rc = d->close(d->ctx, fd);
    if (n < 0 || rc != 0)
        return segment_fail(err, err_size, n < 0 ? (int)n : rc, "read", path);
    bool first = decode(blocks, &ids[0]), second = decode(blocks + BLOCK_BYTES, &ids[1]);
    if (first || second)
        *out = ids[!first || (second && ids[1].number > ids[0].number)];
    if ((first || second) && out->storage_id == storage_id)
        return 0;
    (void)snprintf(
        err, err_size,
        first || second
            ? "%s: belongs to another data directory: put the one of this directory back"
            : "%s: both copies are damaged, or of another format. It says which data directories "
              "the other nodes had: if none of them was given a new one since, "
              "remove this file, and it is made again",
        path);
    return -EBADMSG;
}

int peerids_add(const struct disk *d, const char *dir, struct peerids *ids, uint16_t node_id,
                const uint8_t key[PEERIDS_KEY_BYTES], char *err, size_t err_size)
{
    char path[WAL_PATH_MAX];
    struct peerids next = *ids;
    uint8_t old[PEERIDS_KEY_BYTES];
    assert(!all_zero(key, PEERIDS_KEY_BYTES));
    int rc = path_of(path, dir, err, err_size);
    if (rc == 0 && peerids_find(ids, node_id, old))
        return memcmp(old, key, sizeof old) == 0
                   ? 0
                   : segment_fail(err, err_size, -EEXIST, "add a node to", path);
    if (rc == 0 && ids->n == PEERIDS_MAX)
        rc = segment_fail(err, err_size, -ENOSPC, "add a node to", path);
    if (rc != 0)
        return rc;
    next.known[next.n].node_id = node_id;
    memcpy(next.known[next.n++].key, key, PEERIDS_KEY_BYTES);
    next.number++;
    int fd = ids->number == 0 ? 0 : d->open(d->ctx, path, DISK_WRITE);
    if (fd < 0)
        return segment_fail(err, err_size, fd, "open", path);
    rc = ids->number == 0
             ? create(d, dir, path, &next, err, err_size)
             : write_copies(d, fd, &next, next.number % COPIES, 1, err, err_size, path);
    if (rc == 0)
        *ids = next;
    return rc;
}

bool peerids_find(const struct peerids *ids, uint16_t node_id, uint8_t key[PEERIDS_KEY_BYTES])
{
    unsigned i = 0;
    while (i < ids->n && ids->known[i].node_id != node_id)
        i++;
    memset(key, 0, PEERIDS_KEY_BYTES);
    if (i < ids->n)
        memcpy(key, ids->known[i].key, PEERIDS_KEY_BYTES);
    return i < ids->n;
}
