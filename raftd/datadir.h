/* datadir.h: the data directory as an operator meets it. It is made once and claimed at each start. All
 * functions end the process when the directory is refused, with a message that says what to do. ident.h
 * has the rules.
 */
#ifndef RAFTD_DATADIR_H
#define RAFTD_DATADIR_H

#include <stddef.h>
#include <stdint.h>

#include "raftd/conf.h"
#include "storage/ident.h"
#include "storage/wal.h"

/* Makes conf->data_dir and this node's identity in it. Root does it as the user whom the directory, or
 * the nearest one above it that exists, belongs to: the daemon will run as that user. `backup` is the
 * file with the state that the node begins with (restore.h); NULL: it begins empty. join: the directory
 * gets no list of nodes, because the node will be added to others. */
void datadir_init(const struct conf *conf, const char *backup, bool join);

/* Locks the directory until the process ends, and reads its identity, which must be the one in `conf`
 * (NULL: any will do). With a `conf` the directory will be written to: this user must have the right to,
 * and root is refused if the directory is another user's. If only the list of nodes is another one,
 * `other` says so, else it is empty; it matters as long as no members are in the log. Returns the options
 * for wal_open(). */
struct wal_options datadir_claim(const char *dir, const struct conf *conf, struct ident *found,
                                 char other[WAL_MESSAGE_BYTES]);

/* Writes a damaged copy of the identity anew, and says so. If that fails the start goes on with the whole
 * one. Of a directory that was claimed. */
void datadir_mend(const char *dir);

/* The key pair of a directory that was claimed, with this storage id. The caller wipes the secret. */
void datadir_pair(const char *dir, uint64_t storage_id, uint8_t secret[IDENT_KEY_BYTES],
                  uint8_t key[IDENT_KEY_BYTES]);

/* The one node whose identity is in data_dir; 0 if there is none, or more than one. It is for a start at
 * which neither the configuration nor an address says which node this is: `conf` has no self yet. */
uint16_t datadir_node(const struct conf *conf);

#endif
