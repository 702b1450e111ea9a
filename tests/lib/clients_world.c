/* clients_world.c: see clients_world.h. */
#include "tests/lib/clients_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
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
#include "raftd/state/cmd.h"
#include "raftd/state/kv.h"
#include "raftd/serve/proto.h"
#include "raftd/base/rcu.h"
#include "raftd/serve/listener.h"
#include "raftd/serve/readers.h"
#include "raftd/node/request.h"

/* status.c needs them; the core is not what is tested here. */
const char *raft_role_name(enum raft_role role)
{
    (void)role;
    return "leader";
}

const char *raft_peer_state_name(enum raft_peer_state state)
{
    (void)state;
    return "probe";
}

const char *raft_stand_name(enum raft_stand stand)
{
    return stand == RAFT_STAND_DRAINED ? "drained" : "stands";
}

const char *raft_waits_name(enum raft_waits waits)
{
    return waits == RAFT_WAITS_NEW ? "the leader is new" : "nothing";
}

const char *raft_transfer_name(enum raft_transfer transfer)
{
    return transfer == RAFT_TRANSFER_NONE ? "none" : "a reason of some thirty bytes";
}

const char *raft_why_name(enum raft_why why)
{
    (void)why;
    return "none";
}

/* --- the thread that plays the loop --------------------------------------------------------------- */

static void wake_loop(void *ctx)
{
    struct fake *f = ctx;
    pthread_mutex_lock(&f->lock);
    f->woken = true;
    pthread_cond_signal(&f->cond);
    pthread_mutex_unlock(&f->lock);
}

static void answer_write(struct fake *f, struct request *q)
{
    struct applied applied;
    cmd_stamp(q->cmd, 1, 1, ++f->index);
    assert_true(machine_apply(f->machine, f->index, 0, q->cmd, q->cmd_len, NULL, &applied));
    q->result = applied.outcome == MACHINE_NO_KEY ? RESULT_NO_KEY : RESULT_OK;
    q->results.revision = f->index;
    assert_true(machine_publish(f->machine));
    struct shared_reader *r = &f->shared.readers[q->reader];
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
            answer_write(f, q);
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
    s->status = &f->status;
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
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->cond);
    close(f->listener.fd);
    unlink(f->path);
}

int world_setup(void **state)
{
    struct fake *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    world_share(f, READERS);
    f->machine = machine_new(f->shared.kv);
    assert_non_null(f->machine);
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
    struct cds_wfcq_node *node;
    while ((node = rcu_queue_pop(&f->shared.requests_head, &f->shared.requests_tail)))
        free(rcu_container(node, struct request, link));
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

/* What was received on each descriptor and not yet heard: answers share packets. */
static struct {
    uint8_t buf[PROTO_PACKET_MAX_BYTES];
    size_t at, len;
} inbox[FDS];

int dial(const struct fake *f)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", f->path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_true(fd < FDS);
    inbox[fd].at = inbox[fd].len = 0;
    return fd;
}

void send_packet(int fd, const struct proto_request *r)
{
    static uint8_t buf[PROTO_PACKET_MAX_BYTES];
    size_t len = proto_request_encode(buf, r);
    assert_int_equal(send(fd, buf, len, MSG_NOSIGNAL), len);
}

void ask(int fd, uint8_t op, uint8_t flags, uint64_t tag, const char *key, const char *value)
{
    send_packet(fd, &(struct proto_request){.op = op,
                                            .flags = flags,
                                            .tag = tag,
                                            .timeout_ms = TIMEOUT_MS,
                                            .key = (const uint8_t *)key,
                                            .key_len = (uint16_t)strlen(key),
                                            .part = (const uint8_t *)value,
                                            .part_len = (uint32_t)strlen(value),
                                            .value_len = (uint32_t)strlen(value)});
}

static bool fill_inbox(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, TIMEOUT_MS), 1);
    ssize_t n = recv(fd, inbox[fd].buf, sizeof(inbox[fd].buf), 0);
    inbox[fd].at = 0;
    inbox[fd].len = n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* 0, or -1 when the connection is closed. */
int hear(int fd, struct reply *r)
{
    *r = (struct reply){.body = calloc(1, 1)};
    do {
        if (inbox[fd].at == inbox[fd].len && !fill_inbox(fd)) {
            free(r->body);
            return -1;
        }
        size_t size = proto_reply_decode(inbox[fd].buf + inbox[fd].at, inbox[fd].len - inbox[fd].at,
                                         &r->head);
        assert_true(size > 0);
        inbox[fd].at += size;
        r->body = realloc(r->body, r->len + r->head.body_len + 1);
        assert_non_null(r->body);
        memcpy(r->body + r->len, r->head.body, r->head.body_len);
        r->len += r->head.body_len;
        r->body[r->len] = '\0';
    } while (r->head.flags & PROTO_MORE);
    return 0;
}

void expect(int fd, uint64_t tag, enum result result, const char *body)
{
    struct reply r;
    assert_int_equal(hear(fd, &r), 0);
    assert_int_equal(r.head.tag, tag);
    assert_int_equal(r.head.result, result);
    if (body)
        assert_string_equal((const char *)r.body, body);
    free(r.body);
}

void expect_closed(int fd)
{
    struct reply r;
    while (hear(fd, &r) == 0)
        free(r.body);
    close(fd);
}

void put_long(int fd, uint64_t tag, const char *key, const uint8_t *value, uint32_t len)
{
    uint32_t at = 1000;
    send_packet(fd, &(struct proto_request){.op = PROTO_PUT,
                                            .tag = tag,
                                            .timeout_ms = TIMEOUT_MS,
                                            .key = (const uint8_t *)key,
                                            .key_len = (uint16_t)strlen(key),
                                            .part = value,
                                            .part_len = at,
                                            .value_len = len});
    while (at < len) {
        uint32_t n = len - at < 30000 ? len - at : 30000;
        send_packet(fd, &(struct proto_request){
                            .op = PROTO_PART, .tag = tag, .part = value + at, .part_len = n});
        at += n;
    }
}

/* Sends one small request; -1 when the daemon takes none. */
int try_ask(int fd, uint8_t op)
{
    uint8_t buf[64];
    size_t len = proto_request_encode(
        buf, &(struct proto_request){.op = op,
                                     .tag = 7,
                                     .timeout_ms = TIMEOUT_MS,
                                     .key = (const uint8_t *)"k",
                                     .key_len = op == PROTO_STATUS ? 0 : 1});
    return send(fd, buf, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -1;
}

void sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000},
              NULL);
}
