/* roster.h: how the leader completes the members. Nodes of a new cluster know each other by id and address
 * only. The first configuration in the log adds a random id of the cluster and, for each member that was met,
 * the public key of the directory that was met under its id. The other members get their keys by later
 * configurations.
 */
#ifndef RAFTD_ROSTER_H
#define RAFTD_ROSTER_H

#include "raftd/node/admit.h"
#include "raftd/node/io.h"
#include "raftd/node/replica.h"

/* Once per iteration. */
void roster_complete(struct replica *r, uint64_t now, const struct admit *a,
                     const struct node_io *io);

#endif
