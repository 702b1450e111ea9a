/* datadir.h: the data directory as an operator meets it: made once, claimed at each start, refused with
 * a word on what to do. ident.h has the rules.
 */
#ifndef RAFTD_DATADIR_H
#define RAFTD_DATADIR_H

#include <stddef.h>
#include <stdint.h>

#include "raftd/conf.h"
#include "storage/ident.h"
#include "storage/wal.h"

/* All functions end the process when the directory is refused. */

/* Makes conf->data_dir and this node's identity in it. Root does it as the user whom the directory, or
 * the nearest one above it that exists, belongs to: the daemon will run as that user. backup: what it
 * begins with (restore.h), NULL = with nothing. */
void datadir_init(const struct conf *conf, const char *backup);

/* Locks the directory until the process ends, and reads its identity, which must be the one in `conf`
 * (NULL: any will do). With a `conf` the directory will be written: this user must be able to do so,
 * and root is refused where the directory is another user's. */
struct wal_options datadir_claim(const char *dir, const struct conf *conf, struct ident *found);

/* The one node whose identity is in data_dir; 0 if there is none, or more than one. For a start at which
 * neither the configuration nor an address says which node this is: `conf` has no self yet. */
uint16_t datadir_node(const struct conf *conf);

#endif
