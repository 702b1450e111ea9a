/* glance_draw.c: the screen of top. From above: who leads, how the node is that was asked, how fast it goes,
 * the members, what is wrong between them, what happened. Where room is short it lacks what matters least. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "raftd/tool/glance.h"
#include "raftd/tool/human.h"

enum {
    HEAD_ROWS = 4,         /* above the members */
    EVENTS_FROM_ROWS = 10, /* a screen of so many leaves ... */
    EVENT_ROWS = 3,        /* ... so many at least for what happened */
    RATE_COLUMNS = 14,     /* before a history: "writes 9999k/s" */
    QUIT_FROM_COLUMNS = 60,
    OLD_US = 2000000, /* a loop that turns has its status made anew when one asks */
};

__attribute__((format(printf, 6, 7))) static unsigned print_at(struct screen *s, unsigned row,
                                                               unsigned column, unsigned end,
                                                               enum look look, const char *fmt, ...)
{
    char text[2 * SCREEN_COLUMNS_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args); /* a screen has no room for more */
    va_end(args);
    return screen_put(s, row, column, end, look, text);
}

/* --- members ---------------------------------------------------------------------------------- */

static void tell_id(char to[CELL_BYTES], const struct status *s, const struct status_member *m)
{
    bool bad;
    (void)s;
    (void)glance_member(m, &bad);
    (void)snprintf(to, CELL_BYTES, "%s%u", bad ? "!" : m->leads ? "*" : "", m->id);
}

static void tell_role(char to[CELL_BYTES], const struct status *s, const struct status_member *m)
{
    bool bad;
    (void)s;
    cell_put(to, glance_member(m, &bad));
}

static void tell_data(char to[CELL_BYTES], const struct status *s, const struct status_member *m)
{
    (void)s;
    cell_put_if(to, m->told_us != 0, human_bytes(m->data_bytes));
}

static void tell_snapshot(char to[CELL_BYTES], const struct status *s,
                          const struct status_member *m)
{
    (void)s;
    cell_put_if(to, m->snapshot_index != 0 && m->snapshot_age_s != UINT32_MAX,
                human_age_s(m->snapshot_age_s));
}

/* Where it is, which may be another place than where it is first looked for. */
static void tell_address(char to[CELL_BYTES], const struct status *s, const struct status_member *m)
{
    (void)s;
    cell_put(to, m->at[0] != '\0' ? m->at : m->addr);
}

const struct glance_column glance_columns[] = {
    {"node", 6, false, tell_id},         {"role", 13, true, tell_role},
    {"lag", 6, false, cell_lag},         {"rtt", 6, false, cell_rtt},
    {"loss %", 7, false, cell_loss},     {"disk p99", 8, false, cell_disk},
    {"up", 6, false, cell_up},           {"heard", 6, false, cell_heard},
    {"log", 6, false, cell_log},         {"data", 6, false, tell_data},
    {"keys", 6, false, cell_keys},       {"snapshot", 8, false, tell_snapshot},
    {"address", 21, true, tell_address}, {"version", 8, false, cell_version},
};

_Static_assert(sizeof glance_columns / sizeof glance_columns[0] == GLANCE_COLUMNS,
               "each column is counted");

/* Draws a line of the table: what that member is, or if it is NULL the names of the columns. */
static void draw_line(const struct glance *g, const struct status_member *m, struct screen *s,
                      unsigned row)
{
    bool bad = false;
    if (m != NULL)
        (void)glance_member(m, &bad);
    enum look look = bad ? LOOK_BAD : m == NULL || m->leads ? LOOK_BOLD : LOOK_PLAIN;
    unsigned at = 0;
    for (size_t i = 0; i < GLANCE_COLUMNS; i++) {
        const struct glance_column *c = &glance_columns[i];
        unsigned end = at + c->width;
        char text[CELL_BYTES];
        if (end > s->columns)
            break;
        if (m == NULL)
            cell_put(text, c->name);
        else
            c->cell(text, &g->s, m);
        size_t len = strlen(text);
        screen_put(s, row, c->left || len > c->width ? at : end - (unsigned)len, end, look, text);
        at = end + 1;
    }
}

/* Draws up to `max` of them, those that somebody should look at before the others. Returns the next row. */
static unsigned draw_members(const struct glance *g, struct screen *s, unsigned row, unsigned max)
{
    unsigned n = g->s.n_members, left = n, fit = n <= max ? n : max - 1;
    for (int pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < n; i++) {
            const struct status_member *m = &g->s.members[i];
            bool bad;
            (void)glance_member(m, &bad);
            bool first = n <= max || bad || m->leads;
            if (first != (pass == 0) || n - left == fit)
                continue;
            draw_line(g, m, s, row++);
            left--;
        }
    if (left > 0)
        print_at(s, row++, 0, s->columns, LOOK_BOLD, "and %u more", left);
    return row;
}

/* --- the rest --------------------------------------------------------------------------------- */

static void draw_leader(const struct glance *g, struct screen *s)
{
    static const char quit[] = "q quits";
    const struct status *t = &g->s;
    unsigned end = s->columns;
    if (g->quits && end >= QUIT_FROM_COLUMNS) {
        end -= (unsigned)sizeof quit;
        screen_put(s, 0, end + 1, s->columns, LOOK_PLAIN, quit);
    }
    unsigned at = print_at(s, 0, 0, end, LOOK_BOLD, "%s", t->cluster);
    if (t->leader == 0)
        print_at(s, 0, at, end, LOOK_BAD, "  term %" PRIu64 ", no leader", t->term);
    else
        print_at(s, 0, at, end, LOOK_PLAIN, "  node %u leads term %" PRIu64 " for %s", t->leader,
                 t->term, human_us(glance_ago_us(g, t->leader_since_us)).text);
}

/* How the node is that was asked, and whether it still answers. */
static void draw_health(const struct glance *g, struct screen *s)
{
    const struct status *t = &g->s;
    bool well = t->health == HEALTH_OK;
    uint64_t old_us = glance_ago_us(g, t->now_us);
    if (g->silent[0] == '\0' && old_us > OLD_US)
        print_at(s, 1, 0, s->columns, LOOK_BAD, "node %u: its daemon hangs for %s", t->id,
                 human_us(old_us).text);
    else if (g->silent[0] != '\0')
        print_at(s, 1, 0, s->columns, LOOK_BAD, "for %s: %s", human_us(g->now_us - g->told_us).text,
                 g->silent);
    else
        print_at(s, 1, 0, s->columns, well ? LOOK_GOOD : LOOK_BAD, "node %u: %s%s%s", t->id,
                 health_name((enum health)t->health), t->health_why[0] != '\0' ? ": " : "",
                 t->health_why);
}

/* Draws the newest speed, and as many before it as have room, in relation to the highest of them. */
static void draw_rates(const struct rates *r, const char *name, struct screen *s, unsigned row,
                       unsigned column, unsigned end)
{
    uint64_t most = 1;
    if (r->n == 0) {
        print_at(s, row, column, end, LOOK_PLAIN, "%s ?/s", name);
        return;
    }
    print_at(s, row, column, end, LOOK_PLAIN, "%s %s/s", name,
             human_count(r->per_s[r->n - 1]).text);
    column += RATE_COLUMNS + 1;
    unsigned room = end > column ? end - column : 0, n = r->n < room ? r->n : room;
    for (unsigned i = r->n - n; i < r->n; i++)
        most = r->per_s[i] > most ? r->per_s[i] : most;
    for (unsigned i = r->n - n; i < r->n; i++)
        screen_bar(s, row, column++,
                   (unsigned)((double)r->per_s[i] / (double)most * (double)SCREEN_BARS + 0.999));
}

/* Draws these lines, but for what is said above of the node that was asked. */
static unsigned draw_troubles(const char *at, struct screen *s, unsigned row, unsigned end)
{
    static const char above[] = "this node: ";
    while (at != NULL && *at != '\0' && row < end) {
        int len = (int)strcspn(at, "\n");
        if (strncmp(at, above, sizeof above - 1) != 0)
            print_at(s, row++, 0, s->columns, LOOK_BAD, "! %.*s", len, at);
        at += len + (at[len] == '\n');
    }
    return row;
}

static void draw_events(const struct glance *g, struct screen *s, unsigned row)
{
    if (row + 1 >= s->rows || g->n_events == 0)
        return;
    screen_put(s, row++, 0, s->columns, LOOK_BOLD, "   ago  what happened");
    for (unsigned i = g->n_events; i > 0 && row < s->rows; i--, row++) {
        const struct glance_event *e = &g->events[i - 1];
        uint64_t us = g->now_us > e->at_us ? g->now_us - e->at_us : 0;
        print_at(s, row, 0, s->columns, e->bad ? LOOK_BAD : LOOK_PLAIN, "%6s  %s",
                 human_age_s(us / 1000000).text, e->text);
    }
}

void glance_draw(const struct glance *g, struct screen *s)
{
    unsigned half = (s->columns + 1) / 2, row = HEAD_ROWS;
    if (g->s.id == 0) {
        screen_put(s, 0, 0, s->columns, LOOK_BAD, g->silent);
        return;
    }
    draw_leader(g, s);
    draw_health(g, s);
    draw_rates(&g->writes, "writes", s, 2, 0, half - 1);
    draw_rates(&g->reads, "reads", s, 2, half, s->columns);
    draw_line(g, NULL, s, HEAD_ROWS - 1);
    unsigned end = s->rows >= EVENTS_FROM_ROWS ? s->rows - EVENT_ROWS : s->rows;
    if (end > row)
        row = draw_members(g, s, row, end - row);
    row = draw_troubles(g->troubles, s, row, end);
    row = draw_troubles(g->link_troubles, s, row, end);
    draw_events(g, s, row);
}
