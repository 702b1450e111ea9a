/* members.c: all members of the cluster in a table that fits 80 columns, those that are not there included,
 * and below it what is wrong, in words. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/num.h"
#include "raftd/tool/cells.h"
#include "raftd/tool/raftctl.h"

enum {
    WIDTH = 80,
    COLUMNS_MAX = 12,
    LAG_TOLD = 10, /* entries; some are always on their way */
};

bool member_is_silent(const struct status_member *m)
{
    return m->session < STATUS_SESSIONS &&
           (m->heard_us == 0 || m->loss_in_permille == STATUS_LOSS_ALL);
}

/* Who leads has a leader, though it may have said the contrary a second ago. */
enum health member_health(const struct status_member *m)
{
    enum health health = (enum health)m->health;
    bool over = m->leads && health == HEALTH_NO_LEADER;
    return m->told_us == 0 || member_is_silent(m) || over ? HEALTH_UNKNOWN : health;
}

/* --- cells ------------------------------------------------------------------------------------ */

static bool in_trouble(const struct status *s, const struct status_member *m);

static void cell_mark(char to[CELL_BYTES], const struct status *s, const struct status_member *m)
{
    (void)snprintf(to, CELL_BYTES, "%s%s", m->leads ? "*" : "", in_trouble(s, m) ? "!" : "");
}

static void cell_id(char to[CELL_BYTES], const struct status *s, const struct status_member *m)
{
    (void)s;
    (void)snprintf(to, CELL_BYTES, "%u", m->id);
}

static void cell_role(char to[CELL_BYTES], const struct status *s, const struct status_member *m)
{
    (void)s;
    cell_put(to, member_is_silent(m)             ? "silent"
                 : m->leads                      ? "leader"
                 : m->standing == MEMBER_LEARNER ? "learner"
                 : m->standing == MEMBER_JOINING ? "joining"
                                                 : "follower");
}

static void cell_standing(char to[CELL_BYTES], const struct status *s,
                          const struct status_member *m)
{
    (void)s;
    cell_put(to, m->standing == MEMBER_VOTER     ? "voter"
                 : m->standing == MEMBER_JOINING ? "joining"
                                                 : "learner");
}

static void cell_health(char to[CELL_BYTES], const struct status *s, const struct status_member *m)
{
    enum health health = member_health(m);
    (void)s;
    cell_put(to, health == HEALTH_UNKNOWN ? "-" : health_name(health));
}

static void cell_priority(char to[CELL_BYTES], const struct status *s,
                          const struct status_member *m)
{
    (void)s;
    (void)snprintf(to, CELL_BYTES, "%u", m->priority);
}

static void cell_key(char to[CELL_BYTES], const struct status *s, const struct status_member *m)
{
    (void)s;
    cell_put(to, "-");
    if (m->incarnation != 0)
        (void)snprintf(to, CELL_BYTES, "%016" PRIx64, m->incarnation);
}

static void cell_address(char to[CELL_BYTES], const struct status *s, const struct status_member *m)
{
    (void)s;
    cell_put(to, m->addr);
}

/* --- table ------------------------------------------------------------------------------------ */

struct column {
    const char *head;
    cell_fn *cell;
    bool left; /* texts are, numbers are not */
};

/* How they are; and who they are. */
static const struct column states[] = {
    {"", cell_mark, true},         {"node", cell_id, false},    {"role", cell_role, true},
    {"health", cell_health, true}, {"lag", cell_lag, false},    {"heard", cell_heard, false},
    {"rtt", cell_rtt, false},      {"loss%", cell_loss, false}, {"disk", cell_disk, false},
    {"log", cell_log, false},      {"keys", cell_keys, false},  {"up", cell_up, false},
};
static const struct column names[] = {
    {"", cell_mark, true},     {"node", cell_id, false},        {"standing", cell_standing, true},
    {"role", cell_role, true}, {"prio", cell_priority, false},  {"version", cell_version, true},
    {"key", cell_key, true},   {"address", cell_address, true},
};

struct table {
    const struct column *columns;
    size_t n;
    int width[COLUMNS_MAX], gap; /* blanks between two columns */
};

static void measure(struct table *t, const struct status *s)
{
    int all = 0;
    for (size_t c = 0; c < t->n; c++) {
        t->width[c] = (int)strlen(t->columns[c].head);
        for (unsigned i = 0; i < s->n_members; i++) {
            char cell[CELL_BYTES] = "";
            t->columns[c].cell(cell, s, &s->members[i]);
            t->width[c] = (int)max_u64((uint64_t)t->width[c], strlen(cell));
        }
        all += t->width[c];
    }
    t->gap = all + 2 * (int)(t->n - 1) <= WIDTH ? 2 : 1;
}

/* *at: the columns of this line that are used. What does not fit into the line comes on one of its own. */
static void print_cell(FILE *out, const struct table *t, size_t c, const char *text, int *at)
{
    bool last = c + 1 == t->n;
    int len = (int)strlen(text), width = last && t->columns[c].left ? 0 : t->width[c];
    if (last && *at + len > WIDTH)
        fprintf(out, "\n        ");
    fprintf(out, "%*s%s", t->columns[c].left ? -width : width, text, last ? "\n" : "");
    if (!last)
        fprintf(out, "%*s", t->gap, "");
    *at += t->width[c] + t->gap;
}

static void print_table(FILE *out, const struct status *s, const struct column *columns, size_t n)
{
    struct table t = {.columns = columns, .n = n};
    int at = 0;
    measure(&t, s);
    for (size_t c = 0; c < n; c++)
        print_cell(out, &t, c, columns[c].head, &at);
    for (unsigned i = 0; i < s->n_members; i++) {
        at = 0;
        for (size_t c = 0; c < n; c++) {
            char cell[CELL_BYTES] = "";
            columns[c].cell(cell, s, &s->members[i]);
            print_cell(out, &t, c, cell, &at);
        }
    }
}

/* --- words ------------------------------------------------------------------------------------ */

/* What keeps this node and that one apart, as the daemon says; NULL: nothing does. */
static const char *trouble_of(const struct status *s, uint16_t id)
{
    for (unsigned i = 0; i < s->n_peers; i++)
        if (s->peers[i].id == id)
            return s->peers[i].trouble;
    return NULL;
}

/* What a member says of itself, but for itself. */
static const char *health_words(const struct status_member *m)
{
    switch (member_health(m)) {
    case HEALTH_UNKNOWN:
    case HEALTH_OK:
    case HEALTH_COUNT: return NULL;
    case HEALTH_DISK_SLOW: return "says that its disk is slow";
    case HEALTH_NOT_CAUGHT_UP: return "says that it has not caught up";
    case HEALTH_DISK_FULL: return "says that its disk or its log is full: make room there";
    case HEALTH_IN_DOUBT: return "says that it is in doubt: see raftctl health there";
    case HEALTH_NO_QUORUM: return "says that it has no quorum";
    case HEALTH_NO_LEADER: return "says that it knows no leader";
    case HEALTH_STARTING: return "says that it is starting";
    case HEALTH_NO_MEMBER: return "says that it is no member";
    }
    return NULL;
}

static bool in_trouble(const struct status *s, const struct status_member *m)
{
    return member_is_silent(m) || trouble_of(s, m->id) != NULL || health_words(m) != NULL ||
           (m->session != STATUS_SESSION_PLAIN && m->session != STATUS_SESSION_ESTABLISHED &&
            m->session < STATUS_SESSIONS);
}

static void say_member(FILE *out, const struct status *s, const struct status_member *m)
{
    const char *trouble = trouble_of(s, m->id), *health = health_words(m);
    if (trouble != NULL)
        fprintf(out, "node %u %s\n", m->id, trouble);
    else if (member_is_silent(m) && m->heard_us == 0)
        fprintf(out, "node %u was not heard yet: is it down, or cut off?\n", m->id);
    else if (member_is_silent(m))
        fprintf(out, "node %u has not been heard for %s: is it down, or cut off?\n", m->id,
                human_us(status_ago_us(s->now_us, m->heard_us)).text);
    else if (in_trouble(s, m) && health == NULL)
        fprintf(out, "node %u: %s, see session in raftctl(1)\n", m->id,
                status_session_name((enum status_session)m->session));
    if (health != NULL && m->id != s->id)
        fprintf(out, "node %u %s\n", m->id, health);
    if (s->members_led && (m->lag > HEALTH_LAG_MAX || (m->percent < 100 && m->lag >= LAG_TOLD)))
        fprintf(out, "node %u catches up: %u %% are there%s%s\n", m->id, m->percent,
                m->eta_s > 0 ? ", the rest in about " : "",
                m->eta_s > 0 ? human_age_s((uint64_t)m->eta_s).text : "");
    if (m->drained)
        fprintf(out, "node %u is drained: it does not lead until it is started again\n", m->id);
}

/* How many voters may be lost yet. */
static void say_margin(FILE *out, const struct status *s)
{
    unsigned voters = 0, heard = 0;
    for (unsigned i = 0; i < s->n_members; i++) {
        bool voter = s->members[i].standing == MEMBER_VOTER;
        voters += voter;
        heard += voter && !member_is_silent(&s->members[i]);
    }
    if (heard < voters && heard == voters / 2 + 1)
        fprintf(out, "%u of %u voters are heard: if one more is lost, nothing can be written\n",
                heard, voters);
    if (heard <= voters / 2)
        fprintf(out, "%u of %u voters are heard, and %u are needed: nothing can be written\n",
                heard, voters, voters / 2 + 1);
}

static void say_versions(FILE *out, const struct status *s)
{
    const struct status_member *first = NULL;
    for (unsigned i = 0; i < s->n_members; i++) {
        const struct status_member *m = &s->members[i];
        first = first == NULL && m->version != 0 ? m : first;
        if (m->version == 0 || m->version == first->version)
            continue;
        fprintf(out, "node %u runs another version than node %u: raftctl members shows them\n",
                m->id, first->id);
        return;
    }
}

char *members_troubles(const struct status *s)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return NULL;
    if (s->health != HEALTH_OK)
        fprintf(out, "this node: %s\n", s->health_why);
    for (unsigned i = 0; i < s->n_members; i++)
        say_member(out, s, &s->members[i]);
    if (s->health != HEALTH_NO_MEMBER) /* nobody tells that one */
        say_margin(out, s);
    say_versions(out, s);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

/* Prints a line behind a mark, and goes on below it where it is too long. */
static void print_wrapped(FILE *out, const char *line)
{
    size_t room = WIDTH - 2;
    fputs("! ", out);
    while (strlen(line) > room) {
        size_t n = room;
        while (n > 0 && line[n] != ' ')
            n--;
        n = n > 0 ? n : room;
        fprintf(out, "%.*s\n  ", (int)n, line);
        line += n + (line[n] == ' ');
    }
    fprintf(out, "%s\n", line);
}

bool print_members(FILE *out, const struct status *s, bool all)
{
    char *troubles = members_troubles(s), *rest = troubles, *line;
    if (troubles == NULL)
        return false;
    if (all)
        fprintf(out, "%s: term %" PRIu64 ", this is node %u\n\n", s->cluster, s->term, s->id);
    if (all)
        print_table(out, s, states, sizeof states / sizeof states[0]);
    else
        print_table(out, s, names, sizeof names / sizeof names[0]);
    if (s->n_members == 0)
        fprintf(out, "\nno members are known here yet\n");
    else
        fprintf(out,
                s->members_led ? "\nas node %u, which leads, saw it %s ago\n"
                               : "\nas node %u, which does not lead, saw it %s ago\n",
                s->members_by, human_us(status_ago_us(s->now_us, s->members_us)).text);
    while ((line = strsep(&rest, "\n")) != NULL)
        if (line[0] != '\0')
            print_wrapped(out, line);
    free(troubles);
    return true;
}
