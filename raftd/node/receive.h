/* receive.h: one datagram in. */
#ifndef RAFTD_RECEIVE_H
#define RAFTD_RECEIVE_H

#include "raftd/node/changes.h"
#include "raftd/node/digests.h"
#include "raftd/node/envelope.h"
#include "raftd/node/lease.h"
#include "raftd/node/links.h"
#include "raftd/node/log_in.h"
#include "raftd/node/peer.h"
#include "raftd/node/vitals.h"

/* The parts of the node that take something; all of them outlive this. */
struct receiver {
    const struct node_config *cfg;
    struct replica *replica;
    struct envelope *envelope;
    struct links *links;
    struct digests *digests;
    struct log_in *log_in;
    struct snap_in *snap_in;
    struct changes *changes;
    struct lease *lease;
    struct vitals *vitals;
};

/* Takes a datagram of this peer, which is opened in place. What is dropped is counted in p->drops. */
void receive(const struct receiver *r, uint64_t now, struct peer *p, uint8_t *buf, size_t len);

#endif
