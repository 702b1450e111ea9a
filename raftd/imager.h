/* imager.h: what the daemon does with snapshot files while it runs: it writes them from images, gives them to
 * peers and takes them from peers. A struct imager is used by one thread, which leaves disk and processor to
 * others where it can.
 *
 * Results are those of snapshot.h; imager_error() says what failed last.
 */
#ifndef RAFTD_IMAGER_H
#define RAFTD_IMAGER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "raftd/state/image.h"
#include "storage/snapshot.h"

enum {
    /* A slow card writes little more than this, and on a faster one the rest is left to the log. An image is
     * read back four times as fast. */
    IMAGER_BYTES_PER_S = 16 << 20,
    IMAGER_CPU_PART = 4, /* an image takes no more than one of so many parts of a processor */
};

struct imager;

/* between(ctx, until_us) is called after each piece of an image, does other work, and returns 0 at that
 * time of clock_us(), so that others wait neither for the whole image nor for the next piece. It may
 * return at once: less than 0 gives up the image, which fails with that; more than 0 lets it go on as
 * fast as it can. between NULL: nobody else wants the disk, and all images go on like that. where->pace
 * is for snapshots that peers bring. What `where` points to is borrowed. NULL: memory is short. */
struct imager *imager_new(const struct snapshots *where,
                          int (*between)(void *ctx, uint64_t until_us), void *ctx);
void imager_free(struct imager *m); /* NULL: nothing */

/* From now on the calling thread's disk requests come after those of other threads. */
void imager_yield(void);

/* Writes the image as a snapshot, and removes older ones that are not kept, but not the one of index
 * `needed`. For a while after an image that filled the disk, or could not be read back, the result is
 * -ECANCELED at once: the next image would fail in the same way. */
int imager_write(struct imager *m, const struct snapshot_head *head, struct image *image,
                 uint64_t needed, struct snapshot_name *name);

/* Like snapshot_read(), of the snapshot with that index. */
ssize_t imager_read(struct imager *m, uint64_t index, uint64_t offset, uint8_t *buf, size_t len);

/* The snapshot that a peer brings, see snapshot_part_open(). imager_install() makes it one of ours,
 * removes older ones that are not kept, and loads its state, which is the caller's to free; not while an
 * image is written. After any failure the next call is imager_open(). */
int imager_open(struct imager *m, const struct snapshot_name *name, uint64_t *have);
int imager_append(struct imager *m, uint64_t offset, const uint8_t *bytes, size_t len);
int imager_install(struct imager *m, struct snapshot_head *head, struct image_load **load);

const char *imager_error(const struct imager *m);

/* Like snapshot_load() and snapshot_load_file(), with the state in *load. */
int imager_load(struct snapshots *s, uint64_t index, struct snapshot_head *head,
                struct snapshot_name *name, struct image_load **load);
int imager_load_file(struct snapshots *s, const char *path, struct snapshot_head *head,
                     struct snapshot_name *name, struct image_load **load);

#endif
