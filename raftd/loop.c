/* loop.c: one iteration is
 *
 *     poll -> datagrams, finished disk jobs, clients' requests -> node events
 *          -> prepare: node_flush, one sendmmsg, at most one batch to the disk, status, timer
 *
 * The clock is read at the first event after the poll, and anew for whatever comes from outside. A timer
 * never decides alone: before the node looks at its deadlines, the socket is drained, so that a process that
 * was stopped first hears the heartbeats that came meanwhile and does not depose a healthy leader.
 */
#include "raftd/loop.h"

#include <assert.h>
#include <errno.h>
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
#include "raftd/datadir.h"
#include "raftd/base/exits.h"
#include "raftd/loop_impl.h"
#include "raftd/base/num.h"
#include "raftd/files.h"
#include "raftd/conf_addr.h"
#include "raftd/keyfile.h"
#include "raftd/state/cmd.h"
#include "raftd/base/notify.h"
#include "raftd/node/replica.h"
#include "raftd/base/say.h"
#include "raftd/state/kv.h"
#include "raftd/state/machine.h"
#include "storage/record.h"

enum {
    DRAIN_ROUNDS = 64,      /* x UDP_RECEIVE_MAX: more than a receive buffer holds */
    MEASURED = 16,          /* iterations after which the processor's clock is read again */
    ALARM_EARLY_US = 10000, /* a small part of the shortest time between two heartbeats */
    IN_TIME_US = 2000,      /* behind a deadline: no process that was stopped */
};

/* What to do when the system refuses what a start needs. */
#define SHORT                                                                                      \
    ". What else is there on this box, and what do MemoryMax= and TasksMax= of the unit allow?"

_Static_assert((int)UDP_RECEIVE_BYTES > (int)WIRE_DATAGRAM_MAX,
               "what was cut on receipt is refused as too long");

_Static_assert((int)CLIENTS_WRITES_MAX == (int)NODE_WRITES_MAX &&
                   (int)CLIENTS_WRITES_MAX_BYTES == (int)NODE_WRITE_BYTES_MAX,
               "users share what the node takes");

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

/* Answers the first of the fetches. */
static void fetch_end(struct loop *l, enum result result, size_t len)
{
    struct request *req = l->fetches;
    l->fetches = req->next;
    req->result = result;
    req->body_len = (uint32_t)len;
    loop_answer(l, req);
}

/* ---- events ----------------------------------------------------------------------------- */

static void on_datagram(void *ctx, uint8_t *bytes, size_t len, const struct sockaddr *from,
                        socklen_t from_len)
{
    struct loop *l = ctx;
    if (udp_counters(l->post.udp)->rxq_drops != l->rxq_drops) {
        l->rxq_drops = udp_counters(l->post.udp)->rxq_drops;
        node_rxq_dropped(l->node);
    }
    uint16_t whose = post_take(&l->post, from, from_len);
    bool taken = node_datagram(l->node, loop_received(l), whose, bytes, len);
    post_taken(&l->post, taken ? whose : 0);
    if (!taken)
        news_stranger(&l->publisher.news, wire_cluster_id(l->conf->name), bytes, len, from,
                      loop_now(l));
}

static void on_udp(struct ev_loop *ev, ev_io *w, int revents)
{
    (void)ev;
    (void)revents;
    struct loop *l = w->data;
    (void)udp_receive(l->post.udp, on_datagram, l);
}

/* The alarm only wakes the loop: on_prepare() does what is due, and sets it anew, after which there is
 * nothing to read. */
static void on_alarm(struct ev_loop *ev, ev_io *w, int revents)
{
    (void)ev;
    (void)revents;
    struct loop *l = w->data;
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
    case DISKIO_REMEMBER: node_remembered(n, now, done->node_id, done->key, !done->refused); break;
    case DISKIO_FETCH: node_fetched(n, now, done->what, done->len, &done->next); break;
    case DISKIO_SNAP_READ:
        node_snap_read(n, now, done->what, done->len);
        if (done->what.peer == 0) {
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
    default: break; /* nobody waits for it */
    }
}

/* on_prepare() does what more there is. */
static void on_more(struct ev_loop *ev, ev_async *w, int revents)
{
    (void)ev;
    (void)w;
    (void)revents;
}

static void take_disk(struct loop *l)
{
    struct diskio_done done;
    while (diskio_done(l->disk, &done))
        disk_did(l, loop_now(l), &done);
}

static void on_disk(struct ev_loop *ev, ev_async *w, int revents)
{
    (void)ev;
    (void)revents;
    take_disk(w->data);
}

/* A leader need not be woken for a batch of its own disk before a peer has acknowledged something of it: that
 * wakes the loop, which then looks what its disk has done. */
static void set_disk_silent(struct loop *l)
{
    bool silent = !replica_awaits_disk(node_replica(l->node));
    if (silent != l->disk_silent && diskio_tell_batches(l->disk, !silent))
        ev_async_send(l->ev, &l->disk_async);
    l->disk_silent = silent;
}

/* The descriptor names another socket now, so the kernel has to be asked to poll that one. */
static void poll_anew(struct loop *l)
{
    ev_io_stop(l->ev, &l->udp_io);
    ev_io_set(&l->udp_io, udp_fd(l->post.udp), EV_READ);
    ev_io_start(l->ev, &l->udp_io);
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
        if (m->n == MARKS) /* many rounds without an answer: the last mark stands for both */
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
        if (req->kind == REQUEST_FETCH)
            fetch_add(l, req);
        else if (req->kind == REQUEST_CHANGE)
            node_change(l->node, loop_received(l), req);
        else
            node_write(l->node, loop_received(l), req);
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

/* Makes the client socket anew if its file was removed, and tells the readers, which accept there. */
static void renew_listener(struct loop *l)
{
    char err[CONF_ERR_SIZE];
    int rc = listener_renew(&l->listener, err, sizeof err);
    if (rc < 0)
        say_error("reload %u: %s", l->reloads, err);
    if (rc <= 0)
        return;
    atomic_fetch_add_explicit(&l->shared->listens, 1, memory_order_release);
    for (unsigned i = 0; i < l->shared->n_readers; i++)
        l->shared->readers[i].wake(l->shared->readers[i].wake_ctx);
    say_warn("reload %u: the client socket %s was gone and is made again", l->reloads,
             l->listener.path);
}

static void on_reload(struct ev_loop *ev, ev_signal *w, int revents)
{
    (void)ev;
    (void)revents;
    struct loop *l = w->data;
    struct session_keys keys;
    char err[KEYFILE_ERR_SIZE];
    int n = l->sealed ? keyfile_load_keys(l->conf, &keys, err, sizeof err) : 0;
    l->reloads++; /* in each message, so that none looks like the one before and is left out */
    if (n < 0 || (n > 0 && err[0] != '\0'))
        say_error("reload %u: %s; going on with the keys as they were", l->reloads, err);
    else if (n == 0)
        say_warn("reload %u: no key_file is configured, so there is nothing to read again",
                 l->reloads);
    else {
        node_set_keys(l->node, &keys, loop_now(l));
        l->publisher.published_us = 0;
        uint32_t first = sessions_key_id(keys.key[0]);
        if (n == 1)
            say_info("reload %u: 1 live key read again: %08" PRIx32, l->reloads, first);
        else
            say_info("reload %u: 2 live keys read again: %08" PRIx32 ", and %08" PRIx32
                     " as the next",
                     l->reloads, first, sessions_key_id(keys.key[1]));
    }
    sodium_memzero(&keys, sizeof keys);
    renew_listener(l);
}

/* ---- once per iteration ----------------------------------------------------------------- */

/* libev's own timers count whole milliseconds (as epoll does), too coarse for a resend after two. An
 * alarm that comes too soon would wake us for nothing, and to set it anew costs a call: under load, where
 * deadlines come and go, it is left as it is; a node that is idle, whose next deadline moves with each
 * heartbeat, sets it anew. */
static void set_alarm(struct loop *l)
{
    uint64_t now = loop_now(l), at = node_deadline(l->node, now);
    /* If the node has more to do, the loop does not sleep, and no timer decides that. */
    if (at <= now) {
        ev_async_send(l->ev, &l->more_async);
        return;
    }
    l->deadline = at;
    at = min_u64(at, min_u64(publisher_at(&l->publisher), l->stopping.until));
    at = min_u64(at, post_look_at(&l->post));
    if (at < now)
        at = now; /* 0 would turn the alarm off */
    bool idle = now >= l->alarm_set_us + ALARM_EARLY_US && at > l->alarm_at + ALARM_EARLY_US;
    if (l->alarm_at > now && l->alarm_at <= at && !idle)
        return;
    l->alarm_at = at;
    l->alarm_set_us = now;
    struct itimerspec spec = {
        .it_value = {.tv_sec = (time_t)(at / 1000000), .tv_nsec = (long)(at % 1000000 * 1000)}};
    int rc = timerfd_settime(l->alarm_fd, TFD_TIMER_ABSTIME, &spec, NULL);
    assert(rc == 0); /* a time after 1970 on our own descriptor */
    (void)rc;
}

/* Tells the node what the kernel has reported of datagrams since the last iteration. It may have done so in
 * the middle of the node's work, which must not be called back. */
static void tell_refused(struct loop *l)
{
    struct sockaddr_storage to;
    size_t len;
    while (udp_closed(l->post.udp, &to)) {
        uint16_t peer = places_whose(&l->post.places, (const struct sockaddr *)&to);
        if (peer != 0)
            node_closed(l->node, loop_now(l), peer);
    }
    while ((len = udp_refused(l->post.udp, &to)) > 0) {
        uint16_t peer = places_whose(&l->post.places, (const struct sockaddr *)&to);
        if (peer != 0)
            node_refused(l->node, loop_now(l), peer, len);
    }
}

/* Of the iteration that ends. To read the processor's clock is a call of the kernel, so it is read for some
 * iterations only, and the time of those before that were not measured counts for the one that is. */
static void measure(struct loop *l, uint64_t took_us)
{
    if (++l->iterations >= MEASURED || took_us > l->most_us) {
        uint64_t used_us = clock_used_us();
        l->most_us = max_u64(l->most_us, min_u64(took_us, used_us - l->used_us));
        l->used_us = used_us;
        l->iterations = 0;
    }
    l->longest_us = max_u64(l->longest_us, took_us);
}

/* Before the node looks at its deadlines: a process that was stopped first hears what came meanwhile. A
 * leader that is in time has nothing to hear that the poll did not tell; it wakes for each heartbeat. */
static void drain(struct loop *l)
{
    bool in_time = loop_now(l) < l->deadline + IN_TIME_US;
    if (loop_now(l) < l->deadline || (in_time && node_raft(l->node)->role == RAFT_LEADER))
        return;
    for (int i = 0; i < DRAIN_ROUNDS && udp_receive(l->post.udp, on_datagram, l) > 0; i++)
        continue;
}

static void on_prepare(struct ev_loop *ev, ev_prepare *w, int revents)
{
    (void)revents;
    struct loop *l = w->data;
    const struct publish_from from = {l->node,   l->disk,       &l->post,
                                      l->shared, l->longest_us, l->most_us};
    drain(l);
    tell_refused(l);
    if (l->disk_silent)
        take_disk(l);
    node_flush(l->node, loop_now(l));
    shared_show(l->shared, machine_applied(l->machine));
    atomic_store_explicit(&l->shared->cluster_ahead_us, node_cluster_ahead_us(l->node),
                          memory_order_relaxed);
    atomic_store_explicit(&l->shared->lease_until_us, node_lease_until(l->node),
                          memory_order_release);
    bool reads = node_local_reads(l->node);
    if (reads) /* first: while a node comes to be in doubt one of the two holds */
        atomic_store_explicit(&l->shared->old_reads, true, memory_order_release);
    atomic_store_explicit(&l->shared->local_reads, reads && !raft_in_doubt(node_raft(l->node)),
                          memory_order_release);
    udp_flush(l->post.udp);
    if (post_look(&l->post, loop_now(l)))
        poll_anew(l);
    for (unsigned i = 0; i < l->shared->n_readers; i++) {
        if (!l->marks[i].wake)
            continue;
        l->marks[i].wake = false;
        l->shared->readers[i].wake(l->shared->readers[i].wake_ctx);
    }
    publish(&l->publisher, &from, loop_now(l));
    if (node_raft(l->node)->differs) /* the snapshot may be what is wrong */
        atomic_store_explicit(&l->shared->old_reads, false, memory_order_relaxed);
    if (stopping_step(&l->stopping, loop_now(l)))
        ev_break(ev, EVBREAK_ALL);
    diskio_doubt(l->disk, node_raft(l->node)->damaged);
    set_disk_silent(l);
    set_alarm(l);
    measure(l, clock_us() - l->began);
    l->began = 0;
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
    ev_io_init(&l->udp_io, on_udp, udp_fd(l->post.udp), EV_READ);
    ev_set_priority(&l->udp_io, EV_MAXPRI); /* what peers said comes before timers */
    ev_io_init(&l->alarm_io, on_alarm, l->alarm_fd, EV_READ);
    ev_async_init(&l->disk_async, on_disk);
    ev_async_init(&l->more_async, on_more);
    ev_async_init(&l->request_async, on_request);
    ev_signal_init(&l->term_signal, on_stop, SIGTERM);
    ev_signal_init(&l->int_signal, on_stop, SIGINT);
    ev_signal_init(&l->hup_signal, on_reload, SIGHUP);
    ev_prepare_init(&l->prepare, on_prepare);
    ev_set_priority(&l->prepare, EV_MINPRI); /* after all other prepare watchers */
    l->udp_io.data = l->alarm_io.data = l->disk_async.data = l->request_async.data = l;
    l->prepare.data = l->hup_signal.data = l->term_signal.data = l->int_signal.data = l;
    ev_io_start(l->ev, &l->udp_io);
    ev_io_start(l->ev, &l->alarm_io);
    ev_async_start(l->ev, &l->disk_async);
    ev_async_start(l->ev, &l->more_async);
    ev_async_start(l->ev, &l->request_async);
    ev_signal_start(l->ev, &l->term_signal);
    ev_signal_start(l->ev, &l->int_signal);
    ev_signal_start(l->ev, &l->hup_signal);
    ev_prepare_start(l->ev, &l->prepare);
}

static struct node *make_node(struct loop *l, const struct wal_report *report,
                              const struct snapshot_name *newest, const struct session_keys *keys,
                              bool joins)
{
    const struct conf *conf = l->conf;
    struct node_config nc = {
        .id = conf_self(conf)->id,
        .n_voters = joins ? 0 : (unsigned)conf->n_nodes,
        .election_timeout_us = (uint64_t)conf->election_timeout_ms * 1000,
        .lease_us = (uint64_t)conf->lease_ms * 1000,
        .auto_replace_us = (uint64_t)conf->auto_replace_s * 1000000,
        .max_value_bytes = conf->max_value_bytes,
        .max_data_bytes = conf->max_data_bytes,
        .log_max_bytes = conf->log_max_bytes,
        .datagram_bytes = conf->max_datagram_bytes,
        .rx_bytes = udp_window_bytes(l->post.udp),
    };
    (void)snprintf(nc.cluster, sizeof nc.cluster, "%s", conf->name);
    memcpy(nc.key, keys->own.key, sizeof nc.key);
    for (unsigned i = 0; i < nc.n_voters; i++) {
        nc.voters[i] = conf->nodes[i].id;
        (void)peerids_find(l->ids, nc.voters[i], nc.known[i]);
        memcpy(nc.addrs[i][0], conf->nodes[i].addr_text, sizeof nc.addrs[i][0]);
        memcpy(nc.addrs[i][1], conf->nodes[i].second_text, sizeof nc.addrs[i][1]);
    }
    randombytes_buf(&nc.seed, sizeof nc.seed);
    /* Not 0, and with room above: it is the upper half of numbers that must not wrap. */
    nc.boot = randombytes_uniform(0x7fffffff) + 1;
    const struct node_io io = loop_node_io(l);
    return node_new(&nc, &io, report, newest, l->sealed ? keys : NULL, l->shared->kv, l->machine,
                    clock_us());
}

int loop_serve(struct loop *l)
{
    const struct conf *conf = l->conf;
    char file[CONF_DATA_DIR_SIZE];
    int rc = publish_start(l->shared, conf, "the daemon is starting") ? 0 : -ENOMEM;
    status_file_path(conf, file);
    if (rc == 0 && file[0] != '\0')
        l->publisher.file = status_file_start(l->shared, file, (mode_t)conf->socket_mode,
                                              STATUS_FILE_EVERY_MS);
    if (rc == 0 && file[0] != '\0' && l->publisher.file == NULL)
        say_warn("cannot start the thread that writes %s: it will not be there until raftd is "
                 "started again",
                 file);
    atomic_store(&l->shared->starting, true);
    if (rc == 0 && conf->readers > 0)
        rc = readers_start(&l->readers, l->shared, l->listener.fd, conf->readers);
    else if (rc == 0 && (l->clients = clients_new(l->ev, l->shared, 0, l->listener.fd)) == NULL)
        rc = -ENOMEM;
    if (rc < 0)
        say_error("cannot start serving clients: %s" SHORT, strerror(-rc));
    return rc == 0 ? RAFTD_EXIT_OK : RAFTD_EXIT_INTERNAL;
}

static void say_started(const struct conf *conf, const struct wal_report *report, bool sealed)
{
    say_info("node %u of cluster %s on %s (%s): term %" PRIu64 ", %" PRIu64
             " entries, clients at %s",
             conf_self(conf)->id, conf->name, conf_self(conf)->addr_text,
             sealed ? "sealed" : "plain text", report->term, report->last_index, conf->socket);
}

/* libev can't go on, and would abort without a message. */
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

/* Opens the sockets of clients. */
static bool listen_all(struct loop *l, char *err, size_t errlen)
{
    const struct conf *conf = l->conf;
    struct conf_node local;
    if (listener_open(&l->listener, conf->socket, (mode_t)conf->socket_mode, err, errlen) != 0)
        return false;
    if (conf->listen[0] == '\0')
        return true;
    memset(&local, 0, sizeof local);
    (void)conf_addr_parse(&local, conf->listen); /* it was valid before */
    return listener_open_tcp(&l->listener, conf->listen, (const struct sockaddr *)&local.addr,
                             local.addr_len, err, errlen) == 0;
}

int loop_open(struct loop **out, const struct conf *conf)
{
    char err[CONF_ERR_SIZE];
    struct loop *l = *out = calloc(1, sizeof *l);
    if (l == NULL) {
        say_error("out of memory" SHORT);
        return RAFTD_EXIT_INTERNAL;
    }
    l->conf = conf;
    l->listener.fd = l->listener.tcp = l->alarm_fd = -1;
    rcu_thread_begin();
    if (post_open(&l->post, conf) != 0)
        goto fail;
    if (!listen_all(l, err, sizeof err)) {
        say_error("%s", err);
        goto fail;
    }
    ev_set_allocator(ev_memory);
    ev_set_syserr_cb(on_syserr);
    l->ev = ev_default_loop(EVFLAG_NOENV);
    l->shared = l->ev != NULL ? shared_new(conf->max_value_bytes, conf->readers, wake_loop, l)
                              : NULL;
    if (l->shared != NULL) {
        l->shared->tcp_fd = l->listener.tcp;
        if (keyfile_load_password(conf, l->shared->password, err, sizeof err) != 0) {
            say_error("%s", err);
            goto fail;
        }
        files_limit_clients(l->shared, conf->readers);
        l->machine = machine_new(l->shared->kv);
    }
    if (l->machine != NULL)
        l->shared->claims = machine_claims(l->machine);
    l->alarm_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (l->machine != NULL && l->alarm_fd >= 0)
        return RAFTD_EXIT_OK;
    say_error("out of memory or of descriptors" SHORT);
fail:
    loop_close(l);
    *out = NULL;
    return RAFTD_EXIT_INTERNAL;
}

void loop_starting(struct loop *l, const char *what)
{
    atomic_store(&l->shared->old_reads, kv_view(l->shared->kv)->index != 0);
    if (!publish_start(l->shared, l->conf, what))
        return;
    status_file_changed(l->publisher.file, true);
    if (l->clients != NULL)
        ev_run(l->ev, EVRUN_NOWAIT);
}

struct machine *loop_machine(struct loop *l)
{
    return l->machine;
}

int loop_run(struct loop *l, struct wal *w, const struct wal_report *report,
             const struct snapshot_name *newest, struct peerids *ids, bool joins,
             bool (*stopped)(void))
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
    l->post.sealed = l->sealed;
    datadir_pair(conf->data_dir, ids->storage_id, keys.own.secret, keys.own.key);
    l->node = make_node(l, report, newest, &keys, joins);
    sodium_memzero(&keys, sizeof keys);
    if (l->node == NULL) {
        say_error("out of memory" SHORT);
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
        say_error("cannot start the log thread" SHORT);
        goto err_node;
    }
    publish(&l->publisher, &(struct publish_from){l->node, l->disk, &l->post, l->shared, 0, 0},
            loop_now(l));
    stopping_init(&l->stopping, l->node, l->shared, &l->listener,
                  (uint64_t)conf->election_timeout_ms * 1000);
    if (!post_start(&l->post, conf)) {
        say_error("cannot start the thread that resolves names" SHORT);
        goto err_disk;
    }
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

err_disk:
    finder_stop(l->post.finder);
    if (!diskio_stop(l->disk)) {
        listener_unlink(&l->listener);
        say_fatal(RAFTD_EXIT_DISK, "the disk does not finish a write; ending without it");
    }
    while (l->fetches != NULL)
        fetch_end(l, RESULT_STOPPING, 0);
err_node:
    node_free(l->node); /* answers what is pending, and loop_close() still passes that to clients */
    return rc;
}

void loop_close(struct loop *l)
{
    status_file_stop(l->publisher.file);
    if (l->clients != NULL)
        clients_free(l->clients);
    if (l->readers != NULL)
        readers_stop(l->readers);
    listener_close(&l->listener);
    if (l->alarm_fd >= 0)
        (void)close(l->alarm_fd);
    machine_free(l->machine);
    udp_close(l->post.udp);
    if (l->shared != NULL)
        shared_free(l->shared);
    rcu_thread_end();
    if (l->ev != NULL)
        ev_loop_destroy(l->ev);
    free(l);
}
