/* disk.h: the few system calls that storage uses, as a table of functions.
 *
 * The daemon passes disk_posix; tests and the simulator pass an in-memory disk that can fail any
 * call and cut the power at any instant. All functions return 0 or a positive result, or -errno;
 * none sets errno for its caller to read, and none retries a failed write or sync.
 */
#ifndef STORAGE_DISK_H
#define STORAGE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

enum disk_open {
    DISK_READ,   /* an existing file, for reading */
    DISK_WRITE,  /* an existing file, for reading and writing */
    DISK_CREATE, /* a new file for both; -EEXIST when there is one */
    /* An existing file, of which only whole blocks of DISK_BLOCK_BYTES are written. If the file system can,
     * they go past the page cache: that costs a third less of a processor, and a write that fails says so
     * itself. Bytes that do not begin at such a multiple in memory, too, go through the cache. */
    DISK_BLOCKS,
    DISK_DIR, /* an existing directory, for its lock */
};

enum { DISK_BLOCK_BYTES = 4096 };

/* Called by list() once per name; a non-zero result ends the listing and is returned by it. */
typedef int disk_each(void *arg, const char *name);

struct disk {
    void *ctx; /* first argument of every call; owned by whoever made the table */

    /* Returns a file descriptor, which is closed on exec. -EISDIR: what has that name is no regular file but
     * a directory, a pipe, a link or the like. Links are followed for DISK_DIR alone. */
    int (*open)(void *ctx, const char *path, enum disk_open how);
    int (*close)(void *ctx, int fd);
    /* Returns how many bytes were read: `len`, or fewer at the end of the file. */
    ssize_t (*pread)(void *ctx, int fd, void *buf, size_t len, uint64_t offset);
    /* 0 when every byte was taken over. The iovecs are not changed. On failure any part of the
     * bytes may have been written. */
    int (*pwritev)(void *ctx, int fd, const struct iovec *iov, int n, uint64_t offset);
    /* Data and size of the file are on the medium when it returns 0. After a failure the kernel
     * may have dropped the data and answer 0 the next time: never call it again, exit. */
    int (*fdatasync)(void *ctx, int fd);
    /* The names in the directory are on the medium when it returns 0. With -EMFILE, -ENFILE and -ENOMEM the
     * directory could not be opened and nothing was tried; any other failure is as one of fdatasync. */
    int (*sync_dir)(void *ctx, const char *path);
    /* Atomic; -EEXIST when `to` exists already: storage never replaces a file. */
    int (*rename)(void *ctx, const char *from, const char *to);
    int (*unlink)(void *ctx, const char *path);
    int64_t (*size)(void *ctx, int fd);
    /* Names in a directory, without "." and "..", in any order. */
    int (*list)(void *ctx, const char *path, disk_each *each, void *arg);
    /* Drops the clean pages of a file from the cache, so that the next read asks the medium. */
    int (*drop_cache)(void *ctx, int fd);
    /* Takes an exclusive lock that ends with the descriptor; -EWOULDBLOCK when another process has it. */
    int (*lock)(void *ctx, int fd);
    int (*mkdir)(void *ctx, const char *path); /* with rights for its owner alone */
    /* Returns how many bytes are free on the file system of a path that exists. */
    int64_t (*room)(void *ctx, const char *path);
};

/* Bytes to be written: an iovec has no const. */
static inline struct iovec disk_bytes(const void *bytes, size_t len)
{
    union {
        const void *in;
        void *out;
    } p = {.in = bytes};
    return (struct iovec){.iov_base = p.out, .iov_len = len};
}

/* The operating system's own calls; ctx is unused. Safe from any thread. */
extern const struct disk disk_posix;

#endif
