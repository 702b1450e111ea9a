/* stdfds.c: see stdfds.h. */
#include "raftd/base/stdfds.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

bool stdfds_fill(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        int got = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
        if (got < 0) /* there is no /dev; nothing can be written into a directory either */
            got = open("/", O_RDONLY | O_DIRECTORY);
        if (got != fd) /* the lowest free number is fd, since those below are open */
            return false;
    }
    return true;
}
