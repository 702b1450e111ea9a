#include "raftd/base/ring.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int ring_init(struct ring *r, size_t min_bytes)
{
    const int both = PROT_READ | PROT_WRITE, over = MAP_SHARED | MAP_FIXED;
    size_t cap = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *base = MAP_FAILED;
    while (cap < min_bytes)
        cap *= 2;
    memset(r, 0, sizeof *r);
    int fd = memfd_create("raftd-ring", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)cap) == 0)
        base = mmap(NULL, 2 * cap, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool twice = base != MAP_FAILED && mmap(base, cap, both, over, fd, 0) != MAP_FAILED &&
                 mmap(base + cap, cap, both, over, fd, 0) != MAP_FAILED;
    int rc = twice ? 0 : -errno;
    (void)close(fd); /* the mappings keep the memory */
    if (twice)
        *r = (struct ring){.base = base, .cap = cap};
    else if (base != MAP_FAILED)
        (void)munmap(base, 2 * cap);
    return rc;
}

void ring_free(struct ring *r)
{
    if (r->base != NULL)
        (void)munmap(r->base, 2 * r->cap);
    memset(r, 0, sizeof *r);
}
