/* snapshot.c: has the daemon write its state to its disk, waits for that, and copies it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "raftd/base/bytes.h"
#include "raftd/base/exits.h"
#include "raftd/base/say.h"
#include "raftd/tool/raftctl.h"

enum { LOOK_MS = 50 };

/* Has the daemon write a snapshot of what is applied now, or later. *s then names it. */
static int take(const struct tool *t, struct status *s)
{
    const struct proto_request ask = request(t, PROTO_SNAPSHOT, NULL);
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    struct status first;
    struct ctl_answer answer;
    uint64_t waited_ms = 0;
    int code = tool_status(t, &first);
    *s = first;
    if (code == RAFTCTL_EXIT_OK && (code = tool_try(t, &ask, &answer)) == RAFTCTL_EXIT_OK)
        ctl_answer_free(&answer);
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

/* Waits until this node has applied what was acknowledged anywhere before: a linearizable read does. */
static int catch_up(const struct tool *t)
{
    const struct proto_request r = request(t, PROTO_LIST,
                                           "\xff\xff\xff\xff"); /* few keys, or none */
    struct ctl_answer a;
    int code = tool_try(t, &r, &a);
    if (code == RAFTCTL_EXIT_OK)
        ctl_answer_free(&a);
    return code;
}

/* Copies the snapshot to fd. */
static int copy(const struct tool *t, const struct status *s, int fd, const char *path)
{
    uint8_t key[PROTO_FETCH_KEY_BYTES];
    const struct proto_request r = {
        .op = PROTO_FETCH, .timeout_ms = t->timeout_ms, .key = key, .key_len = sizeof key};
    struct ctl_answer a;
    put_u64(key, s->snapshot_index);
    for (uint64_t at = 0, len; at < s->snapshot_bytes; at += len) {
        put_u64(key + 8, at);
        int code = tool_try(t, &r, &a);
        if (code != RAFTCTL_EXIT_OK)
            return code == RAFTCTL_EXIT_NO_KEY ? RAFTCTL_EXIT_BUSY
                                               : code; /* newer ones replaced it */
        int rc = patient_write(fd, a.body, a.len);
        int error = errno;
        len = a.len;
        ctl_answer_free(&a);
        if (rc < 0) {
            say_error("%s: %s", path, strerror(error));
            return RAFTCTL_EXIT_INTERNAL;
        }
    }
    return RAFTCTL_EXIT_OK;
}

void run_backup(struct tool *t, const struct args *a)
{
    const char *path = a->words[0];
    bool out = strcmp(path, "-") == 0;
    struct status s;
    int fd = out ? STDOUT_FILENO : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        say_error("%s: %s", path, strerror(errno));
        tool_end(t, RAFTCTL_EXIT_USAGE);
    }
    int code = catch_up(t);
    if (code == RAFTCTL_EXIT_OK && (code = take(t, &s)) == RAFTCTL_EXIT_OK)
        code = copy(t, &s, fd, out ? "standard output" : path);
    if (out)
        tool_end(t, code);
    if (code == RAFTCTL_EXIT_OK && (fsync(fd) != 0 || close(fd) != 0)) {
        say_error("%s: %s", path, strerror(errno));
        code = RAFTCTL_EXIT_INTERNAL;
    }
    if (code != RAFTCTL_EXIT_OK)
        (void)unlink(path); /* a part of it is of no use */
    tool_end(t, code);
}
