/* places.h: where the other nodes are.
 *
 * A peer is where its newest authentic datagram came from: a box that gets another address goes on at once.
 * Until it was heard, and when it does not answer any more, it is looked for in turn at all addresses known:
 * there, at those that the members have in the log, where it was seen before this process began, and at the
 * one in the configuration file: that is how all boxes can move at once. An address that nobody has proved is
 * never a place, but for who has none at all.
 */
#ifndef RAFTD_PLACES_H
#define RAFTD_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "raftd/base/members.h"
#include "raftd/conf.h"
#include "raftd/core/raft.h"

enum {
    PLACES_DEAF = 8, /* so many datagrams without an answer, over so long: look elsewhere, too */
    PLACES_DEAF_US = 1000000,
    PLACES_RESOLVE_US = 5000000, /* a name is asked for again, while its node is not heard */
    PLACES_TEXT_MAX_BYTES = RAFT_PEERS_MAX * (CONF_ADDR_SIZE + 8),
};

struct address {
    struct sockaddr_storage sa;
    socklen_t len; /* 0 = none */
};

/* Only places.c looks inside, as with the next one. */
struct place {
    uint16_t id;
    struct conf_node
        named[MEMBER_ADDRS]; /* as configured; addr_text "": none, addr_len 0: a name */
    struct address resolved[MEMBER_ADDRS]; /* of names */
    uint64_t asked_at[MEMBER_ADDRS];       /* when the name was last to be resolved; 0 = never */
    struct address here;                   /* where it is */
    struct address before;                 /* where it was seen by a process before this one */
    unsigned unanswered;                   /* datagrams since it was heard ... */
    uint64_t unanswered_at;                /* ... the first of them left then */
    unsigned turn;
};

/* All else zero: no peers. */
struct places {
    int family;              /* of our socket: no other address is of use */
    const struct conf *file; /* NULL: none; outlives this */
    struct place all[RAFT_PEERS_MAX];
    unsigned n;
    bool moved; /* see places_text() */
};

/* A peer comes, with its addresses in the configuration (NULL: it is no member), or it gets others; it
 * goes. */
void places_set(struct places *ps, uint16_t id, const struct member *m);
void places_remove(struct places *ps, uint16_t id);

/* The peer has proved that it is there. True: it was not there before. */
bool places_here(struct places *ps, uint16_t id, const struct sockaddr *from, socklen_t len);

/* Who is said to be at this address, proved or not; 0: nobody. */
uint16_t places_whose(const struct places *ps, const struct sockaddr *from);

/* A datagram goes to this peer now: to this address. False: none is known. */
bool places_next(struct places *ps, uint64_t now_us, uint16_t id, struct address *to);

/* The next name to be resolved, false: none for now. Then what came of it (len 0: nothing). */
bool places_name(struct places *ps, uint64_t now_us, uint16_t *id, unsigned *which,
                 char name[CONF_ADDR_SIZE]);
void places_resolved(struct places *ps, uint16_t id, unsigned which, const char *name,
                     const struct address *a);

/* Writes where all peers were seen, a line for each, for places_read() of the next process, if that has
 * changed since the last time. Returns the length, 0: it has not. */
size_t places_text(struct places *ps, char text[PLACES_TEXT_MAX_BYTES]);

/* Takes such a text; what makes no sense in it is passed over. Of peers that are there. */
void places_read(struct places *ps, const char *text);

#endif
