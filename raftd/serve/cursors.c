/* cursors.c: see cursors.h. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/serve/cursors.h"

struct cursor {
    uint64_t id; /* 0: the place is free */
    uint16_t len;
    uint8_t key[CMD_KEY_MAX_BYTES];
};

struct cursors {
    pthread_mutex_t lock;
    uint64_t next;
    struct cursor at[CURSORS_MAX]; /* a cursor's place is its id modulo their number */
};

struct cursors *cursors_new(uint64_t random)
{
    struct cursors *c = calloc(1, sizeof *c);
    if (c == NULL || pthread_mutex_init(&c->lock, NULL) != 0) {
        free(c);
        return NULL;
    }
    c->next = 1 + (random & ((UINT64_C(1) << 49) - 1));
    return c;
}

void cursors_free(struct cursors *c)
{
    if (c == NULL)
        return;
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

uint64_t cursors_keep(struct cursors *c, const uint8_t *key, size_t len)
{
    (void)pthread_mutex_lock(&c->lock);
    uint64_t id = 0;
    for (size_t i = 0; id == 0 && i < CURSORS_MAX; i++)
        if (c->at[i].len == len && memcmp(c->at[i].key, key, len) == 0)
            id = c->at[i].id;
    if (id == 0) {
        id = c->next++;
        struct cursor *place = &c->at[id % CURSORS_MAX];
        place->id = id;
        place->len = (uint16_t)len;
        memcpy(place->key, key, len);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return id;
}

size_t cursors_find(struct cursors *c, uint64_t id, uint8_t *key)
{
    (void)pthread_mutex_lock(&c->lock);
    const struct cursor *place = &c->at[id % CURSORS_MAX];
    size_t len = place->id == id ? place->len : 0;
    memcpy(key, place->key, len);
    (void)pthread_mutex_unlock(&c->lock);
    return len;
}
