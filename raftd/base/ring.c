#include "raftd/base/ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int ring_init(struct ring *r, size_t min_bytes)
{
    size_t cap = (size_t)sysconf(_SC_PAGESIZE);
    while (cap < min_bytes)
        cap *= 2;
    memset(r, 0, sizeof *r);

    int fd = memfd_create("raftd-ring", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = 0;
    uint8_t *base = MAP_FAILED;
    if (ftruncate(fd, (off_t)cap) < 0) {
        rc = -errno;
        goto err_close;
    }
    base = mmap(NULL, 2 * cap, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
        rc = -errno;
        goto err_close;
    }
    for (int half = 0; half < 2; half++) {
        void *at = base + (size_t)half * cap;
        if (mmap(at, cap, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
            rc = -errno;
            goto err_unmap;
        }
    }
    (void)close(fd); /* the mappings keep the memory */
    r->base = base;
    r->cap = cap;
    return 0;

err_unmap:
    (void)munmap(base, 2 * cap);
err_close:
    (void)close(fd);
    return rc;
}

void ring_free(struct ring *r)
{
    if (r->base != NULL)
        (void)munmap(r->base, 2 * r->cap);
    memset(r, 0, sizeof *r);
}
