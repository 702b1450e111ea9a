/* roster.h: how the leader completes the members. Nodes of a new cluster know each other by id and address
 * only. So the first configuration in the log has what was found out since: a random id of the cluster,
 * and of each member the public key of the directory that was met under its id. Whoever was not met yet has
 * no key there, and gets one with a later configuration: it is the same member.
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
