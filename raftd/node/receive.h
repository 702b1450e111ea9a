/* receive.h: one datagram in. */
#ifndef RAFTD_RECEIVE_H
#define RAFTD_RECEIVE_H

#include "raftd/node/changes.h"
#include "raftd/node/digests.h"
#include "raftd/node/envelope.h"
#include "raftd/node/links.h"
#include "raftd/node/log_in.h"
#include "raftd/node/peer.h"
#include "raftd/node/vitals.h"

/* What takes what comes; all of it outlives this. */
struct receiver {
    const struct node_config *cfg;
    struct replica *replica;
    struct envelope *envelope;
    struct links *links;
    struct digests *digests;
    struct log_in *log_in;
    struct snap_in *snap_in;
    struct changes *changes;
    struct vitals *vitals;
};

/* A datagram of this peer, opened in place. What is dropped of it is counted there. */
void receive(const struct receiver *r, uint64_t now, struct peer *p, uint8_t *buf, size_t len);

#endif
