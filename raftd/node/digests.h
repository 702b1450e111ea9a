/* digests.h: do all nodes have the same state? Pure.
 *
 * Whenever it has applied an entry whose index is a multiple of `every`, a node notes a digest of its state.
 * Nodes tell each other these digests beside what they say anyway (DIGESTS of net/wire.h): each its own, and
 * those that others told it. If two differ at one index, at least one of the nodes is broken: its memory, its
 * disk, or raftd itself. The log is not in question, so votes and copies of entries count as ever.
 *
 * Who is wrong is counted among all voters:
 *
 *   a majority has our digest, or no other one is known     we are right: AGREE
 *   a majority has another one                              we are wrong: WRONG
 *   neither can come about, whatever others will tell       nobody knows who is right: HOPELESS
 *   else                                                    some have not told yet: DISPUTED
 *
 * A node that is not right must not show its state. Where that is disputed, it may be right: it goes on as
 * soon as enough others have told.
 *
 * Only digests of indexes that this node has noted itself are kept. So of two nodes the one that comes to an
 * index later tells first, and the other one, which is asked, answers for that index.
 */
#ifndef RAFTD_DIGESTS_H
#define RAFTD_DIGESTS_H

#include "net/wire.h"

enum {
    DIGESTS_EVERY = 10000, /* entries */
    DIGESTS_KEPT = 8,      /* indexes: a node may be so many times `every` later than others */
};

enum digests_verdict { DIGESTS_AGREE, DIGESTS_DISPUTED, DIGESTS_HOPELESS, DIGESTS_WRONG };

/* Of all voters, in their order. */
struct digests_row {
    uint64_t index; /* 0: an empty row */
    bool has[RAFT_VOTERS_MAX];
    uint8_t of[RAFT_VOTERS_MAX][WIRE_DIGEST_BYTES];
};

struct digests {
    uint64_t every;
    unsigned n, self; /* voters; which of them we are */
    uint16_t ids[RAFT_VOTERS_MAX];
    struct digests_row rows[DIGESTS_KEPT];
    uint64_t newest;                  /* index noted last, 0 = none */
    uint64_t known[RAFT_VOTERS_MAX];  /* newest index for which that voter has our digest */
    uint64_t wanted[RAFT_VOTERS_MAX]; /* index for which it asked, 0 = none */
    enum digests_verdict verdict;     /* of the worst row, for all to read ... */
    uint64_t at;                      /* ... and the index of that one; 0 if all agree */
};

/* `self` is among the n voters. every: 0 = DIGESTS_EVERY. */
void digests_init(struct digests *d, const uint16_t *voters, unsigned n, uint16_t self,
                  uint64_t every);

/* Is our state to be noted as of this entry? Then it is this. */
bool digests_wants(const struct digests *d, uint64_t index);
void digests_note(struct digests *d, uint64_t index, const uint8_t digest[WIRE_DIGEST_BYTES]);

/* A voter told. */
void digests_heard(struct digests *d, uint16_t from, const struct wire_digests *told);

/* What is to be told to this voter in a datagram that leaves now; false: nothing. */
bool digests_tell(struct digests *d, uint16_t to, struct wire_digests *out);

#endif
