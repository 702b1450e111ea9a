/* page.c: see page.h. */
#include "raftd/tool/page.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "raftd/base/version.h"
#include "raftd/tool/human.h"
#include "raftd/tool/raftctl.h"

/* All that a page says of the world goes through this: no byte of it is markup. */
static void put_text(FILE *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        switch (text[i]) {
        case '&': fputs("&amp;", out); break;
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '"': fputs("&quot;", out); break;
        case '\'': fputs("&#39;", out); break;
        case '\n': fputc('\n', out); break;
        default: fputc(text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?', out);
        }
}

/* An element with a text in it. `class` may be NULL. */
static void put_element(FILE *out, const char *name, const char *class, const char *text)
{
    fprintf(out, "<%s%s%s%s>", name, class != NULL ? " class=\"" : "", class != NULL ? class : "",
            class != NULL ? "\"" : "");
    put_text(out, text, strlen(text));
    fprintf(out, "</%s>", name);
}

/* Colours are those of a reader in the dark where that is asked for, and of paper where it is printed. No
 * state is told by a colour alone. */
static const char style[] =
    ":root{color-scheme:light dark;--back:#fff;--text:#1b1b1f;--faint:#8a8a93;--line:#d5d5db;"
    "--good:#146c2e;--bad:#b3261e;--fill:#f4f4f7}\n"
    "@media(prefers-color-scheme:dark){:root{--back:#16161a;--text:#e6e6ea;--faint:#85858f;"
    "--line:#3a3a42;--good:#6dd58c;--bad:#ff8f86;--fill:#222229}}\n"
    "@media print{:root{color-scheme:light;--back:#fff;--text:#000;--faint:#666;--line:#bbb;"
    "--good:#146c2e;--bad:#b3261e;--fill:#f4f4f7}.wide{overflow:visible}table{font-size:.7rem}th,"
    "td{padding:.2rem .3rem}}\n"
    "body{background:var(--back);color:var(--text);font:15px/1.5 system-ui,sans-serif;"
    "max-width:68rem;margin:0 auto;padding:1.5rem}\n"
    "h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}\n"
    ".good{color:var(--good)}.bad{color:var(--bad);font-weight:600}.faint{color:var(--faint)}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid var(--line);"
    "white-space:nowrap}th{font-weight:600}.left{text-align:left}\n"
    "pre{background:var(--fill);padding:.7rem;overflow-x:auto;font-size:.8rem}\n"
    "svg{width:100%;max-width:40rem;height:auto;display:block}"
    "svg text{fill:var(--text);font-size:13px;text-anchor:middle;paint-order:stroke;"
    "stroke:var(--back);stroke-width:4px}circle+text{stroke:none}\n"
    "circle{fill:var(--fill);stroke:var(--text);stroke-width:1.5}"
    "circle.leads{stroke-width:4}circle.bad{stroke:var(--bad);stroke-dasharray:4 3}\n"
    "path{fill:none;stroke:var(--faint);stroke-width:1.2}path.head{fill:var(--faint)}\n"
    ".lossy path{stroke:var(--bad);stroke-width:2}.lossy path.head{fill:var(--bad)}"
    ".silent path{stroke:var(--bad);stroke-width:1.5;stroke-dasharray:7 5}"
    ".silent path.head{fill:none;stroke-dasharray:none}"
    ".unknown path{stroke-dasharray:2 4}svg .lossy text{fill:var(--bad);font-weight:600}\n";

/* --- who hears whom --------------------------------------------------------------------------- */

enum { PICTURE_WIDTH = 640, PICTURE_HEIGHT = 560, RING = 205, NODE_RADIUS = 27, HEAD = 9 };

struct point {
    double x, y;
};

/* On the way from the middle of the picture to its place on a ring, so far. */
static struct point ray(const struct status *s, unsigned i, double far_x, double far_y)
{
    double angle = 2 * 3.14159265358979 * i / s->n_links;
    return (struct point){(double)PICTURE_WIDTH / 2 + far_x * sin(angle),
                          (double)PICTURE_HEIGHT / 2 - far_y * cos(angle)};
}

static struct point place_of(const struct status *s, unsigned i)
{
    return ray(s, i, RING, RING);
}

/* The point that is so far from a on the way to b. */
static struct point towards(struct point a, struct point b, double far)
{
    double length = hypot(b.x - a.x, b.y - a.y);
    return (struct point){a.x + (b.x - a.x) * far / length, a.y + (b.y - a.y) * far / length};
}

static const char *class_of(uint8_t heard)
{
    return heard == STATUS_LINK_SILENT    ? "silent"
           : heard == STATUS_LINK_UNKNOWN ? "unknown"
           : heard >= LINKS_LOSS_TOLD     ? "lossy"
                                          : "heard";
}

/* Draws an arrow from node k to node i, which hears it, bent to one side: that of the other direction is bent
 * to the other. */
static void put_arrow(FILE *out, const struct status *s, unsigned i, unsigned k)
{
    uint8_t heard = s->links[i].heard[k];
    struct point a = place_of(s, k), b = place_of(s, i);
    struct point bend = {(a.x + b.x) / 2 - (b.y - a.y) * 0.13,
                         (a.y + b.y) / 2 + (b.x - a.x) * 0.13};
    struct point from = towards(a, bend, NODE_RADIUS + 3), to = towards(b, bend, NODE_RADIUS + 3);
    struct point neck = towards(to, bend, HEAD);
    double side_x = (neck.y - to.y) / 2.4, side_y = (to.x - neck.x) / 2.4;
    fprintf(out, "<g class=\"%s\"><title>node %u hears node %u: ", class_of(heard), s->links[i].id,
            s->links[k].id);
    if (heard <= STATUS_LINK_HEARD_MAX)
        fprintf(out, "%u %% is lost", heard);
    else
        fputs(heard == STATUS_LINK_SILENT ? "nothing" : "not known", out);
    fprintf(out, "</title><path d=\"M%.1f %.1fQ%.1f %.1f %.1f %.1f\"/>", from.x, from.y, bend.x,
            bend.y, neck.x, neck.y);
    fprintf(out, "<path class=\"head\" d=\"M%.1f %.1fL%.1f %.1fL%.1f %.1fZ\"/>", to.x, to.y,
            neck.x + side_x, neck.y + side_y, neck.x - side_x, neck.y - side_y);
    if (heard > 0 && heard <= STATUS_LINK_HEARD_MAX)
        fprintf(out, "<text x=\"%.1f\" y=\"%.1f\">%u %%</text>", (from.x + 2 * bend.x + to.x) / 4,
                (from.y + 2 * bend.y + to.y) / 4 + 4, heard);
    fputs("</g>\n", out);
}

static const struct status_member *member_of(const struct status *s, uint16_t id)
{
    for (unsigned i = 0; i < s->n_members; i++)
        if (s->members[i].id == id)
            return &s->members[i];
    return NULL;
}

static void put_node(FILE *out, const struct glance *g, unsigned i)
{
    struct point at = place_of(&g->s, i);
    struct point word = ray(&g->s, i, RING + NODE_RADIUS + 36, RING + NODE_RADIUS + 14);
    const struct status_member *m = member_of(&g->s, g->s.links[i].id);
    bool bad = false;
    const char *role = m != NULL ? glance_member(m, &bad) : "";
    fprintf(out, "<g><circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%d\"/>",
            bad                     ? "bad"
            : m != NULL && m->leads ? "leads"
                                    : "well",
            at.x, at.y, NODE_RADIUS);
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\">%u</text>", at.x, at.y + 5, g->s.links[i].id);
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\">", word.x, word.y + 4);
    put_text(out, role, strlen(role));
    fputs("</text></g>\n", out);
}

static void put_troubles(FILE *out, const char *at)
{
    fputs("<ul>\n", out);
    while (at != NULL && *at != '\0') {
        size_t len = strcspn(at, "\n");
        fputs("<li class=\"bad\">", out);
        put_text(out, at, len);
        fputs("</li>\n", out);
        at += len + (at[len] == '\n');
    }
    fputs("</ul>\n", out);
}

static void put_picture(FILE *out, const struct glance *g)
{
    const struct status *s = &g->s;
    fputs("<h2>Who hears whom</h2>\n", out);
    if (s->n_links < 2) {
        put_element(out, "p", NULL, "There are no other nodes.");
        return;
    }
    fprintf(
        out,
        "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"who hears whom: the same in words "
        "stands below\">\n",
        PICTURE_WIDTH, PICTURE_HEIGHT);
    for (unsigned i = 0; i < s->n_links; i++)
        for (unsigned k = 0; k < s->n_links; k++)
            if (k != i)
                put_arrow(out, s, i, k);
    for (unsigned i = 0; i < s->n_links; i++)
        put_node(out, g, i);
    fputs("</svg>\n", out);
    put_element(out, "p", "faint",
                "An arrow goes from who speaks to who hears, as far as the node knows that was "
                "asked. Percent: what is lost on the way. Dashed: nothing is heard. Dotted: not "
                "known.");
    put_troubles(out, g->link_troubles);
}

/* --- tables ----------------------------------------------------------------------------------- */

static void put_members(FILE *out, const struct glance *g)
{
    fputs("<h2>Members</h2>\n<div class=\"wide\"><table>\n<tr>", out);
    for (size_t i = 0; i < GLANCE_COLUMNS; i++)
        put_element(out, "th", glance_columns[i].left ? "left" : NULL, glance_columns[i].name);
    fputs("</tr>\n", out);
    for (unsigned i = 0; i < g->s.n_members; i++) {
        const struct status_member *m = &g->s.members[i];
        bool bad;
        (void)glance_member(m, &bad);
        fputs(bad ? "<tr class=\"bad\">" : "<tr>", out);
        for (size_t k = 0; k < GLANCE_COLUMNS; k++) {
            char text[CELL_BYTES];
            glance_columns[k].cell(text, &g->s, m);
            put_element(out, "td", glance_columns[k].left ? "left" : NULL, text);
        }
        fputs("</tr>\n", out);
    }
    fputs("</table></div>\n", out);
    fprintf(
        out,
        "<p class=\"faint\">As node %u told, which %s. Lag: entries behind the leader. rtt, and "
        "loss of what comes from it and of what goes to it: as that node measures them. disk "
        "p99: the slowest writes of one in a hundred.</p>\n",
        g->s.members_by, g->s.members_led ? "leads" : "does not lead");
}

__attribute__((format(printf, 3, 4))) static void put_row(FILE *out, const char *name,
                                                          const char *fmt, ...)
{
    char text[CELL_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fputs("<tr>", out);
    put_element(out, "th", "left", name);
    put_element(out, "td", "left", text);
    fputs("</tr>\n", out);
}

static void put_log(FILE *out, const struct glance *g)
{
    const struct status *s = &g->s;
    fprintf(out, "<h2>Log and snapshots of node %u</h2>\n<table>\n", s->id);
    put_row(out, "entries in the log", "%" PRIu64 " to %" PRIu64, s->log_first_index,
            s->last_index);
    put_row(out, "of them on the disk", "up to %" PRIu64, s->durable_index);
    put_row(out, "committed, applied", "up to %" PRIu64 ", %" PRIu64, s->commit_index,
            s->applied_index);
    put_row(out, "log", "%s of at most %s", human_bytes(s->log_bytes).text,
            human_bytes(s->log_max_bytes).text);
    if (s->snapshot_index == 0)
        put_row(out, "snapshot", "none");
    else
        put_row(out, "snapshot", "as of entry %" PRIu64 ", %s", s->snapshot_index,
                human_bytes(s->snapshot_bytes).text);
    if (s->imaging)
        put_row(out, "a new snapshot", "is being written");
    if (s->install_of_bytes != 0)
        put_row(out, "from the leader", "%s of a snapshot of %s have come",
                human_bytes(s->install_bytes).text, human_bytes(s->install_of_bytes).text);
    put_row(out, "data", "%s of at most %s; keys: %" PRIu64, human_bytes(s->data_bytes).text,
            human_bytes(s->max_data_bytes).text, s->keys);
    put_row(out, "disk", "%s free, %s are to stay so", human_bytes(s->disk_free).text,
            human_bytes(s->disk_min_free).text);
    put_row(out, "writes of the disk", "half take less than %s, 99 of 100 less than %s",
            human_us(s->fsync_p50_us).text, human_us(s->fsync_p99_us).text);
    fputs("</table>\n", out);
}

static void put_events(FILE *out, const struct glance *g)
{
    fputs("<h2>What happened</h2>\n", out);
    if (g->n_events == 0)
        put_element(out, "p", NULL, "The node remembers nothing.");
    fputs("<table>\n", out);
    for (unsigned i = g->n_events; i > 0; i--) {
        const struct glance_event *e = &g->events[i - 1];
        uint64_t us = g->now_us > e->at_us ? g->now_us - e->at_us : 0;
        fputs(e->bad ? "<tr class=\"bad\">" : "<tr>", out);
        put_element(out, "td", NULL, human_age_s(us / 1000000).text);
        put_element(out, "td", "left", e->text);
        fputs("</tr>\n", out);
    }
    fputs("</table>\n", out);
    if (g->n_events > 0)
        put_element(out, "p", "faint", "Left: how long before this page it was.");
}

/* --- the page --------------------------------------------------------------------------------- */

static void put_head(FILE *out, const struct glance *g)
{
    const struct status *s = &g->s;
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
          "style-src 'unsafe-inline'\">\n"
          "<meta name=\"viewport\" content=\"width=device-width\">\n",
          out);
    put_element(out, "title", NULL, s->cluster);
    fprintf(out, "\n<style>\n%s</style>\n</head>\n<body>\n", style);
    put_element(out, "h1", NULL, s->cluster);
    if (s->leader == 0)
        fprintf(out, "\n<p class=\"bad\">Term %" PRIu64 ", no leader.</p>\n", s->term);
    else
        fprintf(out, "\n<p>Node %u leads term %" PRIu64 " for %s.</p>\n", s->leader, s->term,
                human_us(glance_ago_us(g, s->leader_since_us)).text);
    fprintf(out, "<p class=\"%s\">Node %u: ", s->health == HEALTH_OK ? "good" : "bad", s->id);
    put_text(out, health_name((enum health)s->health), strlen(health_name((enum health)s->health)));
    put_text(out, ": ", s->health_why[0] != '\0' ? 2 : 0);
    put_text(out, s->health_why, strlen(s->health_why));
    fputs("</p>\n", out);
    if (g->writes.n > 0 && g->reads.n > 0)
        fprintf(out, "<p>%s writes a second; %s reads a second by way of node %u.</p>\n",
                human_count(g->writes.per_s[g->writes.n - 1]).text,
                human_count(g->reads.per_s[g->reads.n - 1]).text, s->id);
}

void page_print(const struct glance *g, const char *text, FILE *out)
{
    put_head(out, g);
    put_picture(out, g);
    put_members(out, g);
    put_log(out, g);
    put_events(out, g);
    fprintf(out, "<h2>Status of node %u</h2>\n<details><summary>all that it tells</summary>\n<pre>",
            g->s.id);
    put_text(out, text, strlen(text));
    fprintf(
        out,
        "</pre></details>\n<p class=\"faint\">raftctl %s. No key and no value of the cluster is "
        "in this page.</p>\n</body>\n</html>\n",
        RAFTD_VERSION);
}
