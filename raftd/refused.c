/* refused.c: see refused.h. */
#include "raftd/refused.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "raftd/base/exits.h"
#include "raftd/base/say.h"

bool nearest_dir(const char *dir, char path[WAL_PATH_MAX], struct stat *st, bool *shut)
{
    (void)snprintf(path, WAL_PATH_MAX, "%s", dir);
    *shut = false;
    while (stat(path, st) != 0) {
        char *slash = strrchr(path, '/');
        if (errno == ELOOP || slash == NULL || path[1] == '\0')
            return false;
        *shut = errno == EACCES;
        slash[slash == path ? 1 : 0] = '\0';
    }
    return true;
}

/* The advice names no command that changes more than the data directory: what lies above it is not ours. */
static void say_denied(const char *dir, const char *what)
{
    char path[WAL_PATH_MAX];
    struct stat st;
    bool shut, found = nearest_dir(dir, path, &st, &shut);
    uid_t us = geteuid();
    if (!found)
        say_error("%s; this runs as user %u", what, us);
    else if (shut)
        say_error("%s; this runs as user %u, who may not enter %s, which belongs to user %u: run "
                  "raftd as the user whose data it is, or have the data where user %u may go",
                  what, us, path, st.st_uid, us);
    else if (strcmp(path, dir) != 0)
        say_error(
            "%s; this runs as user %u, and %s belongs to user %u: make the directory as root, "
            "for the user who runs raftd: install -d -m 700 -o %u %s",
            what, us, path, st.st_uid, us, dir);
    else if (st.st_uid == us)
        say_error("%s; this runs as user %u, whom %s belongs to, but not all that is in it, or it "
                  "may not be written: chown -R %u %s; chmod -R u+rwX %s",
                  what, us, dir, us, dir, dir);
    else
        say_error(
            "%s; this runs as user %u, and %s belongs to user %u: run raftd as the user whose "
            "data it is, or give all of it to the one who runs raftd: chown -R %u %s",
            what, us, dir, st.st_uid, us, dir);
}

int refused(const char *dir, int rc, const char *what)
{
    switch (rc) {
    case -EACCES:
    case -EPERM: say_denied(dir, what); return RAFTD_EXIT_DATA_DIR;
    case -EROFS:
        say_error(
            "%s; where the service manager makes it so (ProtectSystem=), allow it in the unit: "
            "systemctl edit raftd, ReadWritePaths=%s",
            what, dir);
        return RAFTD_EXIT_DATA_DIR;
    case -EISDIR:
    case -ENOTDIR:
    case -ELOOP:
    case -ENAMETOOLONG: say_error("%s", what); return RAFTD_EXIT_DATA_DIR;
    case -EMFILE:
    case -ENFILE:
    case -ENOMEM: say_error("%s", what); return RAFTD_EXIT_INTERNAL;
    default: say_error("%s", what); return RAFTD_EXIT_DISK;
    }
}

void refused_running(const char *dir, int rc, const char *what)
{
    if (rc == -EACCES || rc == -EPERM)
        _exit(refused(dir, rc, what));
    say_fatal(RAFTD_EXIT_DISK,
              "the disk failed: %s; stopping, since nobody knows what of the last write is on it",
              what);
}

void refused_for_now(int rc, const char *error, const char *what_waits)
{
    struct rlimit files = {0};
    switch (rc) {
    case -EMFILE:
        (void)getrlimit(RLIMIT_NOFILE, &files);
        say_warn("all %" PRIuMAX " file descriptors of this process are in use: %s; %s. Raise "
                 "LimitNOFILE or ulimit -n, or let clients close connections",
                 (uintmax_t)files.rlim_cur, error, what_waits);
        break;
    case -ENFILE:
        say_warn("the system has no file descriptor left: %s; %s. Raise fs.file-max", error,
                 what_waits);
        break;
    case -ENOMEM:
        say_warn("the system has no memory left: %s; %s. See what takes it", error, what_waits);
        break;
    default: say_warn("the disk is full: %s; %s. Make room", error, what_waits); break;
    }
}
