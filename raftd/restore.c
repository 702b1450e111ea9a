/* restore.c: see restore.h. */
#include "raftd/restore.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/wire.h"
#include "raftd/base/exits.h"
#include "raftd/base/rcu.h"
#include "raftd/base/say.h"
#include "raftd/imager.h"
#include "raftd/members_print.h"
#include "raftd/refused.h"
#include "raftd/state/kv.h"
#include "raftd/state/machine.h"

/* Reads the state in the file, which becomes the machine's. Ends the process when that fails. */
static void load(const char *path, struct snapshot_head *head, struct machine *machine)
{
    struct snapshots s = {.disk = &disk_posix, .dir = ""};
    struct snapshot_name name;
    struct image_load *state;
    int rc = imager_load_file(&s, path, head, &name, &state);
    if (rc == -EBADMSG || rc == -ENOTSUP)
        say_fatal(RAFTD_EXIT_CORRUPT, "%s. Nothing was restored", s.message);
    if (rc != 0)
        say_fatal(wal_refused(rc) ? RAFTD_EXIT_INTERNAL : RAFTD_EXIT_USAGE,
                  "%s. Nothing was restored", s.message);
    machine_replace(machine, state, head->index, head->cluster_ms);
}

void restore(const struct conf *conf, const struct ident *id, const char *path)
{
    const struct snapshots where = {.disk = &disk_posix,
                                    .dir = conf->data_dir,
                                    .storage_id = ident_storage_id(id),
                                    .cluster = wire_cluster_id(conf->name)};
    struct snapshot_head head;
    struct snapshot_name name;
    struct kv *kv = rcu_start() == 0 ? kv_new() : NULL;
    struct machine *machine = kv != NULL ? machine_new(kv) : NULL;
    struct imager *imager = imager_new(&where, NULL, NULL);
    if (machine == NULL || imager == NULL)
        say_fatal(RAFTD_EXIT_INTERNAL, "out of memory");
    rcu_thread_begin();
    load(path, &head, machine);
    if (head.cluster == where.cluster)
        say_fatal(RAFTD_EXIT_USAGE,
                  "%s is of a cluster with this name: give the new one another name, or a node of "
                  "the old one that comes back could be taken for one of it. Nothing was restored",
                  path);
    struct image *image = machine_freeze(machine);
    if (image == NULL)
        say_fatal(RAFTD_EXIT_INTERNAL, "out of memory");
    head.members = (struct members_at){0}; /* a new cluster, of other nodes */
    int rc = imager_write(imager, &head, image, 0, &name);
    if (rc != 0)
        _exit(refused(conf->data_dir, rc, imager_error(imager)));
    say_info("%s: %" PRIu64 " keys, as of entry %" PRIu64 ", are restored", path, kv_count(kv),
             head.index);
    machine_thaw(machine, image);
    machine_free(machine);
    kv_free(kv);
    imager_free(imager);
    rcu_thread_end();
}

int restore_check(const char *path)
{
    struct snapshots s = {.disk = &disk_posix, .dir = ""};
    struct snapshot_head head;
    struct snapshot_name name;
    int rc = snapshot_load_file(&s, path, NULL, &head, &name);
    if (rc != 0) {
        say_error("%s", s.message);
        return rc == -EBADMSG || rc == -ENOTSUP ? RAFTD_EXIT_CORRUPT : RAFTD_EXIT_DISK;
    }
    members_print(stdout, &head.members);
    printf("snapshot_index=%" PRIu64 "\nsnapshot_bytes=%" PRIu64 "\nterm=%" PRIu64 "\nhash=",
           name.index, name.size, name.term);
    for (unsigned i = 0; i < sizeof name.hash; i++)
        printf("%02x", name.hash[i]);
    puts("");
    return RAFTD_EXIT_OK;
}
