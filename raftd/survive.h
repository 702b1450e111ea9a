/* survive.h: more than half of the voters are lost for good, and a node that is left goes on alone
 * (raftd --recover). It becomes the only member of a cluster with the same data and another random id, so
 * the lost ones, should they return, are refused and named instead of going on beside it. */
#ifndef RAFTD_SURVIVE_H
#define RAFTD_SURVIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "raftd/base/members.h"
#include "raftd/conf.h"
#include "storage/ident.h"
#include "storage/wal.h"

/* What one of those that are left has. */
struct survivor {
    const char *path; /* directory, or file with what raftd --check printed */
    uint16_t node;
    uint64_t last_index, last_term, commit;
    bool doubt; /* its log was damaged: it may have less than it had acknowledged */
};

struct survivor survivor_of(const char *path, const struct ident *id, const struct wal_report *rep);

/* Of the output of raftd --check, lines or JSON. False: it is none of that cluster, or can't be read. */
bool survivor_read(struct survivor *s, const char *path, const char *cluster);

/* Which of them has most: that has all that a majority acknowledged, if any of them has. By the rule of
 * votes (dissertation 3.6.1); of two that are equal the first. */
unsigned survivor_best(const struct survivor *s, unsigned n);

/* Says what it has, a line of it, with how long ago it was written last: -1 = not known. */
void survivor_print(FILE *out, const struct survivor *s);

/* This node alone, with its key, and the address that the cluster knew or else that of the configuration,
 * under another id of the cluster. */
struct members survivor_alone(const struct conf *conf, const struct ident *id,
                              const struct members *before);

/* Appends the configuration of this node alone to its log, which recovery has just opened, and takes all of
 * the log for committed. Ends the process when that fails. */
void survivor_go_on(const struct conf *conf, const struct ident *id, struct wal *w,
                    const struct wal_report *rep, uint64_t cluster_ms);

#endif
