/* stdio.c: standard streams that somebody has made non-blocking. The flag is one of the pipe or terminal, so
 * all who share that would lose it if we cleared it. Where nothing can be read or written at the moment we
 * wait, as a blocking stream would. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "raftd/tool/raftctl.h"

/* A call failed with errno. True if it is to be tried again; waits until that makes sense. */
static bool try_on(int fd, short events)
{
    if (errno == EAGAIN)
        (void)poll(&(struct pollfd){.fd = fd, .events = events}, 1, -1);
    return errno == EAGAIN || errno == EINTR;
}

ssize_t patient_read(int fd, void *buf, size_t size)
{
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(fd, (char *)buf + len, size - len);
        if (n == 0)
            break;
        if (n < 0 && !try_on(fd, POLLIN))
            return -1;
        len += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)len;
}

int patient_write(int fd, const void *buf, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, (const char *)buf + done, len - done);
        if (n < 0 && !try_on(fd, POLLOUT))
            return -1;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static ssize_t write_out(void *cookie, const char *buf, size_t len)
{
    struct output *out = cookie;
    if (patient_write(STDOUT_FILENO, buf, len) == 0)
        return (ssize_t)len;
    out->error = errno;
    return 0; /* which says "error" to fopencookie(3) */
}

int output_open(struct output *out)
{
    out->error = 0;
    out->file = fopencookie(out, "w", (cookie_io_functions_t){.write = write_out});
    return out->file != NULL ? 0 : -1;
}

int output_flush(struct output *out)
{
    if (fflush(out->file) == 0 && !ferror(out->file))
        return 0;
    return out->error != 0 ? out->error : EIO;
}
