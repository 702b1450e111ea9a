/* Memory for targets that make a node in each run: to map its rings and its largest blocks takes a dozen
 * system calls each time, and each of their pages a fault. What is freed of these is kept for the next run,
 * and AddressSanitizer guards it meanwhile. Linked in with -Wl,--wrap= of all functions that begin with
 * __wrap_ here. */
#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <sanitizer/asan_interface.h>

#include "raftd/base/ring.h"

enum {
    KEPT_MAX = 4,        /* of each kind; a node has two rings and two such blocks */
    LARGE_MIN = 1 << 17, /* of such a block: AddressSanitizer maps it anew each time */
};

int __real_ring_init(struct ring *r, size_t min_bytes);
void __real_ring_free(struct ring *r);
int __wrap_ring_init(struct ring *r, size_t min_bytes);
void __wrap_ring_free(struct ring *r);
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void __wrap_free(void *p);

static struct ring rings[KEPT_MAX];
static void *blocks[KEPT_MAX];

int __wrap_ring_init(struct ring *r, size_t min_bytes)
{
    for (unsigned i = 0; i < KEPT_MAX; i++) {
        struct ring *k = &rings[i];
        if (k->base == NULL || k->cap < min_bytes || k->cap / 2 >= min_bytes)
            continue; /* a new one would have another size */
        ASAN_UNPOISON_MEMORY_REGION(k->base, 2 * k->cap);
        memset(k->base, 0, k->cap);
        *r = (struct ring){.base = k->base, .cap = k->cap};
        k->base = NULL;
        return 0;
    }
    return __real_ring_init(r, min_bytes);
}

void __wrap_ring_free(struct ring *r)
{
    unsigned i = 0;
    while (i < KEPT_MAX && rings[i].base != NULL)
        i++;
    if (i == KEPT_MAX || r->base == NULL) {
        __real_ring_free(r);
        return;
    }
    rings[i] = *r;
    ASAN_POISON_MEMORY_REGION(r->base, 2 * r->cap);
    memset(r, 0, sizeof *r);
}

/* A kept block of exactly this size, so that its end is where AddressSanitizer thinks it is; or NULL. */
static void *take_block(size_t size)
{
    for (unsigned i = 0; size >= LARGE_MIN && i < KEPT_MAX; i++) {
        void *p = blocks[i];
        if (p == NULL || malloc_usable_size(p) != size)
            continue;
        ASAN_UNPOISON_MEMORY_REGION(p, size);
        blocks[i] = NULL;
        return p;
    }
    return NULL;
}

void *__wrap_malloc(size_t size)
{
    void *p = take_block(size);
    return p != NULL ? p : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    void *p = n == 1 ? take_block(size) : NULL;
    return p != NULL ? memset(p, 0, size) : __real_calloc(n, size);
}

void __wrap_free(void *p)
{
    size_t size = p == NULL ? 0 : malloc_usable_size(p);
    void **place = NULL;
    for (unsigned i = 0; size >= LARGE_MIN && i < KEPT_MAX; i++) {
        if (blocks[i] == p)
            abort(); /* freed twice */
        if (blocks[i] == NULL)
            place = &blocks[i];
    }
    if (place == NULL) {
        __real_free(p);
        return;
    }
    *place = p;
    ASAN_POISON_MEMORY_REGION(p, size);
}
