/* snapshot.c: see snapshot.h. */
#include "storage/snapshot.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium/crypto_generichash.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/num.h"
#include "storage/crc32c.h"
#include "storage/segment.h"

enum {
    HEAD_BYTES = 4096,
    CHUNK_HEAD_BYTES = 12,
    CHUNK_BYTES = CHUNK_HEAD_BYTES + SNAPSHOT_CHUNK_MAX_BYTES,
    LAST_SECTION = 0xffff,
    SNAPSHOT_MAGIC = 0x314e5352, /* "RSN1" */
    AT_STORAGE = 16,
    STORAGE_BYTES = 8,
    AT_MEMBERS_INDEX = 88,
    AT_MEMBERS = 96,
    NAME_DIGITS = 16,
    /* What is written is synced in pieces of so much. All of it at once would be in the way of the log's
     * syncs for long; and of a part no more is lost with the power. */
    SYNC_BYTES = 1 << 20,
};

#define SUFFIX         ".snap"
#define SUFFIX_TMP     ".tmp"
#define SUFFIX_PART    ".part"
#define SUFFIX_DAMAGED ".damaged"

typedef char path_text[WAL_PATH_MAX];

_Static_assert(AT_MEMBERS + MEMBERS_BYTES_MAX <= HEAD_BYTES, "the head has room for all members");

/* ---- messages and paths ---- */

static int fail(struct snapshots *s, int rc, const char *call, const char *path)
{
    return segment_fail(s->message, sizeof s->message, rc, call, path);
}

__attribute__((format(printf, 3, 4))) static int say(struct snapshots *s, int rc,
                                                     const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(s->message, sizeof s->message, format, args);
    va_end(args);
    return rc;
}

/* DIR/snap, and DIR/snap/NUMBER and suffix. */
static int path_of(struct snapshots *s, path_text path, uint64_t number, const char *suffix)
{
    int n = suffix == NULL
                ? snprintf(path, WAL_PATH_MAX, "%s/snap", s->dir)
                : snprintf(path, WAL_PATH_MAX, "%s/snap/%016" PRIx64 "%s", s->dir, number, suffix);
    s->message[0] = '\0';
    return n > 0 && n < WAL_PATH_MAX ? 0 : fail(s, -ENAMETOOLONG, "open", s->dir);
}

/* No space, as one error. */
static int no_space(int rc)
{
    return segment_disk_full(rc) ? -ENOSPC : rc;
}

static int unlink_if(struct snapshots *s, const char *path)
{
    int rc = s->disk->unlink(s->disk->ctx, path);
    return rc == 0 || rc == -ENOENT ? 0 : fail(s, rc, "unlink", path);
}

/* After a failed sync of names nobody knows what lasts. */
static int sync_names(struct snapshots *s, const char *path)
{
    int rc = s->disk->sync_dir(s->disk->ctx, path);
    return rc == 0 ? 0 : fail(s, segment_disk_full(rc) ? -EIO : rc, "fsync", path);
}

static int sync_file(struct snapshots *s, int fd, const char *path)
{
    int rc = s->disk->fdatasync(s->disk->ctx, fd);
    return rc == 0 ? 0 : fail(s, segment_disk_full(rc) ? -EIO : rc, "fdatasync", path);
}

static int close_file(struct snapshots *s, int fd, const char *path, int rc)
{
    int closed = s->disk->close(s->disk->ctx, fd);
    return rc == 0 && closed != 0 ? fail(s, closed, "close", path) : rc;
}

static int write_at(struct snapshots *s, int fd, const char *path, const struct iovec *iov, int n,
                    uint64_t at)
{
    int rc = s->disk->pwritev(s->disk->ctx, fd, iov, n, at);
    return rc == 0 ? 0 : fail(s, no_space(rc), "write", path);
}

/* DIR/snap exists, and will after a loss of power. */
static int make_dir(struct snapshots *s)
{
    path_text path;
    int rc = path_of(s, path, 0, NULL);
    if (rc != 0)
        return rc;
    rc = s->disk->mkdir(s->disk->ctx, path);
    if (rc != 0 && rc != -EEXIST)
        return fail(s, no_space(rc), "mkdir", path);
    return sync_names(s, s->dir);
}

static int pace(struct snapshots *s, uint64_t done, uint64_t all)
{
    int rc = s->pace != NULL ? s->pace(s->pace_ctx, done, all) : 0;
    return rc == 0 ? 0 : say(s, rc, "given up");
}

/* ---- the head ---- */

/* The checksum leaves the storage id out, which is not the same everywhere. */
static uint32_t head_crc(const uint8_t b[HEAD_BYTES])
{
    static const uint8_t zero[STORAGE_BYTES];
    uint32_t crc = crc32c(0, b + 4, AT_STORAGE - 4);
    crc = crc32c(crc, zero, sizeof zero);
    return crc32c(crc, b + AT_STORAGE + STORAGE_BYTES, HEAD_BYTES - AT_STORAGE - STORAGE_BYTES);
}

static void head_encode(uint8_t b[HEAD_BYTES], const struct snapshot_head *h)
{
    memset(b, 0, HEAD_BYTES);
    put_u32(b + 4, SNAPSHOT_MAGIC);
    put_u16(b + 8, SNAPSHOT_VERSION);
    put_u64(b + AT_STORAGE, h->storage_id);
    put_u64(b + 24, h->cluster);
    put_u64(b + 32, h->index);
    put_u64(b + 40, h->term);
    put_u64(b + 48, h->cluster_ms);
    memcpy(b + 56, h->entry_hash, RECORD_HASH_BYTES);
    memcpy(b + 72, h->digest, SNAPSHOT_DIGEST_BYTES);
    put_u64(b + AT_MEMBERS_INDEX, h->members.index);
    if (h->members.index != 0)
        put_u16(b + 10, (uint16_t)members_encode(&h->members.members, b + AT_MEMBERS));
    put_u32(b, head_crc(b));
}

static bool head_decode(const uint8_t b[HEAD_BYTES], struct snapshot_head *h)
{
    uint8_t again[HEAD_BYTES];
    *h = (struct snapshot_head){
        .storage_id = get_u64(b + AT_STORAGE),
        .cluster = get_u64(b + 24),
        .index = get_u64(b + 32),
        .term = get_u64(b + 40),
        .cluster_ms = get_u64(b + 48),
        .members.index = get_u64(b + AT_MEMBERS_INDEX),
    };
    size_t len = get_u16(b + 10);
    if (h->index == 0 || h->term == 0 || h->cluster_ms > RECORD_CLUSTER_MS_MAX ||
        h->members.index > h->index || len > MEMBERS_BYTES_MAX ||
        (h->members.index != 0 && !members_decode(b + AT_MEMBERS, len, &h->members.members)))
        return false;
    memcpy(h->entry_hash, b + 56, RECORD_HASH_BYTES);
    memcpy(h->digest, b + 72, SNAPSHOT_DIGEST_BYTES);
    head_encode(again, h); /* what is written has one form: all else is zero */
    return memcmp(again, b, HEAD_BYTES) == 0;
}

struct wal_base snapshot_base(const struct snapshot_head *head)
{
    struct wal_base base = {.index = head->index, .term = head->term, .members = head->members};
    memcpy(base.hash, head->entry_hash, sizeof base.hash);
    return base;
}

/* ---- reading ---- */

struct reading {
    crypto_generichash_state hash; /* first, for its alignment */
    struct snapshots *s;
    const char *path;
    int fd;
    uint64_t size, at; /* of the file; what is read */
    uint16_t section;  /* of the last chunk */
    size_t len;        /* of its bytes, in buf behind its head */
    uint8_t *buf;      /* CHUNK_BYTES */
};

static int damaged(const struct reading *r, const char *what)
{
    return say(r->s, -EBADMSG, "%s: at offset %" PRIu64 ": %s", r->path, r->at, what);
}

/* Up to `len` bytes from r->at on; how many, or -errno. What the disk can't read is damaged. */
static ssize_t fill(const struct reading *r, size_t len)
{
    ssize_t n = r->s->disk->pread(r->s->disk->ctx, r->fd, r->buf, len, r->at);
    if (n < 0)
        (void)fail(r->s, (int)n, "read", r->path);
    return n == -EIO ? -EBADMSG : n;
}

static int read_head(struct reading *r, struct snapshot_head *h)
{
    ssize_t n = fill(r, HEAD_BYTES);
    *h = (struct snapshot_head){0};
    if (n < 0)
        return (int)n;
    if (n < HEAD_BYTES || get_u32(r->buf) != head_crc(r->buf) ||
        get_u32(r->buf + 4) != SNAPSHOT_MAGIC)
        return damaged(r, "the head is damaged, or this is no snapshot");
    if (get_u16(r->buf + 8) != SNAPSHOT_VERSION)
        return say(r->s, -ENOTSUP,
                   "%s: has format %u, this raftd knows format %d alone: go on with the raftd that "
                   "made it",
                   r->path, (unsigned)get_u16(r->buf + 8), SNAPSHOT_VERSION);
    if (!head_decode(r->buf, h))
        return damaged(r, "the head contradicts itself");
    memset(r->buf + AT_STORAGE, 0, STORAGE_BYTES);
    crypto_generichash_init(&r->hash, NULL, 0, SNAPSHOT_HASH_BYTES);
    crypto_generichash_update(&r->hash, r->buf, HEAD_BYTES);
    r->at = HEAD_BYTES;
    r->section = 0;
    return 0;
}

/* The next chunk: 1; the last one, which has the hash: 0; or -errno. r->at is behind it then. */
static int read_chunk(struct reading *r)
{
    ssize_t n = fill(r, CHUNK_BYTES);
    if (n < 0)
        return (int)n;
    size_t len = n < CHUNK_HEAD_BYTES ? 0 : get_u32(r->buf + 4);
    if (len == 0 || len > SNAPSHOT_CHUNK_MAX_BYTES || (size_t)n < CHUNK_HEAD_BYTES + len ||
        get_u32(r->buf) != crc32c(0, r->buf + 4, CHUNK_HEAD_BYTES - 4 + len))
        return damaged(r, "a chunk is damaged or cut");
    uint16_t section = get_u16(r->buf + 8);
    if (section == 0 || section < r->section || get_u16(r->buf + 10) != 0)
        return damaged(r, "a chunk is of no section, or of one that had to come before");
    r->section = section;
    if (section == LAST_SECTION) {
        uint8_t hash[SNAPSHOT_HASH_BYTES];
        crypto_generichash_final(&r->hash, hash, sizeof hash);
        if (len != sizeof hash || memcmp(hash, r->buf + CHUNK_HEAD_BYTES, sizeof hash) != 0)
            return damaged(r, "the hash of all is another one");
    } else {
        crypto_generichash_update(&r->hash, r->buf, CHUNK_HEAD_BYTES + len);
    }
    r->at += CHUNK_HEAD_BYTES + len;
    r->len = len;
    return section != LAST_SECTION;
}

static int give(const struct reading *r, const struct snapshot_sink *sink)
{
    int rc = sink != NULL ? sink->chunk(sink->ctx, r->section, r->buf + CHUNK_HEAD_BYTES, r->len)
                          : 0;
    if (rc == -ENOTSUP)
        return say(r->s, rc,
                   "%s: section %u is unknown to this raftd: go on with the raftd that made it",
                   r->path, (unsigned)r->section);
    if (rc == -EBADMSG)
        return damaged(r, "the chunk before contradicts itself");
    return rc == 0 ? 0 : fail(r->s, rc, "load", r->path);
}

/* Reads all from the beginning on. */
static int read_all(struct reading *r, const struct snapshot_sink *sink, struct snapshot_head *head,
                    struct snapshot_name *name)
{
    struct snapshots *s = r->s;
    r->at = 0;
    int rc = read_head(r, head);
    if (rc != 0)
        return rc;
    if (s->cluster != 0 && head->cluster != s->cluster)
        return say(s, -EBADMSG, "%s: belongs to another cluster", r->path);
    while ((rc = read_chunk(r)) == 1) {
        if ((rc = give(r, sink)) != 0 || (rc = pace(s, r->at, r->size)) != 0)
            return rc;
    }
    if (rc != 0)
        return rc;
    if (r->at != r->size)
        return damaged(r, "there is more than a whole snapshot");
    *name = (struct snapshot_name){head->index, head->term, r->size, {0}};
    memcpy(name->hash, r->buf + CHUNK_HEAD_BYTES, SNAPSHOT_HASH_BYTES);
    rc = sink != NULL ? sink->done(sink->ctx, head) : 0;
    if (rc == -EBADMSG)
        return say(s, rc, "%s: its state has another digest than its head says", r->path);
    return rc == 0 ? 0 : fail(s, rc, "load", r->path);
}

/* Makes ready to read what is on the medium. The buffer is the caller's to free, also after an error. */
static int begin(struct reading *r, struct snapshots *s, int fd, const char *path)
{
    *r = (struct reading){.s = s, .path = path, .fd = fd, .buf = malloc(CHUNK_BYTES)};
    if (r->buf == NULL)
        return fail(s, -ENOMEM, "read", path);
    int rc = s->disk->drop_cache(s->disk->ctx, fd);
    if (rc != 0)
        return fail(s, rc, "drop the cache of", path);
    int64_t size = s->disk->size(s->disk->ctx, fd);
    if (size < 0)
        return fail(s, (int)size, "look at", path);
    r->size = (uint64_t)size;
    return 0;
}

static int read_file(struct snapshots *s, int fd, const char *path,
                     const struct snapshot_sink *sink, struct snapshot_head *head,
                     struct snapshot_name *name)
{
    struct reading r;
    int rc = begin(&r, s, fd, path);
    if (rc == 0)
        rc = read_all(&r, sink, head, name);
    free(r.buf);
    return rc;
}

int snapshot_load_file(struct snapshots *s, const char *path, const struct snapshot_sink *sink,
                       struct snapshot_head *head, struct snapshot_name *name)
{
    s->message[0] = '\0';
    *head = (struct snapshot_head){0};
    int fd = s->disk->open(s->disk->ctx, path, DISK_READ);
    if (fd < 0)
        return fail(s, fd, "open", path);
    return close_file(s, fd, path, read_file(s, fd, path, sink, head, name));
}

/* The file of an index has that index in it, and the storage id of the directory. */
static int belongs(struct snapshots *s, const char *path, uint64_t index,
                   const struct snapshot_head *head)
{
    if (head->storage_id != s->storage_id)
        return say(s, -EBADMSG, "%s: belongs to another data directory", path);
    if (head->index != index)
        return say(s, -EBADMSG, "%s: is the snapshot of index %" PRIu64, path, head->index);
    return 0;
}

int snapshot_load(struct snapshots *s, uint64_t index, const struct snapshot_sink *sink,
                  struct snapshot_head *head, struct snapshot_name *name)
{
    path_text path, dir;
    int rc = path_of(s, path, index, SUFFIX);
    if (rc == 0 && (rc = path_of(s, dir, 0, NULL)) == 0 &&
        (rc = snapshot_load_file(s, path, sink, head, name)) == 0 &&
        (rc = belongs(s, path, index, head)) == 0)
        rc = sync_names(s, dir); /* the process that gave the name may have ended before this */
    return rc;
}

int snapshot_open(struct snapshots *s, uint64_t index)
{
    path_text path;
    int rc = path_of(s, path, index, SUFFIX);
    if (rc != 0)
        return rc;
    rc = s->disk->open(s->disk->ctx, path, DISK_READ);
    return rc >= 0 ? rc : fail(s, rc, "open", path);
}

ssize_t snapshot_read(const struct disk *d, int fd, uint64_t offset, uint8_t *buf, size_t len)
{
    ssize_t n = d->pread(d->ctx, fd, buf, len, offset);
    for (ssize_t i = 0; i < n && offset + (uint64_t)i < AT_STORAGE + STORAGE_BYTES; i++)
        if (offset + (uint64_t)i >= AT_STORAGE)
            buf[i] = 0;
    return n;
}

/* ---- names ---- */

struct listing {
    const char *suffix;
    uint64_t *numbers;
    unsigned n;
};

static int list_one(void *arg, const char *name)
{
    struct listing *l = arg;
    const char *suffix = name;
    uint64_t number;
    if (!num_take(&suffix, 16, UINT64_MAX, &number) || suffix != name + NAME_DIGITS ||
        strcmp(suffix, l->suffix) != 0)
        return 0;
    unsigned at = l->n;
    while (at > 0 && l->numbers[at - 1] < number)
        at--;
    if (at == SNAPSHOT_LIST_MAX)
        return 0;
    l->n += l->n < SNAPSHOT_LIST_MAX;
    memmove(l->numbers + at + 1, l->numbers + at, (l->n - at - 1) * sizeof *l->numbers);
    l->numbers[at] = number;
    return 0;
}

/* The highest numbers of names with that suffix, in descending order. */
static int list(struct snapshots *s, const char *suffix, uint64_t numbers[SNAPSHOT_LIST_MAX],
                unsigned *n)
{
    struct listing l = {.suffix = suffix, .numbers = numbers};
    path_text dir;
    int rc = path_of(s, dir, 0, NULL);
    *n = 0;
    if (rc != 0)
        return rc;
    rc = s->disk->list(s->disk->ctx, dir, list_one, &l);
    *n = l.n;
    return rc == 0 || rc == -ENOENT ? 0 : fail(s, rc, "list", dir);
}

int snapshot_list(struct snapshots *s, uint64_t indexes[SNAPSHOT_LIST_MAX], unsigned *n)
{
    return list(s, SUFFIX, indexes, n);
}

/* Of a kind of which there is one at a time, removes all others. */
static int remove_others(struct snapshots *s, const char *suffix, uint64_t number)
{
    path_text path;
    uint64_t numbers[SNAPSHOT_LIST_MAX];
    unsigned n;
    int rc = list(s, suffix, numbers, &n);
    for (unsigned i = 0; rc == 0 && i < n; i++)
        if (numbers[i] != number && (rc = path_of(s, path, numbers[i], suffix)) == 0)
            rc = unlink_if(s, path);
    return rc;
}

int snapshot_tidy(struct snapshots *s, uint64_t needed)
{
    path_text path;
    uint64_t indexes[SNAPSHOT_LIST_MAX];
    unsigned n;
    int rc = snapshot_list(s, indexes, &n);
    if (rc == 0 && (rc = path_of(s, path, 0, SUFFIX_TMP)) == 0)
        rc = unlink_if(s, path);
    for (unsigned i = SNAPSHOT_KEPT; rc == 0 && i < n; i++)
        if (indexes[i] != needed && (rc = path_of(s, path, indexes[i], SUFFIX)) == 0)
            rc = unlink_if(s, path);
    return rc;
}

/* Gives a file, which is on the medium, the name of that number and suffix. */
static int give_name(struct snapshots *s, const char *from, uint64_t number, const char *suffix)
{
    path_text to, dir;
    int rc = path_of(s, to, number, suffix);
    if (rc != 0 || (rc = path_of(s, dir, 0, NULL)) != 0)
        return rc;
    rc = s->disk->rename(s->disk->ctx, from, to);
    return rc == 0 ? sync_names(s, dir) : fail(s, no_space(rc), "rename", from);
}

int snapshot_put_aside(struct snapshots *s, uint64_t index)
{
    path_text path;
    int rc = remove_others(s, SUFFIX_DAMAGED, index);
    if (rc == 0 && (rc = path_of(s, path, index, SUFFIX_DAMAGED)) == 0 &&
        (rc = unlink_if(s, path)) == 0 && (rc = path_of(s, path, index, SUFFIX)) == 0)
        rc = give_name(s, path, index, SUFFIX_DAMAGED);
    return rc;
}

enum { ABSENT, PRESENT, ANOTHER };

/* Is a snapshot of that state there? Or ANOTHER of its index, damaged or of another state; -errno. */
static int present(struct snapshots *s, const struct snapshot_head *want,
                   struct snapshot_name *name)
{
    struct snapshot_head head;
    int rc = snapshot_load(s, want->index, NULL, &head, name);
    if (rc == -ENOENT)
        return ABSENT;
    if (rc == -EBADMSG || (rc == 0 && memcmp(head.digest, want->digest, sizeof head.digest) != 0))
        return ANOTHER;
    return rc == 0 ? PRESENT : rc;
}

/* Only now, when it is whole on the disk, another one goes: perhaps that could not be read this once. */
static int take_place(struct snapshots *s, const char *from, uint64_t index, int was)
{
    int rc = was == ANOTHER ? snapshot_put_aside(s, index) : 0;
    return rc == 0 ? give_name(s, from, index, SUFFIX) : rc;
}

/* ---- writing ---- */

struct writing {
    struct snapshots *s;
    const char *path;
    int fd;
    uint64_t at, synced;
    crypto_generichash_state hash;
};

static int write_chunk(struct writing *w, uint16_t section, const uint8_t *bytes, size_t len)
{
    uint8_t head[CHUNK_HEAD_BYTES];
    const struct iovec iov[] = {disk_bytes(head, sizeof head), disk_bytes(bytes, len)};
    assert(section >= 1 && len >= 1 && len <= SNAPSHOT_CHUNK_MAX_BYTES);
    put_u32(head + 4, (uint32_t)len);
    put_u16(head + 8, section);
    put_u16(head + 10, 0);
    put_u32(head, crc32c(crc32c(0, head + 4, sizeof head - 4), bytes, len));
    crypto_generichash_update(&w->hash, head, sizeof head);
    crypto_generichash_update(&w->hash, bytes, len);
    int rc = write_at(w->s, w->fd, w->path, iov, 2, w->at);
    w->at += sizeof head + len;
    if (rc == 0 && w->at - w->synced >= SYNC_BYTES) {
        rc = sync_file(w->s, w->fd, w->path);
        w->synced = w->at;
    }
    return rc == 0 ? pace(w->s, w->at, 0) : rc;
}

static int write_head(struct writing *w, const struct snapshot_head *head)
{
    uint8_t block[HEAD_BYTES];
    struct snapshot_head h = *head;
    struct iovec iov = {.iov_base = block, .iov_len = sizeof block};
    h.storage_id = 0;
    h.cluster = w->s->cluster;
    head_encode(block, &h);
    crypto_generichash_init(&w->hash, NULL, 0, SNAPSHOT_HASH_BYTES);
    crypto_generichash_update(&w->hash, block, sizeof block);
    put_u64(block + AT_STORAGE, w->s->storage_id);
    w->at = HEAD_BYTES;
    return write_at(w->s, w->fd, w->path, &iov, 1, 0);
}

static int write_all(struct writing *w, const struct snapshot_head *head,
                     const struct snapshot_source *source, uint8_t hash[SNAPSHOT_HASH_BYTES])
{
    uint16_t section, before = 1;
    const uint8_t *bytes;
    size_t len;
    int rc = write_head(w, head);
    if (rc != 0)
        return rc;
    while ((rc = source->next(source->ctx, &section, &bytes, &len)) == 1) {
        assert(section >= before && section < LAST_SECTION);
        if ((rc = write_chunk(w, section, bytes, len)) != 0)
            return rc;
        before = section;
    }
    if (rc != 0)
        return fail(w->s, rc, "write", w->path);
    crypto_generichash_state all = w->hash;
    crypto_generichash_final(&all, hash, SNAPSHOT_HASH_BYTES);
    return write_chunk(w, LAST_SECTION, hash, SNAPSHOT_HASH_BYTES);
}

/* A whole file under another name, on the medium. */
static int write_file(struct snapshots *s, const char *path, const struct snapshot_head *head,
                      const struct snapshot_source *source, struct snapshot_name *name)
{
    uint8_t hash[SNAPSHOT_HASH_BYTES];
    struct snapshot_head got;
    int fd = s->disk->open(s->disk->ctx, path, DISK_CREATE);
    if (fd < 0)
        return fail(s, no_space(fd), "create", path);
    struct writing w = {.s = s, .path = path, .fd = fd};
    int rc = write_all(&w, head, source, hash);
    if (rc == 0)
        rc = sync_file(s, fd, path);
    if (rc == 0)
        rc = read_file(s, fd, path, NULL, &got, name);
    if (rc == -EBADMSG || (rc == 0 && memcmp(hash, name->hash, sizeof hash) != 0))
        rc = say(s, -EBADMSG, "%s: what was written cannot be read back", path);
    return close_file(s, fd, path, rc);
}

int snapshot_write(struct snapshots *s, const struct snapshot_head *head,
                   const struct snapshot_source *source, struct snapshot_name *name)
{
    path_text tmp;
    int rc = make_dir(s), was = rc == 0 ? present(s, head, name) : rc;
    if (was < 0 || was == PRESENT)
        return was < 0 ? was : 0;
    if ((rc = path_of(s, tmp, 0, SUFFIX_TMP)) != 0 || (rc = unlink_if(s, tmp)) != 0)
        return rc;
    rc = write_file(s, tmp, head, source, name);
    if (rc == 0)
        rc = take_place(s, tmp, head->index, was);
    else
        (void)s->disk->unlink(s->disk->ctx, tmp); /* the next one does, if this fails */
    return rc;
}

/* ---- from a peer ---- */

struct snapshot_part {
    struct snapshots *s;
    struct snapshot_name name;
    uint64_t have, synced;
    uint64_t tail; /* where the chunk begins that was there in part and must be checked; 0: none */
    int fd;
    path_text path;
};

/* Does the file end within the chunk that could not be read? */
static bool ends_within(const struct reading *r)
{
    uint64_t rest = r->size - r->at;
    uint64_t len = rest < CHUNK_HEAD_BYTES ? 1 : get_u32(r->buf + 4);
    return len > 0 && len <= SNAPSHOT_CHUNK_MAX_BYTES && rest < CHUNK_HEAD_BYTES + len;
}

/* How many bytes are good, as far as can be told: each chunk has a checksum. One that has come in part
 * counts, since a process that was killed has lost nothing. But a loss of power leaves any bytes behind those
 * that were synced: so that chunk is checked as soon as it is whole, before much is fetched behind it. */
static int find_end(struct snapshot_part *p)
{
    struct reading r;
    struct snapshot_head head;
    int rc = sync_file(p->s, p->fd, p->path);
    p->have = 0;
    if (rc != 0)
        return rc;
    if ((rc = begin(&r, p->s, p->fd, p->path)) == 0 && (rc = read_head(&r, &head)) == 0) {
        do {
            p->have = r.at;
        } while ((rc = pace(p->s, r.at, r.size)) == 0 && (rc = read_chunk(&r)) == 1);
        p->have = rc == 0 ? r.at : p->have;
        if (rc == -EBADMSG && r.section == LAST_SECTION)
            p->have = 0; /* one of the chunks is another one, and nobody can tell which */
        else if (rc == -EBADMSG && r.size < p->name.size && ends_within(&r)) {
            p->tail = r.at;
            p->have = r.size;
        }
    }
    free(r.buf);
    p->have = p->synced = min_u64(p->have, p->name.size);
    return rc == -EBADMSG || rc == -ENOTSUP ? 0 : rc;
}

/* Opens its file, or makes it. */
static int open_part(struct snapshot_part *p)
{
    const struct disk *d = p->s->disk;
    path_text dir;
    uint64_t number = get_u64(p->name.hash);
    int rc = make_dir(p->s);
    if (rc != 0 || (rc = remove_others(p->s, SUFFIX_PART, number)) != 0 ||
        (rc = path_of(p->s, dir, 0, NULL)) != 0 ||
        (rc = path_of(p->s, p->path, number, SUFFIX_PART)) != 0)
        return rc;
    p->fd = d->open(d->ctx, p->path, DISK_WRITE);
    if (p->fd == -ENOENT)
        p->fd = d->open(d->ctx, p->path, DISK_CREATE);
    if (p->fd < 0)
        return fail(p->s, no_space(p->fd), "open", p->path);
    rc = sync_names(p->s, dir);
    return rc == 0 ? find_end(p) : rc;
}

int snapshot_part_open(struct snapshot_part **out, struct snapshots *s,
                       const struct snapshot_name *name, uint64_t *have)
{
    struct snapshot_part *p = calloc(1, sizeof *p);
    *out = NULL;
    if (p == NULL)
        return fail(s, -ENOMEM, "open", s->dir);
    p->s = s;
    p->name = *name;
    p->fd = -1;
    int rc = open_part(p);
    if (rc != 0) {
        snapshot_part_close(p);
        return rc;
    }
    *have = p->have;
    *out = p;
    return 0;
}

uint64_t snapshot_part_have(const struct snapshot_part *p)
{
    return p->have;
}

/* More bytes have come, and the chunk of p->tail may be whole. It is checked once: if the sender has it
 * damaged, it would come for ever. */
static int check_tail(struct snapshot_part *p)
{
    struct reading r;
    int rc = begin(&r, p->s, p->fd, p->path);
    if (rc == 0) {
        r.at = p->tail;
        rc = read_chunk(&r);
        bool partly = rc == -EBADMSG && ends_within(&r);
        if (partly || rc == 1 || r.section == LAST_SECTION) /* the hash is not looked at here */
            rc = 0;
        p->have = rc == -EBADMSG ? p->tail : p->have;
        p->tail = partly ? p->tail : 0;
    }
    free(r.buf);
    return rc;
}

int snapshot_part_append(struct snapshot_part *p, uint64_t offset, const uint8_t *bytes, size_t len)
{
    struct iovec iov = disk_bytes(bytes, len);
    if (offset != p->have || len > p->name.size - p->have)
        return fail(p->s, -EINVAL, "append to", p->path);
    int rc = len > 0 ? write_at(p->s, p->fd, p->path, &iov, 1, offset) : 0;
    if (rc != 0 || (p->tail != 0 && (rc = check_tail(p)) != 0))
        return rc;
    p->have += len;
    if (p->have - p->synced < SYNC_BYTES)
        return 0;
    p->synced = p->have;
    return sync_file(p->s, p->fd, p->path);
}

/* What is on the medium is the snapshot of that name. */
static int verify_part(struct snapshot_part *p, const struct snapshot_sink *sink,
                       struct snapshot_head *head)
{
    struct snapshot_name got = {0};
    int rc = sync_file(p->s, p->fd, p->path);
    if (rc == 0)
        rc = read_file(p->s, p->fd, p->path, sink, head, &got);
    if (rc == 0 && (got.index != p->name.index || got.term != p->name.term ||
                    memcmp(got.hash, p->name.hash, sizeof got.hash) != 0))
        rc = say(p->s, -EBADMSG, "%s: is another snapshot than the one that was offered", p->path);
    return rc;
}

/* Makes it this directory's own, on the medium. */
static int own(struct snapshot_part *p)
{
    uint8_t id[STORAGE_BYTES];
    struct iovec iov = {.iov_base = id, .iov_len = sizeof id};
    put_u64(id, p->s->storage_id);
    int rc = write_at(p->s, p->fd, p->path, &iov, 1, AT_STORAGE);
    return rc == 0 ? sync_file(p->s, p->fd, p->path) : rc;
}

/* Gives it its name; 1 if it is there under that already. */
static int settle(struct snapshot_part *p, const struct snapshot_head *head)
{
    struct snapshot_name there;
    int rc, was = present(p->s, head, &there);
    if (was < 0 || was == PRESENT)
        return was;
    if ((rc = own(p)) == 0)
        rc = take_place(p->s, p->path, head->index, was);
    return rc;
}

int snapshot_part_finish(struct snapshot_part *p, const struct snapshot_sink *sink,
                         struct snapshot_head *head)
{
    bool whole = p->have == p->name.size;
    int rc = whole ? verify_part(p, sink, head) : say(p->s, -EBADMSG, "%s: is not whole", p->path);
    if (rc == 0) {
        head->storage_id = p->s->storage_id;
        rc = settle(p, head);
    }
    bool useless = rc == 1 || rc == -EBADMSG;
    if (rc == -EBADMSG && whole)
        useless = find_end(p) != 0 || p->have <= HEAD_BYTES || p->have == p->name.size;
    if (useless)
        snapshot_part_drop(p);
    else
        snapshot_part_close(p);
    return rc == 1 ? 0 : rc;
}

void snapshot_part_close(struct snapshot_part *p)
{
    if (p == NULL)
        return;
    if (p->fd >= 0)
        (void)p->s->disk->close(p->s->disk->ctx, p->fd); /* what counts was synced */
    free(p);
}

void snapshot_part_drop(struct snapshot_part *p)
{
    if (p == NULL)
        return;
    (void)p->s->disk->unlink(p->s->disk->ctx, p->path); /* the next one does, if this fails */
    snapshot_part_close(p);
}
