/* digests.h: do all nodes have the same state? Pure.
 *
 * Whenever it has applied an entry whose index is a multiple of `every`, a node notes a digest of its state.
 * In datagrams that go anyway nodes tell each other these digests (DIGESTS of net/wire.h): each its own, and
 * those that others told it. If two differ at one index, at least one of the nodes is broken: its memory, its
 * disk, or raftd itself. The log is not in question, so votes and copies of entries go on counting.
 *
 * Who is wrong is counted among the voters of the newest configuration; others judge themselves by them:
 *
 *   a majority has our digest, or no other one is known     we are right: AGREE
 *   a majority has another one                              we are wrong: WRONG
 *   neither can come about, whatever others will tell       nobody knows who is right: HOPELESS
 *   else                                                    some have not told yet: DISPUTED
 *
 * A node that is not right must not show its state. Where that is disputed, it may be right: it goes on as
 * soon as enough others have told.
 *
 * A node takes only digests of indexes that it has noted itself. So of two nodes, the one that comes to an
 * index last tells first, and asks the other one for its digest.
 */
#ifndef RAFTD_DIGESTS_H
#define RAFTD_DIGESTS_H

#include "net/wire.h"

enum {
    DIGESTS_EVERY = 10000, /* entries */
    DIGESTS_KEPT = 8,      /* indexes, so that a node may lag by so many times `every` */
};

enum digests_verdict { DIGESTS_AGREE, DIGESTS_DISPUTED, DIGESTS_HOPELESS, DIGESTS_WRONG };

/* A node whose state is compared. */
struct digests_node {
    uint16_t id;
    bool votes;
    uint64_t known;  /* newest index for which it has our digest */
    uint64_t wanted; /* index for which it asked, 0 = none */
};

/* The digests of all nodes as of one index, in the order of `nodes`. */
struct digests_row {
    uint64_t index; /* 0: an empty row */
    bool has[WIRE_DIGESTS_MAX];
    uint8_t of[WIRE_DIGESTS_MAX][WIRE_DIGEST_BYTES];
};

struct digests {
    uint64_t every;
    unsigned n; /* the members and we */
    unsigned self, voters;
    struct digests_node nodes[WIRE_DIGESTS_MAX];
    struct digests_row rows[DIGESTS_KEPT];
    uint64_t newest;              /* index noted last, 0 = none */
    enum digests_verdict verdict; /* of the worst row; others may read it */
    uint64_t at;                  /* the index of that row; 0 if all agree */
};

/* every: 0 = DIGESTS_EVERY. */
void digests_init(struct digests *d, const struct raft_members *m, uint16_t self, uint64_t every);

/* These are the members from now on. */
void digests_follow(struct digests *d, const struct raft_members *m);

/* Is a digest of our state to be noted as of this entry? */
bool digests_wants(const struct digests *d, uint64_t index);

/* Notes it. */
void digests_note(struct digests *d, uint64_t index, const uint8_t digest[WIRE_DIGEST_BYTES]);

/* A node told us these. */
void digests_heard(struct digests *d, uint16_t from, const struct wire_digests *told);

/* What is to be told to this node in a datagram that leaves now; false: nothing. */
bool digests_tell(struct digests *d, uint16_t to, struct wire_digests *out);

#endif
