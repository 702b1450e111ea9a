/* core_script.c: see core_script.h. */
#include "tests/lib/core_script.h"
#include "tests/lib/core_cluster.h"

#include <stdlib.h>
#include <string.h>

enum { WORDS = 12, LINE = 256 };

struct script {
    const char *path;
    unsigned line;
    struct cl *c;
    FILE *out; /* of one command */
    bool show; /* trace its reaction */
    char *word[WORDS];
    unsigned n_words;
};

static _Noreturn void bad(const struct script *s, const char *why)
{
    fprintf(stderr, "%s:%u: %s\n", s->path, s->line, why);
    exit(1);
}

static unsigned node_of(const struct script *s, const char *word)
{
    unsigned id = (unsigned)strtoul(word, NULL, 10);
    if (s->c == NULL || id < 1 || id > s->c->n)
        bad(s, "no such node");
    return id - 1;
}

static const char *arg(const struct script *s, unsigned k)
{
    if (k >= s->n_words)
        bad(s, "too few words");
    return s->word[k];
}

static uint64_t number(const struct script *s, unsigned k, uint64_t otherwise)
{
    return k < s->n_words ? strtoull(s->word[k], NULL, 10) : otherwise;
}

/* ----------------------------------------------------------------------------------- commands */

static void do_disk(struct script *s)
{
    uint64_t terms[CL_LOG], term = 0;
    uint16_t vote = 0;
    unsigned n = 0, i = node_of(s, arg(s, 1));
    for (unsigned k = 2; k < s->n_words; k++) {
        char *w = s->word[k];
        if (strncmp(w, "term=", 5) == 0)
            term = strtoull(w + 5, NULL, 10);
        else if (strncmp(w, "vote=", 5) == 0)
            vote = (uint16_t)strtoul(w + 5, NULL, 10);
        else if (strncmp(w, "log=", 4) == 0)
            for (char *p = w + 4; *p != '\0'; p += *p == ',')
                terms[n++] = strtoull(p, &p, 10);
        else
            bad(s, "term=, vote= or log= expected");
    }
    cl_preset(s->c, i, term, vote, terms, n);
}

static void link_one(struct script *s, unsigned from, unsigned to)
{
    struct cl *c = s->c;
    enum cl_link *link = &c->links[from][to];
    const char *verb = s->word[0];
    if (strcmp(verb, "cut") == 0) {
        *link = CL_CUT;
    } else if (strcmp(verb, "hold") == 0) {
        *link = CL_HELD;
    } else if (strcmp(verb, "discard") == 0) {
        cl_forget_held(c, from, to);
        *link = CL_OPEN;
    } else { /* join, release */
        cl_release(c, from, to);
        *link = CL_OPEN;
    }
}

static void do_link(struct script *s)
{
    const char *word = arg(s, 1);
    unsigned a = node_of(s, word);
    const char *sign = strpbrk(word, ">-");
    for (unsigned b = 0; b < s->c->n; b++) {
        if (b == a || (sign != NULL && b != node_of(s, sign + 1)))
            continue;
        link_one(s, a, b);
        if (sign == NULL || *sign == '-')
            link_one(s, b, a);
    }
}

static void do_replay(struct script *s)
{
    const char *sign = strchr(arg(s, 1), '>');
    unsigned kind = 0;
    while (kind < CL_KINDS && strcmp(cl_kind_name(kind), arg(s, 2)) != 0)
        kind++;
    if (sign == NULL || kind == CL_KINDS)
        bad(s, "replay A>B KIND expected");
    if (!cl_replay(s->c, node_of(s, arg(s, 1)), node_of(s, sign + 1), kind))
        bad(s, "nothing to replay");
    cl_run_until(s->c, s->c->now);
}

static void do_lose(struct script *s)
{
    unsigned i = node_of(s, arg(s, 1));
    if (s->c->nodes[i].up)
        bad(s, "crash the node first");
    if (strcmp(s->word[0], "lose") == 0)
        cl_lose(s->c, i, number(s, 2, 0));
    else
        cl_damage(s->c, i, number(s, 2, 0), number(s, 3, s->c->nodes[i].disk.term));
}

static void do_show(struct script *s)
{
    const char *what = arg(s, 1);
    s->show = strcmp(what, "none") != 0;
    s->c->trace_state = strcmp(what, "state") == 0;
}

static void do_state(struct script *s)
{
    for (unsigned i = 0; i < s->c->n; i++) {
        const struct cl_node *node = &s->c->nodes[i];
        const struct raft *r = &node->r;
        if (s->n_words > 1 && node_of(s, arg(s, 1)) != i)
            continue;
        if (!node->up) {
            fprintf(s->out, "%u down\n", i + 1);
            continue;
        }
        fprintf(s->out, "%u %-13s term=%llu vote=%u leader=%u last=%llu durable=%llu commit=%llu\n",
                i + 1, raft_role_name(r->role), (unsigned long long)r->term, r->vote, r->leader,
                (unsigned long long)r->trail.last, (unsigned long long)r->durable_index,
                (unsigned long long)r->commit_index);
    }
}

static void do_logs(struct script *s)
{
    for (unsigned i = 0; i < s->c->n; i++) {
        const struct cl_node *node = &s->c->nodes[i];
        uint64_t last = node->up ? node->r.trail.last : node->disk.last;
        uint64_t base = node->up ? node->r.trail.base_index : node->disk.base;
        fprintf(s->out, "%u%s", i + 1, node->up ? "     " : " down");
        if (base > 0)
            fprintf(s->out, " (1..%llu)", (unsigned long long)base);
        for (uint64_t k = base + 1; k <= last; k++)
            fprintf(s->out, " %s%llu", node->up && k == node->r.commit_index + 1 ? "| " : "",
                    (unsigned long long)(node->up ? node->log[k].term : node->disk.log[k].term));
        fprintf(s->out, "\n");
    }
}

static void do_peers(struct script *s)
{
    const struct raft *r = &s->c->nodes[node_of(s, arg(s, 1))].r;
    for (unsigned k = 0; k < r->n_peers; k++) {
        const struct raft_peer *p = &r->peers[k];
        if (p->id == 0)
            continue;
        fprintf(s->out, "%u %-9s match=%llu base=%llu probe=%u epoch=%u round=%llu", p->id,
                raft_peer_state_name(p->state), (unsigned long long)p->match_index,
                (unsigned long long)p->base_index, p->probe, p->epoch,
                (unsigned long long)p->round);
        if (p->lost_index != 0)
            fprintf(s->out, " lost=%llu", (unsigned long long)p->lost_index);
        if (!raft_peer_counts(r, p))
            fprintf(s->out, " until=%llu", (unsigned long long)p->sure_index);
        if (p->standing != RAFT_VOTER)
            fprintf(s->out, " %s",
                    p->standing == RAFT_NO_MEMBER ? "no member"
                    : p->standing == RAFT_LEARNER ? "learner"
                                                  : "joining");
        fprintf(s->out, "\n");
    }
}

static struct raft_members nameless(const struct raft_members *of)
{
    struct raft_members m = *of;
    for (unsigned i = 0; i < m.n; i++)
        m.m[i].incarnation = 0;
    return m;
}

/* Members as "1 2:0 3l 4j@1": learner, joining; priority; incarnation. */
static struct raft_members members_of(const struct script *s, unsigned from)
{
    struct raft_members m = {0};
    for (; from < s->n_words && strcmp(s->word[from], "force") != 0; from++) {
        char *w = s->word[from];
        if (m.n == RAFT_MEMBERS_MAX)
            bad(s, "too many members");
        struct raft_member *x = &m.m[m.n++];
        *x = (struct raft_member){.id = (uint16_t)strtoul(w, &w, 10),
                                  .standing = RAFT_VOTER,
                                  .priority = 1,
                                  .incarnation = CL_INCARNATION};
        if (*w == 'l' || *w == 'j')
            x->standing = *w++ == 'l' ? RAFT_LEARNER : RAFT_JOINING;
        if (*w == ':')
            x->priority = (uint8_t)strtoul(w + 1, &w, 10);
        if (*w == '@')
            x->incarnation = strtoull(w + 1, &w, 10);
        if (*w != '\0')
            bad(s, "no member");
    }
    return m;
}

static const char *refusal_name(enum raft_refusal refusal)
{
    switch (refusal) {
    case RAFT_TAKEN: return "taken";
    case RAFT_REFUSED_NO_LEADER: return "this node does not lead";
    case RAFT_REFUSED_HANDING: return "the leader hands its role over";
    case RAFT_REFUSED_TOO_EARLY: return "the leader is new and has committed nothing yet";
    case RAFT_REFUSED_UNDER_WAY: return "the last change of members is not committed yet";
    case RAFT_REFUSED_NO_ROOM: return "too much waits to be committed";
    case RAFT_REFUSED_MALFORMED: return "an id is there twice, or there are too many members";
    case RAFT_REFUSED_LAST_VOTER: return "no voter would be left";
    case RAFT_REFUSED_TWO_VOTERS: return "more than one voter would change";
    case RAFT_REFUSED_NO_LEARNER: return "a new voter must be a learner before";
    case RAFT_REFUSED_BEHIND: return "the learner has not caught up yet";
    case RAFT_REFUSED_NO_STANDERS: return "too many voters would have priority 0";
    case RAFT_REFUSED_NO_MAJORITY: return "no majority of the voters would be there";
    }
    return "?";
}

static void do_members(struct script *s)
{
    unsigned i = node_of(s, arg(s, 1));
    if (!s->c->nodes[i].up)
        bad(s, "members: start the node first");
    struct raft_members m = members_of(s, 2);
    bool force = strcmp(s->word[s->n_words - 1], "force") == 0;
    enum raft_refusal refusal = cl_change(s->c, i, &m, force);
    if (refusal != RAFT_TAKEN)
        fprintf(s->out, "refused: %s\n", refusal_name(refusal));
    cl_run_until(s->c, s->c->now);
}

static void do_who(struct script *s)
{
    for (unsigned i = 0; i < s->c->n; i++) {
        const struct raft *r = &s->c->nodes[i].r;
        if (!s->c->nodes[i].up)
            continue;
        fprintf(s->out, "%u entry %llu%s:", i + 1, (unsigned long long)r->members.index,
                r->members.index > r->commit_index ? "?" : "");
        for (unsigned k = 0; k < r->members.n; k++) {
            const struct raft_member *m = &r->members.m[k];
            fprintf(s->out, " %u%s%s", m->id,
                    m->standing == RAFT_LEARNER   ? "l"
                    : m->standing == RAFT_JOINING ? "j"
                                                  : "",
                    m->priority == 0 ? ":0" : "");
            if (m->incarnation != CL_INCARNATION)
                fprintf(s->out, "@%llu", (unsigned long long)m->incarnation);
        }
        fprintf(s->out, "\n");
    }
}

static void do_stats(struct script *s)
{
    const struct raft_stats *t = &s->c->nodes[node_of(s, arg(s, 1))].r.stats;
    fprintf(s->out,
            "campaigns=%llu elections=%llu won=%llu stale=%llu impossible=%llu lease=%llu\n",
            (unsigned long long)t->campaigns, (unsigned long long)t->elections,
            (unsigned long long)t->won, (unsigned long long)t->stale_msgs,
            (unsigned long long)t->impossible_msgs, (unsigned long long)t->votes_refused_by_lease);
}

static void do_node(struct script *s)
{
    struct cl *c = s->c;
    const char *verb = s->word[0];
    bool all = strcmp(arg(s, 1), "all") == 0;
    for (unsigned i = all ? 0 : node_of(s, arg(s, 1)); i < c->n; i++) {
        struct cl_node *node = &c->nodes[i];
        if (strcmp(verb, "start") == 0) {
            cl_start(c, i);
        } else if (strcmp(verb, "wipe") == 0) {
            cl_wipe(c, i);
        } else if (strcmp(verb, "crash") == 0) {
            cl_crash(c, i, s->n_words > 2);
        } else if (strcmp(verb, "arm") == 0) {
            node->r.election_deadline = c->now + 1000 * number(s, 2, 0);
        } else if (strcmp(verb, "pto") == 0) {
            raft_pto(&node->r, (unsigned)raft_peer_slot(&node->r, (uint16_t)number(s, 2, 0)),
                     1000 * number(s, 3, 0));
        } else if (strcmp(verb, "stall") == 0) {
            node->stalled = true;
        } else if (strcmp(verb, "full") == 0 || strcmp(verb, "room") == 0) {
            node->full = strcmp(verb, "full") == 0;
            node->no_room = node->full && s->n_words > 2;
        } else if (strcmp(verb, "differs") == 0) {
            raft_differs(&node->r, true);
        } else if (strcmp(verb, "resume") == 0) {
            node->stalled = false;
            node->batch.done_at = c->now;
        } else if (strcmp(verb, "compact") == 0) {
            cl_compact(c, i, number(s, 2, 0));
        } else if (strcmp(verb, "fetched") == 0) {
            if (!cl_install_begin(c, i, number(s, 2, 0)))
                fprintf(s->out, "refused: no leader has it\n");
        } else if (strcmp(verb, "install") == 0) {
            cl_install_end(c, i, s->n_words == 2);
        } else if (strcmp(verb, "finish") == 0) {
            cl_disk_done(c, i);
        } else if (strcmp(verb, "closed") == 0) {
            cl_closed(c, i, (uint16_t)number(s, 2, 0));
        } else if (strcmp(verb, "transfer") == 0 || strcmp(verb, "drain") == 0) {
            cl_transfer(c, i, (uint16_t)number(s, 2, 0), strcmp(verb, "drain") == 0);
        } else if (strcmp(verb, "propose") == 0) {
            if (!cl_propose(c, i, (unsigned)number(s, 2, 1)))
                fprintf(s->out, "refused: not the leader\n");
        } else {
            cl_read(c, i);
        }
        if (!all)
            break;
    }
    cl_run_until(c, c->now);
}

static void command(struct script *s)
{
    static const struct {
        const char *verb;
        void (*run)(struct script *);
    } verbs[] = {
        {"disk", do_disk},       {"start", do_node},   {"crash", do_node},    {"arm", do_node},
        {"propose", do_node},    {"read", do_node},    {"stall", do_node},    {"resume", do_node},
        {"finish", do_node},     {"cut", do_link},     {"join", do_link},     {"hold", do_link},
        {"release", do_link},    {"discard", do_link}, {"replay", do_replay}, {"show", do_show},
        {"state", do_state},     {"logs", do_logs},    {"peers", do_peers},   {"stats", do_stats},
        {"compact", do_node},    {"fetched", do_node}, {"install", do_node},  {"pto", do_node},
        {"lose", do_lose},       {"damage", do_lose},  {"full", do_node},     {"room", do_node},
        {"transfer", do_node},   {"drain", do_node},   {"closed", do_node},   {"wipe", do_node},
        {"members", do_members}, {"who", do_who},      {"differs", do_node},
    };
    const char *verb = arg(s, 0);
    if (strcmp(verb, "cluster") == 0) {
        if (s->c != NULL)
            cl_free(s->c);
        s->c = cl_new((unsigned)number(s, 1, 3), (unsigned)number(s, 2, number(s, 1, 3)), 1);
        if (s->n_words > 3 && strcmp(s->word[3], "nameless") == 0)
            s->c->ghost.members[0] = nameless(&s->c->ghost.members[0]);
        s->show = true;
        return;
    }
    if (s->c == NULL)
        bad(s, "cluster N must come first");
    s->c->trace = s->show ? s->out : NULL;
    if (strcmp(verb, "run") == 0) {
        cl_run_until(s->c, s->c->now + 1000 * number(s, 1, 0));
        return;
    }
    if (strcmp(verb, "batch") == 0) {
        s->c->batch_max = (unsigned)number(s, 1, 0);
        return;
    }
    if (strcmp(verb, "data") == 0) {
        s->c->lead_with_data = strcmp(arg(s, 1), "alone") == 0 ? 0 : 1000;
        return;
    }
    for (size_t k = 0; k < sizeof verbs / sizeof *verbs; k++) {
        if (strcmp(verbs[k].verb, verb) == 0) {
            verbs[k].run(s);
            return;
        }
    }
    bad(s, "unknown command");
}

/* --------------------------------------------------------------------------------------- files */

static void run_command(struct script *s, const char *line, FILE *result)
{
    char copy[LINE];
    char *text = NULL, *rest = copy;
    size_t size = 0;
    snprintf(copy, sizeof copy, "%s", line);
    copy[strcspn(copy, "\n")] = '\0';
    s->n_words = 0;
    for (char *w; s->n_words < WORDS && (w = strtok_r(rest, " ", &rest)) != NULL;)
        s->word[s->n_words++] = w;
    s->out = open_memstream(&text, &size);
    if (s->out == NULL)
        bad(s, "no memory");
    command(s);
    s->c->trace = NULL;
    if (fclose(s->out) != 0)
        bad(s, "no memory");
    rest = text;
    for (char *l; (l = strsep(&rest, "\n")) != NULL && rest != NULL;)
        fprintf(result, "    %s\n", l);
    free(text);
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = NULL;
    size_t size = 0;
    if (f == NULL || getdelim(&text, &size, '\0', f) < 0) {
        fprintf(stderr, "%s: can't be read\n", path);
        exit(1);
    }
    fclose(f);
    return text;
}

static void print_difference(const char *path, const char *was, const char *is)
{
    unsigned line = 1;
    while (*was != '\0' && strcspn(was, "\n") == strcspn(is, "\n") &&
           strncmp(was, is, strcspn(was, "\n")) == 0) {
        was += strcspn(was, "\n") + (was[strcspn(was, "\n")] == '\n');
        is += strcspn(is, "\n") + (is[strcspn(is, "\n")] == '\n');
        line++;
    }
    fprintf(stderr, "%s:%u: DIFFERS from here on\n  was: %.*s\n  is:  %.*s\n", path, line,
            (int)strcspn(was, "\n"), was, (int)strcspn(is, "\n"), is);
}

bool script_run(const char *path, bool rewrite)
{
    struct script s = {.path = path};
    char *was = read_file(path), *is = NULL;
    size_t size = 0;
    FILE *result = open_memstream(&is, &size);
    if (result == NULL)
        bad(&s, "no memory");
    for (const char *p = was; *p != '\0';) {
        size_t n = strcspn(p, "\n");
        char line[LINE];
        snprintf(line, sizeof line, "%.*s\n", (int)n, p);
        s.line++;
        p += n + (p[n] == '\n');
        if (line[0] == ' ')
            continue;
        fputs(line, result);
        if (line[0] != '#' && line[0] != '\n')
            run_command(&s, line, result);
    }
    if (s.c != NULL)
        cl_free(s.c);
    if (fclose(result) != 0)
        bad(&s, "no memory");
    bool same = strcmp(was, is) == 0;
    if (!same && rewrite) {
        FILE *f = fopen(path, "w");
        if (f == NULL || fputs(is, f) < 0 || fclose(f) != 0)
            bad(&s, "can't be written");
    } else if (!same) {
        print_difference(path, was, is);
    }
    free(was);
    free(is);
    return same || rewrite;
}
