/* clients_world.c: see clients_world.h. */
#include "tests/lib/clients_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "raftd/serve/clients.h"
#include "raftd/base/clock.h"
#include "raftd/base/member_change.h"
#include "raftd/state/cmd.h"
#include "raftd/state/kv.h"
#include "raftd/serve/cursors.h"
#include "raftd/base/rcu.h"
#include "raftd/serve/listener.h"
#include "raftd/serve/readers.h"
#include "raftd/node/request.h"

/* --- the thread that plays the loop --------------------------------------------------------------- */

bool world_tcp;

static void wake_loop(void *ctx)
{
    struct fake *f = ctx;
    pthread_mutex_lock(&f->lock);
    f->woken = true;
    pthread_cond_signal(&f->cond);
    pthread_mutex_unlock(&f->lock);
}

/* Tells what was asked for. */
static void answer_other(struct request *q)
{
    struct member_change c;
    char text[200];
    q->result = RESULT_OK;
    if (q->kind == REQUEST_FETCH) {
        q->result = q->snapshot == 4 ? RESULT_NO_KEY : RESULT_OK;
        snprintf(text, sizeof text, "part of %d at %d", (int)q->snapshot, (int)q->offset);
    } else {
        q->result = RESULT_REFUSED;
        assert_true(member_change_decode(q->cmd, q->body_len, &c));
        snprintf(text, sizeof text, "%u %u %u %u %s %s", c.op, c.flags, c.id, c.priority, c.addr[0],
                 c.addr[1]);
    }
    q->body_len = (uint32_t)strlen(text);
    memcpy(q->cmd, text, q->body_len);
}

struct telling {
    struct fake *f;
    struct request *q;
};

static void keep_told(void *ctx, const struct applied *a, const struct told *told, unsigned n)
{
    struct telling *t = ctx;
    (void)a;
    if (clients_may_tell(&t->f->shared, t->q, results_value_bytes(told, n)))
        results_keep(&t->q->results, told, n);
}

static void apply_write(struct fake *f, struct request *q)
{
    struct applied applied;
    struct telling telling = {f, q};
    const struct machine_listener listener = {keep_told, &telling};
    cmd_stamp(q->cmd, 1, 1, ++f->index);
    assert_true(machine_apply(f->machine, f->index, 0, q->cmd, q->cmd_len,
                              f->mute ? NULL : &listener, &applied));
    assert_true(machine_publish(f->machine));
    shared_show(&f->shared, f->index);
    q->result = applied.outcome == MACHINE_TOO_OLD ? RESULT_UNKNOWN : RESULT_REFUSED;
    if (outcome_is_done(applied.outcome))
        q->result = applied.outcome == MACHINE_NO_KEY ? RESULT_NO_KEY : RESULT_OK;
    q->results.outcome = applied.outcome;
    q->results.at = applied.at;
    q->results.repeated = applied.repeated;
    q->results.revision = applied.repeated ? applied.revision : f->index;
}

void world_answer(struct fake *f, struct request *q)
{
    struct shared_reader *r = &f->shared.readers[q->reader];
    if (q->kind == REQUEST_WRITE)
        apply_write(f, q);
    else
        answer_other(q);
    rcu_queue_push(&r->answers_head, &r->answers_tail, &q->link);
}

static void *fake_main(void *arg)
{
    struct fake *f = arg;
    struct cds_wfcq_node *kept = NULL; /* a list by their links, free while they are here */
    rcu_thread_begin();
    pthread_mutex_lock(&f->lock);
    for (;;) {
        while (!f->woken && !f->stop)
            pthread_cond_wait(&f->cond, &f->lock);
        f->woken = false;
        struct cds_wfcq_node *node;
        while ((node = rcu_queue_pop(&f->shared.requests_head, &f->shared.requests_tail))) {
            node->next = kept;
            kept = node;
            f->held++;
        }
        while (kept && (!f->hold || f->stop)) {
            struct request *q = rcu_container(kept, struct request, link);
            kept = kept->next;
            f->held--;
            world_answer(f, q);
        }
        for (unsigned i = 0; i < READERS; i++) {
            struct shared_reader *r = &f->shared.readers[i];
            if (!f->no_leader)
                atomic_store_explicit(&r->read_done, atomic_load(&r->read_want),
                                      memory_order_release);
            if (r->wake)
                r->wake(r->wake_ctx);
        }
        if (f->stop)
            break;
    }
    pthread_mutex_unlock(&f->lock);
    rcu_thread_end();
    return NULL;
}

void world_set(struct fake *f, bool *what, bool value)
{
    pthread_mutex_lock(&f->lock);
    *what = value;
    f->woken = true;
    pthread_cond_signal(&f->cond);
    pthread_mutex_unlock(&f->lock);
}

void world_share(struct fake *f, unsigned n_readers)
{
    struct shared *s = &f->shared;
    char err[256];
    snprintf(f->path, sizeof(f->path), "/tmp/raftd-test-%d.sock", (int)getpid());
    assert_int_equal(listener_open(&f->listener, f->path, 0600, err, sizeof(err)), 0);
    f->status = (struct status){.id = 1, .leader = 3};
    s->kv = kv_new();
    assert_non_null(s->kv);
    s->cursors = cursors_new(1);
    assert_non_null(s->cursors);
    s->status = &f->status;
    s->tcp_fd = -1;
    if (world_tcp) {
        struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        assert_int_equal(listener_open_tcp(&f->listener, "x", (struct sockaddr *)&any, sizeof(any),
                                           err, sizeof(err)),
                         0);
        s->tcp_fd = f->listener.tcp;
        memset(s->password, '7', sizeof(s->password));
    }
    s->max_value_bytes = VALUE_MAX;
    s->local_reads = true;
    s->n_readers = n_readers;
    users_init(&s->users);
    (void)clients_set_limits(s, FDS);
    s->wake_loop = wake_loop;
    s->wake_loop_ctx = f;
    cds_wfcq_init(&s->requests_head, &s->requests_tail);
    for (unsigned i = 0; i < n_readers; i++)
        cds_wfcq_init(&s->readers[i].answers_head, &s->readers[i].answers_tail);
    assert_int_equal(pthread_mutex_init(&f->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&f->cond, NULL), 0);
}

void world_unshare(struct fake *f)
{
    kv_free(f->shared.kv);
    cursors_free(f->shared.cursors);
    free(f->shared.events); /* what begins with them */
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->cond);
    listener_close(&f->listener);
}

int world_setup(void **state)
{
    struct fake *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    world_share(f, READERS);
    f->machine = machine_new(f->shared.kv);
    assert_non_null(f->machine);
    f->shared.claims = machine_claims(f->machine);
    assert_int_equal(readers_start(&f->readers, &f->shared, f->listener.fd, READERS), 0);
    assert_int_equal(pthread_create(&f->thread, NULL, fake_main, f), 0);
    *state = f;
    return 0;
}

int world_teardown(void **state)
{
    struct fake *f = *state;
    world_set(f, &f->stop, true);
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    readers_stop(f->readers);
    shared_drop(&f->shared);
    assert_true(users_idle(&f->shared.users));
    machine_free(f->machine);
    world_unshare(f);
    free(f);
    return 0;
}

int world_run(const struct CMUnitTest *tests, size_t n)
{
    struct rlimit files; /* both ends of all connections are in this process */
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_max < FDS)
        return EXIT_FAILURE;
    files.rlim_cur = FDS;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
        return EXIT_FAILURE;
    rcu_thread_begin();
    int failed = _cmocka_run_group_tests("clients", tests, n, NULL, NULL);
    rcu_thread_end();
    return failed;
}

/* --- a client ------------------------------------------------------------------------------------- */

/* What was received on each descriptor and not yet heard. */
static struct {
    uint8_t *buf;
    size_t at, len, cap;
} inbox[FDS];

int dial_tcp(const struct fake *f)
{
    struct sockaddr_in addr;
    socklen_t len = sizeof(addr);
    assert_int_equal(getsockname(f->listener.tcp, (struct sockaddr *)&addr, &len), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_in_range(fd, 0, FDS - 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, len), 0);
    inbox[fd].at = inbox[fd].len = 0;
    return fd;
}

int dial(const struct fake *f)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", f->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_true(fd < FDS);
    inbox[fd].at = inbox[fd].len = 0;
    return fd;
}

void send_bytes(int fd, const void *bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = send(fd, (const uint8_t *)bytes + done, len - done, MSG_NOSIGNAL);
        assert_true(n > 0);
        done += (size_t)n;
    }
}

void send_text(int fd, const char *text)
{
    send_bytes(fd, text, strlen(text));
}

void ask(int fd, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof(line) - 1, format, args);
    va_end(args);
    assert_in_range(n, 1, sizeof(line) - 2);
    line[n] = '\n';
    send_bytes(fd, line, (size_t)n + 1);
}

int try_ask(int fd, const char *line)
{
    char bytes[64];
    int n = snprintf(bytes, sizeof(bytes), "%s\n", line);
    return send(fd, bytes, (size_t)n, MSG_NOSIGNAL) == n ? 0 : -1;
}

void put_long(int fd, const char *key, const uint8_t *value, uint32_t len)
{
    char head[128];
    int n = snprintf(head, sizeof(head), "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%u\r\n", strlen(key),
                     key, len);
    send_bytes(fd, head, (size_t)n);
    send_bytes(fd, value, len);
    send_bytes(fd, "\r\n", 2);
}

static void add(struct reply *r, const void *bytes, size_t len)
{
    if (r == NULL)
        return;
    if (r->len + len >= r->cap) { /* doubled: an answer may have thousands of parts */
        r->cap = 2 * (r->len + len) + 64;
        r->text = realloc(r->text, r->cap);
        assert_non_null(r->text);
    }
    memcpy(r->text + r->len, bytes, len);
    r->len += len;
    r->text[r->len] = '\0';
}

/* Reads one value at buf into r, if that is not NULL. Its size; 0: it is not all there. */
static size_t value_at(const uint8_t *buf, size_t len, struct reply *r)
{
    const uint8_t *end = memchr(buf, '\n', len);
    if (end == NULL)
        return 0;
    size_t at = (size_t)(end - buf) + 1;
    assert_true(at >= 3 && buf[at - 2] == '\r');
    long n = strtol((const char *)buf + 1, NULL, 10);
    if (strchr("*%~>", buf[0]) != NULL) {
        n *= buf[0] == '%' ? 2 : 1;
        add(r, n < 0 ? "nil" : "[", n < 0 ? 3 : 1);
        for (long i = 0; i < n; i++) {
            size_t size = at < len ? value_at(buf + at, len - at, NULL) : 0;
            if (size == 0)
                return 0;
            if (i > 0)
                add(r, " ", 1);
            if (r != NULL)
                (void)value_at(buf + at, size, r);
            at += size;
        }
        if (n >= 0)
            add(r, "]", 1);
        return at;
    }
    if (strchr("$=", buf[0]) == NULL) {
        assert_non_null(strchr("+-:_", buf[0]));
        add(r, buf[0] == '_' ? (const uint8_t *)"nil" : buf + (buf[0] == '-' ? 0 : 1),
            buf[0] == '_' ? 3 : at - (buf[0] == '-' ? 2 : 3));
        return at;
    }
    if (n < 0) {
        add(r, "nil", 3);
        return at;
    }
    if (len - at < (size_t)n + 2)
        return 0;
    assert_memory_equal(buf + at + n, "\r\n", 2);
    add(r, buf + at, (size_t)n);
    return at + (size_t)n + 2;
}

/* False at the end of the connection. */
static bool fill_inbox(int fd, int flags)
{
    if (inbox[fd].at > 0 && inbox[fd].at == inbox[fd].len)
        inbox[fd].at = inbox[fd].len = 0;
    if (inbox[fd].cap - inbox[fd].len < 65536) {
        inbox[fd].cap = 2 * inbox[fd].cap + 65536;
        inbox[fd].buf = realloc(inbox[fd].buf, inbox[fd].cap);
        assert_non_null(inbox[fd].buf);
    }
    ssize_t n = recv(fd, inbox[fd].buf + inbox[fd].len, inbox[fd].cap - inbox[fd].len, flags);
    assert_true(n >= 0 || errno == EAGAIN); /* the end, but never an error in place of an answer */
    inbox[fd].len += n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* Takes a whole answer of those that were received. */
static bool take(int fd, struct reply *r)
{
    size_t len = inbox[fd].len - inbox[fd].at;
    size_t size = len > 0 ? value_at(inbox[fd].buf + inbox[fd].at, len, NULL) : 0;
    if (size == 0)
        return false;
    if (r != NULL) {
        *r = (struct reply){0};
        add(r, "", 0);
        (void)value_at(inbox[fd].buf + inbox[fd].at, size, r);
    }
    inbox[fd].at += size;
    return true;
}

int hear(int fd, struct reply *r)
{
    while (!take(fd, r)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, TIMEOUT_MS), 1);
        if (!fill_inbox(fd, 0)) {
            assert_int_equal(inbox[fd].at, inbox[fd].len);
            return -1;
        }
    }
    return 0;
}

bool heard(int fd, struct reply *r)
{
    if (take(fd, r))
        return true;
    while (fill_inbox(fd, MSG_DONTWAIT))
        continue;
    return take(fd, r);
}

void expect(int fd, const char *text)
{
    struct reply r;
    assert_int_equal(hear(fd, &r), 0);
    assert_string_equal(r.text, text);
    free(r.text);
}

void expect_part(int fd, const char *part)
{
    struct reply r;
    assert_int_equal(hear(fd, &r), 0);
    if (strstr(r.text, part) == NULL)
        fail_msg("%s: not in %.200s", part, r.text);
    free(r.text);
}

void expect_closed(int fd)
{
    struct reply r;
    assert_int_equal(hear(fd, &r), -1);
    close(fd);
}

void sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000},
              NULL);
}
