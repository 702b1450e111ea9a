/* watch.c: see watch.h. */
#include "raftd/serve/watch.h"

#include <string.h>

static uint64_t revision(const struct history_change *h)
{
    return h->object->modify_revision;
}

static void begin(struct watch *w, uint64_t from)
{
    *w = (struct watch){.from = from};
    channels_init(&w->channels);
}

bool watch_begin(struct watch *w, const struct kv_view *view, const struct resp_arg *prefix,
                 uint64_t from)
{
    begin(w, from != 0 ? from : view->index + 1);
    w->streams = true;
    w->prefix_len = (uint16_t)prefix->len;
    memcpy(w->prefix, prefix->p, prefix->len);
    return history_seek(&view->history, w->from, &w->at);
}

void watch_begin_channels(struct watch *w, const struct kv_view *view)
{
    begin(w, view->index + 1);
    (void)history_seek(&view->history, w->from, &w->at); /* the next one can't be forgotten */
}

static bool is_wanted(const struct watch *w, const struct history_change *h, uint64_t number,
                      unsigned *looks)
{
    const struct kv_object *o = h->object;
    *looks += 1;
    if (revision(h) < w->from)
        return false;
    if (w->streams)
        return o->key_len >= w->prefix_len && memcmp(kv_key(o), w->prefix, w->prefix_len) == 0;
    return channels_tell(&w->channels, h, number, NULL, looks) > 0;
}

/* The cursor stands behind a change of this revision. A wanted one follows. */
static bool more_follow(const struct watch *w, const struct history_view *v,
                        struct history_cursor c, uint64_t of, unsigned *looks)
{
    const struct history_change *h;
    while ((h = history_next(v, &c)) != NULL && revision(h) == of)
        if (is_wanted(w, h, c.next - 1, looks))
            return true;
    return false;
}

static enum watch_look look(struct watch *w, const struct kv_view *view, unsigned most,
                            unsigned *looks, struct watch_news *news)
{
    const struct history_view *v = &view->history;
    if (history_missed(v, &w->at) && (w->half || !history_seek(v, w->from, &w->at)))
        return WATCH_MISSED;
    while (*looks < most) {
        struct history_cursor after = w->at;
        const struct history_change *h = history_next(v, &after);
        if (h == NULL) {
            w->from = view->index + 1 > w->from ? view->index + 1 : w->from;
            w->half = false;
            return WATCH_DONE;
        }
        if (is_wanted(w, h, w->at.next, looks)) {
            bool more = more_follow(w, v, after, revision(h), looks);
            *news = (struct watch_news){w, h, w->at.next, more, after};
            return WATCH_TELL;
        }
        w->at = after;
    }
    return WATCH_GOES_ON;
}

enum watch_look watch_look(struct watch *w, const struct kv_view *view, int *work,
                           struct watch_news *news)
{
    unsigned looks = 0;
    if (*work <= 0)
        return WATCH_GOES_ON;
    enum watch_look found = look(w, view, (unsigned)*work * WATCH_LOOKS, &looks, news);
    *work -= (int)((looks + WATCH_LOOKS - 1) / WATCH_LOOKS);
    return found;
}

void watch_say(const void *what, struct resp_out *out)
{
    static const char *const kinds[] = {"put", "del", "expire"};
    const struct watch_news *n = what;
    const struct kv_object *o = n->change->object;
    unsigned steps = 0;
    if (!n->watch->streams) {
        (void)channels_tell(&n->watch->channels, n->change, n->number, out, &steps);
        return;
    }
    resp_push(out, 6);
    resp_text(out, "change");
    resp_int(out, (int64_t)revision(n->change));
    resp_text(out, kinds[n->change->kind]);
    resp_bulk(out, kv_key(o), o->key_len);
    if (n->change->kind == HISTORY_PUT)
        resp_bulk(out, kv_value(o), o->value_len);
    else
        resp_null(out);
    resp_int(out, n->more);
}

void watch_pass(struct watch *w, const struct watch_news *news)
{
    w->at = news->after;
    w->half = news->more;
    w->from = revision(news->change) + !news->more;
}
