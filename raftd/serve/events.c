/* events.c: see events.h. */
#include "raftd/serve/events.h"

/* Begins with how things are. */
static void begin(struct events_reader *r, const struct happened *h)
{
    r->at = r->n = 0;
    if (r->since != 0) {
        bool earlier = r->since < h->start;
        r->lines[r->n++] = (struct event){
            .boot_us = h->state.now_us,
            .term = h->state.term,
            .role = raft_role_name(h->state.role),
            .why = earlier ? "" : "these events are not remembered",
            .leader = h->state.leader,
            .kind = earlier ? EVENT_RESTARTED : EVENT_MISSED,
        };
    }
    r->n += happened_lines(&h->state, r->lines + r->n);
    for (unsigned i = 0; i < r->n; i++)
        r->lines[i].seq = r->since;
    r->lines[r->n - 1].seq = h->end;
}

bool events_look(struct events_reader *r, const struct happened *h, struct event *e)
{
    if (r->since == EVENTS_OLDEST)
        r->since = h->end - h->start > HAPPENED_KEPT ? h->end - HAPPENED_KEPT : h->start;
    if (r->at == r->n && !happened_knows(h, r->since))
        begin(r, h);
    if (r->at < r->n)
        *e = r->lines[r->at];
    else if (r->since < h->end)
        *e = *happened_event(h, r->since + 1);
    else
        return false;
    return true;
}

void events_say(const void *what, struct resp_out *out)
{
    const struct event *e = what;
    resp_push(out, 10);
    resp_text(out, "event");
    resp_int(out, (int64_t)e->seq);
    resp_int(out, (int64_t)e->boot_us);
    resp_int(out, (int64_t)e->term);
    resp_text(out, event_kind_name(e->kind));
    resp_text(out, e->role);
    resp_int(out, e->leader);
    resp_int(out, e->node);
    resp_int(out, e->state);
    resp_text(out, e->why);
}

void events_pass(struct events_reader *r, const struct event *e)
{
    if (r->at < r->n)
        r->at++;
    if (r->at == r->n)
        r->since = e->seq;
}
