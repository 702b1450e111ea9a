/* newest.c: see newest.h. */
#include "raftd/newest.h"

#include <errno.h>

#include "raftd/base/say.h"
#include "raftd/imager.h"

static int read_one(struct snapshots *s, uint64_t index, struct snapshot_head *head,
                    struct snapshot_name *name, struct image_load **load)
{
    int rc = load != NULL ? imager_load(s, index, head, name, load)
                          : snapshot_load(s, index, NULL, head, name);
    if (rc != -EBADMSG)
        return rc;
    say_error("%s. %s; an older one is looked for", s->message,
              load != NULL ? "It is kept as .damaged" : "A start puts it aside");
    if (load != NULL && (rc = snapshot_put_aside(s, index)) != 0)
        return rc;
    return -EBADMSG;
}

int newest_read(struct snapshots *s, struct snapshot_head *head, struct snapshot_name *name,
                struct image_load **load)
{
    uint64_t indexes[SNAPSHOT_LIST_MAX];
    unsigned n;
    int rc = snapshot_list(s, indexes, &n);
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        rc = read_one(s, indexes[i], head, name, load);
        if (rc == 0)
            return 0;
        if (rc == -EBADMSG)
            rc = 0;
    }
    name->index = 0;
    if (load != NULL)
        *load = NULL;
    return rc;
}
