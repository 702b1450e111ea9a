/* tree.c: see tree.h.
 *
 * Knuth's B-tree. The writer goes from the root to a leaf once: on its way to add a key it splits full
 * nodes, on its way to take one out it fills up those that have no key to spare. So nothing has to be
 * mended on the way back, and a node is changed only when its parent is already the batch's own.
 */
#include "raftd/state/tree.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int tree_compare(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    size_t both = a_len < b_len ? a_len : b_len;
    int c = both > 0 ? memcmp(a, b, both) : 0;
    if (c != 0)
        return c;
    return a_len < b_len ? -1 : a_len > b_len;
}

static uint32_t head_of(const uint8_t *key, size_t len, size_t skip)
{
    uint32_t head = 0;
    for (size_t i = skip; i < skip + sizeof head; i++)
        head = head << 8 | (i < len ? key[i] : 0);
    return head;
}

static size_t shared(const struct kv_object *a, const struct kv_object *b)
{
    size_t most = a->key_len < b->key_len ? a->key_len : b->key_len, i = 0;
    while (i < most && kv_key(a)[i] == kv_key(b)[i])
        i++;
    return i;
}

/* Finds out what the keys share, and makes all heads. */
static void fit(struct tree_node *t)
{
    t->skip = (uint16_t)shared(t->key[0], t->key[t->n - 1]);
    for (unsigned i = 0; i < t->n; i++)
        t->head[i] = head_of(kv_key(t->key[i]), t->key[i]->key_len, t->skip);
}

/* Puts o in place i. */
static void place(struct tree_node *t, unsigned i, struct kv_object *o)
{
    t->key[i] = o;
    if (t->n == 1 || shared(o, t->key[i > 0 ? i - 1 : 1]) < t->skip)
        fit(t);
    else
        t->head[i] = head_of(kv_key(o), o->key_len, t->skip);
}

/* ---- memory ---- */

/* Whether the open image needs it. If so, it is counted. */
static bool keep_for_image(struct tree_memory *m, const struct tree_block *block, size_t size)
{
    bool needed = block->batch <= m->frozen;
    m->kept_bytes += needed ? size : 0;
    return needed;
}

static void put_away(struct tree_memory *m, struct tree_block *block, bool keep)
{
    if (block->batch == m->batch) {
        free(block);
        return;
    }
    struct tree_block **list = keep ? &m->kept : &m->garbage;
    m->retired++;
    block->next = *list;
    *list = block;
}

void tree_retire_block(struct tree_memory *m, struct tree_block *block)
{
    put_away(m, block, false);
}

void tree_retire(struct tree_memory *m, struct kv_object *o)
{
    bool keep = keep_for_image(m, &o->block, sizeof *o + o->lead_len + o->key_len + o->value_len);
    if (o->told == TREE_UNTOLD)
        put_away(m, &o->block, keep);
    else
        o->told = keep ? TREE_TOLD_KEPT : TREE_TOLD_GONE;
}

void tree_untell(struct tree_memory *m, struct kv_object *o)
{
    uint8_t told = o->told;
    o->told = TREE_UNTOLD;
    if (told != TREE_TOLD) /* an image that was closed meanwhile needs it no more */
        put_away(m, &o->block, told == TREE_TOLD_KEPT && o->block.batch <= m->frozen);
}

static size_t node_size(bool leaf)
{
    return sizeof(struct tree_node) + (leaf ? 0 : (TREE_KEYS_MAX + 1) * sizeof(struct tree_node *));
}

static void retire_node(struct tree_memory *m, struct tree_node *t)
{
    put_away(m, &t->block, keep_for_image(m, &t->block, node_size(t->leaf)));
}

size_t tree_free(struct tree_block **list, size_t n)
{
    for (; *list != NULL && n > 0; n--) {
        struct tree_block *first = *list;
        *list = first->next;
        free(first);
    }
    return n;
}

static struct tree_node *node_new(const struct tree_memory *m, bool leaf)
{
    struct tree_node *t = malloc(node_size(leaf));
    if (t == NULL)
        return NULL;
    t->block.batch = m->batch;
    t->n = t->skip = 0;
    t->leaf = leaf;
    return t;
}

/* Copies n keys, their heads and the children around them, to where nothing is. */
static void copy(struct tree_node *to, unsigned to_at, const struct tree_node *from, unsigned at,
                 unsigned n)
{
    memcpy(to->head + to_at, from->head + at, n * sizeof to->head[0]);
    memcpy(to->key + to_at, from->key + at, n * sizeof to->key[0]);
    if (!from->leaf)
        memcpy(to->child + to_at, from->child + at, (n + 1) * sizeof to->child[0]);
}

/* Makes the node that *at names the batch's own. NULL without memory. */
static struct tree_node *own(struct tree_memory *m, struct tree_node **at)
{
    struct tree_node *t = *at;
    if (t->block.batch == m->batch)
        return t;
    struct tree_node *mine = node_new(m, t->leaf);
    if (mine == NULL)
        return NULL;
    copy(mine, 0, t, 0, t->n);
    mine->n = t->n;
    mine->skip = t->skip;
    retire_node(m, t);
    *at = mine;
    return mine;
}

/* ---- looking ---- */

/* Finds the place of the first key that is not smaller than this one. True: they are equal. */
static bool search(const struct tree_node *t, const uint8_t *key, size_t len, unsigned *at)
{
    uint32_t head = head_of(key, len, t->skip);
    unsigned low = 0, high = t->n;
    int c = -1;
    while (low < high && c != 0) {
        unsigned middle = (low + high) / 2;
        const struct kv_object *o = t->key[middle];
        c = t->head[middle] < head ? -1 : t->head[middle] > head;
        if (c == 0)
            c = tree_compare(kv_key(o), o->key_len, key, len);
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *at = high;
    if (c == 0 || t->n == 0)
        return c == 0;
    /* Only heads were compared. That is enough if the key begins with what all keys of the node share. */
    const struct kv_object *o = t->key[high < t->n ? high : high - 1];
    c = tree_compare(kv_key(o), t->skip, key, len < t->skip ? len : t->skip);
    if (c != 0)
        *at = c > 0 ? 0 : t->n;
    return false;
}

struct kv_object *tree_find(const struct tree_node *root, const uint8_t *key, size_t len)
{
    unsigned i;
    for (const struct tree_node *t = root; t != NULL; t = t->leaf ? NULL : t->child[i])
        if (search(t, key, len, &i))
            return t->key[i];
    return NULL;
}

static void push(struct tree_cursor *c, const struct tree_node *t, unsigned at)
{
    assert(c->height < TREE_HEIGHT_MAX);
    c->path[c->height].node = t;
    c->path[c->height++].at = at;
}

void tree_seek(const struct tree_node *root, const uint8_t *key, size_t len, struct tree_cursor *c)
{
    unsigned i;
    bool found = false;
    c->height = 0;
    for (const struct tree_node *t = root; t != NULL && !found; t = t->leaf ? NULL : t->child[i]) {
        found = search(t, key, len, &i);
        push(c, t, i);
    }
}

const struct kv_object *tree_next(struct tree_cursor *c)
{
    while (c->height > 0 && c->path[c->height - 1].at == c->path[c->height - 1].node->n)
        c->height--;
    if (c->height == 0)
        return NULL;
    const struct tree_node *t = c->path[c->height - 1].node;
    const struct kv_object *o = t->key[c->path[c->height - 1].at++];
    unsigned at = c->path[c->height - 1].at;
    for (; !t->leaf; at = 0) {
        t = t->child[at];
        push(c, t, 0);
    }
    return o;
}

/* ---- adding ---- */

/* Makes room for key i of t, and for a child in front of it. */
static void open_gap(struct tree_node *t, unsigned i)
{
    memmove(t->head + i + 1, t->head + i, (t->n - i) * sizeof t->head[0]);
    memmove(t->key + i + 1, t->key + i, (t->n - i) * sizeof t->key[0]);
    if (!t->leaf)
        memmove(t->child + i + 1, t->child + i, (t->n - i + 1) * sizeof t->child[0]);
    t->n++;
}

/* Splits child i of t, which is full; both are the batch's own, and t has room for the key between the
 * halves. False: no memory. */
static bool split(struct tree_memory *m, struct tree_node *t, unsigned i)
{
    struct tree_node *left = t->child[i], *right = node_new(m, left->leaf);
    if (right == NULL)
        return false;
    copy(right, 0, left, TREE_KEYS_MIN + 1, TREE_KEYS_MIN);
    left->n = right->n = TREE_KEYS_MIN;
    fit(left);
    fit(right);
    open_gap(t, i);
    place(t, i, left->key[TREE_KEYS_MIN]);
    t->child[i] = left;
    t->child[i + 1] = right;
    return true;
}

/* Adds a root above the present one, which is full and the batch's own, and splits that. */
static struct tree_node *grow(struct tree_memory *m, struct tree_node **root)
{
    struct tree_node *above = node_new(m, false);
    if (above == NULL)
        return NULL;
    above->child[0] = *root;
    if (!split(m, above, 0)) {
        free(above);
        return NULL;
    }
    *root = above;
    return above;
}

bool tree_put(struct tree_memory *m, struct tree_node **root, struct kv_object *o,
              struct kv_object **old)
{
    unsigned i;
    *old = NULL;
    if (*root == NULL && (*root = node_new(m, true)) == NULL)
        return false;
    struct tree_node *t = own(m, root);
    if (t != NULL && t->n == TREE_KEYS_MAX)
        t = grow(m, root);
    while (t != NULL) {
        if (search(t, kv_key(o), o->key_len, &i)) {
            *old = t->key[i];
            t->key[i] = o;
            return true;
        }
        if (t->leaf) {
            open_gap(t, i);
            place(t, i, o);
            return true;
        }
        struct tree_node *child = own(m, &t->child[i]);
        if (child == NULL || child->n < TREE_KEYS_MAX)
            t = child;
        else if (!split(m, t, i))
            t = NULL; /* After a split the key may belong to either half: t is searched again. */
    }
    return false;
}

/* ---- taking out ---- */

/* Takes key i out of t, and the child behind it. */
static void close_gap(struct tree_node *t, unsigned i)
{
    memmove(t->head + i, t->head + i + 1, (t->n - i - 1) * sizeof t->head[0]);
    memmove(t->key + i, t->key + i + 1, (t->n - i - 1) * sizeof t->key[0]);
    if (!t->leaf)
        memmove(t->child + i + 1, t->child + i + 2, (t->n - i - 1) * sizeof t->child[0]);
    t->n--;
}

/* The key in front of child i of t goes down into it, and the last key of the child before goes up there. */
static void take_from_left(struct tree_node *t, unsigned i)
{
    struct tree_node *to = t->child[i], *from = t->child[i - 1];
    open_gap(to, 0);
    place(to, 0, t->key[i - 1]);
    if (!to->leaf)
        to->child[0] = from->child[from->n];
    place(t, i - 1, from->key[--from->n]);
}

/* The key behind child i of t goes down into it, and the first key of the next child goes up there. */
static void take_from_right(struct tree_node *t, unsigned i)
{
    struct tree_node *to = t->child[i], *from = t->child[i + 1];
    to->n++;
    place(to, to->n - 1U, t->key[i]);
    place(t, i, from->key[0]);
    if (!to->leaf) {
        to->child[to->n] = from->child[0];
        from->child[0] = from->child[1];
    }
    close_gap(from, 0);
}

/* Child i of t gets the key behind it and all that the next child has. */
static void merge(struct tree_memory *m, struct tree_node *t, unsigned i)
{
    struct tree_node *to = t->child[i], *from = t->child[i + 1];
    to->key[to->n] = t->key[i];
    copy(to, to->n + 1, from, 0, from->n);
    to->n = (uint16_t)(to->n + 1 + from->n);
    fit(to);
    close_gap(t, i);
    retire_node(m, from);
}

/* Makes child i of t, which is the batch's own, its own, too, and sees to it that it has a key to spare.
 * Keys of t may have changed places then. False: no memory. */
static bool fill_up(struct tree_memory *m, struct tree_node *t, unsigned i)
{
    struct tree_node *child = own(m, &t->child[i]);
    if (child == NULL || child->n > TREE_KEYS_MIN)
        return child != NULL;
    if (i > 0 && t->child[i - 1]->n > TREE_KEYS_MIN) {
        if (own(m, &t->child[i - 1]) == NULL)
            return false;
        take_from_left(t, i);
    } else if (i < t->n && t->child[i + 1]->n > TREE_KEYS_MIN) {
        if (own(m, &t->child[i + 1]) == NULL)
            return false;
        take_from_right(t, i);
    } else if (i < t->n) {
        merge(m, t, i);
    } else {
        if (own(m, &t->child[i - 1]) == NULL)
            return false;
        merge(m, t, i - 1);
    }
    return true;
}

/* Takes the object of that key (NULL: the last one) out of the subtree t, which is the batch's own and has
 * a key to spare or is the root. NULL: no memory. */
static struct kv_object *take(struct tree_memory *m, struct tree_node *t, const uint8_t *key,
                              size_t len)
{
    for (;;) {
        unsigned i = t->n;
        bool found = key != NULL && search(t, key, len, &i);
        if (t->leaf) {
            assert(found || key == NULL);
            i -= !found;
            struct kv_object *o = t->key[i];
            close_gap(t, i);
            return o;
        }
        struct tree_node *child = t->child[i];
        if (child->block.batch != m->batch || child->n == TREE_KEYS_MIN) {
            if (!fill_up(m, t, i))
                return NULL;
            continue;
        }
        if (found) { /* the last one before it takes its place */
            struct kv_object *o = t->key[i], *before = take(m, child, NULL, 0);
            if (before == NULL)
                return NULL;
            place(t, i, before);
            return o;
        }
        t = child;
    }
}

bool tree_delete(struct tree_memory *m, struct tree_node **root, const uint8_t *key, size_t len)
{
    struct tree_node *t = own(m, root);
    if (t == NULL)
        return false;
    struct kv_object *o = take(m, t, key, len);
    if (t->n == 0) {
        *root = t->leaf ? NULL : t->child[0];
        retire_node(m, t);
    }
    if (o != NULL)
        tree_retire(m, o);
    return o != NULL;
}

static void clear(struct tree_memory *m, struct tree_node *t)
{
    for (unsigned i = 0; i < t->n; i++)
        tree_retire(m, t->key[i]);
    for (unsigned i = 0; !t->leaf && i <= t->n; i++)
        clear(m, t->child[i]);
    retire_node(m, t);
}

void tree_clear(struct tree_memory *m, struct tree_node **root)
{
    if (*root != NULL)
        clear(m, *root);
    *root = NULL;
}

size_t tree_free_maps(struct tree_node **roots, size_t n)
{
    while (*roots != NULL && n > 0) {
        struct tree_node *t = *roots;
        *roots = (struct tree_node *)(void *)t->block.next;
        for (unsigned i = 0; !t->leaf && i <= t->n; i++) {
            t->child[i]->block.next = *roots == NULL ? NULL : &(*roots)->block;
            *roots = t->child[i];
        }
        for (unsigned i = 0; i < t->n; i++)
            free(t->key[i]);
        n -= n > t->n ? t->n + 1U : n;
        free(t);
    }
    return n;
}
