/* ident.c: see ident.h.
 *
 * Order of creation: ident.tmp (durable), log with its first segment (durable), rename to ident
 * (durable). So an ident proves that there was a log, and an ident.tmp without ident proves that
 * nothing was ever stored here.
 */
#include "storage/ident.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
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
    IDENT_MAGIC = 0x31444952, /* "RID1" */
    IDENT_VERSION = 3,
    VOTERS_AT = 24,
    NAME_AT = 64,
    SECRET_AT = 128,
    KEY_AT = 160,
    ID_DIGITS = 5,
    IDS_TEXT = IDENT_VOTERS_MAX * (ID_DIGITS + 2), /* "65535, " */
};

struct call {
    const struct disk *d;
    const char *dir;
    char *err;
    size_t err_size;
};

/* One sentence into err; returns `result`, so that each case is one line. */
static int say(const struct call *c, int result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int say(const struct call *c, int result, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (vsnprintf(c->err, c->err_size, format, args) < 0 && c->err_size > 0)
        c->err[0] = '\0';
    va_end(args);
    return result;
}

static int failed(const struct call *c, int rc, const char *what, const char *path)
{
    return segment_fail(c->err, c->err_size, rc, what, path);
}

static int begin(struct call *c, const struct disk *d, const char *dir, char *err, size_t err_size)
{
    char log[WAL_PATH_MAX];
    *c = (struct call){.d = d, .dir = dir, .err = err, .err_size = err_size};
    if (err_size > 0)
        err[0] = '\0';
    int rc = segment_dir(log, dir); /* no path of ours is longer than those of the log */
    return rc == 0 ? IDENT_OK : failed(c, rc, "open", dir);
}

static void path_in(char path[WAL_PATH_MAX], const struct call *c, const char *name)
{
    /* begin() made sure that it fits. */
    if (snprintf(path, WAL_PATH_MAX, "%s/%s", c->dir, name) < 0)
        path[0] = '\0';
}

/* The directory that holds the name `dir`. */
static void parent_of(char parent[WAL_PATH_MAX], const char *dir)
{
    size_t n = strlen(dir);
    memcpy(parent, dir, n + 1);
    while (n > 1 && parent[n - 1] == '/')
        parent[--n] = '\0';
    char *slash = strrchr(parent, '/');
    if (slash == NULL)
        memcpy(parent, ".", 2);
    else
        slash[slash == parent ? 1 : 0] = '\0';
}

static int sync_dir(const struct call *c, const char *dir)
{
    int rc = c->d->sync_dir(c->d->ctx, dir);
    return rc == 0 ? IDENT_OK : failed(c, rc, "fsync", dir);
}

static int sync_parent(const struct call *c, const char *dir)
{
    char parent[WAL_PATH_MAX];
    parent_of(parent, dir);
    return sync_dir(c, parent);
}

/* A name that exists, and so cannot be made, but leads to nothing. */
static int nowhere(const struct call *c, const char *path)
{
    return say(
        c, -ENOTDIR,
        "%s: is a symbolic link to what does not exist: make the directory that it names, or "
        "remove it",
        path);
}

/* Makes `dir` and what is missing above it. Each name is durable before the next one below it is made;
 * ident_create() syncs the last one. */
static int make_dirs(const struct call *c, const char *dir)
{
    const struct disk *d = c->d;
    char above[WAL_PATH_MAX];
    int rc = d->mkdir(d->ctx, dir);
    parent_of(above, dir);
    if (rc == -ENOENT && strlen(above) < strlen(dir)) { /* shorter each time: it ends */
        if ((rc = make_dirs(c, above)) != IDENT_OK || (rc = sync_parent(c, above)) != IDENT_OK)
            return rc;
        rc = d->mkdir(d->ctx, dir);
    }
    if (rc == -ENOENT)
        return nowhere(c, above);
    return rc == 0 || rc == -EEXIST ? IDENT_OK : failed(c, rc, "mkdir", dir);
}

/* Opens `path` and locks it. */
static int lock_one(const struct call *c, const char *path, enum disk_open how, int *fd)
{
    const struct disk *d = c->d;
    int got = d->open(d->ctx, path, how);
    if (got == -ENOENT)
        return say(c, IDENT_MISSING, "%s: there is no data of a node", c->dir);
    if (got < 0)
        return failed(c, got, "open", path);
    int rc = d->lock(d->ctx, got);
    if (rc == 0) {
        *fd = got;
        return IDENT_OK;
    }
    int result =
        rc == -EWOULDBLOCK
            ? say(c, IDENT_LOCKED,
                  "%s: is in use by another process (it holds %s): is raftd running here already?",
                  c->dir, path)
            : failed(c, rc, "flock", path);
    int closed = d->close(d->ctx, got);
    return closed == 0 ? result : failed(c, closed, "close", path);
}

int ident_lock(const struct disk *d, const char *dir, bool create, struct ident_lock *l, char *err,
               size_t err_size)
{
    struct call c;
    char path[WAL_PATH_MAX];
    *l = (struct ident_lock){.dir = -1, .ident = -1};
    int result = begin(&c, d, dir, err, err_size);
    if (result != IDENT_OK)
        return result;
    if (create) {
        result = make_dirs(&c, dir);
        if (result != IDENT_OK)
            return result;
    }
    result = lock_one(&c, dir, DISK_DIR, &l->dir);
    if (result == IDENT_MISSING && create)
        return nowhere(&c, dir);
    if (result != IDENT_OK || create)
        return result;
    path_in(path, &c, "ident");
    result = lock_one(&c, path, DISK_READ, &l->ident);
    if (result == IDENT_OK)
        return result;
    int closed = d->close(d->ctx, l->dir);
    l->dir = -1;
    return closed == 0 ? result : failed(&c, closed, "close", dir);
}

/* ---- the block ---- */

uint64_t ident_storage_id(const struct ident *id)
{
    return get_u64(id->key);
}

static void encode(uint8_t b[BLOCK_BYTES], const struct ident *id,
                   const uint8_t secret[IDENT_KEY_BYTES])
{
    size_t len = strlen(id->name);
    assert(id->n_voters <= IDENT_VOTERS_MAX && len <= IDENT_NAME_MAX);
    memset(b, 0, BLOCK_BYTES);
    put_u32(b + 4, IDENT_MAGIC);
    put_u16(b + 8, IDENT_VERSION);
    put_u16(b + 10, id->node_id);
    put_u16(b + 12, (uint16_t)id->n_voters);
    put_u16(b + 14, (uint16_t)len);
    put_u64(b + 16, id->created);
    for (unsigned i = 0; i < id->n_voters; i++) {
        assert(i == 0 || id->voters[i - 1] < id->voters[i]);
        put_u16(b + VOTERS_AT + 2 * (size_t)i, id->voters[i]);
    }
    memcpy(b + NAME_AT, id->name, len);
    memcpy(b + SECRET_AT, secret, IDENT_KEY_BYTES);
    memcpy(b + KEY_AT, id->key, IDENT_KEY_BYTES);
    put_u32(b, crc32c(0, b + 4, BLOCK_BYTES - 4));
}

enum block {
    WHOLE,
    DAMAGED,
    STRANGE, /* whole, but of another version */
};

/* The version goes to *version unless the block is DAMAGED. */
static enum block decode(const uint8_t b[BLOCK_BYTES], struct ident *id, uint16_t *version)
{
    uint8_t whole[BLOCK_BYTES];
    if (get_u32(b) != crc32c(0, b + 4, BLOCK_BYTES - 4) || get_u32(b + 4) != IDENT_MAGIC)
        return DAMAGED;
    *version = get_u16(b + 8);
    if (*version != IDENT_VERSION)
        return STRANGE;
    size_t len = get_u16(b + 14);
    memset(id, 0, sizeof *id);
    id->node_id = get_u16(b + 10);
    id->n_voters = get_u16(b + 12);
    id->created = get_u64(b + 16);
    memcpy(id->key, b + KEY_AT, sizeof id->key);
    if (ident_storage_id(id) == 0 || id->n_voters > IDENT_VOTERS_MAX || len > IDENT_NAME_MAX)
        return DAMAGED;
    for (unsigned i = 0; i < id->n_voters; i++) {
        id->voters[i] = get_u16(b + VOTERS_AT + 2 * (size_t)i);
        if (i > 0 && id->voters[i - 1] >= id->voters[i])
            return DAMAGED;
    }
    memcpy(id->name, b + NAME_AT, len);
    if (strlen(id->name) != len)
        return DAMAGED;
    encode(whole, id, b + SECRET_AT); /* it is written in one way only: anything else is damage */
    bool same = memcmp(whole, b, BLOCK_BYTES) == 0;
    sodium_memzero(whole, sizeof whole);
    return same ? WHOLE : DAMAGED;
}

/* ---- create ---- */

struct listing {
    bool tmp, log, other;
    char name[64]; /* of something else */
};

static int each_name(void *arg, const char *name)
{
    struct listing *l = arg;
    if (strcmp(name, "ident.tmp") == 0)
        l->tmp = true;
    else if (strcmp(name, "log") == 0)
        l->log = true;
    /* A file system whose root DIR is has lost+found; what was restored for this identity is in snap. */
    else if (strcmp(name, "lost+found") == 0 || strcmp(name, "snap") == 0)
        return 0;
    else if (!l->other) {
        l->other = true;
        if (snprintf(l->name, sizeof l->name, "%s", name) < 0)
            l->name[0] = '\0';
    }
    return 0;
}

static int write_ident(const struct call *c, const char *path, const struct ident *id,
                       const uint8_t secret[IDENT_KEY_BYTES])
{
    const struct disk *d = c->d;
    uint8_t block[BLOCK_BYTES];
    struct iovec iov[COPIES];
    int rc = d->unlink(d->ctx, path); /* left by an attempt that was cut short */
    if (rc != 0 && rc != -ENOENT)
        return failed(c, rc, "unlink", path);
    int fd = d->open(d->ctx, path, DISK_CREATE);
    if (fd < 0)
        return failed(c, fd, "create", path);
    encode(block, id, secret);
    for (int i = 0; i < COPIES; i++)
        iov[i] = (struct iovec){.iov_base = block, .iov_len = sizeof block};
    if ((rc = d->pwritev(d->ctx, fd, iov, COPIES, 0)) != 0)
        (void)failed(c, rc, "write", path);
    else if ((rc = d->fdatasync(d->ctx, fd)) != 0)
        (void)failed(c, rc, "fdatasync", path);
    sodium_memzero(block, sizeof block);
    int closed = d->close(d->ctx, fd);
    return rc == 0 && closed != 0 ? failed(c, closed, "close", path) : rc;
}

int ident_none(const struct disk *d, const char *dir, char *err, size_t err_size)
{
    struct call c;
    struct listing l = {0};
    int rc = begin(&c, d, dir, err, err_size);
    if (rc != IDENT_OK)
        return rc;
    if ((rc = d->list(d->ctx, dir, each_name, &l)) != 0)
        return failed(&c, rc, "list", dir);
    if (l.other || (l.log && !l.tmp))
        return say(&c, IDENT_NOT_EMPTY,
                   "%s: is not empty (it holds %s), nothing was created. The node that is there is "
                   "started "
                   "without --init; another one needs an empty directory",
                   dir, l.other ? l.name : "a log");
    return IDENT_OK;
}

int ident_create(const struct disk *d, const char *dir, const struct ident *id,
                 const uint8_t secret[IDENT_KEY_BYTES], uint32_t segment_bytes, char *err,
                 size_t err_size)
{
    struct call c;
    char tmp[WAL_PATH_MAX], path[WAL_PATH_MAX];
    int rc = ident_none(d, dir, err, err_size);
    if (rc != IDENT_OK || (rc = begin(&c, d, dir, err, err_size)) != IDENT_OK)
        return rc;
    path_in(tmp, &c, "ident.tmp");
    path_in(path, &c, "ident");
    if ((rc = write_ident(&c, tmp, id, secret)) != IDENT_OK ||
        (rc = sync_dir(&c, dir)) != IDENT_OK ||
        (rc = wal_create(d, dir, ident_storage_id(id), segment_bytes, err, err_size)) != 0)
        return rc;
    if ((rc = d->rename(d->ctx, tmp, path)) != 0)
        return failed(&c, rc, "rename", tmp);
    rc = sync_dir(&c, dir);
    return rc == IDENT_OK ? sync_parent(&c, dir) : rc;
}

/* ---- load ---- */

/* Reads both copies into `blocks`, which the caller has zeroed. */
static int read_blocks(const struct call *c, const char *path, uint8_t blocks[COPIES * BLOCK_BYTES])
{
    const struct disk *d = c->d;
    int fd = d->open(d->ctx, path, DISK_READ);
    if (fd == -ENOENT)
        return say(c, IDENT_MISSING, "%s: there is no identity of a node", path);
    if (fd < 0)
        return failed(c, fd, "open", path);
    int rc = IDENT_OK;
    unsigned unreadable = 0;
    for (unsigned i = 0; rc == IDENT_OK && i < COPIES; i++) {
        size_t at = (size_t)i * BLOCK_BYTES;
        ssize_t n = d->pread(d->ctx, fd, blocks + at, BLOCK_BYTES, at);
        if (n < 0 && (n != -EIO || ++unreadable == COPIES))
            rc = failed(c, (int)n, "read", path);
        else if (n <
                 BLOCK_BYTES) /* a part of a copy does not count, nor does one that can't be read */
            memset(blocks + at, 0, BLOCK_BYTES);
    }
    int closed = d->close(d->ctx, fd);
    return rc == IDENT_OK && closed != 0 ? failed(c, closed, "close", path) : rc;
}

/* The ids in `a` that `b` (NULL: nothing) lacks, as "1, 2" or "none"; true if there are any. */
static bool lacking(char text[IDS_TEXT], const struct ident *a, const struct ident *b)
{
    size_t len = 0;
    memcpy(text, "none", 5);
    for (unsigned i = 0, k = 0; i < a->n_voters; i++) {
        while (b != NULL && k < b->n_voters && b->voters[k] < a->voters[i])
            k++;
        if (b != NULL && k < b->n_voters && b->voters[k] == a->voters[i])
            continue;
        int more = snprintf(text + len, IDS_TEXT - len, "%s%u", len == 0 ? "" : ", ",
                            (unsigned)a->voters[i]);
        assert(more > 0 && (size_t)more < IDS_TEXT - len);
        len += (size_t)more;
    }
    return len > 0;
}

static int compare(const struct call *c, const char *path, const struct ident *has,
                   const struct ident *want)
{
    char all[IDS_TEXT], added[IDS_TEXT], missing[IDS_TEXT];
    if (strcmp(has->name, want->name) != 0)
        return say(c, IDENT_OTHER_CLUSTER,
                   "%s: belongs to the cluster named %s, and the configuration names it %s", path,
                   has->name, want->name);
    if (has->node_id != want->node_id)
        return say(c, IDENT_OTHER_NODE, "%s: belongs to node %u, this is node %u", path,
                   (unsigned)has->node_id, (unsigned)want->node_id);
    bool differ = lacking(added, want, has);
    differ = lacking(missing, has, want) || differ;
    (void)lacking(all, has, NULL);
    return !differ || has->n_voters == 0
               ? IDENT_OK
               : say(c, IDENT_OTHER_VOTERS,
                     "%s: was made for the nodes %s; new in the configuration: %s, missing there: "
                     "%s. Which nodes a cluster has cannot be changed by editing the file: two "
                     "halves could each take themselves for the majority. Put the list back "
                     "(addresses may change)",
                     path, all, added, missing);
}

/* The identity in one of two copies; *whole is the number of one that is. */
static int judge(const struct call *c, const char *path, const uint8_t blocks[COPIES * BLOCK_BYTES],
                 struct ident *out, unsigned *whole)
{
    struct ident id[COPIES];
    uint16_t version[COPIES] = {0};
    enum block first = decode(blocks, &id[0], &version[0]);
    enum block second = decode(blocks + BLOCK_BYTES, &id[1], &version[1]);
    if (first == STRANGE || second == STRANGE)
        return say(c, IDENT_OTHER_VERSION,
                   "%s: has format %u, this raftd knows format %d alone: go on with the raftd that "
                   "made it",
                   path, (unsigned)version[first == STRANGE ? 0 : 1], IDENT_VERSION);
    if (first == DAMAGED && second == DAMAGED)
        return say(c, IDENT_DAMAGED, "%s: both copies are damaged", path);
    if (first == WHOLE && second == WHOLE && memcmp(blocks, blocks + BLOCK_BYTES, BLOCK_BYTES) != 0)
        return say(c, IDENT_DAMAGED, "%s: its two copies differ", path);
    *whole = first == WHOLE ? 0 : 1;
    *out = id[*whole];
    return first == WHOLE && second == WHOLE
               ? IDENT_OK
               : say(c, IDENT_OK, "%s: copy %d is damaged, the other one is used", path,
                     first == WHOLE ? 2 : 1);
}

/* Of the secret as much as `secret` (NULL: nothing) takes. */
static int load(const struct call *c, const char *path, struct ident *out, uint8_t *secret)
{
    uint8_t blocks[COPIES * BLOCK_BYTES] = {0};
    unsigned whole;
    int result = read_blocks(c, path, blocks);
    if (result == IDENT_OK)
        result = judge(c, path, blocks, out, &whole);
    if (result == IDENT_OK && secret != NULL)
        memcpy(secret, blocks + (size_t)whole * BLOCK_BYTES + SECRET_AT, IDENT_KEY_BYTES);
    sodium_memzero(blocks, sizeof blocks);
    return result;
}

/* Writes one copy, and nothing else of the file. */
static int write_copy(const struct call *c, const char *path, unsigned copy, const uint8_t *block)
{
    const struct disk *d = c->d;
    const struct iovec iov = disk_bytes(block, BLOCK_BYTES);
    int fd = d->open(d->ctx, path, DISK_WRITE);
    if (fd < 0)
        return failed(c, fd, "open", path);
    int rc = d->pwritev(d->ctx, fd, &iov, 1, (uint64_t)copy * BLOCK_BYTES);
    int result = rc == 0 ? IDENT_OK : failed(c, rc, "write", path);
    if (result == IDENT_OK && (rc = d->fdatasync(d->ctx, fd)) != 0)
        result = failed(c, rc, "fdatasync", path);
    rc = d->close(d->ctx, fd);
    return result == IDENT_OK && rc != 0 ? failed(c, rc, "close", path) : result;
}

int ident_mend(const struct disk *d, const char *dir, bool *mended, char *err, size_t err_size)
{
    uint8_t blocks[COPIES * BLOCK_BYTES] = {0};
    struct call c;
    struct ident id;
    char path[WAL_PATH_MAX];
    unsigned whole;
    *mended = false;
    int result = begin(&c, d, dir, err, err_size);
    if (result != IDENT_OK)
        return result;
    path_in(path, &c, "ident");
    result = read_blocks(&c, path, blocks);
    if (result == IDENT_OK)
        result = judge(&c, path, blocks, &id, &whole);
    if (result == IDENT_OK && memcmp(blocks, blocks + BLOCK_BYTES, BLOCK_BYTES) != 0) {
        result = write_copy(&c, path, 1 - whole, blocks + (size_t)whole * BLOCK_BYTES);
        *mended = result == IDENT_OK;
    }
    sodium_memzero(blocks, sizeof blocks);
    return result;
}

int ident_load(const struct disk *d, const char *dir, const struct ident *want, struct ident *out,
               char *err, size_t err_size)
{
    struct call c;
    char path[WAL_PATH_MAX];
    int result = begin(&c, d, dir, err, err_size);
    if (result != IDENT_OK)
        return result;
    path_in(path, &c, "ident");
    result = load(&c, path, out, NULL);
    return result == IDENT_OK && want != NULL ? compare(&c, path, out, want) : result;
}

int ident_secret(const struct disk *d, const char *dir, uint8_t secret[IDENT_KEY_BYTES], char *err,
                 size_t err_size)
{
    struct call c;
    struct ident id;
    char path[WAL_PATH_MAX];
    memset(secret, 0, IDENT_KEY_BYTES);
    int result = begin(&c, d, dir, err, err_size);
    if (result != IDENT_OK)
        return result;
    path_in(path, &c, "ident");
    return load(&c, path, &id, secret);
}
