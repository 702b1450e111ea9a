/* status_file.h: keeps the newest status in a file, where it can be read while the daemon hangs.
 *
 * A thread of its own writes, for the file system may hang as well: the loop never waits for it, and a start
 * and an end do not depend on it.
 */
#ifndef RAFTD_STATUS_FILE_H
#define RAFTD_STATUS_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "raftd/conf.h"
#include "raftd/serve/shared.h"

enum {
    STATUS_FILE_EVERY_MS = 10000, /* what is no news is written so late at most */
    STATUS_FILE_STOP_MS = 500,    /* for so long the end waits for the file to be removed */
};

struct status_file;

/* Where the file is to be: status_file of the configuration; if that is not given, "status" in the directory
 * that a service manager has made for the daemon (RUNTIME_DIRECTORY, systemd.exec(5)). "": nowhere. */
void status_file_path(const struct conf *conf, char path[CONF_DATA_DIR_SIZE]);

/* Starts the thread, for shared->status, which is there already. Whoever may use the socket may read the
 * file. `every_ms`: STATUS_FILE_EVERY_MS. NULL: memory or threads are short. */
struct status_file *status_file_start(const struct shared *shared, const char *path,
                                      mode_t socket_mode, unsigned every_ms);

/* A status was published. `news`: it is written at once. NULL is allowed. */
void status_file_changed(struct status_file *f, bool news);

/* Has the file removed, for it would go on to say what is not so any more. Afterwards the thread does not
 * look at `shared`. NULL is allowed. */
void status_file_stop(struct status_file *f);

#endif
