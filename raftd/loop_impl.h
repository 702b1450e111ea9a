/* loop_impl.h: what the two files of the loop share, and nobody else sees. loop.c has its events and its
 * life, loop_node.c what the node asks of it. */
#ifndef RAFTD_LOOP_IMPL_H
#define RAFTD_LOOP_IMPL_H

#include <ev.h>

#include "raftd/base/clock.h"
#include "raftd/diskio.h"
#include "raftd/loop.h"
#include "raftd/node/node.h"
#include "raftd/post.h"
#include "raftd/publish.h"
#include "raftd/serve/clients.h"
#include "raftd/serve/listener.h"
#include "raftd/serve/readers.h"
#include "raftd/stopping.h"

enum {
    MARKS = 64, /* rounds of reads on their way, per reader; more of them are merged */
};

/* When the node's read `read` is done, the reader's reads up to read_want == `want` are. */
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
    struct post post;
    struct machine *machine;
    struct node *node;
    struct diskio *disk;
    bool disk_silent; /* diskio_tell_batches() */
    struct shared *shared;
    struct readers *readers; /* threads that serve clients; NULL with readers = 0 */
    struct clients *clients; /* clients that the loop serves itself; NULL else */
    struct listener listener;
    struct reader_marks marks[READERS_MAX];

    bool sealed;         /* datagrams are, with the keys of key_file */
    uint64_t began;      /* when the clock was first read in this iteration; 0: it was not yet */
    uint64_t now;        /* when it was last */
    uint64_t longest_us; /* the longest iteration since start, from `began` to the next poll */
    uint64_t used_us;    /* processor time of this thread when it was last read */
    uint64_t most_us;    /* the most that one iteration has used, see measure() */
    unsigned iterations; /* since used_us was read */
    uint64_t deadline;   /* the node's, as of the last flush */

    struct stopping stopping;
    unsigned reloads;      /* SIGHUPs */
    uint64_t alarm_at;     /* what alarm_fd is set to, 0 = not set */
    uint64_t alarm_set_us; /* when it was set */
    int alarm_fd;
    uint64_t rxq_drops; /* as last told to the node */
    struct publisher publisher;
    struct peerids *ids;                    /* the log thread's, as soon as that runs */
    struct request *fetches, **fetches_end; /* of clients; the first one is being read */

    ev_io udp_io, alarm_io;
    ev_async disk_async, request_async, more_async;
    ev_signal term_signal, int_signal, hup_signal;
    ev_prepare prepare;
};

static inline uint64_t loop_now(struct loop *l)
{
    if (l->began == 0)
        l->began = l->now = clock_us();
    return l->now;
}

/* Something has come, and is dated by what the clock says after that: a process may be stopped at any moment,
 * and what comes when it goes on is not of before (cluster_time.h). */
static inline uint64_t loop_received(struct loop *l)
{
    (void)loop_now(l);
    return l->now = clock_us();
}

/* The calls that the node makes, and one of them by itself: a client's request is done. */
struct node_io loop_node_io(struct loop *l);
void loop_answer(void *ctx, struct request *req);

#endif
