/* post.h: the node's datagrams: the socket, its address, and the addresses of the peers. */
#ifndef RAFTD_POST_H
#define RAFTD_POST_H

#include "net/udp.h"
#include "raftd/node/status.h"
#include "raftd/finder.h"
#include "raftd/own_address.h"
#include "raftd/places.h"

/* Zeroed memory: not open. */
struct post {
    struct udp *udp;
    struct own_address own;
    struct places places;
    struct finder *finder;
    bool sealed;                 /* datagrams prove who sent them */
    const struct sockaddr *from; /* where the present datagram came from; NULL = there is none */
    socklen_t from_len;
    uint64_t lost;      /* datagrams that could not be sent, as last seen */
    uint64_t looked_at; /* when it was last looked for our own address, ... */
    uint64_t look_at;   /* ... and when that, and looking up names, are due */
};

/* Opens the socket. 0, or the reason has been said. */
int post_open(struct post *p, const struct conf *conf);

/* Once the node has its peers: recalls where they were seen before, and starts the finder. False: memory or
 * threads are short. */
bool post_start(struct post *p, const struct conf *conf);

/* Before a datagram is given to the node. Returns the node to whose address `from` belongs; 0: nobody's. */
uint16_t post_take(struct post *p, const struct sockaddr *from, socklen_t len);

/* After that. whose: the node that post_take() gave; 0: the datagram was refused. */
void post_taken(struct post *p, uint16_t whose);

/* The calls of struct node_io. */
void post_send(struct post *p, uint64_t now_us, uint16_t to, const uint8_t *buf, size_t len);
void post_reply(struct post *p, const uint8_t *buf, size_t len);
void post_here(struct post *p, uint16_t peer);
void post_peer_is(struct post *p, uint16_t id, const struct member *m);

/* Fills the counters of the socket, and where the peers are. */
void post_status(const struct post *p, struct status *s);

/* Once per iteration: when it is time, or a datagram could not be sent, looks whether our own address is
 * there, and has names looked up. True: the descriptor names another socket now, see udp_bind(). */
bool post_look(struct post *p, uint64_t now_us);

/* When the loop is to wake up for that, if it has nothing else to do until then. */
uint64_t post_look_at(const struct post *p);

#endif
