/* disk_posix.c: struct disk on Linux. */
#include "storage/disk.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "raftd/base/num.h"

enum {
    IOV_MAX_HERE = 64, /* iovecs in one call; storage's longest list is a zero-filled chunk of 64 */
    FILE_MODE = 0600, /* the values of all clients are in the files, so nobody else may read them */
    DIR_MODE = 0700,
    NO_REPLACE = 1, /* RENAME_NOREPLACE of <linux/fs.h>; musl has no name for it */
};

static int posix_open(void *ctx, const char *path, enum disk_open how)
{
    static const int flags[] = {
        [DISK_READ] = O_RDONLY | O_NOFOLLOW,       [DISK_WRITE] = O_RDWR | O_NOFOLLOW,
        [DISK_CREATE] = O_RDWR | O_CREAT | O_EXCL, [DISK_BLOCKS] = O_RDWR | O_NOFOLLOW | O_DIRECT,
        [DISK_DIR] = O_RDONLY | O_DIRECTORY,
    };
    (void)ctx;
    struct stat st;
    /* To open a pipe or a terminal must not hold a start up: it does not block. */
    int all = flags[how] | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int fd = open(path, all, FILE_MODE);
    if (fd < 0 && errno == EINVAL && how == DISK_BLOCKS)
        fd = open(path, all & ~O_DIRECT, FILE_MODE); /* the file system has no such way */
    if (fd < 0)                                      /* a socket or a link is not even opened */
        return errno == ENXIO || (errno == ELOOP && how != DISK_DIR) ? -EISDIR : -errno;
    if (how != DISK_DIR && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
        (void)close(fd);
        return -EISDIR;
    }
    if (how == DISK_CREATE)
        (void)fchmod(fd, FILE_MODE); /* gives back what a strange umask took from the owner */
    return fd;
}

/* posix_close is a name of C libraries. */
static int close_fd(void *ctx, int fd)
{
    (void)ctx;
    /* Linux releases the descriptor whatever it answers, so EINTR is not repeated. */
    return close(fd) == 0 || errno == EINTR ? 0 : -errno;
}

/* The kernel refuses to move these bytes past the page cache. From now on the file's go through it. */
static bool leave_direct(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_DIRECT) != 0 && fcntl(fd, F_SETFL, flags & ~O_DIRECT) == 0;
}

static ssize_t posix_pread(void *ctx, int fd, void *buf, size_t len, uint64_t offset)
{
    size_t got = 0;
    (void)ctx;
    while (got < len) {
        ssize_t n = pread(fd, (uint8_t *)buf + got, len - got, (off_t)(offset + got));
        if (n < 0 && (errno == EINTR || (errno == EINVAL && leave_direct(fd))))
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

static int posix_pwritev(void *ctx, int fd, const struct iovec *iov, int n, uint64_t offset)
{
    struct iovec left[IOV_MAX_HERE];
    int first = 0;
    (void)ctx;
    assert(n > 0 && n <= IOV_MAX_HERE);
    memcpy(left, iov, (size_t)n * sizeof *iov);
    while (first < n) {
        ssize_t w = pwritev(fd, left + first, n - first, (off_t)offset);
        if (w < 0 && errno == EINTR)
            continue; /* nothing was taken over, so nothing is written twice */
        if (w < 0 && errno == EINVAL && leave_direct(fd))
            continue; /* likewise */
        if (w < 0)
            return -errno;
        offset += (uint64_t)w;
        size_t done = (size_t)w;
        while (first < n && done >= left[first].iov_len)
            done -= left[first++].iov_len;
        if (first == n)
            break;
        if (w == 0)
            return -EIO; /* no progress and no reason given */
        left[first].iov_base = (uint8_t *)left[first].iov_base + done;
        left[first].iov_len -= done;
    }
    return 0;
}

static int posix_fdatasync(void *ctx, int fd)
{
    (void)ctx;
    return fdatasync(fd) == 0 ? 0 : -errno;
}

static int posix_sync_dir(void *ctx, const char *path)
{
    (void)ctx;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = fsync(fd) == 0 ? 0 : -errno;
    if (rc == -ENOMEM)
        rc = -EIO; /* -ENOMEM would say that the directory could not be opened */
    int closed = close_fd(NULL, fd);
    return rc != 0 ? rc : closed;
}

static int posix_rename(void *ctx, const char *from, const char *to)
{
    (void)ctx;
    if (syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, NO_REPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    /* A file system without the flag: link() never replaces either. */
    if (link(from, to) != 0)
        return -errno;
    return unlink(from) == 0 ? 0 : -errno;
}

static int posix_unlink(void *ctx, const char *path)
{
    (void)ctx;
    return unlink(path) == 0 ? 0 : -errno;
}

static int64_t posix_size(void *ctx, int fd)
{
    struct stat st;
    (void)ctx;
    return fstat(fd, &st) == 0 ? (int64_t)st.st_size : -(int64_t)errno;
}

static int posix_list(void *ctx, const char *path, disk_each *each, void *arg)
{
    int rc = 0;
    (void)ctx;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return -errno;
    while (rc == 0) {
        errno = 0;
        const struct dirent *e = readdir(dir);
        if (e == NULL) {
            rc = -errno;
            break;
        }
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            rc = each(arg, e->d_name);
    }
    int closed = closedir(dir) == 0 ? 0 : -errno;
    return rc != 0 ? rc : closed;
}

static int posix_drop_cache(void *ctx, int fd)
{
    (void)ctx;
    return -posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static int posix_lock(void *ctx, int fd)
{
    (void)ctx;
    return flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno;
}

static int posix_mkdir(void *ctx, const char *path)
{
    (void)ctx;
    if (mkdir(path, DIR_MODE) != 0)
        return -errno;
    (void)chmod(path, DIR_MODE); /* as for files */
    return 0;
}

static int64_t posix_room(void *ctx, const char *path)
{
    struct statvfs st;
    (void)ctx;
    if (statvfs(path, &st) != 0)
        return -(int64_t)errno;
    return (int64_t)min_u64((uint64_t)st.f_bavail * st.f_frsize, INT64_MAX);
}

const struct disk disk_posix = {
    .ctx = NULL,
    .open = posix_open,
    .close = close_fd,
    .pread = posix_pread,
    .pwritev = posix_pwritev,
    .fdatasync = posix_fdatasync,
    .sync_dir = posix_sync_dir,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .size = posix_size,
    .list = posix_list,
    .drop_cache = posix_drop_cache,
    .lock = posix_lock,
    .mkdir = posix_mkdir,
    .room = posix_room,
};
