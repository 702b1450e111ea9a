/* replace.c: see replace.h. */
#include "raftd/base/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_all(int fd, const char *at, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno != EINTR)
            return -errno;
        at += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int replace_file(const char *path, mode_t mode, const void *bytes, size_t len)
{
    char beside[PATH_MAX];
    struct stat there;
    int n = snprintf(beside, sizeof beside, "%s.new", path);
    if (n < 0 || (size_t)n >= sizeof beside)
        return -ENAMETOOLONG;
    if (lstat(path, &there) == 0 && !S_ISREG(there.st_mode))
        return -EEXIST;
    (void)unlink(beside); /* of a process that was killed; what is there now must not be followed */
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int rc = write_all(fd, bytes, len);
    if (rc == 0 && fchmod(fd, mode) != 0)
        rc = -errno;
    if (close(fd) != 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && rename(beside, path) != 0)
        rc = -errno;
    if (rc != 0)
        (void)unlink(beside);
    return rc;
}

const char *replace_error(int rc)
{
    return rc == -EEXIST ? "something is there that is no file" : strerror(-rc);
}
