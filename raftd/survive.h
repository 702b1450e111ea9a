/* survive.h: more than half of the voters are lost for good, and one of the nodes that are left goes on
 * alone (raftd --recover). It becomes the only member of a cluster with the same data and another random
 * id. So if the lost ones return, they are refused and named, instead of going on beside it. */
#ifndef RAFTD_SURVIVE_H
#define RAFTD_SURVIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "raftd/base/members.h"
#include "raftd/conf.h"
#include "storage/ident.h"
#include "storage/wal.h"

/* One of the nodes that are left. */
struct survivor {
    const char *path; /* data directory, or file with the output of raftd --check */
    uint16_t node;
    uint64_t last_index, last_term, commit;
    /* The random id of its cluster; 0 = not known. Members that are not committed do not tell it: theirs
     * may be an id that came to nothing, see replica_settled(). */
    uint64_t cluster;
    bool doubt; /* its log was damaged: it may have less than it had acknowledged */
};

struct survivor survivor_of(const char *path, const struct ident *id, const struct wal_report *rep);

/* Reads the output of raftd --check, lines or JSON. False: it is of another cluster, or can't be read. */
bool survivor_read(struct survivor *s, const char *path, const char *cluster);

/* One is of the time before a recovery and the other of the time after it, or they are of two recoveries.
 * Which is the later one nobody can tell from their logs. */
bool survivors_differ(const struct survivor *a, const struct survivor *b);

/* The place of the one with most, by the rule of votes (dissertation 3.6.1); of equal ones the first. It
 * has all that a majority acknowledged, if any of them has. Whoever differs from the first is left out. */
unsigned survivor_best(const struct survivor *s, unsigned n);

/* Prints a line about it. age_s is how long ago its log was written last, in seconds; -1 = not known. */
void survivor_print(FILE *out, const struct survivor *s);

/* The members that are this node alone, with its key, the address that the cluster knew or else the one
 * in the configuration, and another id of the cluster. */
struct members survivor_alone(const struct conf *conf, const struct ident *id,
                              const struct members *before);

/* Appends these members to the node's log, which recovery has just opened, and takes all of the log for
 * committed. Ends the process when that fails. */
void survivor_go_on(const struct conf *conf, const struct ident *id, struct wal *w,
                    const struct wal_report *rep, uint64_t cluster_ms);

#endif
