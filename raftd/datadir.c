/* datadir.c: see datadir.h. */
#include "raftd/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "raftd/base/bytes.h"
#include "raftd/base/exits.h"
#include "raftd/base/say.h"
#include "raftd/refused.h"
#include "raftd/restore.h"

_Static_assert((int)IDENT_VOTERS_MAX >= (int)CONF_NODES_MAX &&
                   (int)IDENT_NAME_MAX >= (int)CONF_NAME_MAX,
               "an identity holds what may be configured");

static struct ident expected(const struct conf *conf, uint16_t node_id)
{
    struct ident id = {.node_id = node_id, .n_voters = (unsigned)conf->n_nodes};
    memcpy(id.name, conf->name, sizeof conf->name);
    for (int i = 0; i < conf->n_nodes; i++)
        id.voters[i] = conf->nodes[i].id;
    return id;
}

/* ---- refusals ---- */

static _Noreturn void refuse(const char *dir, int rc, const char *err)
{
    static const char new_node[] =
        ". A new node? Then run raftd --init with the same options once. A "
        "node that lost its disk must not be given a new one under its "
        "old id";
    static const char lost[] = ". No start can use this directory: see Damaged disks in raftd(8)";
    if (rc < 0)
        _exit(refused(dir, rc, err));
    say_fatal(RAFTD_EXIT_DATA_DIR, "%s%s", err,
              rc == IDENT_MISSING   ? new_node
              : rc == IDENT_DAMAGED ? lost
                                    : "");
}

/* ---- made once ---- */

/* Root's files in the directory of another user would be out of that user's reach. */
static void become_owner(const char *dir)
{
    char path[WAL_PATH_MAX];
    struct stat st;
    bool shut;
    if (geteuid() != 0 || !nearest_dir(dir, path, &st, &shut) || st.st_uid == 0)
        return;
    if (setegid(st.st_gid) != 0 || seteuid(st.st_uid) != 0)
        say_fatal(RAFTD_EXIT_INTERNAL, "cannot become user %u, whom %s belongs to: %s", st.st_uid,
                  path, strerror(errno));
    say_info("%s belongs to user %u: the files are made as that user", path, st.st_uid);
}

void datadir_init(const struct conf *conf, const char *backup, bool join)
{
    char err[WAL_MESSAGE_BYTES];
    struct ident_lock lock;
    struct ident id = expected(conf, conf_self(conf)->id);
    uint8_t secret[IDENT_KEY_BYTES];
    do
        crypto_box_keypair(id.key, secret); /* X25519 */
    while (ident_storage_id(&id) == 0);
    if (join)
        id.n_voters = 0;
    id.created = (uint64_t)time(NULL);
    become_owner(conf->data_dir);
    int rc = ident_lock(&disk_posix, conf->data_dir, true, &lock, err, sizeof err);
    if (rc == IDENT_OK)
        rc = ident_none(&disk_posix, conf->data_dir, err, sizeof err);
    if (rc == IDENT_OK && backup != NULL)
        restore(conf, &id, backup); /* before there is an identity that could be started */
    if (rc == IDENT_OK)
        rc = ident_create(&disk_posix, conf->data_dir, &id, secret, 0, err, sizeof err);
    sodium_memzero(secret, sizeof secret);
    if (rc != IDENT_OK)
        refuse(conf->data_dir, rc, err);
    say_info("%s is now the data directory of node %u of cluster %s, with a key that begins with "
             "%02x%02x%02x%02x%02x%02x%02x%02x",
             conf->data_dir, id.node_id, conf->name, id.key[0], id.key[1], id.key[2], id.key[3],
             id.key[4], id.key[5], id.key[6], id.key[7]);
}

/* ---- at each start ---- */

/* Files that we make are for our user alone. But the mode of a directory that was there before is a person's
 * choice, so there is only a message about it. */
static void look_at_mode(const char *dir)
{
    struct stat st;
    if (stat(dir, &st) == 0 && (st.st_mode & 077) != 0)
        say_warn("%s can be %s by other users (mode %04o): chmod 700 %s unless that is wanted", dir,
                 (st.st_mode & 022) != 0 ? "changed" : "looked into", st.st_mode & 07777u, dir);
}

/* The daemon may write to a file for the first time weeks from now, so a missing right is told of at the
 * start. Root is refused as well: the owner of the directory could not write root's files later. */
static void look_at_rights(const char *dir)
{
    char log[WAL_PATH_MAX], what[WAL_MESSAGE_BYTES];
    struct stat st;
    (void)snprintf(log, sizeof log, "%s/log", dir);
    const char *const paths[] = {dir, log};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        /* A log that is missing, or is no directory, is not a matter of rights: recovery says so. */
        if (stat(paths[i], &st) != 0 || !S_ISDIR(st.st_mode) ||
            faccessat(AT_FDCWD, paths[i], W_OK | X_OK, AT_EACCESS) == 0)
            continue;
        int rc = -errno;
        (void)snprintf(what, sizeof what, "%s: no file can be made there: %s", paths[i],
                       strerror(-rc));
        _exit(refused(dir, rc, what));
    }
    if (geteuid() == 0 && stat(dir, &st) == 0 && st.st_uid != 0)
        say_fatal(
            RAFTD_EXIT_DATA_DIR,
            "%s belongs to user %u, and this runs as root, whose files that user could not "
            "write later: run raftd as that user, as the service manager does, or by hand with "
            "setpriv --reuid %u --regid %u --clear-groups raftd ...",
            dir, st.st_uid, st.st_uid, st.st_gid);
}

struct wal_options datadir_claim(const char *dir, const struct conf *conf, struct ident *found,
                                 char other[WAL_MESSAGE_BYTES])
{
    char err[WAL_MESSAGE_BYTES];
    struct ident_lock lock;
    struct ident want;
    if (conf != NULL)
        want = expected(conf, conf_self(conf)->id);
    int rc = ident_lock(&disk_posix, dir, false, &lock, err, sizeof err);
    if (rc == IDENT_OK)
        rc = ident_load(&disk_posix, dir, conf != NULL ? &want : NULL, found, err, sizeof err);
    other[0] = '\0';
    if (rc == IDENT_OTHER_VOTERS)
        memcpy(other, err, sizeof err);
    else if (rc != IDENT_OK)
        refuse(dir, rc, err);
    else if (err[0] != '\0')
        say_warn("%s", err);
    if (conf != NULL) {
        look_at_rights(dir);
        look_at_mode(dir);
    }
    return (struct wal_options){.storage_id = ident_storage_id(found),
                                .repair = found->n_voters != 1, /* 0: it joined others */
                                .damaged_max_bytes = conf != NULL ? conf->log_max_bytes : 0};
}

void datadir_mend(const char *dir)
{
    char err[WAL_MESSAGE_BYTES];
    bool mended;
    if (ident_mend(&disk_posix, dir, &mended, err, sizeof err) != IDENT_OK)
        say_warn("%s: the damaged copy of the identity stays as it is", err);
    else if (mended)
        say_warn("%s/ident: the damaged copy was written anew: the disk may be about to fail", dir);
}

void datadir_pair(const char *dir, uint64_t storage_id, uint8_t secret[IDENT_KEY_BYTES],
                  uint8_t key[IDENT_KEY_BYTES])
{
    char err[WAL_MESSAGE_BYTES];
    int rc = ident_secret(&disk_posix, dir, secret, err, sizeof err);
    if (rc != IDENT_OK)
        refuse(dir, rc, err);
    if (crypto_scalarmult_base(key, secret) != 0 || get_u64(key) != storage_id)
        say_fatal(RAFTD_EXIT_DATA_DIR, "%s/ident: its secret is not that of its public key", dir);
}

uint16_t datadir_node(const struct conf *conf)
{
    char err[WAL_MESSAGE_BYTES];
    struct ident found, want;
    uint16_t node = 0;
    for (int i = 0; i < conf->n_nodes; i++) {
        struct conf as = *conf;
        if (conf_set_node(&as, conf->nodes[i].id, err, sizeof err) < 0)
            continue;
        bool all_in_one = strcmp(as.data_dir, conf->data_dir) == 0; /* no {id} in it */
        int rc = ident_load(&disk_posix, as.data_dir, NULL, &found, err, sizeof err);
        if (rc == IDENT_OK && all_in_one && conf_find(conf, found.node_id) == NULL) {
            want = expected(conf, found.node_id); /* the node was taken out of the list */
            rc = ident_load(&disk_posix, as.data_dir, &want, &found, err, sizeof err);
        }
        if (all_in_one && rc != IDENT_OK)
            refuse(as.data_dir, rc, err);
        if (rc != IDENT_OK || (!all_in_one && found.node_id != conf->nodes[i].id))
            continue;
        if (node != 0 && node != found.node_id)
            return 0;
        node = found.node_id;
    }
    return node;
}
