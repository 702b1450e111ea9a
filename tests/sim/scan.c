/* scan.c: programs that ask their nodes for all keys by SCAN, page by page, while keys are put, deleted and
 * expire. A key that is there through all of a scan must be told, none may be told twice, and each one that
 * is told must be there in the view that the page is of.
 *
 * One of them reads what its node has (READONLY). The others ask as clients do by default: a page waits until
 * the node knows that it has all that was committed anywhere when it was asked for, and shows that.
 *
 * Between two pages passes some time. Now and then an answer is lost, and the page is asked for again; or the
 * program goes on at another node, or at its own one after a restart. There nobody may know its cursor, and
 * it begins again. No chance of the run is drawn for any of it, so all else is as it is without it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/rcu.h"
#include "raftd/serve/commands.h"
#include "raftd/serve/cursors.h"
#include "tests/sim/impl.h"

enum {
    SCANNERS = 3,        /* in the whole cluster */
    PAUSE_MAX_MS = 200,  /* between two pages */
    WAIT_US = 1000000,   /* for a node that does not serve */
    COUNT_MAX = 4,       /* small: a scan has several pages */
    LOST = 8,            /* one answer in so many is lost, */
    LEAVES = 16,         /* after one in so many the program goes to another node, */
    GIVES_UP = 64,       /* and one scan ends there */
    ANSWER_BYTES = 4096, /* of the longest page, and more */
};

/* What is asked for, and the same in words of this file: keys that begin so, odd ones alone. */
static const struct scan_kind {
    const char *match, *begin;
    bool odd;
} kinds[] = {{"*", "", false}, {"u*", "u", false}, {"h*", "h", false}, {"*[13579]", "", true}};

struct scanner {
    uint32_t random;
    unsigned node; /* that it asks next */
    bool local;    /* READONLY */
    uint32_t op;   /* by which it has asked for a page that it waits for; NO_OP: for none */
    uint64_t acts_at, gives_up_at;
    const struct scan_kind *kind;
    uint64_t cursor;      /* 0: it begins */
    unsigned from;        /* who gave it the cursor, and ... */
    uint64_t generation;  /* ... in which life */
    uint64_t first, last; /* indexes of the views of its first and last page */
    uint32_t scan, *told; /* in which of its scans a key was told last, for n_told keys */
    uint32_t n_told;
};

struct scans {
    struct scanner scanners[SCANNERS];
    struct {
        struct cursors *cursors;
        uint64_t generation, newest; /* of the node; the newest cursor that it gave */
    } nodes[NODES];
};

static uint32_t roll(struct scanner *p, uint32_t n)
{
    p->random = p->random * 1664525 + 1013904223;
    return (p->random >> 16) % n;
}

static void another_scan(struct scanner *p)
{
    p->cursor = 0;
    p->scan++;
    p->kind = &kinds[roll(p, sizeof kinds / sizeof *kinds)];
}

static struct scans *scans_of(struct sim *s)
{
    if (s->scans != NULL)
        return s->scans;
    s->scans = sim_must(calloc(1, sizeof *s->scans));
    for (unsigned i = 0; i < SCANNERS; i++) {
        struct scanner *p = &s->scans->scanners[i];
        p->random = (uint32_t)s->o.seed * SCANNERS + i;
        p->node = roll(p, s->o.nodes);
        p->local = i == 0;
        p->op = NO_OP;
        p->gives_up_at = s->now + WAIT_US;
        another_scan(p);
    }
    return s->scans;
}

void sim_scans_free(struct sim *s)
{
    for (unsigned i = 0; s->scans != NULL && i < NODES; i++)
        cursors_free(s->scans->nodes[i].cursors);
    for (unsigned i = 0; s->scans != NULL && i < SCANNERS; i++)
        free(s->scans->scanners[i].told);
    free(s->scans);
}

/* Those of the process that the node is now. */
static struct cursors *cursors_of(struct scans *all, const struct sim *s, const struct sim_node *m)
{
    if (all->nodes[m->at].generation != m->generation || all->nodes[m->at].cursors == NULL) {
        uint64_t z = (s->o.seed + m->at + m->generation * NODES) * 0x9e3779b97f4a7c15u;
        cursors_free(all->nodes[m->at].cursors);
        all->nodes[m->at].cursors = sim_must(cursors_new(z ^ z >> 29));
        all->nodes[m->at].generation = m->generation;
        all->nodes[m->at].newest = 0;
    }
    return all->nodes[m->at].cursors;
}

/* ---- what is right ---- */

static bool wants(const struct sim *s, const struct scan_kind *kind, uint32_t key)
{
    uint8_t name[KEY_BYTES];
    size_t len = sim_key_name(s, key, name);
    return sim_key_begins(s, key, kind->begin) && (!kind->odd || name[len - 1] % 2 == 1);
}

/* The key of that name; NO_OP: nobody has made it. */
static uint32_t key_of(const struct sim *s, const struct resp_arg *arg)
{
    uint8_t name[KEY_BYTES];
    char text[KEY_BYTES] = {0};
    if (arg->len < 2 || arg->len >= KEY_BYTES)
        return NO_OP;
    memcpy(text, arg->p, arg->len);
    uint32_t key = (uint32_t)strtoul(text + 1, NULL, 10) + (text[0] == 'h' ? 0 : s->o.hot_keys);
    bool right = key < s->n_keys && sim_key_name(s, key, name) == arg->len &&
                 memcmp(name, arg->p, arg->len) == 0;
    return right ? key : NO_OP;
}

/* The key was there as of the first index, and ever since up to the last one. */
static bool lived(const struct key *k, uint64_t first, uint64_t last)
{
    unsigned n = k->n;
    while (n > 0 && k->v[n - 1].index > last)
        n--;
    for (; n > 0 && k->v[n - 1].index > first; n--)
        if (k->v[n - 1].op == NO_OP)
            return false;
    return n > 0 && k->v[n - 1].op != NO_OP;
}

static void check_key(struct sim *s, struct sim_node *m, struct scanner *p, uint64_t index,
                      const struct resp_arg *arg, bool lost)
{
    uint32_t key = key_of(s, arg);
    if (key == NO_OP || sim_version_at(&s->keys[key], index) == NULL || !wants(s, p->kind, key))
        sim_broken(s, "scan-invented",
                   "node %u tells \"%.*s\" to a scan for %s, as of %" PRIu64 " it is not there",
                   m->at + 1, (int)arg->len, (const char *)arg->p, p->kind->match, index);
    if (key < p->n_told && p->told[key] == p->scan)
        sim_broken(s, "scan-doubled", "node %u tells key %u to a scan for the second time",
                   m->at + 1, key);
    if (lost)
        return;
    if (key >= p->n_told) {
        p->told = sim_must(realloc(p->told, s->n_keys * sizeof *p->told));
        memset(p->told + p->n_told, 0, (s->n_keys - p->n_told) * sizeof *p->told);
        p->n_told = s->n_keys;
    }
    p->told[key] = p->scan;
}

static void check_whole(struct sim *s, const struct sim_node *m, const struct scanner *p)
{
    for (uint32_t k = 0; k < s->n_keys; k++)
        if (wants(s, p->kind, k) && lived(&s->keys[k], p->first, p->last) &&
            (k >= p->n_told || p->told[k] != p->scan))
            sim_broken(s, "scan-missed",
                       "node %u does not tell key %u to a scan from %" PRIu64 " to %" PRIu64,
                       m->at + 1, k, p->first, p->last);
    s->t.scans++;
    s->t.scans_moved += p->first != p->last;
}

/* ---- a page ---- */

/* The node knows all cursors that it gave, but for those of which so many newer ones were given. */
static void check_refused(struct sim *s, struct sim_node *m, struct scanner *p, bool refused)
{
    uint64_t newest = s->scans->nodes[m->at].newest;
    bool own = p->cursor == 0 || (p->from == m->at && p->generation == m->generation &&
                                  newest < p->cursor + CURSORS_MAX);
    if (own == refused)
        sim_broken(s, "scan-cursor", "node %u %s cursor %" PRIu64 ", which it did%s give",
                   m->at + 1, refused ? "refuses" : "takes", p->cursor, own ? "" : " not");
}

/* Asks for a page; `out` is the answer. */
static void ask(struct sim *s, struct sim_node *m, struct scanner *p, const struct kv_view *view,
                struct resp_out *out)
{
    struct resp_in in = {.arg_max_bytes = ANSWER_BYTES, .args_max_bytes = ANSWER_BYTES};
    struct resp_arg argv[RESP_ARGS_MAX];
    char line[96], why[COMMAND_WHY_BYTES];
    int len = snprintf(line, sizeof line, "SCAN %" PRIu64 " MATCH %s COUNT %u\n", p->cursor,
                       p->kind->match, 1 + roll(p, COUNT_MAX));
    if (resp_take(&in, (const uint8_t *)line, (size_t)len, argv) != RESP_CALL)
        sim_broken(s, "scan-call", "this is no command: %s", line);
    struct call call = {command_find(&argv[0]), in.argc, argv};
    struct sight sight = {.view = view,
                          .cluster_ms = view->cluster_ms,
                          .cursors = cursors_of(s->scans, s, m),
                          .whole = true};
    const char *error = command_check(&call, why);
    if (error != NULL)
        sim_broken(s, "scan-call", "node %u refuses a good scan: %s", m->at + 1, error);
    call.command->show(&sight, &call, out);
}

/* An answer is an array of the next cursor and the array of keys. */
static void take(struct sim *s, struct sim_node *m, struct scanner *p, uint64_t index,
                 struct resp_out *out)
{
    struct resp_in in = {.arg_max_bytes = ANSWER_BYTES, .args_max_bytes = ANSWER_BYTES};
    struct resp_arg argv[RESP_ARGS_MAX];
    int64_t next = -1;
    bool lost = roll(p, LOST) == 0;
    out->buf[1] = '1'; /* so that each of both is a command */
    bool good = resp_take(&in, out->buf, out->len, argv) == RESP_CALL && in.argc == 1 &&
                resp_number(&argv[0], &next) && next >= 0;
    size_t used = in.used;
    if (!good || resp_take(&in, out->buf + used, out->len - used, argv) != RESP_CALL)
        sim_broken(s, "scan-answer", "node %u: no answer to a scan", m->at + 1);
    if (p->cursor == 0)
        p->first = index;
    if (p->cursor != 0 && index < p->last)
        sim_broken(s, "scan-back", "node %u shows %" PRIu64 " to a scan that saw %" PRIu64,
                   m->at + 1, index, p->last);
    p->last = index;
    for (unsigned i = 0; i < in.argc; i++)
        check_key(s, m, p, index, &argv[i], lost);
    if ((uint64_t)next > s->scans->nodes[m->at].newest)
        s->scans->nodes[m->at].newest = (uint64_t)next;
    sim_mix(s, (uint64_t)next ^ (uint64_t)in.argc << 56);
    if (lost)
        return;
    p->cursor = (uint64_t)next;
    p->from = m->at;
    p->generation = m->generation;
    if (next == 0) {
        check_whole(s, m, p);
        another_scan(p);
    } else if (roll(p, GIVES_UP) == 0) {
        another_scan(p);
    }
}

/* Of all that was committed up to `least`, or more. */
static void page(struct sim *s, struct sim_node *m, struct scanner *p, uint64_t least)
{
    struct resp_out out = {.most = ANSWER_BYTES, .version = 2};
    rcu_enter();
    const struct kv_view *view = kv_view(m->kv);
    if (view->index < least)
        sim_broken(s, "scan-stale",
                   "node %u shows %" PRIu64 " to a scan, %" PRIu64 " was committed", m->at + 1,
                   view->index, least);
    ask(s, m, p, view, &out);
    if (out.len == 0 || out.lost != 0)
        sim_broken(s, "scan-answer", "node %u: no answer to a scan", m->at + 1);
    bool refused = out.buf[0] == '-';
    check_refused(s, m, p, refused);
    if (!refused)
        take(s, m, p, view->index, &out);
    else
        another_scan(p);
    rcu_leave();
    s->t.pages++;
    s->t.unknown_cursors += refused;
    free(out.buf);
    if (roll(p, LEAVES) == 0)
        p->node = roll(p, s->o.nodes);
}

void sim_scan_page(struct sim *s, struct sim_node *m, uint32_t op)
{
    for (unsigned i = 0; !s->spoilt && i < SCANNERS; i++) {
        struct scanner *p = &s->scans->scanners[i];
        if (p->op != op) /* who has given up is told nothing */
            continue;
        page(s, m, p, s->ops[op].must_see);
        p->op = NO_OP;
        s->t.asked_pages++;
    }
}

/* A page that it has asked for may still come. */
static bool waits(const struct sim *s, const struct scanner *p)
{
    return p->op != NO_OP && s->ops[p->op].state < OP_DONE;
}

void sim_scan(struct sim *s, struct sim_node *m)
{
    struct scans *all = scans_of(s);
    for (unsigned i = 0; !s->spoilt && i < SCANNERS; i++) {
        struct scanner *p = &all->scanners[i];
        bool waiting = waits(s, p), late = s->now >= p->gives_up_at;
        bool local = p->local || s->closed || s->o.clients == 0; /* then all is to be quiet */
        bool serves = !waiting && p->node == m->at && (!local || node_local_reads(m->node));
        if (s->now < p->acts_at || (!serves && !late))
            continue;
        p->op = NO_OP;
        if (!serves)
            p->node = roll(p, s->o.nodes);
        else if (local)
            page(s, m, p, 0);
        else
            p->op = sim_ask(s, UINT32_MAX, m->at, OP_SCAN, 0, 0, 0);
        p->acts_at = s->now + UINT64_C(1000) * (1 + roll(p, PAUSE_MAX_MS));
        p->gives_up_at = p->acts_at + WAIT_US;
    }
}
