/* readonly.c: has a client of Redis's protocol begin each connection with READONLY, by LD_PRELOAD: its
 * reads are then this node's own. For redis-benchmark, which has no option for that. */
#include <dlfcn.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

int connect(int fd, const struct sockaddr *addr, socklen_t len);

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    static const char ask[] = "READONLY\r\n", ok[] = "+OK\r\n";
    int (*next)(int, const struct sockaddr *, socklen_t) = (int (*)(
        int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "connect");
    int rc = next(fd, addr, len);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char answer[sizeof ok - 1];
    if (rc != 0 || addr->sa_family != AF_UNIX)
        return rc;
    if (write(fd, ask, sizeof ask - 1) != (ssize_t)sizeof ask - 1 || poll(&p, 1, 5000) != 1 ||
        read(fd, answer, sizeof answer) != (ssize_t)sizeof answer || answer[0] != '+')
        return -1;
    return 0;
}
