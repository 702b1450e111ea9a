/* round.h: what goes from one thread that serves clients to the next, so that it learns of all connections,
 * or ends some: CLIENT LIST and CLIENT KILL.
 *
 * Connections belong to their threads, and nobody else looks at them. So a request of this kind goes to each
 * thread by its queue of answers, to that of the client that asks, too, and then comes back to that one. Each
 * adds what it has. Nothing is done before all is there that it takes to answer: who is told that nothing was
 * done can believe it. The main loop has no part in it: it may hang, or still read the log.
 */
#ifndef RAFTD_ROUND_H
#define RAFTD_ROUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <urcu/list.h>

#include "raftd/node/request.h"

enum { ROUND_ADDRESS_BYTES = 128 }; /* text of any address of a connection: a path and a port */

/* Which connections are meant. All that is given must be so. */
struct round_filter {
    enum { ROUND_ANY, ROUND_NORMAL, ROUND_PUBSUB, ROUND_NONE } type;
    bool by_address, by_own_address; /* the client's, and the one that it has connected to */
    char address[ROUND_ADDRESS_BYTES], own_address[ROUND_ADDRESS_BYTES];
    uint64_t age_us; /* at least so old */
    uint64_t but;    /* not the connection with this number; 0: that one, too */
    bool by_id;      /* one of `ids` of struct round */
};

struct round {
    struct cds_list_head link; /* in clients.rounds */
    struct request *req;       /* whose it is */
    unsigned next;             /* the thread that it goes to next; behind the last one: back */
    bool kills;                /* else it lists */
    bool plain;                /* the answer to the old form of CLIENT KILL */
    uint64_t asker;            /* number of the connection that asks */
    bool trusted; /* it may kill connections of every user, else those of its own: ... */
    uid_t uid;    /* ... this one */
    struct round_filter filter;
    char *text; /* lines of CLIENT LIST so far; malloc */
    size_t len, cap;
    unsigned killed;
    bool ends_asker; /* of the connections that are killed one is the asker's */
    unsigned n_ids;
    uint64_t ids[];
};

/* With room for so many ids. NULL: no memory. */
struct round *round_new(unsigned ids);
/* NULL is good. */
void round_free(struct round *r);

#endif
