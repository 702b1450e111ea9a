/* places.h: where the other nodes are.
 *
 * A peer is where its newest authentic datagram came from, so a box that gets another address goes on at
 * once. Until it is heard, and when it does not answer any more, it is looked for in turn at all
 * addresses known: there, at those that the members in the log have, where an earlier process saw it, and
 * at the one in the configuration file, so that all boxes can move at once. An address that no datagram
 * has proved never takes the place of one that was.
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
    /* After so many datagrams without an answer, over so long, a peer is looked for elsewhere, too. */
    PLACES_DEAF = 8,
    PLACES_DEAF_US = 1000000,
    PLACES_RESOLVE_US = 5000000, /* a name is resolved so often while its node is not heard */
    PLACES_TELL_BYTES = 130,     /* of two addresses as numbers, as STATUS_ADDR_BYTES */
    PLACES_TEXT_MAX_BYTES = RAFT_PEERS_MAX * (CONF_ADDR_SIZE + 8),
};

struct address {
    struct sockaddr_storage sa;
    socklen_t len; /* 0 = none */
};

/* One peer. Only places.c looks inside, and inside the next struct. */
struct place {
    uint16_t id;
    /* The addresses that the member has. addr_text "": none; addr_len 0: it is a name. */
    struct conf_node named[MEMBER_ADDRS];
    struct address resolved[MEMBER_ADDRS]; /* the addresses of names */
    uint64_t asked_at[MEMBER_ADDRS];       /* when the name was last to be resolved; 0 = never */
    struct address here;                   /* where it is */
    struct address left;                   /* where it was before that */
    struct address before;                 /* where an earlier process of this node saw it */
    unsigned unanswered;                   /* datagrams to it since it was heard */
    uint64_t unanswered_at;                /* when the first of them left */
    unsigned turn;                         /* which address is next to be tried */
};

/* There are no peers at first; all but family and file is zeroed. */
struct places {
    int family;              /* of our socket, which can't send to another one */
    const struct conf *file; /* NULL: none; outlives this */
    struct place all[RAFT_PEERS_MAX];
    unsigned n;
    bool moved; /* see places_text() */
};

/* A peer comes, or its addresses change. m: what the members say of it; NULL: it is no member. */
void places_set(struct places *ps, uint16_t id, const struct member *m);

/* It goes. */
void places_remove(struct places *ps, uint16_t id);

/* The peer has proved that it is at that address. True: it was somewhere else before. */
bool places_here(struct places *ps, uint16_t id, const struct sockaddr *from, socklen_t len);

/* Writes where the peer is if that is none of its addresses, else "". Of a cloned one: where both are. */
void places_tell(const struct places *ps, uint16_t id, bool cloned, char text[PLACES_TELL_BYTES]);

/* Who is said to be at this address, proved or not; 0: nobody. */
uint16_t places_whose(const struct places *ps, const struct sockaddr *from);

/* Gives the address for a datagram that goes to this peer now. False: none is known. */
bool places_next(struct places *ps, uint64_t now_us, uint16_t id, struct address *to);

/* Gives the next name to be resolved, the `which`-th of that peer. False: none for now. */
bool places_name(struct places *ps, uint64_t now_us, uint16_t *id, unsigned *which,
                 char name[CONF_ADDR_SIZE]);

/* That name has this address; len 0: it could not be resolved. */
void places_resolved(struct places *ps, uint16_t id, unsigned which, const char *name,
                     const struct address *a);

/* Writes where all peers were seen, a line for each, for places_read() of the next process, if that has
 * changed since the last time. Returns the length, 0: it has not. */
size_t places_text(struct places *ps, char text[PLACES_TEXT_MAX_BYTES]);

/* Takes such a text. Lines that make no sense, or are about nodes that are no peers, are passed over. */
void places_read(struct places *ps, const char *text);

#endif
