/* send.h: makes all datagrams but those of handshakes. */
#ifndef RAFTD_SEND_H
#define RAFTD_SEND_H

#include "raftd/node/changes.h"
#include "raftd/node/digests.h"
#include "raftd/node/envelope.h"
#include "raftd/node/lease.h"
#include "raftd/node/links.h"
#include "raftd/node/peer.h"
#include "raftd/node/vitals.h"

/* The parts of the node that have something to send; all of them outlive this. */
struct sender {
    struct replica *replica;
    struct envelope *envelope;
    struct links *links;
    struct digests *digests;
    struct changes *changes;
    struct lease *lease;
    struct vitals *vitals;
    const struct peers *peers;
    const struct node_io *io;
};

/* Sends all that is due to any peer, and these messages. */
void send_all(const struct sender *s, uint64_t now, const struct raft_msg *msgs, size_t n_msgs);

/* Sends all that is due to one peer. */
void send_to(const struct sender *s, uint64_t now, struct peer *p);

#endif
