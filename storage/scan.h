/* scan.h: the segment files of a log as recovery reads them: which there are, whether each is a segment,
 * and what its head says. Internal to storage. Nothing here writes, and each file is judged by itself
 * alone. */
#ifndef STORAGE_SCAN_H
#define STORAGE_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "storage/disk.h"
#include "storage/doubt.h"
#include "storage/record.h"
#include "storage/recover.h"
#include "storage/segment.h"
#include "storage/wal.h"

enum { SCAN_READ_BYTES = 64 << 10 }; /* of one read: few calls, and little memory touched */

/* What a segment file is, before its batches are looked at. */
enum segment_state {
    SEG_UNUSED,  /* made ahead: no head of this number, or one whose write was cut */
    SEG_DAMAGED, /* it has no valid head, but its first batch */
    SEG_CUT,     /* the file is not as long as it was made */
    SEG_IN_USE,
};

struct segment_seen {
    enum segment_state state;
    bool blank;     /* no head, nor parts of one: a file of zeros, or damage */
    uint32_t bytes; /* how many can be read: whole blocks */
    int64_t size;   /* of the file */
    uint64_t salt;  /* of its batches, 0 = not known */
    /* SEG_IN_USE, or SEG_CUT with its own number: its head. Else the head of the segment that the file was
     * before; number 0 = there is none. */
    struct segment_head head;
};

struct scan {
    const struct disk *d;
    const char *dir;
    const struct wal_options *options;
    struct recovery *r;
    struct wal_report *rep;
    uint64_t *numbers; /* of the segment files, ascending */
    size_t n_numbers, cap_numbers;
    struct segment_seen *seen; /* what each of them is; not filled for those before a reset */
    size_t start;              /* place of the first segment of the log */
    bool begin_later;          /* the log cannot begin there */
    size_t at;                 /* place of the segment that is walked */
    bool sealed;               /* the last segment that was walked ends with its seal */
    bool refused;              /* the fault is no damage: a start must not touch the log */
    uint64_t salt;             /* of the segment that is walked, 0 for none */
    unsigned unreadable;       /* how often the disk could not read a block */
    struct doubt before;       /* what an earlier start found */
    uint64_t lacks;            /* the first entry that the node does not have any more */
    uint64_t told;             /* entries before this one were given to wal_options.cut_off */
    /* Damage before `start`, where it makes no difference; empty for none. */
    char damage[WAL_MESSAGE_BYTES];
    uint8_t at_base[RECORD_HASH_BYTES]; /* hash of the entry wal_options.base.index */
    struct members_log members;         /* from wal_options.base on */
    size_t n_done;                      /* how many segments were looked through */
    uint8_t *window;                    /* SCAN_READ_BYTES, to look ahead */
    uint8_t *buf;                       /* the segment that is walked, as far as it is loaded */
    uint32_t buf_bytes;                 /* room in buf */
    uint32_t loaded;                    /* bytes of buf that are read */
    int fd;                             /* open segment, or -1 */
    uint64_t number;                    /* its number */
    char path[WAL_PATH_MAX];
};

/* The log is corrupt, and this is why. Returns -EBADMSG. */
int scan_corrupt(struct scan *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A file has the wrong length. Returns -EBADMSG. */
int scan_wrong_size(struct scan *s, size_t i);

/* A system call failed with `rc`, which is returned. */
int scan_failed(struct scan *s, int rc, const char *call);

int scan_no_memory(struct scan *s);

/* Fills s->numbers and the leftovers of s->r. 0 or an error. */
int scan_list(struct scan *s);

/* Opens the file of this segment to be read; closes it, if one is open. 0 or an error. */
int scan_open(struct scan *s, uint64_t number);
int scan_close(struct scan *s);

/* Reads all of [at, at + len) of the open segment. 0 or an error. A block that the disk can't read is no
 * error: it comes as a damaged block that has the salt of the segment that is walked (s->salt), so that
 * it counts as a part of a write. */
int scan_read(struct scan *s, uint8_t *to, uint32_t at, uint32_t len);

/* Makes sure that reads will come from the medium, and says what kind of file it is. 0 or an error. No
 * segment is open before, nor after it if there is no error. */
int scan_look(struct scan *s, uint64_t number, struct segment_seen *seen);

/* Sets *found when the file of segment s->numbers[i] has a block behind its head that is not zero and has
 * this salt, whole or not; with salt 0, one that is not zero. 0 or an error. No segment is open before, nor
 * after it if there is no error. */
int scan_find(struct scan *s, size_t i, uint64_t salt, bool *found);

#endif
