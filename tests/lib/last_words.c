#include "tests/lib/last_words.h"

#include <assert.h>

void last_words_take(struct last_words *l, const struct event *e)
{
    unsigned kept = 0;
    if (e->kind == EVENT_RESTARTED || e->kind == EVENT_MISSED) {
        l->n = 0;
        return;
    }
    for (unsigned i = 0; i < l->n; i++)
        if (!event_overtakes(e, &l->word[i]))
            l->word[kept++] = l->word[i];
    l->n = kept;
    assert(l->n < sizeof l->word / sizeof l->word[0]);
    l->word[l->n++] = *e;
}

static bool is_told(const struct last_words *l, const struct event *line)
{
    for (unsigned i = 0; i < l->n; i++)
        if (l->word[i].kind == line->kind && l->word[i].node == line->node)
            return line->kind > EVENT_LEADER_NONE || l->word[i].leader == line->leader ||
                   line->kind == EVENT_LEADER_LOST;
    return false;
}

/* Of a member that is none any more, the last word is that. */
static bool is_gone(const struct last_words *l, const struct happened_state *s)
{
    for (unsigned i = 0; i < l->n; i++)
        for (unsigned m = 0; l->word[i].kind == EVENT_MEMBER_REMOVED && m < s->n_members; m++)
            if (s->members[m].id == l->word[i].node)
                return false;
    return true;
}

const char *last_words_differ(const struct last_words *l, const struct happened_state *s)
{
    struct event lines[HAPPENED_LINES];
    unsigned n = happened_lines(s, lines);
    for (unsigned i = 0; i < n; i++)
        if (!is_told(l, &lines[i]))
            return event_kind_name(lines[i].kind);
    return is_gone(l, s) ? NULL : event_kind_name(EVENT_MEMBER_REMOVED);
}
