/* digests.h: do all nodes have the same state? Pure.
 *
 * In datagrams that go anyway nodes tell each other digests of their states as of one entry (DIGESTS of
 * net/wire.h): each its own, and those that others told it. If two differ, at least one of the nodes is
 * broken: its memory, its disk, or raftd itself. The log is not in question, so votes and copies of entries
 * go on counting.
 *
 * Two kinds of entries are compared: those whose index is a multiple of `every`, and those of which a node
 * has a snapshot: one that it wrote, took from a peer or started from. Each node chooses when to write one,
 * and does not wait for peers, which may be away. So the others must know their digest of whatever entry
 * they are told of. A digest follows every change and is cheap to copy: each node keeps its own of the newest
 * DIGESTS_OWN entries, and that of a later entry which it was told of when it comes to it. Only a node that
 * has long passed the entry, or began with a later snapshot, can't tell, and says so.
 *
 * Who is wrong is counted among the voters of the newest configuration; others judge themselves by them:
 *
 *   a majority has our digest, or no other one is known     we are right: AGREE
 *   a majority has another one                              we are wrong: WRONG
 *   neither can come about, whatever others will tell       nobody knows who is right: HOPELESS
 *   else                                                    some have not told yet: DISPUTED
 *
 * Entries before the newest one as of which a majority has our digest are not judged: each state is made of
 * the one before, so who is right there was right before, or is right again. Who can't tell of an entry may
 * never do so; so a disputed node has its newest entry compared, too, which the others still know.
 *
 * A node that took a snapshot has the giver's state, right or wrong, and is counted all the same. So a giver
 * that was wrong before anybody could tell, since all who were right were away, is a majority of three with
 * who takes from it, and the third, which is right, ends when it comes back. That can't be told from a third
 * that went wrong, and is as rare. If takers did not count, either case would stop all three, in each
 * cluster that has just got a new node. The copy that is right is not lost: who ends changes nothing on its
 * disk, and the manual says to keep that. While the giver knows of a node that differs from it, it gives
 * nothing.
 *
 * A node that is not right must not show its state. Where that is disputed, it may be right: it goes on as
 * soon as enough others have told.
 *
 * A node takes only digests of entries that it has applied itself. So of two nodes, the one that comes to an
 * entry last tells first, or is told again, and asks the other one for its digest.
 */
#ifndef RAFTD_DIGESTS_H
#define RAFTD_DIGESTS_H

#include "net/wire.h"

enum {
    DIGESTS_EVERY = 10000, /* entries */
    DIGESTS_KEPT = 16,     /* entries that are compared: a node may be so many later than others */
    DIGESTS_OWN = 1024,    /* entries: more than are applied while a datagram travels, 24 KB */
};

enum digests_verdict { DIGESTS_AGREE, DIGESTS_DISPUTED, DIGESTS_HOPELESS, DIGESTS_WRONG };

/* A node whose state is compared. */
struct digests_node {
    uint16_t id;
    bool votes;
    uint64_t wanted; /* index for which it asked, 0 = none */
};

/* A digest of this node's own state. */
struct digests_own {
    uint64_t index;
    uint8_t digest[WIRE_DIGEST_BYTES];
};

/* The digests of all nodes as of one index, in the order of `nodes`. */
struct digests_row {
    uint64_t index; /* 0: an empty row */
    bool has[WIRE_DIGESTS_MAX];
    bool told[WIRE_DIGESTS_MAX]; /* it has our digest, or can't compare */
    uint8_t of[WIRE_DIGESTS_MAX][WIRE_DIGEST_BYTES];
};

struct digests {
    uint64_t every;
    unsigned n; /* the members and we */
    unsigned self, voters;
    struct digests_node nodes[WIRE_DIGESTS_MAX];
    struct digests_row rows[DIGESTS_KEPT];
    struct digests_own own[DIGESTS_OWN]; /* at index % DIGESTS_OWN */
    uint64_t newest;                     /* index noted last, 0 = none */
    uint64_t awaited;                    /* lowest index ahead of ours that a node told us of */
    enum digests_verdict verdict;        /* of the worst row; others may read it */
    uint64_t at;                         /* the index of that row; 0 if all agree */
};

/* every: 0 = DIGESTS_EVERY. */
void digests_init(struct digests *d, const struct raft_members *m, uint16_t self, uint64_t every);

/* These are the members from now on. */
void digests_follow(struct digests *d, const struct raft_members *m);

/* The digest of our state as of this entry, which was applied last. snapshot: a snapshot was taken of it,
 * so the digest is compared with other nodes' ones. */
void digests_note(struct digests *d, uint64_t index, const uint8_t digest[WIRE_DIGEST_BYTES],
                  bool snapshot);

/* A node told us these. */
void digests_heard(struct digests *d, uint16_t from, const struct wire_digests *told);

/* What is to be told to this node in a datagram that leaves now; false: nothing. */
bool digests_tell(struct digests *d, uint16_t to, struct wire_digests *out);

#endif
