/* doubt.c: see doubt.h. */
#include "storage/doubt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "raftd/base/num.h"
#include "storage/segment.h"

enum { FILE_MAX_BYTES = WAL_MESSAGE_BYTES + 128 };

struct paths {
    char file[WAL_PATH_MAX], tmp[WAL_PATH_MAX];
};

static int paths_in(struct paths *p, const char *dir, char *err, size_t err_size)
{
    if (strlen(dir) + sizeof "/doubt.tmp" > WAL_PATH_MAX)
        return segment_fail(err, err_size, -ENAMETOOLONG, "open", dir);
    (void)snprintf(p->file, sizeof p->file, "%s/doubt", dir);
    (void)snprintf(p->tmp, sizeof p->tmp, "%s/doubt.tmp", dir);
    return 0;
}

/* Whatever was there is no file any more. */
static int lose(const struct disk *d, const char *path, char *err, size_t err_size)
{
    int rc = d->unlink(d->ctx, path);
    return rc == 0 || rc == -ENOENT ? 0 : segment_fail(err, err_size, rc, "unlink", path);
}

static bool take(const char **text, const char *name, uint64_t max, uint64_t *out)
{
    size_t len = strlen(name);
    if (strncmp(*text, name, len) != 0)
        return false;
    *text += len;
    return num_take(text, 10, max, out);
}

static void parse(const char *text, struct doubt *out)
{
    uint64_t vote = 0;
    if (!take(&text, "term=", UINT64_MAX, &out->term) ||
        !take(&text, " vote=", UINT16_MAX, &vote) ||
        !take(&text, " lost_from=", UINT64_MAX, &out->first_lost) ||
        !take(&text, " lost_to=", UINT64_MAX, &out->last_lost) || *text != '\n') {
        *out = (struct doubt){.set = true};
        return;
    }
    out->vote = (uint16_t)vote;
    (void)snprintf(out->why, sizeof out->why, "%.*s", (int)strcspn(text + 1, "\n"), text + 1);
}

int doubt_read(const struct disk *d, const char *dir, struct doubt *out, char *err, size_t err_size)
{
    struct paths p;
    char text[FILE_MAX_BYTES + 1];
    int rc = paths_in(&p, dir, err, err_size);
    *out = (struct doubt){0};
    if (rc != 0)
        return rc;
    int fd = d->open(d->ctx, p.file, DISK_READ);
    if (fd == -ENOENT)
        return 0;
    out->set = true;
    if (fd == -EISDIR) /* of that name is something: that is enough */
        return 0;
    if (fd < 0)
        return segment_fail(err, err_size, fd, "open", p.file);
    ssize_t n = d->pread(d->ctx, fd, text, FILE_MAX_BYTES, 0);
    rc = d->close(d->ctx, fd);
    if (rc != 0)
        return segment_fail(err, err_size, rc, "close", p.file);
    text[n > 0 ? n : 0] = '\0'; /* a disk that can't read it has kept its name */
    parse(text, out);
    return 0;
}

int doubt_set(const struct disk *d, const char *dir, const struct doubt *what, char *err,
              size_t err_size)
{
    struct paths p;
    char text[FILE_MAX_BYTES];
    int rc = paths_in(&p, dir, err, err_size);
    if (rc != 0 || (rc = lose(d, p.tmp, err, err_size)) != 0)
        return rc;
    int n = snprintf(text, sizeof text,
                     "term=%" PRIu64 " vote=%u lost_from=%" PRIu64 " lost_to=%" PRIu64 "\n%s\n",
                     what->term, what->vote, what->first_lost, what->last_lost, what->why);
    struct iovec iov = {.iov_base = text, .iov_len = (size_t)n};
    int fd = d->open(d->ctx, p.tmp, DISK_CREATE);
    if (fd < 0)
        return segment_fail(err, err_size, fd, "create", p.tmp);
    if ((rc = d->pwritev(d->ctx, fd, &iov, 1, 0)) != 0)
        (void)segment_fail(err, err_size, rc, "write", p.tmp);
    else if ((rc = d->fdatasync(d->ctx, fd)) != 0)
        (void)segment_fail(err, err_size, rc, "fdatasync", p.tmp);
    int closed = d->close(d->ctx, fd);
    if (rc != 0)
        return rc;
    if (closed != 0)
        return segment_fail(err, err_size, closed, "close", p.tmp);
    /* Between these two there may be no file, but the damage is still to be seen in the log. */
    if ((rc = lose(d, p.file, err, err_size)) != 0)
        return rc;
    if ((rc = d->rename(d->ctx, p.tmp, p.file)) != 0)
        return segment_fail(err, err_size, rc, "rename", p.tmp);
    rc = d->sync_dir(d->ctx, dir);
    return rc == 0 ? 0 : segment_fail(err, err_size, rc, "fsync", dir);
}

int doubt_clear(const struct disk *d, const char *dir, char *err, size_t err_size)
{
    struct paths p;
    int rc = paths_in(&p, dir, err, err_size);
    if (rc != 0 || (rc = lose(d, p.file, err, err_size)) != 0)
        return rc;
    rc = d->sync_dir(d->ctx, dir);
    return rc == 0 ? 0 : segment_fail(err, err_size, rc, "fsync", dir);
}
