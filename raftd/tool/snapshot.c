/* snapshot.c: has the daemon write its state to its disk, waits for that, and copies it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium/crypto_generichash.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "raftd/base/exits.h"
#include "raftd/base/num.h"
#include "raftd/base/say.h"
#include "raftd/tool/raftctl.h"

enum {
    LOOK_MS = 50,
    HASH_BYTES = 32, /* at the end of a snapshot, BLAKE2b-256 of all before ... */
    LAST_BYTES = 44, /* ... its last chunk, which has so many */
    NUMBER_SIZE = sizeof "18446744073709551615",
};

/* Has the daemon write a snapshot of what is applied now, or later. *s then names it. */
static int take(const struct tool *t, struct status *s)
{
    const struct question ask = {LOOKS, {1, {"RAFT.SNAPSHOT"}, {strlen("RAFT.SNAPSHOT")}}};
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    struct status first;
    redisReply *answer = NULL;
    uint64_t waited_ms = 0;
    int code = tool_status(t, &first);
    *s = first;
    if (code == RAFTCTL_EXIT_OK)
        code = tool_try(t, &ask, &answer);
    freeReplyObject(answer);
    /* A snapshot that is being written already may be of an earlier index, and does not count then. */
    while (code == RAFTCTL_EXIT_OK && s->snapshot_index < first.applied_index) {
        if (s->images_given_up > first.images_given_up ||
            (s->imaging == 0 && waited_ms >= t->timeout_ms)) {
            say_error("the snapshot was not written: the disk is full, or it took too much memory "
                      "(see raftctl status): nothing was done; try again");
            return RAFTCTL_EXIT_BUSY;
        }
        (void)nanosleep(&pause, NULL);
        waited_ms += LOOK_MS;
        code = tool_status(t, s);
    }
    return code;
}

void run_snapshot(struct tool *t, const struct args *a)
{
    struct status s;
    (void)a;
    int code = take(t, &s);
    if (code == RAFTCTL_EXIT_OK)
        fprintf(t->out.file, "snapshot_index=%" PRIu64 "\nsnapshot_bytes=%" PRIu64 "\n",
                s.snapshot_index, s.snapshot_bytes);
    tool_end(t, code);
}

/* What a backup ends with is the hash of all that stands before the last chunk. */
struct sum {
    crypto_generichash_state state; /* first, for its alignment */
    uint64_t at, size;              /* of the file: what was added; all */
    uint8_t hash[HASH_BYTES];       /* of it, as the file says */
};

static void sum_begin(struct sum *sum, uint64_t size)
{
    *sum = (struct sum){.size = size};
    (void)crypto_generichash_init(&sum->state, NULL, 0, HASH_BYTES);
}

static void sum_add(struct sum *sum, const uint8_t *bytes, size_t len)
{
    uint64_t hashed = sum->size > LAST_BYTES ? sum->size - LAST_BYTES : 0;
    uint64_t left = sum->at < hashed ? hashed - sum->at : 0;
    (void)crypto_generichash_update(&sum->state, bytes, min_u64(len, left));
    for (size_t i = 0; i < len; i++, sum->at++)
        if (sum->at + HASH_BYTES >= sum->size && sum->at < sum->size)
            sum->hash[sum->at + HASH_BYTES - sum->size] = bytes[i];
}

static bool sum_right(struct sum *sum)
{
    uint8_t hash[HASH_BYTES];
    (void)crypto_generichash_final(&sum->state, hash, sizeof hash);
    return sum->at == sum->size && memcmp(hash, sum->hash, sizeof hash) == 0;
}

/* Adds a part of the snapshot to fd. */
static int keep(int fd, const char *path, const redisReply *part, struct sum *sum)
{
    if (part->len > 0 && patient_write(fd, part->str, part->len) == 0) {
        sum_add(sum, (const uint8_t *)part->str, part->len);
        return RAFTCTL_EXIT_OK;
    }
    say_error("%s: %s", path, part->len > 0 ? strerror(errno) : "the daemon sent nothing");
    return RAFTCTL_EXIT_INTERNAL;
}

/* Copies the snapshot to fd. RAFTCTL_EXIT_NO_KEY: it is not there any more, nothing was said, and so much of
 * it was copied as the sum knows. */
static int copy(const struct tool *t, const struct status *s, int fd, const char *path,
                struct sum *sum)
{
    char index[NUMBER_SIZE], at[NUMBER_SIZE];
    redisReply *a;
    (void)snprintf(index, sizeof index, "%" PRIu64, s->snapshot_index);
    sum_begin(sum, s->snapshot_bytes);
    while (sum->at < s->snapshot_bytes) {
        struct question q = {.asked = READS};
        (void)snprintf(at, sizeof at, "%" PRIu64, sum->at);
        ctl_add_text(&q.words, "RAFT.FETCH");
        ctl_add_text(&q.words, index);
        ctl_add_text(&q.words, at);
        int code = tool_try(t, &q, &a);
        if (code == RAFTCTL_EXIT_OK && a->type == REDIS_REPLY_NIL)
            code = RAFTCTL_EXIT_NO_KEY;
        if (code == RAFTCTL_EXIT_OK) {
            must_be(a, REDIS_REPLY_STRING, 0);
            code = keep(fd, path, a, sum);
        }
        freeReplyObject(a);
        if (code != RAFTCTL_EXIT_OK)
            return code;
    }
    if (sum_right(sum))
        return RAFTCTL_EXIT_OK;
    say_error("what this node sent is damaged: try again, or another node");
    return RAFTCTL_EXIT_INTERNAL;
}

/* A snapshot that newer ones have replaced, or that could not be read and is written anew, is asked for
 * again, unless a part of it has gone where it can't be taken back. */
static int take_and_copy(const struct tool *t, int fd, const char *path, struct status *s,
                         struct sum *sum)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    for (uint64_t waited_ms = 0;; waited_ms += LOOK_MS) {
        int code = take(t, s);
        if (code == RAFTCTL_EXIT_OK)
            code = copy(t, s, fd, path, sum);
        if (code != RAFTCTL_EXIT_NO_KEY)
            return code;
        if (waited_ms >= t->timeout_ms ||
            (sum->at > 0 && (lseek(fd, 0, SEEK_SET) != 0 || ftruncate(fd, 0) != 0))) {
            say_error("the snapshot was replaced by another one, or can't be read: try again");
            return RAFTCTL_EXIT_BUSY;
        }
        (void)nanosleep(&pause, NULL);
    }
}

/* What is on the medium, not in memory, is what was copied. */
static int read_back(int fd, const char *path, uint64_t size)
{
    uint8_t buf[1 << 14];
    struct sum sum;
    ssize_t n = 1;
    int error = fsync(fd) != 0 ? errno : posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    sum_begin(&sum, size);
    while (error == 0 && n > 0) {
        n = pread(fd, buf, sizeof buf, (off_t)sum.at);
        error = n < 0 && errno != EINTR ? errno : 0;
        sum_add(&sum, buf, n > 0 ? (size_t)n : 0);
    }
    if (error != 0)
        say_error("%s: %s", path, strerror(error));
    else if (!sum_right(&sum))
        say_error("%s: what was written is read back otherwise: the medium is damaged", path);
    else
        return RAFTCTL_EXIT_OK;
    return RAFTCTL_EXIT_INTERNAL;
}

static void print_hash(char text[2 * HASH_BYTES + 1], const struct sum *sum)
{
    for (unsigned i = 0; i < HASH_BYTES; i++)
        (void)snprintf(text + 2 * (size_t)i, 3, "%02x", sum->hash[i]);
}

void run_backup(struct tool *t, const struct args *a)
{
    const char *path = a->words[0].at;
    bool out = strcmp(path, "-") == 0;
    char hash[2 * HASH_BYTES + 1];
    struct status s;
    struct sum sum = {0};
    int fd = out ? STDOUT_FILENO : open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        say_error("%s: %s", path, strerror(errno));
        tool_end(t, RAFTCTL_EXIT_USAGE);
    }
    int code = wait_for_read(t); /* then all is here that was acknowledged anywhere */
    if (code == RAFTCTL_EXIT_OK)
        code = take_and_copy(t, fd, out ? "standard output" : path, &s, &sum);
    if (code == RAFTCTL_EXIT_OK && !out)
        code = read_back(fd, path, s.snapshot_bytes);
    if (code != RAFTCTL_EXIT_OK && !out)
        (void)unlink(path); /* a part of it is of no use */
    if (code != RAFTCTL_EXIT_OK)
        tool_end(t, code);
    print_hash(hash, &sum);
    if (out)
        say_info("snapshot_index=%" PRIu64 " snapshot_bytes=%" PRIu64
                 " hash=%s: right as it was sent; what was kept of it, raftd --check tells",
                 s.snapshot_index, s.snapshot_bytes, hash);
    else
        fprintf(t->out.file, "snapshot_index=%" PRIu64 "\nsnapshot_bytes=%" PRIu64 "\nhash=%s\n",
                s.snapshot_index, s.snapshot_bytes, hash);
    tool_end(t, code);
}
