/* outcomes.c: see outcomes.h.
 *
 * A row in a snapshot, from the oldest on; the indexes ascend:
 *   0 16 random bytes of the token   16 u64 its index   24 u64 index of the entry   32 u8 outcome
 */
#include "raftd/state/outcomes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/num.h"
#include "raftd/base/rcu.h"
#include "raftd/state/siphash.h"

enum {
    ROWS = 1024, /* of a block: 48 KiB, which is what a machine that uses no tokens is spared */
    BLOCKS = OUTCOMES_MAX / ROWS + 1,
    BUCKETS = OUTCOMES_MAX / 2,
};

struct row {
    struct cmd_token token;
    uint64_t index; /* of its entry */
    uint64_t
        before; /* 1 + number of the row before it in its bucket; 0: none. For the writer alone */
    uint8_t outcome;
};

struct outcome_block {
    struct rcu_head rcu;
    const struct outcome_block *older; /* the one before; gone when all its rows are forgotten */
    struct outcome_block *next;        /* in a list of blocks that are to be freed */
    uint64_t first;                    /* number of its first row */
    struct row rows[ROWS];
};

/* A row is found through the bucket of its token. What a bucket begins with is the newest of its rows; older
 * than what is remembered is the same as none, so that rows are never taken out. */
struct outcomes {
    uint64_t begin, end;                  /* numbers of the rows */
    struct outcome_block *blocks[BLOCKS]; /* of row n at n / ROWS % BLOCKS */
    uint64_t *buckets;                    /* 1 + number of a row; NULL before the first row */
    uint64_t digest[2];                   /* sum of the hashes of all rows */
    struct outcome_block *unpublished; /* to be freed, but what is published may still have them */
    struct outcome_block *kept;        /* to be freed when the image is closed */
    uint64_t image_end; /* no row from here on is in the open image; 0: there is none */
};

static struct row *row_of(const struct outcomes *o, uint64_t number)
{
    return &o->blocks[number / ROWS % BLOCKS]->rows[number % ROWS];
}

/* ---- freeing ----------------------------------------------------------------------------- */

static void push(struct outcome_block **list, struct outcome_block *block)
{
    block->next = *list;
    *list = block;
}

static void free_block(struct rcu_head *head)
{
    rcu_callback_begin();
    free(rcu_container(head, struct outcome_block, rcu));
}

static void free_later(struct outcome_block **list)
{
    while (*list != NULL) {
        struct outcome_block *block = *list;
        *list = block->next;
        rcu_free_later(&block->rcu, free_block);
    }
}

/* Takes a block away. */
static void leave(struct outcomes *o, struct outcome_block **block)
{
    if (*block != NULL)
        push((*block)->first < o->image_end ? &o->kept : &o->unpublished, *block);
    *block = NULL;
}

struct outcomes *outcomes_new(void)
{
    return calloc(1, sizeof(struct outcomes));
}

void outcomes_free(struct outcomes *o)
{
    if (o == NULL)
        return;
    assert(o->image_end == 0);
    for (unsigned i = 0; i < BLOCKS; i++)
        leave(o, &o->blocks[i]);
    while (o->unpublished != NULL) {
        struct outcome_block *block = o->unpublished;
        o->unpublished = block->next;
        free(block);
    }
    free(o->buckets);
    free(o);
}

void outcomes_published(struct outcomes *o)
{
    free_later(&o->unpublished);
}

void outcomes_freeze(struct outcomes *o)
{
    assert(o->image_end == 0 && o->unpublished == NULL);
    o->image_end = o->end;
}

void outcomes_thaw(struct outcomes *o)
{
    o->image_end = 0;
    free_later(&o->kept);
}

void outcomes_replace(struct outcomes *o, struct outcomes *by)
{
    for (unsigned i = 0; i < BLOCKS; i++)
        leave(o, &o->blocks[i]);
    o->image_end = 0; /* it has nothing of what comes now */
    free(o->buckets);
    memcpy(o->blocks, by->blocks, sizeof o->blocks);
    memcpy(o->digest, by->digest, sizeof o->digest);
    o->begin = by->begin;
    o->end = by->end;
    o->buckets = by->buckets;
    free(by);
}

/* ---- looking up -------------------------------------------------------------------------- */

/* Of a token that is not known. */
static enum outcomes_say unknown(const struct cmd_token *token, uint64_t forgotten, uint64_t index)
{
    return token->index < forgotten || token->index >= index ? OUTCOME_TOO_OLD : OUTCOME_NEW;
}

static bool is_of(const struct row *row, const struct cmd_token *token)
{
    return row->token.index == token->index &&
           memcmp(row->token.random, token->random, sizeof token->random) == 0;
}

/* The blocks of the view with rows that are newer than the token, newest first; returns how many. */
static unsigned newer_blocks(const struct outcomes_view *v, uint64_t index,
                             const struct outcome_block *blocks[BLOCKS])
{
    unsigned n = 0;
    const struct outcome_block *b = v->newest;
    while (b != NULL) {
        blocks[n++] = b;
        bool last = b->first <= v->begin || b->rows[0].index <= index;
        b = last ? NULL : b->older;
    }
    return n;
}

enum outcomes_say outcomes_find(const struct outcomes_view *v, const struct cmd_token *token,
                                uint64_t index, struct kept *first)
{
    const struct outcome_block *blocks[BLOCKS];
    for (unsigned n = newer_blocks(v, token->index, blocks); n > 0; n--) {
        const struct outcome_block *b = blocks[n - 1];
        uint64_t end = min_u64(v->end, b->first + ROWS);
        for (uint64_t i = max_u64(v->begin, b->first); i < end; i++) {
            const struct row *row = &b->rows[i % ROWS];
            if (!is_of(row, token))
                continue;
            *first = (struct kept){row->index, row->outcome};
            return OUTCOME_KNOWN;
        }
    }
    return unknown(token, v->forgotten, index);
}

/* Whoever chooses tokens must not be able to choose buckets, or a look-up would take long. So the hash has a
 * key that is another one in each process. */
static uint64_t *bucket_of(const struct outcomes *o, const struct cmd_token *token)
{
    const uint64_t key[] = {(uintptr_t)o->buckets, 0};
    uint64_t hash[2];
    siphash128(hash, token->random, sizeof token->random, key);
    return &o->buckets[hash[0] % BUCKETS];
}

enum outcomes_say outcomes_look(const struct outcomes *o, const struct cmd_token *token,
                                uint64_t index, struct kept *first)
{
    uint64_t at = o->end > 0 ? *bucket_of(o, token) : 0;
    for (; at > o->begin; at = row_of(o, at - 1)->before) {
        const struct row *row = row_of(o, at - 1);
        if (!is_of(row, token))
            continue;
        *first = (struct kept){row->index, row->outcome};
        return OUTCOME_KNOWN;
    }
    return unknown(token, outcomes_view(o).forgotten, index);
}

/* ---- keeping ----------------------------------------------------------------------------- */

/* Counts a row in (`times` is 1) or out (-1). */
static void count(struct outcomes *o, const struct row *row, int times)
{
    const uint64_t key[] = {row->token.index, row->index};
    uint8_t bytes[CMD_TOKEN_BYTES + 1];
    uint64_t hash[2];
    memcpy(bytes, row->token.random, CMD_TOKEN_BYTES);
    bytes[CMD_TOKEN_BYTES] = row->outcome;
    siphash128(hash, bytes, sizeof bytes, key);
    o->digest[0] += (uint64_t)times * hash[0];
    o->digest[1] += (uint64_t)times * hash[1];
}

/* Makes room for row `end`. */
static bool make_room(struct outcomes *o)
{
    if (o->buckets == NULL && (o->buckets = calloc(BUCKETS, sizeof *o->buckets)) == NULL)
        return false;
    if (o->end % ROWS != 0)
        return true;
    struct outcome_block *block = malloc(sizeof *block);
    if (block == NULL)
        return false;
    block->first = o->end;
    block->older = o->end > 0 ? o->blocks[(o->end - 1) / ROWS % BLOCKS] : NULL;
    o->blocks[o->end / ROWS % BLOCKS] = block;
    return true;
}

static void forget_oldest(struct outcomes *o)
{
    count(o, row_of(o, o->begin), -1);
    struct outcome_block **block = &o->blocks[o->begin / ROWS % BLOCKS];
    if (++o->begin % ROWS == 0)
        leave(o, block);
}

bool outcomes_keep(struct outcomes *o, const struct cmd_token *token, struct kept kept)
{
    if (!make_room(o))
        return false;
    if (o->end - o->begin == OUTCOMES_MAX)
        forget_oldest(o);
    struct row *row = row_of(o, o->end);
    uint64_t *bucket = bucket_of(o, token);
    *row = (struct row){
        .token = *token, .index = kept.index, .before = *bucket, .outcome = kept.outcome};
    *bucket = ++o->end;
    count(o, row, 1);
    return true;
}

struct outcomes_view outcomes_view(const struct outcomes *o)
{
    struct outcomes_view v = {.begin = o->begin, .end = o->end};
    if (o->end == 0)
        return v;
    v.newest = o->blocks[(o->end - 1) / ROWS % BLOCKS];
    if (o->end - o->begin == OUTCOMES_MAX)
        v.forgotten = row_of(o, o->begin)->index - 1;
    return v;
}

const uint64_t *outcomes_digest(const struct outcomes *o)
{
    return o->digest;
}

/* ---- as bytes ---------------------------------------------------------------------------- */

/* The block of this row. */
static const struct outcome_block *block_of(const struct outcomes_view *v, uint64_t number)
{
    const struct outcome_block *b = v->newest;
    while (b->first > number)
        b = b->older;
    return b;
}

size_t outcomes_encode(const struct outcomes_view *v, uint64_t from, uint8_t *buf, size_t len)
{
    const struct outcome_block *b = NULL;
    size_t n = 0;
    for (; from < v->end && (n + 1) * OUTCOME_BYTES <= len; n++, from++) {
        if (n == 0 || from % ROWS == 0)
            b = block_of(v, from);
        const struct row *row = &b->rows[from % ROWS];
        uint8_t *p = buf + n * OUTCOME_BYTES;
        memcpy(p, row->token.random, CMD_TOKEN_BYTES);
        put_u64(p + CMD_TOKEN_BYTES, row->token.index);
        put_u64(p + CMD_TOKEN_BYTES + 8, row->index);
        p[CMD_TOKEN_BYTES + 16] = row->outcome;
    }
    return n;
}

bool outcomes_decode(struct outcomes *o, const uint8_t *row, bool *bad)
{
    struct cmd_token token = {.index = get_u64(row + CMD_TOKEN_BYTES)};
    struct kept kept = {get_u64(row + CMD_TOKEN_BYTES + 8), row[CMD_TOKEN_BYTES + 16]}, first;
    memcpy(token.random, row, CMD_TOKEN_BYTES);
    uint64_t newest = o->end > 0 ? row_of(o, o->end - 1)->index : 0;
    *bad = o->end == OUTCOMES_MAX || kept.index <= newest || kept.outcome == 0 ||
           outcomes_look(o, &token, kept.index, &first) != OUTCOME_NEW;
    return !*bad && outcomes_keep(o, &token, kept);
}
