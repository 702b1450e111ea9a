/* loop_node.c: what the node asks of the loop, see raftd/node/io.h. */
#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "raftd/base/exits.h"
#include "raftd/base/say.h"
#include "raftd/loop_impl.h"

static void io_send(void *ctx, uint16_t to, const uint8_t *buf, size_t len)
{
    struct loop *l = ctx;
    post_send(&l->post, loop_now(l), to, buf, len);
}

static void io_reply(void *ctx, const uint8_t *buf, size_t len)
{
    struct loop *l = ctx;
    post_reply(&l->post, buf, len);
}

static void io_here(void *ctx, uint16_t peer)
{
    struct loop *l = ctx;
    post_here(&l->post, peer);
}

static void io_peer_is(void *ctx, uint16_t id, const struct member *m)
{
    struct loop *l = ctx;
    post_peer_is(&l->post, id, m);
}

static void io_peer_went(void *ctx, uint16_t id)
{
    struct loop *l = ctx;
    places_remove(&l->post.places, id);
}

static void io_persist(void *ctx, uint64_t seq, const struct wal_batch *b)
{
    struct loop *l = ctx;
    udp_flush(l->post.udp); /* the peers' disks work while ours does */
    diskio_persist(l->disk, seq, b);
}

static void io_fetch(void *ctx, struct node_fetch what, const struct wal_pos *from, uint64_t last,
                     uint8_t *buf, size_t cap)
{
    struct loop *l = ctx;
    diskio_fetch(l->disk, what, from, last, buf, cap);
}

static void io_remember(void *ctx, uint16_t id, const uint8_t key[PEERIDS_KEY_BYTES])
{
    struct loop *l = ctx;
    diskio_remember(l->disk, l->ids, id, key);
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

void loop_answer(void *ctx, struct request *req)
{
    struct loop *l = ctx;
    struct shared_reader *r = &l->shared->readers[req->reader];
    l->marks[req->reader].wake = true;
    rcu_queue_push(&r->answers_head, &r->answers_tail, &req->link);
}

static bool io_may_tell(void *ctx, struct request *req, size_t bytes)
{
    struct loop *l = ctx;
    return clients_may_tell(l->shared, req, bytes);
}

static bool io_awaits(void *ctx)
{
    struct loop *l = ctx;
    return shared_awaits(l->shared);
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
    udp_flush(l->post.udp); /* the others need our last word to judge themselves */
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

static void io_random(void *ctx, void *buf, size_t len)
{
    (void)ctx;
    randombytes_buf(buf, len);
}

struct node_io loop_node_io(struct loop *l)
{
    return (struct node_io){
        .ctx = l,
        .send = io_send,
        .reply = io_reply,
        .here = io_here,
        .peer_is = io_peer_is,
        .peer_went = io_peer_went,
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
        .answer = loop_answer,
        .may_tell = io_may_tell,
        .awaits = io_awaits,
        .reads_done = io_reads_done,
        .diverged = io_diverged,
        .out_of_memory = io_out_of_memory,
        .random = io_random,
    };
}
