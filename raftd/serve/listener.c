/* listener.c: see listener.h. */
#include "raftd/serve/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    TURN_AWAY_MAX_BYTES = 200,
    WASTE_ROUNDS = 1024, /* more than a socket holds; whoever sends on does not keep us here */
};

static int fail(char *err, size_t err_size, const char *path, const char *what, int error)
{
    snprintf(err, err_size, "socket %s: %s%s%s", path, what, error ? ": " : "",
             error ? strerror(error) : "");
    return -1;
}

static int new_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Makes sure that the path is free. 0, or -1 with err. */
static int make_way(const struct sockaddr_un *addr, char *err, size_t err_size)
{
    struct stat st;
    if (lstat(addr->sun_path, &st) != 0) {
        if (errno == ENOENT)
            return 0;
        return fail(err, err_size, addr->sun_path, "cannot look at it", errno);
    }
    if (!S_ISSOCK(st.st_mode))
        return fail(err, err_size, addr->sun_path, "exists and is not a socket", 0);
    int fd = new_socket();
    if (fd < 0)
        return fail(err, err_size, addr->sun_path, "cannot make a socket", errno);
    int rc = connect(fd, (const struct sockaddr *)addr, sizeof *addr);
    int error = rc == 0 ? 0 : errno;
    close(fd);
    if (error != ECONNREFUSED && error != ENOENT) /* EAGAIN: its queue is full, so it lives */
        return error == 0 || error == EAGAIN
                   ? fail(err, err_size, addr->sun_path, "another daemon answers there", 0)
                   : fail(err, err_size, addr->sun_path, "is in use", error);
    if (unlink(addr->sun_path) != 0 && errno != ENOENT)
        return fail(err, err_size, addr->sun_path, "cannot remove the old socket", errno);
    return 0;
}

/* Calls bind(), which makes the file. If nothing but the directory is missing, it is made, too: a
 * directory in /run is gone with each boot, and nobody remembers to make it by hand. */
static int bind_in(int fd, const struct sockaddr_un *addr)
{
    char dir[sizeof addr->sun_path];
    if (bind(fd, (const struct sockaddr *)addr, sizeof *addr) == 0)
        return 0;
    memcpy(dir, addr->sun_path, sizeof dir);
    char *slash = strrchr(dir, '/');
    if (errno != ENOENT || slash == NULL || slash == dir)
        return -1;
    *slash = '\0';
    if (mkdir(dir, 0755) != 0) {
        errno = ENOENT; /* that it is missing says more than why we could not make it */
        return -1;
    }
    return bind(fd, (const struct sockaddr *)addr, sizeof *addr);
}

/* Makes a socket at l->path, and remembers which file that is. Returns its descriptor, or -1 with err. */
static int make(struct listener *l, char *err, size_t err_size)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct stat st;
    if (strlen(l->path) >= sizeof addr.sun_path || *l->path == '\0')
        return fail(err, err_size, l->path, "the path is empty or too long", 0);
    memcpy(addr.sun_path, l->path, strlen(l->path) + 1);
    if (make_way(&addr, err, err_size) != 0)
        return -1;
    int fd = new_socket();
    if (fd < 0)
        return fail(err, err_size, l->path, "cannot make a socket", errno);
    /* bind() gives the file the descriptor's mode less the umask. So its rights are never wider than asked
     * for, not even for a moment, and the umask, which belongs to all threads, stays as it is. */
    const char *step = "cannot set its mode";
    bool bound = false;
    if (fchmod(fd, l->mode) != 0)
        goto failed;
    step = "cannot create it (does the directory exist, and may this user write there?)";
    if (bind_in(fd, &addr) != 0)
        goto failed;
    bound = true;
    step = "cannot set its mode";
    if (chmod(l->path, l->mode) != 0 || lstat(l->path, &st) != 0)
        goto failed;
    step = "cannot listen";
    if (listen(fd, LISTENER_BACKLOG) != 0)
        goto failed;
    l->dev = st.st_dev;
    l->ino = st.st_ino;
    return fd;
failed:
    (void)fail(err, err_size, l->path, step, errno);
    if (bound)
        (void)unlink(l->path);
    (void)close(fd);
    return -1;
}

static bool ours(const struct listener *l)
{
    struct stat st;
    return lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino;
}

int listener_open(struct listener *l, const char *path, mode_t mode, char *err, size_t err_size)
{
    *l = (struct listener){.tcp = -1, .path = path, .mode = mode};
    l->fd = make(l, err, err_size);
    return l->fd >= 0 ? 0 : -1;
}

int listener_open_tcp(struct listener *l, const char *name, const struct sockaddr *addr,
                      socklen_t len, char *err, size_t err_size)
{
    const int on = 1;
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, addr, len) == 0 && listen(fd, LISTENER_BACKLOG) == 0) {
        l->tcp = fd;
        return 0;
    }
    int error = errno;
    if (fd >= 0)
        (void)close(fd);
    return fail(err, err_size, name,
                error == EPERM ? "cannot listen there (systemd: SocketBindAllow= of the unit)"
                               : "cannot listen there",
                error);
}

int listener_renew(struct listener *l, char *err, size_t err_size)
{
    if (ours(l))
        return 0;
    int fd = make(l, err, err_size);
    if (fd < 0)
        return -1;
    int rc = dup3(fd, l->fd, O_CLOEXEC) >= 0 ? 1
                                             : fail(err, err_size, l->path, "cannot use it", errno);
    (void)close(fd);
    return rc;
}

void listener_unlink(const struct listener *l)
{
    if (l->fd >= 0 && ours(l))
        (void)unlink(l->path);
}

void listener_end(const struct listener *l)
{
    listener_unlink(l);
    (void)shutdown(l->fd, SHUT_RD);
    if (l->tcp >= 0)
        (void)shutdown(l->tcp, SHUT_RD);
}

void listener_close(struct listener *l)
{
    listener_unlink(l);
    if (l->fd >= 0)
        (void)close(l->fd);
    if (l->tcp >= 0)
        (void)close(l->tcp);
    l->fd = l->tcp = -1;
}

void close_gently(int fd)
{
    uint8_t waste[4096];
    (void)shutdown(fd, SHUT_RD); /* so that nothing more comes in, but for TCP's */
    for (unsigned i = 0; i < WASTE_ROUNDS && recv(fd, waste, sizeof waste, MSG_DONTWAIT) > 0; i++)
        continue;
    (void)close(fd); /* whether it fails does not matter to anybody */
}

void turn_away(int fd, const char *why)
{
    char line[TURN_AWAY_MAX_BYTES];
    int len = snprintf(line, sizeof line, "-%s\r\n", why);
    if (len > 0 && (size_t)len < sizeof line)
        (void)send(fd, line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL); /* the socket is empty */
    close_gently(fd);
}
