/* disk_memory.c: see disk_memory.h. Plain arrays and linear search: a node has a dozen files. */
#include "tests/lib/disk_memory.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SECTOR_BYTES = 512, PATH_BYTES = 512, IMAGE_BYTES_MIN = 4096 };

struct pending_write {
    uint64_t offset;
    size_t len;
    uint8_t *bytes;
    bool failed; /* a sync of it failed: clean in the cache, never on the medium by itself */
};

/* Lives as long as the disk, whatever its names do. */
struct inode {
    bool dir;
    uint8_t *now;
    uint8_t *durable;
    size_t size, durable_size;
    struct pending_write *writes;
    size_t n_writes, cap_writes;
};

struct name {
    char path[PATH_BYTES];
    size_t inode;
};

struct names {
    struct name *v;
    size_t n, cap;
};

/* One atomic change of names: unset `from` and set `to`, either may be empty. */
struct name_op {
    char from[PATH_BYTES];
    char to[PATH_BYTES];
    size_t inode;
};

struct handle {
    bool open, writable, locked;
    size_t inode;
};

struct memdisk {
    struct disk table;
    uint64_t rng;
    uint64_t calls, fail_at;
    int fail_error;
    uint64_t limit;
    bool no_space;    /* no write has space, not even over bytes that are there */
    size_t bad_inode; /* bytes of this one that can't be read; bad_len 0: there are none */
    uint64_t bad_at;
    size_t bad_len;
    struct inode *inodes;
    size_t n_inodes, cap_inodes;
    struct names now, durable;
    struct name_op *ops;
    size_t n_ops, cap_ops;
    struct handle *handles;
    size_t n_handles, cap_handles;
};

/* ---- small tools ---- */

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

static void *grown(void *p, size_t n, size_t *cap, size_t item)
{
    if (n < *cap)
        return p;
    *cap = *cap == 0 ? 8 : *cap * 2;
    return must(realloc(p, *cap * item));
}

static void *copied(const void *p, size_t len)
{
    void *q = must(malloc(len + 1));

    if (len > 0)
        memcpy(q, p, len);
    return q;
}

static uint64_t roll(struct memdisk *m)
{
    /* splitmix64 */
    uint64_t z = m->rng += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static void parent_of(const char *path, char out[PATH_BYTES])
{
    strcpy(out, path);
    char *slash = strrchr(out, '/');
    assert(slash != NULL);
    slash[slash == out ? 1 : 0] = '\0';
}

static struct name *find(const struct names *t, const char *path)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->v[i].path, path) == 0)
            return &t->v[i];
    return NULL;
}

static void names_unset(struct names *t, const char *path)
{
    struct name *e = find(t, path);

    if (e != NULL)
        *e = t->v[--t->n];
}

static void names_set(struct names *t, const char *path, size_t inode)
{
    names_unset(t, path);
    t->v = grown(t->v, t->n, &t->cap, sizeof *t->v);
    strcpy(t->v[t->n].path, path);
    t->v[t->n++].inode = inode;
}

static void apply_op(struct names *t, const struct name_op *op)
{
    if (op->from[0] != '\0')
        names_unset(t, op->from);
    if (op->to[0] != '\0')
        names_set(t, op->to, op->inode);
}

static void change_names(struct memdisk *m, const char *from, const char *to, size_t inode)
{
    struct name_op op = {.inode = inode};

    assert(strlen(from) < PATH_BYTES && strlen(to) < PATH_BYTES);
    strcpy(op.from, from);
    strcpy(op.to, to);
    apply_op(&m->now, &op);
    m->ops = grown(m->ops, m->n_ops, &m->cap_ops, sizeof *m->ops);
    m->ops[m->n_ops++] = op;
}

static bool op_in(const struct name_op *op, const char *dir)
{
    char p[PATH_BYTES];

    parent_of(op->to[0] != '\0' ? op->to : op->from, p);
    return strcmp(p, dir) == 0;
}

static size_t new_inode(struct memdisk *m, bool dir)
{
    m->inodes = grown(m->inodes, m->n_inodes, &m->cap_inodes, sizeof *m->inodes);
    memset(&m->inodes[m->n_inodes], 0, sizeof *m->inodes);
    m->inodes[m->n_inodes].dir = dir;
    return m->n_inodes++;
}

/* Does this call fail? Every call asks first. */
static bool fails(struct memdisk *m)
{
    m->calls++;
    return m->fail_at != 0 && m->calls == m->fail_at;
}

static struct handle *handle_of(struct memdisk *m, int fd)
{
    assert(fd >= 3 && (size_t)fd - 3 < m->n_handles && m->handles[fd - 3].open);
    return &m->handles[fd - 3];
}

static struct inode *inode_of(struct memdisk *m, int fd)
{
    return &m->inodes[handle_of(m, fd)->inode];
}

/* ---- files ---- */

/* Images: a power of two of bytes, zeros behind the end of the file. Zeros that make a file longer
 * are not written: most of a segment stays untouched memory. */
static size_t cap_of(size_t size)
{
    size_t cap = IMAGE_BYTES_MIN;

    while (cap < size)
        cap *= 2;
    return cap;
}

static uint8_t *image_of(const uint8_t *p, size_t size, size_t cap)
{
    uint8_t *q = must(calloc(1, cap));

    if (size > 0)
        memcpy(q, p, size);
    return q;
}

static bool all_zero(const uint8_t *p, size_t len)
{
    return len > 0 && p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

static void put_bytes(uint8_t **image, size_t *size, uint64_t offset, const uint8_t *p, size_t len)
{
    bool nothing = offset >= *size && all_zero(p, len);

    if (offset + len > *size) {
        if (*image == NULL || cap_of(offset + len) != cap_of(*size)) {
            uint8_t *old = *image;
            *image = image_of(old, *size, cap_of(offset + len));
            free(old);
        }
        *size = offset + len;
    }
    if (!nothing)
        memcpy(*image + offset, p, len);
}

static void put_durable(struct inode *f, const struct pending_write *w)
{
    put_bytes(&f->durable, &f->durable_size, w->offset, w->bytes, w->len);
}

static void drop_writes(struct inode *f)
{
    for (size_t i = 0; i < f->n_writes; i++)
        free(f->writes[i].bytes);
    f->n_writes = 0;
}

/* Some of a write reaches the medium: all, nothing, or some of its sectors. */
static void put_some(struct memdisk *m, struct inode *f, const struct pending_write *w)
{
    uint64_t how = roll(m) % 3;

    if (how == 0)
        return;
    for (size_t at = 0; at < w->len;) {
        size_t n = SECTOR_BYTES - (w->offset + at) % SECTOR_BYTES;
        if (n > w->len - at)
            n = w->len - at;
        struct pending_write part = {.offset = w->offset + at, .len = n, .bytes = w->bytes + at};
        if (how == 1 || roll(m) % 2 == 0)
            put_durable(f, &part);
        at += n;
    }
}

static void reload(struct inode *f)
{
    free(f->now);
    f->now = image_of(f->durable, f->durable_size, cap_of(f->durable_size));
    f->size = f->durable_size;
}

static int md_open(void *ctx, const char *path, enum disk_open how)
{
    struct memdisk *m = ctx;
    char dir[PATH_BYTES];
    size_t inode, h = 0;

    if (fails(m))
        return -m->fail_error;
    const struct name *e = find(&m->now, path);
    if (e != NULL && m->inodes[e->inode].dir != (how == DISK_DIR))
        return how == DISK_DIR ? -ENOTDIR : -EISDIR;
    if (e != NULL && how == DISK_CREATE)
        return -EEXIST;
    if (e == NULL && how != DISK_CREATE)
        return -ENOENT;
    if (e == NULL) {
        parent_of(path, dir);
        if (find(&m->now, dir) == NULL)
            return -ENOENT;
        inode = new_inode(m, false);
        change_names(m, "", path, inode);
    } else {
        inode = e->inode;
    }
    while (h < m->n_handles && m->handles[h].open)
        h++;
    if (h == m->n_handles) {
        m->handles = grown(m->handles, m->n_handles, &m->cap_handles, sizeof *m->handles);
        m->n_handles++;
    }
    m->handles[h] = (struct handle){
        .open = true, .writable = how != DISK_READ && how != DISK_DIR, .inode = inode};
    return (int)h + 3;
}

static int md_close(void *ctx, int fd)
{
    struct memdisk *m = ctx;
    bool failed = fails(m);

    memset(handle_of(m, fd), 0, sizeof(struct handle)); /* closed even when it fails, as on Linux */
    return failed ? -m->fail_error : 0;
}

static ssize_t md_pread(void *ctx, int fd, void *buf, size_t len, uint64_t offset)
{
    struct memdisk *m = ctx;

    if (fails(m))
        return -m->fail_error;
    const struct inode *f = inode_of(m, fd);
    if (offset >= f->size)
        return 0;
    if (len > f->size - offset)
        len = f->size - (size_t)offset;
    if (m->bad_len > 0 && handle_of(m, fd)->inode == m->bad_inode &&
        offset < m->bad_at + m->bad_len && m->bad_at < offset + len)
        return -EIO;
    memcpy(buf, f->now + offset, len);
    return (ssize_t)len;
}

void memdisk_unreadable(struct memdisk *m, const char *path, uint64_t offset, size_t len)
{
    const struct name *e = find(&m->now, path);
    assert(e != NULL);
    m->bad_inode = e->inode;
    m->bad_at = offset;
    m->bad_len = len;
}

uint64_t memdisk_used(const struct memdisk *m)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < m->now.n; i++)
        sum += m->inodes[m->now.v[i].inode].size;
    return sum;
}

static int md_pwritev(void *ctx, int fd, const struct iovec *iov, int n, uint64_t offset)
{
    struct memdisk *m = ctx;
    int error = fails(m) ? m->fail_error : m->no_space ? ENOSPC : 0;
    struct inode *f = inode_of(m, fd);
    struct pending_write w = {.offset = offset};

    assert(handle_of(m, fd)->writable);
    for (int i = 0; i < n; i++)
        w.len += iov[i].iov_len;
    if (m->limit != 0 && offset + w.len > f->size &&
        memdisk_used(m) + (offset + w.len - f->size) > m->limit)
        return -ENOSPC;
    w.bytes = must(malloc(w.len + 1));
    size_t at = 0;
    for (int i = 0; i < n; at += iov[i++].iov_len)
        memcpy(w.bytes + at, iov[i].iov_base, iov[i].iov_len);
    if (error != 0)
        w.len = w.len == 0 ? 0 : roll(m) % w.len;
    if (handle_of(m, fd)->inode == m->bad_inode && m->bad_at >= w.offset &&
        m->bad_at + m->bad_len <= w.offset + w.len)
        m->bad_len = 0;
    put_bytes(&f->now, &f->size, w.offset, w.bytes, w.len);
    f->writes = grown(f->writes, f->n_writes, &f->cap_writes, sizeof *f->writes);
    f->writes[f->n_writes++] = w;
    return -error;
}

static int md_fdatasync(void *ctx, int fd)
{
    struct memdisk *m = ctx;
    bool failed = fails(m);
    struct inode *f = inode_of(m, fd);
    size_t kept = 0;

    for (size_t i = 0; i < f->n_writes; i++) {
        struct pending_write *w = &f->writes[i];
        if (failed)
            w->failed = true;
        if (w->failed) {
            f->writes[kept++] = *w;
        } else {
            put_durable(f, w);
            free(w->bytes);
        }
    }
    f->n_writes = kept;
    return failed ? -m->fail_error : 0;
}

static int md_drop_cache(void *ctx, int fd)
{
    struct memdisk *m = ctx;

    if (fails(m))
        return -m->fail_error;
    struct inode *f = inode_of(m, fd);
    size_t kept = 0;
    bool lost = false;
    for (size_t i = 0; i < f->n_writes; i++) {
        struct pending_write *w = &f->writes[i];
        if (w->failed) {
            lost = true;
            put_some(m, f, w);
            free(w->bytes);
        } else {
            f->writes[kept++] = *w;
        }
    }
    f->n_writes = kept;
    if (lost) {
        reload(f);
        for (size_t i = 0; i < f->n_writes; i++)
            put_bytes(&f->now, &f->size, f->writes[i].offset, f->writes[i].bytes, f->writes[i].len);
    }
    return 0;
}

static int64_t md_size(void *ctx, int fd)
{
    struct memdisk *m = ctx;

    if (fails(m))
        return -m->fail_error;
    return (int64_t)inode_of(m, fd)->size;
}

static int md_lock(void *ctx, int fd)
{
    struct memdisk *m = ctx;

    if (fails(m))
        return -m->fail_error;
    struct handle *mine = handle_of(m, fd);
    for (size_t i = 0; i < m->n_handles; i++) {
        const struct handle *h = &m->handles[i];
        if (h != mine && h->open && h->locked && h->inode == mine->inode)
            return -EWOULDBLOCK;
    }
    mine->locked = true;
    return 0;
}

/* ---- names ---- */

static int md_sync_dir(void *ctx, const char *path)
{
    struct memdisk *m = ctx;
    size_t kept = 0;

    if (fails(m))
        return -m->fail_error;
    if (find(&m->now, path) == NULL)
        return -ENOENT;
    for (size_t i = 0; i < m->n_ops; i++) {
        if (op_in(&m->ops[i], path))
            apply_op(&m->durable, &m->ops[i]);
        else
            m->ops[kept++] = m->ops[i];
    }
    m->n_ops = kept;
    return 0;
}

static int md_rename(void *ctx, const char *from, const char *to)
{
    struct memdisk *m = ctx;

    if (fails(m))
        return -m->fail_error;
    const struct name *e = find(&m->now, from);
    if (e == NULL)
        return -ENOENT;
    if (find(&m->now, to) != NULL)
        return -EEXIST;
    change_names(m, from, to, e->inode);
    return 0;
}

static int md_unlink(void *ctx, const char *path)
{
    struct memdisk *m = ctx;

    if (fails(m))
        return -m->fail_error;
    if (find(&m->now, path) == NULL)
        return -ENOENT;
    change_names(m, path, "", 0);
    return 0;
}

static int md_mkdir(void *ctx, const char *path)
{
    struct memdisk *m = ctx;
    char dir[PATH_BYTES];

    if (fails(m))
        return -m->fail_error;
    if (find(&m->now, path) != NULL)
        return -EEXIST;
    parent_of(path, dir);
    if (find(&m->now, dir) == NULL)
        return -ENOENT;
    change_names(m, "", path, new_inode(m, true));
    return 0;
}

static int md_list(void *ctx, const char *path, disk_each *each, void *arg)
{
    struct memdisk *m = ctx;
    char dir[PATH_BYTES];

    if (fails(m))
        return -m->fail_error;
    const struct name *self = find(&m->now, path);
    if (self == NULL || !m->inodes[self->inode].dir)
        return self == NULL ? -ENOENT : -ENOTDIR;
    for (size_t i = 0; i < m->now.n; i++) {
        const char *p = m->now.v[i].path;
        if (strcmp(p, "/") == 0)
            continue;
        parent_of(p, dir);
        if (strcmp(dir, path) != 0)
            continue;
        int rc = each(arg, strrchr(p, '/') + 1);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- the whole disk ---- */

/* Never fails, and is no call that is counted: it is made now and then, as time goes by. */
static int64_t md_room(void *ctx, const char *path)
{
    struct memdisk *m = ctx;
    if (find(&m->now, path) == NULL)
        return -ENOENT;
    uint64_t used = memdisk_used(m);
    return m->limit == 0 ? INT64_MAX : used < m->limit ? (int64_t)(m->limit - used) : 0;
}

static const struct disk functions = {
    .open = md_open,
    .close = md_close,
    .pread = md_pread,
    .pwritev = md_pwritev,
    .fdatasync = md_fdatasync,
    .sync_dir = md_sync_dir,
    .rename = md_rename,
    .unlink = md_unlink,
    .size = md_size,
    .list = md_list,
    .drop_cache = md_drop_cache,
    .lock = md_lock,
    .mkdir = md_mkdir,
    .room = md_room,
};

struct memdisk *memdisk_new(uint64_t seed)
{
    struct memdisk *m = must(calloc(1, sizeof *m));

    m->table = functions;
    m->table.ctx = m;
    m->rng = seed;
    size_t root = new_inode(m, true);
    names_set(&m->now, "/", root);
    names_set(&m->durable, "/", root);
    return m;
}

void memdisk_free(struct memdisk *m)
{
    for (size_t i = 0; i < m->n_inodes; i++) {
        drop_writes(&m->inodes[i]);
        free(m->inodes[i].writes);
        free(m->inodes[i].now);
        free(m->inodes[i].durable);
    }
    free(m->inodes);
    free(m->now.v);
    free(m->durable.v);
    free(m->ops);
    free(m->handles);
    free(m);
}

const struct disk *memdisk_disk(struct memdisk *m)
{
    return &m->table;
}

struct memdisk *memdisk_clone(const struct memdisk *m)
{
    struct memdisk *c = must(calloc(1, sizeof *c));

    *c = *m;
    c->table.ctx = c;
    c->fail_at = 0;
    c->handles = NULL;
    c->n_handles = c->cap_handles = 0;
    c->inodes = copied(m->inodes, m->n_inodes * sizeof *m->inodes);
    c->cap_inodes = m->n_inodes;
    c->now.v = copied(m->now.v, m->now.n * sizeof *m->now.v);
    c->now.cap = m->now.n;
    c->durable.v = copied(m->durable.v, m->durable.n * sizeof *m->durable.v);
    c->durable.cap = m->durable.n;
    c->ops = copied(m->ops, m->n_ops * sizeof *m->ops);
    c->cap_ops = m->n_ops;
    for (size_t i = 0; i < c->n_inodes; i++) {
        struct inode *f = &c->inodes[i];
        f->now = image_of(f->now, f->size, cap_of(f->size));
        f->durable = image_of(f->durable, f->durable_size, cap_of(f->durable_size));
        f->writes = copied(f->writes, f->n_writes * sizeof *f->writes);
        f->cap_writes = f->n_writes;
        for (size_t k = 0; k < f->n_writes; k++)
            f->writes[k].bytes = copied(f->writes[k].bytes, f->writes[k].len);
    }
    return c;
}

uint64_t memdisk_calls(const struct memdisk *m)
{
    return m->calls;
}

void memdisk_fail_call(struct memdisk *m, uint64_t n, int error)
{
    m->fail_at = n == 0 ? 0 : m->calls + n;
    m->fail_error = error;
}

void memdisk_limit(struct memdisk *m, uint64_t bytes)
{
    m->limit = bytes;
}

void memdisk_no_space(struct memdisk *m, bool none)
{
    m->no_space = none;
}

void memdisk_seed(struct memdisk *m, uint64_t seed)
{
    m->rng = seed;
}

void memdisk_kill(struct memdisk *m)
{
    m->n_handles = 0;
    m->fail_at = 0;
}

/* Names whose directory never became durable are unreachable. */
static void drop_orphans(struct names *t)
{
    char dir[PATH_BYTES];
    bool again = true;

    while (again) {
        again = false;
        for (size_t i = 0; i < t->n; i++) {
            parent_of(t->v[i].path, dir);
            if (find(t, dir) == NULL) {
                names_unset(t, t->v[i].path);
                again = true;
                break;
            }
        }
    }
}

void memdisk_power_cut(struct memdisk *m, enum memdisk_keep keep)
{
    memdisk_kill(m);
    for (size_t i = 0; i < m->n_inodes; i++) {
        struct inode *f = &m->inodes[i];
        for (size_t k = 0; k < f->n_writes; k++) {
            if (keep == MEMDISK_KEEP_ALL)
                put_durable(f, &f->writes[k]);
            else if (keep == MEMDISK_KEEP_RANDOM)
                put_some(m, f, &f->writes[k]);
        }
        if (f->n_writes > 0) /* else it is the same already */
            reload(f);
        drop_writes(f);
    }
    for (size_t i = 0; i < m->n_ops; i++)
        if (keep == MEMDISK_KEEP_ALL || (keep == MEMDISK_KEEP_RANDOM && roll(m) % 2 == 0))
            apply_op(&m->durable, &m->ops[i]);
    m->n_ops = 0;
    drop_orphans(&m->durable);
    m->now.n = 0;
    for (size_t i = 0; i < m->durable.n; i++)
        names_set(&m->now, m->durable.v[i].path, m->durable.v[i].inode);
}

/* ---- damage ---- */

static struct inode *quiet_file(struct memdisk *m, const char *path)
{
    const struct name *e = find(&m->now, path);

    if (e == NULL)
        return NULL;
    assert(m->inodes[e->inode].n_writes == 0);
    return &m->inodes[e->inode];
}

const uint8_t *memdisk_peek(struct memdisk *m, const char *path, size_t *size)
{
    const struct inode *f = quiet_file(m, path);

    *size = f == NULL ? 0 : f->size;
    return f == NULL ? NULL : f->now == NULL ? (const uint8_t *)"" : f->now; /* empty */
}

void memdisk_poke(struct memdisk *m, const char *path, size_t offset, const void *bytes, size_t len)
{
    struct inode *f = quiet_file(m, path);

    assert(f != NULL && offset + len <= f->size && f->size == f->durable_size);
    memcpy(f->now + offset, bytes, len);
    memcpy(f->durable + offset, bytes, len);
}

void memdisk_truncate(struct memdisk *m, const char *path, size_t size)
{
    struct inode *f = quiet_file(m, path);

    assert(f != NULL && size <= f->size && f->size == f->durable_size);
    f->size = f->durable_size = size;
    free(f->now);
    f->now = image_of(f->durable, size, cap_of(size));
    free(f->durable);
    f->durable = image_of(f->now, size, cap_of(size));
}

void memdisk_lose(struct memdisk *m, const char *path)
{
    assert(find(&m->now, path) != NULL);
    names_unset(&m->now, path);
    names_unset(&m->durable, path);
}

uint64_t memdisk_hash(const struct memdisk *m)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < m->durable.n; i++) {
        const struct inode *f = &m->inodes[m->durable.v[i].inode];
        uint64_t h = 0xcbf29ce484222325; /* FNV-1a; the sum makes the order of names irrelevant */
        for (const char *p = m->durable.v[i].path; *p != '\0'; p++)
            h = (h ^ (uint8_t)*p) * 0x100000001b3;
        for (size_t k = 0; k < f->durable_size; k++)
            h = (h ^ f->durable[k]) * 0x100000001b3;
        sum += h;
    }
    return sum;
}
