/* imager.c: see imager.h. */
#include "raftd/imager.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "raftd/base/clock.h"
#include "raftd/base/num.h"

enum {
    /* When the next image is tried after one that filled the disk, or could not be read back: each such image
     * wears the disk for nothing. */
    FULL_AGAIN_US = 600 * 1000 * 1000,
    DAMAGED_AGAIN_US = 60 * 1000 * 1000,
    IMAGE_ROOM_BYTES = 1 << 19, /* so much more room is a reason to try sooner */
};

struct imager {
    struct snapshots images; /* for the images that are written here */
    struct snapshots peers;  /* for those that peers take and bring between the pieces */
    const char *error;       /* the message of one of them */
    int (*between)(void *ctx, uint64_t until_us);
    void *ctx;
    uint64_t done, done_us;     /* bytes of the present image that are done, and when they were */
    uint64_t done_used_us;      /* processor time of this thread then */
    struct snapshot_part *part; /* of the snapshot that a peer brings, NULL = none */
    struct snapshot_name part_name;
    int fd; /* of the snapshot that was read last, -1 = none */
    uint64_t fd_index;
    bool fd_used;         /* since the last image */
    uint64_t image_at_us; /* no image is written before, unless there is image_room */
    int64_t image_room;   /* bytes */
};

/* After a piece of an image: lets others go first, and waits so that the image goes no faster than the
 * rate, and takes no more than its part of a processor. */
static int pace(void *ctx, uint64_t done, uint64_t all)
{
    struct imager *m = ctx;
    uint64_t bytes = done > m->done ? done - m->done : done; /* to read it back begins at 0 */
    if (all != 0)
        bytes /= 4;
    uint64_t due_us = m->done_us + bytes * 1000000 / IMAGER_BYTES_PER_S;
    due_us = max_u64(due_us, m->done_us + (clock_used_us() - m->done_used_us) * IMAGER_CPU_PART);
    int rc = m->between != NULL ? m->between(m->ctx, due_us) : 0;
    m->done = done;
    m->done_us = clock_us();
    m->done_used_us = clock_used_us();
    return rc < 0 ? rc : 0;
}

struct imager *imager_new(const struct snapshots *where,
                          int (*between)(void *ctx, uint64_t until_us), void *ctx)
{
    struct imager *m = calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    m->images = m->peers = *where;
    m->images.pace = pace;
    m->images.pace_ctx = m;
    m->between = between;
    m->ctx = ctx;
    m->fd = -1;
    return m;
}

static void close_read(struct imager *m)
{
    if (m->fd >= 0)
        (void)m->peers.disk->close(m->peers.disk->ctx, m->fd); /* nothing was written */
    m->fd = -1;
}

static void close_part(struct imager *m)
{
    snapshot_part_close(m->part);
    m->part = NULL;
}

void imager_free(struct imager *m)
{
    if (m == NULL)
        return;
    close_read(m);
    close_part(m);
    free(m);
}

void imager_yield(void)
{
    enum { IOPRIO_WHO_PROCESS = 1, IOPRIO_LOWEST = 2 << 13 | 7 };
    /* This changes this thread alone. Not the class "idle": the log's syncs may wait for the file
     * system's journal, which may wait for a write of ours, which then would wait for all others. No nice
     * value either: a thread without privileges can't take it back when all wait for the image. It may be
     * refused. */
    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_LOWEST);
}

static int next(void *ctx, uint16_t *section, const uint8_t **bytes, size_t *len)
{
    return image_next(ctx, section, bytes, len);
}

int imager_write(struct imager *m, const struct snapshot_head *head, struct image *image,
                 uint64_t needed, struct snapshot_name *name)
{
    const struct snapshot_source source = {.next = next, .ctx = image};
    int64_t room = m->images.disk->room(m->images.disk->ctx, m->images.dir);
    if (clock_us() < m->image_at_us && room < m->image_room)
        return -ECANCELED;
    m->done = 0;
    m->done_us = clock_us();
    m->done_used_us = clock_used_us();
    struct snapshot_head h = *head;
    memcpy(h.digest, image_digest(image), sizeof h.digest);
    int rc = snapshot_write(&m->images, &h, &source, name);
    uint64_t wait_us = rc == -ENOSPC ? FULL_AGAIN_US : rc == -EBADMSG ? DAMAGED_AGAIN_US : 0;
    m->image_at_us = clock_us() + wait_us;
    m->image_room = rc == -ENOSPC ? room + IMAGE_ROOM_BYTES : INT64_MAX;
    m->error = m->images.message; /* work between the pieces may have set another one */
    /* A part of an older snapshot is of no use: the log brought the same entries first. */
    if (rc == 0 && m->part != NULL && m->part_name.index <= name->index) {
        snapshot_part_drop(m->part);
        m->part = NULL;
    }
    if (!m->fd_used) /* it may keep the bytes of a file that was removed on the disk */
        close_read(m);
    m->fd_used = false;
    return rc == 0 ? snapshot_tidy(&m->images, needed) : rc;
}

ssize_t imager_read(struct imager *m, uint64_t index, uint64_t offset, uint8_t *buf, size_t len)
{
    m->error = m->peers.message;
    if (m->fd < 0 || m->fd_index != index) {
        close_read(m);
        m->fd = snapshot_open(&m->peers, index);
        m->fd_index = index;
    }
    m->fd_used = true;
    if (m->fd < 0)
        return m->fd;
    ssize_t n = snapshot_read(m->peers.disk, m->fd, offset, buf, len);
    if (n < 0)
        (void)snprintf(m->peers.message, sizeof m->peers.message,
                       "read the snapshot of entry %" PRIu64 ": %s", index, strerror((int)-n));
    return n;
}

int imager_open(struct imager *m, const struct snapshot_name *name, uint64_t *have)
{
    m->error = m->peers.message;
    if (m->part != NULL && name->size == m->part_name.size &&
        memcmp(name->hash, m->part_name.hash, sizeof name->hash) == 0) {
        *have = snapshot_part_have(m->part);
        return 0;
    }
    close_part(m);
    m->part_name = *name;
    return snapshot_part_open(&m->part, &m->peers, name, have);
}

int imager_append(struct imager *m, uint64_t offset, const uint8_t *bytes, size_t len)
{
    m->error = m->peers.message;
    int rc = m->part != NULL ? snapshot_part_append(m->part, offset, bytes, len) : -EINVAL;
    if (rc != 0 &&
        !wal_refused(rc)) /* else it stays open: to find its end costs a read of all of it */
        close_part(m);
    return rc;
}

static int load_chunk(void *ctx, uint16_t section, const uint8_t *bytes, size_t len)
{
    return image_load_chunk(ctx, section, bytes, len);
}

static int load_done(void *ctx, const struct snapshot_head *head)
{
    return image_load_done(ctx, head->digest);
}

int imager_install(struct imager *m, struct snapshot_head *head, struct image_load **load)
{
    struct snapshot_sink sink = {.chunk = load_chunk, .done = load_done, .ctx = image_load_new()};
    m->error = m->peers.message;
    *load = sink.ctx;
    int rc = *load == NULL ? -ENOMEM : m->part != NULL ? 0 : -EINVAL;
    if (rc == 0)
        rc = snapshot_part_finish(m->part, &sink, head); /* which frees it */
    else
        snapshot_part_close(m->part);
    m->part = NULL;
    if (rc == 0) { /* tidied here as well: peers may bring many while this node writes none */
        rc = snapshot_tidy(&m->peers, head->index);
        if (rc == 0 || wal_refused(rc)) /* else the next one does it */
            return 0;
    }
    image_load_free(*load);
    *load = NULL;
    return rc;
}

const char *imager_error(const struct imager *m)
{
    return m->error;
}

/* Loads the file `path` or, if that is NULL, the directory's snapshot `index`. */
static int load_from(struct snapshots *s, const char *path, uint64_t index,
                     struct snapshot_head *head, struct snapshot_name *name,
                     struct image_load **load)
{
    struct snapshot_sink sink = {.chunk = load_chunk, .done = load_done, .ctx = image_load_new()};
    *load = sink.ctx;
    int rc = -ENOMEM;
    if (*load != NULL && path != NULL)
        rc = snapshot_load_file(s, path, &sink, head, name);
    else if (*load != NULL)
        rc = snapshot_load(s, index, &sink, head, name);
    if (rc == 0)
        return 0;
    image_load_free(*load);
    *load = NULL;
    return rc;
}

int imager_load(struct snapshots *s, uint64_t index, struct snapshot_head *head,
                struct snapshot_name *name, struct image_load **load)
{
    return load_from(s, NULL, index, head, name, load);
}

int imager_load_file(struct snapshots *s, const char *path, struct snapshot_head *head,
                     struct snapshot_name *name, struct image_load **load)
{
    return load_from(s, path, 0, head, name, load);
}
