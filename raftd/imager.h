/* imager.h: what the daemon does with snapshot files while it runs: it writes them from images, gives them
 * to peers and takes them from peers. All of it is for one thread, which leaves disk and processor to
 * others as far as it can; but for imager_load(), which needs no thread.
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
    /* A slow card writes little more than this, and faster ones have the rest for the log. What is read
     * back may come four times as fast. */
    IMAGER_BYTES_PER_S = 16 << 20,
    IMAGER_CPU_PART = 4, /* an image takes no more than one of so many parts of a processor */
};

struct imager;

/* between(ctx, until_us) is called after each piece of an image, and returns at that time of clock_us():
 * other work need not wait for the whole, nor for a piece whose time has not come. Less than 0, at once: the
 * image is given up with that; more, at once: it goes on as fast as it can. NULL: nobody else wants the disk,
 * it goes on so.
 * where->pace is for what peers bring. What `where` points to is borrowed. NULL: no memory. */
struct imager *imager_new(const struct snapshots *where,
                          int (*between)(void *ctx, uint64_t until_us), void *ctx);
void imager_free(struct imager *m); /* NULL: nothing */

/* The calling thread's disk requests come after those of others from now on. */
void imager_yield(void);

/* Writes the image, and removes what is older and not kept, but not the snapshot of index `needed`.
 * -ECANCELED at once if the last one filled the disk or could not be read back: this one would, too. */
int imager_write(struct imager *m, const struct snapshot_head *head, struct image *image,
                 uint64_t needed, struct snapshot_name *name);

/* As snapshot_read(), of the snapshot with that index. */
ssize_t imager_read(struct imager *m, uint64_t index, uint64_t offset, uint8_t *buf, size_t len);

/* Of the snapshot that a peer brings, see snapshot_part_open(): imager_install() makes it one of ours,
 * removes what is older and not kept, and loads its state, the caller's to free. Not while an image is
 * written. Whatever fails, the next is imager_open(). */
int imager_open(struct imager *m, const struct snapshot_name *name, uint64_t *have);
int imager_append(struct imager *m, uint64_t offset, const uint8_t *bytes, size_t len);
int imager_install(struct imager *m, struct snapshot_head *head, struct image_load **load);

const char *imager_error(const struct imager *m);

/* As snapshot_load() and snapshot_load_file(), with the state in *load. */
int imager_load(struct snapshots *s, uint64_t index, struct snapshot_head *head,
                struct snapshot_name *name, struct image_load **load);
int imager_load_file(struct snapshots *s, const char *path, struct snapshot_head *head,
                     struct snapshot_name *name, struct image_load **load);

#endif
