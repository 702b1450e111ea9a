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
 * the nearest one above it that exists, belongs to: the daemon will run as that user. */
void datadir_init(const struct conf *conf);

/* Locks the directory until the process ends and reads its identity, which must be the one that `conf`
 * (NULL: any will do) wants. With a `conf`, it is to be written: this user must be able to, and root must
 * not do so in the directory of another user. */
struct wal_options datadir_claim(const char *dir, const struct conf *conf, struct ident *found);

/* The node whose identity is in data_dir, if there is one and no other one; 0 if not. For a start that
 * neither the configuration nor an address tells which node it is: `conf` has no self yet. */
uint16_t datadir_node(const struct conf *conf);

#endif
