/* loop.c: one iteration is
 *
 *     poll -> datagrams, finished disk jobs, clients' requests -> node events
 *          -> prepare: node_flush, one sendmmsg, at most one batch to the disk, status, timer
 *
 * The clock is read once, at the first event after the poll. A timer never decides alone: before
 * the node looks at its deadlines, the socket is drained, so that a process which was stopped for
 * a while first hears the heartbeats that came meanwhile and does not depose a healthy leader.
 */
#include "raftd/loop.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "net/udp.h"
#include "net/wire.h"
#include "raftd/serve/clients.h"
#include "raftd/base/clock.h"
#include "raftd/conf_addr.h"
#include "raftd/diskio.h"
#include "raftd/base/exits.h"
#include "raftd/base/num.h"
#include "raftd/files.h"
#include "raftd/keyfile.h"
#include "raftd/state/cmd.h"
#include "raftd/serve/listener.h"
#include "raftd/node/node.h"
#include "raftd/base/notify.h"
#include "raftd/own_address.h"
#include "raftd/serve/readers.h"
#include "raftd/stopping.h"
#include "raftd/base/say.h"
#include "raftd/publish.h"
#include "raftd/state/kv.h"
#include "raftd/state/machine.h"
#include "storage/record.h"

enum {
    MARKS = 64,        /* rounds of reads on their way, per reader; beyond they merge */
    DRAIN_ROUNDS = 64, /* x UDP_RECEIVE_MAX: more than a receive buffer holds */
};

_Static_assert((int)UDP_RECEIVE_BYTES > (int)WIRE_DATAGRAM_MAX,
               "what was cut on receipt is refused as too long");

_Static_assert((int)CLIENTS_WRITES_MAX == (int)NODE_WRITES_MAX &&
                   (int)CLIENTS_WRITES_MAX_BYTES == (int)NODE_WRITE_BYTES_MAX,
               "users share what the node takes");

/* Reads of a reader up to read_want `want` are covered by node read `read`. */
struct mark {
    uint64_t read;
    uint64_t want;
};

struct reader_marks {
    uint64_t seen; /* highest read_want taken */
    struct mark marks[MARKS];
    unsigned n;
    bool wake;
};

struct loop {
    const struct conf *conf;
    struct ev_loop *ev;
    struct udp *udp;
    struct machine *machine;
    struct node *node;
    struct diskio *disk;
    struct shared *shared;
    struct readers *readers; /* NULL with readers = 0 ... */
    struct clients *clients; /* ... and then this one */
    struct listener listener;
    struct reader_marks marks[READERS_MAX];

    bool sealed;         /* datagrams are, with the keys of key_file */
    uint64_t now;        /* 0 = not read in this iteration */
    uint64_t longest_us; /* turn since start, from `now` to the next poll */
    uint64_t used_us;    /* by this thread, at the end of the last turn ... */
    uint64_t most_us;    /* ... and by one turn at most */
    uint64_t deadline;   /* the node's, as of the last flush */

    struct stopping stopping;
    uint64_t alarm_at; /* what alarm_fd is set to, 0 = not set */
    int alarm_fd;
    uint64_t rxq_drops; /* as last told to the node */
    struct publisher publisher;
    struct peerids *ids;                    /* the disk's, as soon as that works */
    struct request *fetches, **fetches_end; /* of clients that read a snapshot; one at a time */

    ev_io udp_io, alarm_io;
    ev_async disk_async, request_async;
    ev_signal term_signal, int_signal, hup_signal;
    ev_prepare prepare;
    ev_timer look;
    struct own_address own;
};

static uint64_t loop_now(struct loop *l)
{
    if (l->now == 0)
        l->now = clock_us();
    return l->now;
}

/* ---- the node's calls ------------------------------------------------------------------- */

static void io_send(void *ctx, uint16_t to, const uint8_t *buf, size_t len)
{
    struct loop *l = ctx;
    const struct conf_node *node = conf_find(l->conf, to);
    if (node != NULL)
        udp_queue(l->udp, (const struct sockaddr *)&node->addr, node->addr_len, buf, len);
}

static void io_persist(void *ctx, uint64_t seq, const struct wal_batch *b)
{
    struct loop *l = ctx;
    udp_flush(l->udp); /* the peers' disks work while ours does */
    diskio_persist(l->disk, seq, b);
}

static void io_fetch(void *ctx, struct node_fetch what, const struct wal_pos *from, uint64_t last,
                     uint8_t *buf, size_t cap)
{
    struct loop *l = ctx;
    diskio_fetch(l->disk, what, from, last, buf, cap);
}

static void io_remember(void *ctx, uint16_t id, uint64_t storage_id)
{
    struct loop *l = ctx;
    diskio_remember(l->disk, l->ids, id, storage_id);
}

static void io_image(void *ctx, const struct snapshot_head *head, struct image *image,
                     uint64_t needed)
{
    struct loop *l = ctx;
    diskio_image(l->disk, head, image, needed);
}

static void io_image_end(void *ctx, bool whole)
{
    struct loop *l = ctx;
    diskio_image_end(l->disk, whole);
}

static void io_drop_log(void *ctx, uint64_t keep_from)
{
    struct loop *l = ctx;
    diskio_drop_log(l->disk, keep_from);
}

static void io_snap_read(void *ctx, struct node_fetch what, uint64_t index, uint64_t off,
                         uint8_t *buf, size_t cap)
{
    struct loop *l = ctx;
    diskio_snap_read(l->disk, what, index, off, buf, cap);
}

static void io_snap_open(void *ctx, const struct snapshot_name *name)
{
    struct loop *l = ctx;
    diskio_snap_open(l->disk, name);
}

static void io_snap_write(void *ctx, uint64_t off, const uint8_t *buf, size_t len)
{
    struct loop *l = ctx;
    diskio_snap_write(l->disk, off, buf, len);
}

static void io_snap_install(void *ctx)
{
    struct loop *l = ctx;
    diskio_snap_install(l->disk);
}

static void io_answer(void *ctx, struct request *req)
{
    struct loop *l = ctx;
    struct shared_reader *r = &l->shared->readers[req->reader];
    l->marks[req->reader].wake = true;
    rcu_queue_push(&r->answers_head, &r->answers_tail, &req->link);
}

static void io_out_of_memory(void *ctx, const char *what)
{
    (void)ctx;
    say_fatal(RAFTD_EXIT_INTERNAL,
              "out of memory: %s. Nothing is lost: a start with more memory applies the log again",
              what);
}

static void io_diverged(void *ctx, uint64_t index, bool another)
{
    struct loop *l = ctx;
    udp_flush(l->udp); /* the others need our last word to judge themselves */
    say_fatal(RAFTD_EXIT_DIVERGED,
              "the state of this node as of entry %" PRIu64
              " %s: this node ends, and has overwritten "
              "nothing. Keep a copy of %s. See \"States that differ\" in raftd(8) for what to do",
              index,
              another ? "is not the one that a majority of the nodes has"
                      : "differs from those of the others, and no majority has the same one",
              l->conf->data_dir);
}

static void io_reads_done(void *ctx, uint64_t read)
{
    struct loop *l = ctx;
    for (unsigned i = 0; i < l->shared->n_readers; i++) {
        struct reader_marks *m = &l->marks[i];
        unsigned done = 0;
        while (done < m->n && m->marks[done].read <= read)
            done++;
        if (done == 0)
            continue;
        atomic_store_explicit(&l->shared->readers[i].read_done, m->marks[done - 1].want,
                              memory_order_release);
        m->wake = true;
        m->n -= done;
        memmove(m->marks, m->marks + done, m->n * sizeof m->marks[0]);
    }
}

/* ---- clients that read a snapshot -------------------------------------------------------- */

static void fetch_begin(struct loop *l)
{
    struct request *req = l->fetches;
    if (req != NULL)
        diskio_snap_read(l->disk, (struct node_fetch){.peer = 0}, req->snapshot, req->offset,
                         req->cmd, req->cmd_len);
}

static void fetch_add(struct loop *l, struct request *req)
{
    bool first = l->fetches == NULL;
    req->next = NULL;
    *(first ? &l->fetches : l->fetches_end) = req;
    l->fetches_end = &req->next;
    if (first)
        fetch_begin(l);
}

/* The first of them is read, or it is as `result` says. */
static void fetch_end(struct loop *l, enum result result, size_t len)
{
    struct request *req = l->fetches;
    l->fetches = req->next;
    req->result = result;
    req->revision = len;
    io_answer(l, req);
}

/* ---- events ----------------------------------------------------------------------------- */

/* Which peer has this address; 0: none. */
static uint16_t peer_at(const struct loop *l, const struct sockaddr *from)
{
    for (int i = 0; i < l->conf->n_nodes; i++) {
        const struct conf_node *node = &l->conf->nodes[i];
        if (node != conf_self(l->conf) && conf_addr_is(node, from))
            return node->id;
    }
    return 0;
}

static void on_datagram(void *ctx, uint8_t *bytes, size_t len, const struct sockaddr *from,
                        socklen_t from_len)
{
    struct loop *l = ctx;
    (void)from_len;
    if (udp_counters(l->udp)->rxq_drops != l->rxq_drops) {
        l->rxq_drops = udp_counters(l->udp)->rxq_drops;
        node_rxq_dropped(l->node);
    }
    if (!node_datagram(l->node, loop_now(l), peer_at(l, from), bytes, len))
        news_stranger(&l->publisher.news, wire_cluster_id(l->conf->name), bytes, len, from,
                      loop_now(l));
}

static void on_udp(struct ev_loop *ev, ev_io *w, int revents)
{
    (void)ev;
    (void)revents;
    struct loop *l = w->data;
    (void)udp_receive(l->udp, on_datagram, l);
}

/* What is due is done in on_prepare(). */
static void on_alarm(struct ev_loop *ev, ev_io *w, int revents)
{
    (void)ev;
    (void)revents;
    struct loop *l = w->data;
    uint64_t times;
    if (read(l->alarm_fd, &times, sizeof times) == (ssize_t)sizeof times)
        l->alarm_at = 0;
}

static void disk_did(struct loop *l, uint64_t now, const struct diskio_done *done)
{
    struct node *n = l->node;
    switch (done->kind) {
    case DISKIO_BATCH:
        (done->refused ? node_no_room : node_persisted)(n, now, done->seq);
        if (done->refused)
            node_snapshot(n); /* the log behind it makes room */
        break;
    case DISKIO_REMEMBER:
        node_remembered(n, now, done->node_id, done->storage_id, !done->refused);
        break;
    case DISKIO_FETCH: node_fetched(n, now, done->what, done->len, &done->next); break;
    case DISKIO_SNAP_READ:
        if (done->len == 0)
            node_snapshot(n); /* in the place of one that is gone, or can't be read */
        if (done->what.peer != 0) {
            node_snap_read(n, now, done->what, done->len);
        } else {
            fetch_end(l, done->len > 0 ? RESULT_OK : RESULT_NO_KEY, done->len);
            fetch_begin(l);
        }
        break;
    case DISKIO_SNAP_OPEN: node_snap_have(n, now, done->refused ? UINT64_MAX : done->have); break;
    case DISKIO_SNAP_WRITE: node_snap_written(n, now, !done->refused); break;
    case DISKIO_SNAP_INSTALL:
        node_snap_installed(n, now, done->refused ? NULL : done->head, done->load);
        break;
    case DISKIO_IMAGE: node_imaged(n, now, done->refused ? NULL : done->name); break;
    default: break; /* nobody is told */
    }
}

static void on_disk(struct ev_loop *ev, ev_async *w, int revents)
{
    (void)ev;
    (void)revents;
    struct loop *l = w->data;
    struct diskio_done done;
    while (diskio_done(l->disk, &done))
        disk_did(l, loop_now(l), &done);
}

static void on_look(struct ev_loop *ev, ev_timer *w, int revents)
{
    (void)revents;
    struct loop *l = w->data;
    if (!own_address_look(&l->own, l->udp, loop_now(l)))
        return;
    ev_io_stop(ev, &l->udp_io);
    ev_io_set(&l->udp_io, udp_fd(l->udp), EV_READ);
    ev_io_start(ev, &l->udp_io);
}

/* One read of the node stands for all reads that the readers have asked for by now. */
static void take_reads(struct loop *l)
{
    uint64_t read = 0;
    for (unsigned i = 0; i < l->shared->n_readers; i++) {
        struct reader_marks *m = &l->marks[i];
        uint64_t want = atomic_load_explicit(&l->shared->readers[i].read_want,
                                             memory_order_acquire);
        if (want == m->seen)
            continue;
        m->seen = want;
        if (read == 0)
            read = node_read(l->node, loop_now(l));
        if (m->n == MARKS) /* many rounds without an answer: the newest stands for the last two */
            m->n--;
        m->marks[m->n++] = (struct mark){read, want};
    }
}

static void on_request(struct ev_loop *ev, ev_async *w, int revents)
{
    (void)ev;
    (void)revents;
    struct loop *l = w->data;
    struct cds_wfcq_node *q;
    while ((q = rcu_queue_pop(&l->shared->requests_head, &l->shared->requests_tail)) != NULL) {
        struct request *req = rcu_container(q, struct request, link);
        if (req->snapshot != 0)
            fetch_add(l, req);
        else
            node_write(l->node, loop_now(l), req);
    }
    take_reads(l);
    if (atomic_exchange_explicit(&l->shared->snapshot_asked, false, memory_order_acquire))
        node_snapshot(l->node);
    uint32_t transfer = atomic_exchange_explicit(&l->shared->transfer_asked, 0,
                                                 memory_order_acquire);
    if (transfer != 0)
        node_transfer(l->node, loop_now(l), (uint16_t)(transfer >> 16), (uint16_t)transfer);
    if (atomic_exchange_explicit(&l->shared->drain_asked, false, memory_order_acquire))
        node_drain(l->node, loop_now(l));
}

static void on_stop(struct ev_loop *ev, ev_signal *w, int revents)
{
    (void)revents;
    struct loop *l = w->data;
    say_info("signal %d: stopping", w->signum);
    if (stopping_begin(&l->stopping, loop_now(l)))
        ev_break(ev, EVBREAK_ALL);
}

/* The client socket, if it has been removed; and whoever accepts there is told. */
static void renew_listener(struct loop *l)
{
    char err[CONF_ERR_SIZE];
    int rc = listener_renew(&l->listener, err, sizeof err);
    if (rc < 0)
        say_error("%s", err);
    if (rc <= 0)
        return;
    atomic_fetch_add_explicit(&l->shared->listens, 1, memory_order_release);
    for (unsigned i = 0; i < l->shared->n_readers; i++)
        l->shared->readers[i].wake(l->shared->readers[i].wake_ctx);
    say_warn("the client socket %s was gone and is made again", l->listener.path);
}

static void on_reload(struct ev_loop *ev, ev_signal *w, int revents)
{
    (void)ev;
    (void)revents;
    struct loop *l = w->data;
    struct session_keys keys;
    char err[KEYFILE_ERR_SIZE];
    int n = l->sealed ? keyfile_load_keys(l->conf, &keys, err, sizeof err) : 0;
    if (n < 0 || (n > 0 && err[0] != '\0'))
        say_error("%s; going on with the keys as they were", err);
    else if (n == 0)
        say_warn("SIGHUP reads key files again, but none is configured");
    else {
        node_set_keys(l->node, &keys, loop_now(l));
        uint32_t first = sessions_key_id(keys.key[0]);
        if (n == 1)
            say_info("1 live key read again: %08" PRIx32, first);
        else
            say_info("2 live keys read again: %08" PRIx32 ", and %08" PRIx32 " as the next", first,
                     sessions_key_id(keys.key[1]));
    }
    sodium_memzero(&keys, sizeof keys);
    renew_listener(l);
}

/* ---- once per iteration ----------------------------------------------------------------- */

/* libev's own timers count whole milliseconds (as epoll does), too coarse for a resend after two. An
 * alarm that comes before it is needed is left as it is: it wakes us for nothing, but is seldom set
 * anew. */
static void set_alarm(struct loop *l)
{
    uint64_t now = loop_now(l);
    uint64_t at = l->deadline = node_deadline(l->node, now);
    at = min_u64(at, min_u64(publisher_at(&l->publisher), l->stopping.until));
    if (at < now)
        at = now; /* 0 would turn the alarm off */
    if (at == NEVER || (l->alarm_at > now && l->alarm_at <= at))
        return;
    l->alarm_at = at;
    struct itimerspec spec = {
        .it_value = {.tv_sec = (time_t)(at / 1000000), .tv_nsec = (long)(at % 1000000 * 1000)}};
    int rc = timerfd_settime(l->alarm_fd, TFD_TIMER_ABSTIME, &spec, NULL);
    assert(rc == 0); /* a time after 1970 on our own descriptor */
    (void)rc;
}

/* Of the flushes since the last iteration: they may have been in the middle of the node's work. */
static void tell_refused(struct loop *l)
{
    struct sockaddr_storage to;
    size_t len;
    while ((len = udp_refused(l->udp, &to)) > 0) {
        uint16_t peer = peer_at(l, (const struct sockaddr *)&to);
        if (peer != 0)
            node_refused(l->node, loop_now(l), peer, len);
    }
}

static void on_prepare(struct ev_loop *ev, ev_prepare *w, int revents)
{
    (void)revents;
    struct loop *l = w->data;
    const struct publish_from from = {l->node,   l->disk,       l->udp,
                                      l->shared, l->longest_us, l->most_us};
    if (loop_now(l) >= l->deadline)
        for (int i = 0; i < DRAIN_ROUNDS && udp_receive(l->udp, on_datagram, l) > 0; i++)
            continue;
    tell_refused(l);
    node_flush(l->node, loop_now(l));
    atomic_store_explicit(&l->shared->local_reads, node_local_reads(l->node), memory_order_release);
    udp_flush(l->udp);
    for (unsigned i = 0; i < l->shared->n_readers; i++) {
        if (!l->marks[i].wake)
            continue;
        l->marks[i].wake = false;
        l->shared->readers[i].wake(l->shared->readers[i].wake_ctx);
    }
    publish(&l->publisher, &from, loop_now(l));
    if (l->shared->status->differs_index != 0) /* the snapshot may be what is wrong */
        atomic_store_explicit(&l->shared->old_reads, false, memory_order_relaxed);
    if (stopping_step(&l->stopping, loop_now(l)))
        ev_break(ev, EVBREAK_ALL);
    diskio_doubt(l->disk, node_raft(l->node)->damaged);
    set_alarm(l);
    uint64_t used_us = clock_used_us();
    l->most_us = max_u64(l->most_us, used_us - l->used_us);
    l->used_us = used_us;
    l->longest_us = max_u64(l->longest_us, clock_us() - loop_now(l));
    l->now = 0;
}

/* ---- life ------------------------------------------------------------------------------- */

static void wake_disk(void *ctx)
{
    struct loop *l = ctx;
    ev_async_send(l->ev, &l->disk_async);
}

static void wake_loop(void *ctx)
{
    struct loop *l = ctx;
    ev_async_send(l->ev, &l->request_async);
}

static void init_watchers(struct loop *l)
{
    ev_io_init(&l->udp_io, on_udp, udp_fd(l->udp), EV_READ);
    ev_set_priority(&l->udp_io, EV_MAXPRI); /* what peers said comes before timers */
    ev_io_init(&l->alarm_io, on_alarm, l->alarm_fd, EV_READ);
    ev_async_init(&l->disk_async, on_disk);
    ev_async_init(&l->request_async, on_request);
    ev_signal_init(&l->term_signal, on_stop, SIGTERM);
    ev_signal_init(&l->int_signal, on_stop, SIGINT);
    ev_signal_init(&l->hup_signal, on_reload, SIGHUP);
    ev_timer_init(&l->look, on_look, OWN_ADDRESS_LOOK_S, OWN_ADDRESS_LOOK_S);
    ev_prepare_init(&l->prepare, on_prepare);
    ev_set_priority(&l->prepare, EV_MINPRI); /* after all other prepare watchers */
    l->udp_io.data = l->alarm_io.data = l->disk_async.data = l->request_async.data = l;
    l->prepare.data = l->hup_signal.data = l->look.data = l;
    l->term_signal.data = l->int_signal.data = l;
    ev_io_start(l->ev, &l->udp_io);
    ev_io_start(l->ev, &l->alarm_io);
    ev_async_start(l->ev, &l->disk_async);
    ev_async_start(l->ev, &l->request_async);
    ev_signal_start(l->ev, &l->term_signal);
    ev_signal_start(l->ev, &l->int_signal);
    ev_signal_start(l->ev, &l->hup_signal);
    ev_prepare_start(l->ev, &l->prepare);
    ev_timer_start(l->ev, &l->look);
}

static void io_random(void *ctx, void *buf, size_t len)
{
    (void)ctx;
    randombytes_buf(buf, len);
}

static struct node *make_node(struct loop *l, const struct wal_report *report,
                              const struct snapshot_name *newest, const struct session_keys *keys)
{
    const struct conf *conf = l->conf;
    struct node_config nc = {
        .id = conf_self(conf)->id,
        .n_voters = (unsigned)conf->n_nodes,
        .storage_id = l->ids->storage_id,
        .election_timeout_us = (uint64_t)conf->election_timeout_ms * 1000,
        .max_value_bytes = conf->max_value_bytes,
        .max_data_bytes = conf->max_data_bytes,
        .log_max_bytes = conf->log_max_bytes,
        .datagram_bytes = conf->max_datagram_bytes,
        .rx_bytes = udp_window_bytes(l->udp),
    };
    (void)snprintf(nc.cluster, sizeof nc.cluster, "%s", conf->name);
    for (int i = 0; i < conf->n_nodes; i++) {
        nc.voters[i] = conf->nodes[i].id;
        nc.known[i] = peerids_find(l->ids, nc.voters[i]);
        (void)snprintf(nc.addrs[i], sizeof nc.addrs[i], "%s", conf->nodes[i].addr_text);
    }
    randombytes_buf(&nc.seed, sizeof nc.seed);
    nc.boot = randombytes_uniform(0x7fffffff) +
              1; /* the upper half of numbers that must not wrap */
    struct node_io io = {
        .ctx = l,
        .send = io_send,
        .persist = io_persist,
        .fetch = io_fetch,
        .remember = io_remember,
        .image = io_image,
        .image_end = io_image_end,
        .drop_log = io_drop_log,
        .snap_read = io_snap_read,
        .snap_open = io_snap_open,
        .snap_write = io_snap_write,
        .snap_install = io_snap_install,
        .answer = io_answer,
        .reads_done = io_reads_done,
        .diverged = io_diverged,
        .out_of_memory = io_out_of_memory,
        .random = io_random,
    };
    return node_new(&nc, &io, report, newest, l->sealed ? keys : NULL, l->shared->kv, l->machine,
                    clock_us());
}

int loop_serve(struct loop *l)
{
    const struct conf *conf = l->conf;
    int rc = publish_start(l->shared, conf, "the daemon is starting") ? 0 : -ENOMEM;
    atomic_store(&l->shared->starting, true);
    atomic_store(&l->shared->old_reads, kv_view(l->shared->kv)->index != 0);
    if (rc == 0 && conf->readers > 0)
        rc = readers_start(&l->readers, l->shared, l->listener.fd, conf->readers);
    else if (rc == 0 && (l->clients = clients_new(l->ev, l->shared, 0, l->listener.fd)) == NULL)
        rc = -ENOMEM;
    if (rc < 0)
        say_error("cannot start serving clients: %s", strerror(-rc));
    return rc == 0 ? RAFTD_EXIT_OK : RAFTD_EXIT_INTERNAL;
}

static void say_started(const struct conf *conf, const struct wal_report *report, bool sealed)
{
    say_info("node %u of cluster %s on %s (%s): term %" PRIu64 ", %" PRIu64
             " entries, clients at %s",
             conf_self(conf)->id, conf->name, conf_self(conf)->addr_text,
             sealed ? "sealed" : "plain text", report->term, report->last_index, conf->socket);
}

/* libev cannot go on; it would abort. */
static void on_syserr(const char *what)
{
    say_fatal(RAFTD_EXIT_INTERNAL, "%s: %s", what, strerror(errno));
}

static void *ev_memory(void *p, long size)
{
    if (size == 0) {
        free(p);
        return NULL;
    }
    p = realloc(p, (size_t)size);
    if (p == NULL)
        say_fatal(RAFTD_EXIT_INTERNAL, "out of memory for %ld bytes", size);
    return p;
}

int loop_open(struct loop **out, const struct conf *conf)
{
    char err[CONF_ERR_SIZE];
    struct loop *l = *out = calloc(1, sizeof *l);
    if (l == NULL) {
        say_error("out of memory");
        return RAFTD_EXIT_INTERNAL;
    }
    l->conf = conf;
    l->listener.fd = l->alarm_fd = -1;
    rcu_thread_begin();
    const struct conf_node *self = conf_self(conf);
    l->udp = udp_new(self->addr.ss_family);
    int rc = l->udp != NULL ? own_address_bind(&l->own, self, l->udp) : -errno;
    if (rc < 0) {
        say_error("cannot listen on UDP %s: %s", self->addr_text, strerror(-rc));
        goto fail;
    }
    (void)own_address_look(&l->own, l->udp, clock_us());
    if (listener_open(&l->listener, conf->socket, (mode_t)conf->socket_mode, err, sizeof err) !=
        0) {
        say_error("%s", err);
        goto fail;
    }
    ev_set_allocator(ev_memory);
    ev_set_syserr_cb(on_syserr);
    l->ev = ev_default_loop(EVFLAG_NOENV);
    l->shared = l->ev != NULL ? shared_new(conf->max_value_bytes, conf->readers, wake_loop, l)
                              : NULL;
    if (l->shared != NULL) {
        files_limit_clients(l->shared, conf->readers);
        l->machine = machine_new(l->shared->kv);
    }
    l->alarm_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (l->machine != NULL && l->alarm_fd >= 0)
        return RAFTD_EXIT_OK;
    say_error("out of memory or of descriptors");
fail:
    loop_close(l);
    *out = NULL;
    return RAFTD_EXIT_INTERNAL;
}

void loop_starting(struct loop *l, const char *what)
{
    if (l->readers == NULL && l->clients == NULL)
        clients_turn_away(l->listener.fd, what);
    else if (publish_start(l->shared, l->conf, what) && l->clients != NULL)
        ev_run(l->ev, EVRUN_NOWAIT);
}

struct machine *loop_machine(struct loop *l)
{
    return l->machine;
}

int loop_run(struct loop *l, struct wal *w, const struct wal_report *report,
             const struct snapshot_name *newest, struct peerids *ids, bool (*stopped)(void))
{
    l->ids = ids;
    const struct conf *conf = l->conf;
    int rc = RAFTD_EXIT_INTERNAL;
    char err[KEYFILE_ERR_SIZE];
    struct session_keys keys;
    int n_keys = keyfile_load_keys(conf, &keys, err, sizeof err);
    if (n_keys < 0) {
        say_error("%s", err);
        return RAFTD_EXIT_USAGE;
    }
    l->sealed = n_keys > 0; /* a next_key_file that is refused was warned of before */
    l->node = make_node(l, report, newest, &keys);
    sodium_memzero(&keys, sizeof keys);
    if (l->node == NULL) {
        say_error("out of memory");
        return rc;
    }
    const struct diskio_config disk = {
        .wal = w,
        .disk = &disk_posix,
        .dir = conf->data_dir,
        .max_batch_bytes = record_size(CMD_MAX_BYTES) + NODE_BATCH_BYTES_MAX,
        .storage_id = ids->storage_id,
        .cluster = wire_cluster_id(conf->name),
        .min_free_bytes = conf->disk_min_free,
        .damaged = report->doubt,
        .long_us = (uint64_t)conf->election_timeout_ms * 1000 / 2,
        .wake = wake_disk,
        .ctx = l,
    };
    l->disk = diskio_start(&disk);
    if (l->disk == NULL) {
        say_error("cannot start the log thread");
        goto err_node;
    }
    publish(&l->publisher, &(struct publish_from){l->node, l->disk, l->udp, l->shared, 0, 0},
            loop_now(l));
    stopping_init(&l->stopping, l->node, l->shared, &l->listener,
                  (uint64_t)conf->election_timeout_ms * 1000);
    init_watchers(l);
    atomic_store_explicit(&l->shared->starting, false, memory_order_release);
    if (!stopped()) {
        say_started(conf, report, l->sealed);
        (void)notify_send("READY=1\nSTATUS="); /* nobody else can be told that this failed */
        l->used_us = clock_used_us();
        ev_run(l->ev, 0);
    }
    (void)notify_send("STOPPING=1");
    node_stopping(l->node);
    rc = RAFTD_EXIT_OK;

    if (!diskio_stop(l->disk)) {
        listener_unlink(&l->listener);
        say_fatal(RAFTD_EXIT_DISK, "the disk does not finish a write; ending without it");
    }
    while (l->fetches != NULL)
        fetch_end(l, RESULT_STOPPING, 0);
err_node:
    node_free(l->node); /* answers what is pending; the clients of loop_close() pass it on */
    return rc;
}

void loop_close(struct loop *l)
{
    if (l->clients != NULL)
        clients_free(l->clients);
    if (l->readers != NULL)
        readers_stop(l->readers);
    listener_close(&l->listener);
    if (l->alarm_fd >= 0)
        (void)close(l->alarm_fd);
    machine_free(l->machine);
    udp_close(l->udp);
    if (l->shared != NULL)
        shared_free(l->shared);
    rcu_thread_end();
    if (l->ev != NULL)
        ev_loop_destroy(l->ev);
    free(l);
}
