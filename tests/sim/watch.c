/* watch.c: programs that watch keys, a few on each box. They must be told every change that was committed,
 * once and in the order of the log, whatever happens to their node.
 *
 * Such a program has a little time in which it takes news, now and then none. When its node was down, it goes
 * on behind the last entry of which it was told all. When changes are forgotten, it looks at all keys, and
 * goes on from there; the node must have a reason. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/rcu.h"
#include "tests/sim/impl.h"

enum {
    WORK_MAX = 3,
    KEY_COST = 1024, /* more than a change costs beside its value */
};

static const char *const prefixes[WATCHERS] = {"", "h", "h1", "u"};

static bool wants(struct sim *s, unsigned watcher, const struct change_made *c)
{
    return sim_key_begins(s, c->key, prefixes[watcher]);
}

void sim_watch_made(struct sim *s, uint64_t index, uint32_t key, uint32_t op)
{
    if (s->n_made == s->cap_made) {
        s->cap_made = s->cap_made ? 2 * s->cap_made : 1024;
        s->made = sim_must(realloc(s->made, s->cap_made * sizeof *s->made));
    }
    s->made[s->n_made++] = (struct change_made){index, key, op};
}

/* Number of the first change of that entry or a later one. */
static size_t first_of(const struct sim *s, uint64_t index)
{
    size_t n = s->n_made;
    while (n > 0 && s->made[n - 1].index >= index)
        n--;
    return n;
}

/* Less is remembered than could be. */
static bool remembers_little(const struct sim *s, const struct sim_node *m,
                             const struct history_view *v)
{
    size_t had = s->n_made - first_of(s, m->history_from);
    size_t least = HISTORY_BYTES_MAX / (s->o.max_value_bytes + KEY_COST);
    return v->whole_from > m->history_from && had <= HISTORY_CHANGES && had <= least;
}

static void begin(struct sim *s, struct sim_node *m, unsigned i, const struct kv_view *view)
{
    struct watcher *w = &m->watchers[i];
    struct resp_arg prefix = {(const uint8_t *)prefixes[i], (uint32_t)strlen(prefixes[i])};
    if (w->from == 0)
        w->from = 1;
    if (!watch_begin(&w->watch, view, &prefix, w->from)) {
        s->t.compacted++;
        if (remembers_little(s, m, &view->history))
            sim_broken(s, "watch-forgotten", "node %u remembers changes from %" PRIu64 " on only",
                       m->at + 1, view->history.whole_from);
        w->from = view->index + 1; /* it has looked at all keys */
        bool begun = watch_begin(&w->watch, view, &prefix, w->from);
        assert(begun);
    }
    w->generation = m->generation;
    w->next = first_of(s, w->from);
}

static void check_told(struct sim *s, struct sim_node *m, unsigned i, const struct watch_news *news)
{
    struct watcher *w = &m->watchers[i];
    while (w->next < s->n_made && !wants(s, i, &s->made[w->next]))
        w->next++;
    if (w->next == s->n_made || !sim_is_change(s, &s->made[w->next], news->change))
        sim_broken(s, "watch",
                   "node %u tells of \"%s\" at %" PRIu64 " another change than was made", m->at + 1,
                   prefixes[i], news->change->object->modify_revision);
    size_t after = ++w->next;
    while (after < s->n_made && s->made[after].index == s->made[w->next - 1].index &&
           !wants(s, i, &s->made[after]))
        after++;
    bool more = after < s->n_made && s->made[after].index == s->made[w->next - 1].index;
    if (more != news->more)
        sim_broken(s, "watch-half", "node %u tells half of entry %" PRIu64, m->at + 1,
                   s->made[w->next - 1].index);
    w->from = s->made[w->next - 1].index + !more;
    s->t.told++;
}

static void turn(struct sim *s, struct sim_node *m, unsigned i, const struct kv_view *view)
{
    struct watcher *w = &m->watchers[i];
    struct watch_news news;
    enum watch_look found;
    w->random = w->random * 1664525 + 1013904223;
    int work = (int)(w->random >> 16) % (WORK_MAX + 1);
    while ((found = watch_look(&w->watch, view, &work, &news)) == WATCH_TELL) {
        check_told(s, m, i, &news);
        watch_pass(&w->watch, &news);
    }
    if (found == WATCH_MISSED)
        w->generation = 0;
    if (found != WATCH_DONE)
        return;
    for (; w->next < s->n_made && s->made[w->next].index <= view->index; w->next++)
        if (wants(s, i, &s->made[w->next]))
            sim_broken(s, "watch-gap", "node %u does not tell of \"%s\" at %" PRIu64, m->at + 1,
                       prefixes[i], s->made[w->next].index);
    w->from = w->watch.from;
}

void sim_watch(struct sim *s, struct sim_node *m)
{
    if (s->spoilt || !node_local_reads(m->node))
        return;
    rcu_enter();
    const struct kv_view *view = kv_view(m->kv);
    for (unsigned i = 0; i < WATCHERS; i++) {
        if (m->watchers[i].generation != m->generation)
            begin(s, m, i, view);
        turn(s, m, i, view);
    }
    rcu_leave();
}
