/* explore.c: enumerates all that can happen to a small cluster; see world.h for what that means.
 *
 *     explore                    the worlds that a check of everything should include
 *     explore WORLD...           these; --list names them
 *     explore --terms 4 ... all  with other bounds
 *
 * Ends with 0 if nothing broke, with 1 and a shortest trace if something did, with 2 after misuse.
 */
#include "tests/explore/search.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct disk { /* before the start: term, vote (number + 1), terms of the log's entries */
    uint8_t term, vote;
    const char *log;
};

struct setting {
    const char *name, *what;
    bool usual;         /* without arguments */
    const char *bounds; /* others than those of defaults[] */
    struct disk disks[W_NODES];
    const char *elect; /* before the search begins, see search.h */
    /* Configurations, the first one first: voters, with an l behind them learners. NULL: all are voters. */
    const char *members;
};

static const struct setting settings[] = {
    {"pair",
     "two nodes: elections, entries, a crash",
     true,
     "nodes=2 entries=2 timeouts=99 beats=99 crashes=1 slow=7",
     {{0, 0, ""}},
     "",
     NULL},
    {"again",
     "two nodes: a second term, no crash",
     true,
     "nodes=2 terms=2 entries=3 timeouts=99 beats=99 slow=7",
     {{0, 0, ""}},
     "",
     NULL},
    {"lazy",
     "two nodes that take several events before they hand over",
     true,
     "nodes=2 entries=2 timeouts=99 beats=99 slow=7 lazy=1",
     {{0, 0, ""}},
     "",
     NULL},
    {"pings",
     "two nodes: silent leaders are asked",
     true,
     "nodes=2 entries=2 timeouts=99 beats=99 pings=1",
     {{0, 0, ""}},
     "",
     NULL},
    {"trio",
     "three nodes: one election, entries, a crash",
     true,
     "entries=2 timeouts=1 beats=1 crashes=1 slow=7",
     {{0, 0, ""}},
     "",
     NULL},
    {"votes",
     "two candidates of one term, a voter that crashes before its vote is written",
     true,
     "timeouts=2 crashes=1 slow=4 crashing=4 standing=3",
     {{0, 0, ""}},
     "",
     NULL},
    {"loss",
     "a leader crashes before it has written what others acknowledged",
     true,
     "terms=2 entries=2 timeouts=1 proposals=0 crashes=1 slow=1 crashing=1",
     {{0, 0, ""}},
     "12",
     NULL},
    {"older",
     "figure 3.7: an entry of an older term on a majority",
     true,
     "terms=5 entries=4 timeouts=2 proposals=0",
     {{3, 0, "12"}, {3, 3, "1"}, {3, 3, "13"}},
     "",
     NULL},
    {"conflict",
     "a follower with more entries than the leader, and other ones",
     true,
     "terms=3 entries=4 beats=2 proposals=0 crashes=1 crashing=4 slow=4",
     {{1, 3, "1"}, {1, 3, "1"}, {1, 3, "111"}},
     "12",
     NULL},
    {"aba",
     "an entry is overwritten while its batch is in flight",
     true,
     "terms=5 entries=3 timeouts=1 proposals=0 crashes=1 slow=5 crashing=1 standing=2",
     {{3, 0, "12"}, {3, 2, "13"}, {3, 2, "1"}},
     "13",
     NULL},
    {"reads",
     "a deposed leader is asked for a read",
     true,
     "terms=2 entries=2 timeouts=1 proposals=0 reads=1 standing=4 reading=1",
     {{0, 0, ""}},
     "12",
     NULL},
    {"relayed",
     "two nodes, either is asked for reads, one crash",
     true,
     "nodes=2 terms=2 entries=2 timeouts=2 proposals=0 reads=1 crashes=1",
     {{0, 0, ""}},
     "",
     NULL},
    {"changes",
     "a learner becomes a voter, and another voter goes, while another one stands",
     true,
     "terms=2 entries=4 timeouts=1 proposals=0 changes=2 standing=2",
     {{0, 0, ""}},
     "12",
     "123l 123 23"},
    {"joins",
     "one of two adds a third, as learner, then as voter, while the other one stands",
     true,
     "terms=2 entries=4 timeouts=1 proposals=0 changes=2 standing=2",
     {{0, 0, ""}},
     "12",
     "12 123l 123"},
    {"fourth",
     "three add a fourth, as learner, then as voter, while another one stands",
     false,
     "nodes=4 terms=2 entries=4 timeouts=1 proposals=0 changes=2 standing=2",
     {{0, 0, ""}},
     "12",
     "123 1234l 1234"},
    {"leaves",
     "a leader of three is removed, or removes another, while another one stands",
     true,
     "terms=2 entries=3 timeouts=1 proposals=0 changes=1 standing=2",
     {{0, 0, ""}},
     "12",
     "123 23 12 1"},
    {"damaged",
     "a follower loses what it acknowledged, and whom it voted for, while another node stands",
     false,
     "terms=2 entries=3 timeouts=1 proposals=0 damages=1 crashing=2 standing=4 outcomes=1",
     {{0, 0, ""}},
     "12",
     NULL},
    {"forgotten",
     "the same, with more terms and entries",
     false,
     "terms=3 entries=4 timeouts=2 proposals=0 damages=1 crashing=2 standing=5 outcomes=1",
     {{0, 0, ""}},
     "12",
     NULL},
    {"handed",
     "a leader hands over, and gives its heir up, while another one stands",
     true,
     "terms=2 entries=2 timeouts=1 proposals=0 transfers=1 standing=5",
     {{0, 0, ""}},
     "12",
     NULL},
    {"handing",
     "a leader hands over, gives its heir up, and goes on",
     true,
     "terms=2 entries=3 timeouts=1 proposals=1 transfers=1 standing=1",
     {{0, 0, ""}},
     "12",
     NULL},
};

static const char defaults[] =
    "nodes=3 terms=1 entries=1 timeouts=0 beats=0 proposals=99 crashes=0 damages=0 reads=0 "
    "changes=0 transfers=0 slow=0 crashing=7 standing=7 reading=7 lazy=0 pings=0 leads=2 "
    "probes=8 messages=160 depth=10000 "
    "states=4294967295 memory=1800 keep=0 outcomes=0";

enum { N_SETTINGS = sizeof settings / sizeof *settings };

/* A broken assertion of the core ends raft_step() here. */
static sigjmp_buf aborted;

static void on_abort(int sig)
{
    (void)sig;
    siglongjmp(aborted, 1);
}

/* -------------------------------------------------------------------------------------- traces */

static void print_log(const uint8_t *log, unsigned last)
{
    printf(" log [");
    for (unsigned index = 1; index <= last && index <= W_LOG; index++) {
        printf(index == 1 ? "%u" : " %u", w_term(log[index]));
        if (w_conf(log[index]) != 0)
            printf("/%u", w_conf(log[index]));
    }
    printf("]");
}

static unsigned named(uint8_t id, const uint8_t *name)
{
    return id == 0 ? 0 : name[id - 1] + 1u;
}

static void print_node(const struct world *w, unsigned i, const uint8_t *name)
{
    const struct w_node *n = &w->nodes[i];
    printf("%s term %u vote %u", raft_role_name((enum raft_role)n->role), n->term,
           named(n->vote, name));
    print_log(n->log, n->last);
    printf(" commit %u durable %u", n->commit, n->durable);
    if (n->inflight)
        printf(" (writing)");
    printf(", disk: term %u vote %u", n->disk_term, named(n->disk_vote, name));
    print_log(n->disk_log, n->disk_last);
}

static void print_msg(const struct w_msg *m, const uint8_t *name)
{
    static const char *const kinds[] = {"",      "vote-req", "vote", "probe",    "probe-ack",
                                        "lead",  "ack",      "ping", "read-req", "read",
                                        "stand", "",         "data"};
    const uint8_t *f = m->f;
    unsigned type = w_type(m);
    bool vote = type == RAFT_MSG_VOTE_REQ || type == RAFT_MSG_VOTE_RSP;
    printf("%s%s from %u, term %u", vote && (f[0] & W_PRE) ? "pre-" : "", kinds[type],
           name[w_from(m)] + 1u, m->term);
    switch (type) {
    case RAFT_MSG_VOTE_REQ: printf(", log ends with %u:%u", f[2], f[3]); break;
    case RAFT_MSG_VOTE_RSP:
        printf(f[0] & W_GRANTED ? ", granted" : ", refused");
        if (f[2] != 0)
            printf(", removed by entry %u", f[2]);
        break;
    case RAFT_MSG_TIMEOUT_NOW: printf(", round %u, last %u", f[1], f[2]); break;
    case RAFT_MSG_PROBE: printf(", number %u, previous %u:%u", f[0], f[1], f[2]); break;
    case RAFT_MSG_PROBE_ACK:
        printf(", number %u, %s", f[0], f[1] & 1 ? "match" : "no match");
        if (!(f[1] & 1))
            printf(", hint %u:%u", f[3], f[4]);
        break;
    case RAFT_MSG_LEAD: printf(", round %u, commit %u, epoch %u", f[1], f[2], f[0]); break;
    case RAFT_MSG_ACK:
        printf(", round %u, durable %u, epoch %u%s", f[1], f[2], f[0],
               f[3] & 1 ? ", need probe" : "");
        break;
    case RAFT_MSG_READ_RSP: printf(", index %u", f[1]); break;
    case W_DATA: printf(", epoch %u", f[0]); break;
    default: break;
    }
}

static void print_action(const struct world *w, struct w_action a, const uint8_t *name)
{
    static const char *const names[] = {
        [ACT_TIMEOUT] = "election timeout",
        [ACT_DISK_LATE] = "election timeout, and the disk hangs",
        [ACT_GIVE_UP] = "heard no majority for long",
        [ACT_BEAT] = "heartbeat to ",
        [ACT_PING] = "asks its silent leader",
        [ACT_DELIVER] = "gets ",
        [ACT_DATA] = "gets ",
        [ACT_LEARN] = "gets a late answer with a higher term from ",
        [ACT_PROPOSE] = "appends an entry",
        [ACT_READ] = "is asked for a read",
        [ACT_DISK] = "batch is durable",
        [ACT_CRASH_LOST] = "crashes, the batch in flight is lost, restarts",
        [ACT_DAMAGE] = "is damaged, and restarts with entries up to ",
        [ACT_CRASH_KEPT] = "crashes when its batch was durable, restarts",
        [ACT_FLUSH] = "hands over what is ready",
        [ACT_CHANGE] = "is asked for the members of configuration ",
        [ACT_TRANSFER] = "is asked to hand over to ",
        [ACT_HEIR_LATE] = "gives its heir up",
    };
    printf("node %u  %s", name[a.node] + 1u, names[a.type]);
    if (a.type == ACT_CHANGE || a.type == ACT_DAMAGE)
        printf("%u", a.arg);
    if (a.type == ACT_BEAT || a.type == ACT_LEARN || a.type == ACT_TRANSFER)
        printf("%u", name[a.arg] + 1u);
    if (a.type == ACT_DELIVER || a.type == ACT_DATA)
        print_msg(&w->msgs[a.arg], name);
    if (a.type == ACT_DATA)
        printf(", entries up to %u", a.last);
    if (a.how & HOW_SILENT)
        printf(" (heard of no leader for long)");
    if (a.how & HOW_SHORT)
        printf(" (writes one entry only)");
}

/* The way to the action that broke something. The last one is not done again: it may abort. */
static void print_trace(struct search *s, const char *broken)
{
    size_t n = 1;
    for (uint32_t k = s->expanded; k != 0; k = s->records[k].parent)
        n++;
    struct w_action *way = calloc(n, sizeof *way);
    if (way == NULL)
        return;
    way[n - 1] = s->by;
    for (uint32_t k = s->expanded, at = (uint32_t)n - 1; k != 0; k = s->records[k].parent)
        way[--at] = s->records[k].by;
    struct lab *l = &s->lab;
    struct world w = s->first, to;
    uint8_t name[W_NODES] = {0, 1, 2, 3}, order[W_NODES] = {0, 1, 2, 3};
    for (unsigned i = 0; i < l->b.nodes; i++) {
        printf("     node %u  ", i + 1);
        print_node(&w, i, name);
        printf("\n");
    }
    for (size_t k = 0; k < n; k++) {
        printf("%3zu  ", k + 1);
        print_action(&w, way[k], name);
        printf("\n");
        if (k + 1 == n && strncmp(broken, "assertion", 9) == 0)
            break;
        w_act(l, &w, way[k], &to);
        printf("               ");
        print_node(&to, way[k].node, name);
        printf("\n");
        w_tidy(&l->b, &to, order);
        uint8_t old[W_NODES];
        memcpy(old, name, sizeof old);
        for (unsigned i = 0; i < l->b.nodes; i++)
            name[i] = old[order[i]];
        w = to;
    }
    printf("BROKEN: %s\n", broken);
    free(way);
}

/* -------------------------------------------------------------------------------------- running */

static void preset(struct world *w, const struct disk *disks, unsigned nodes)
{
    for (unsigned i = 0; i < nodes; i++) {
        struct w_node *n = &w->nodes[i];
        n->disk_term = disks[i].term;
        n->disk_vote = disks[i].vote;
        for (const char *p = disks[i].log; p != NULL && *p != '\0'; p++)
            n->disk_log[++n->disk_last] = (uint8_t)(*p - '0');
    }
}

/* See struct setting. */
static void configurations(struct lab *l, const char *text)
{
    l->b.confs = 1;
    for (const char *p = text; *p != '\0'; p++) {
        struct raft_members *m = &l->conf[l->b.confs - 1];
        if (*p == ' ')
            l->b.confs++;
        else if (*p == 'l')
            m->m[m->n - 1].standing = RAFT_LEARNER;
        else
            m->m[m->n++] = (struct raft_member){
                .id = (uint16_t)(*p - '0'), .standing = RAFT_VOTER, .priority = 1};
    }
}

static bool run(const struct setting *set, const struct bounds *b)
{
    struct search *s = calloc(1, sizeof *s);
    if (s == NULL) {
        fputs("explore: out of memory\n", stderr);
        exit(2);
    }
    s->lab.b = *b;
    s->elect = set->elect;
    const char *all = b->nodes == 2 ? "12" : b->nodes == 3 ? "123" : "1234";
    configurations(&s->lab, set->members != NULL ? set->members : all);
    preset(&s->first, set->disks, b->nodes);
    bool good;
    const char *broken = "assertion failed, see above";
    if (sigsetjmp(aborted, 0) == 0) {
        good = search_run(s);
        broken = s->lab.broken;
    } else {
        good = false;
    }
    printf("%-10s %10zu states %11llu transitions  depth %3u  queue <= %zu (%zu MiB)  "
           "%.1f s  %.0f states/s  %s%s\n",
           set->name, s->n_records, s->transitions, s->depth, s->queue_max,
           s->queue_max_bytes >> 20, s->seconds, (double)s->n_records / (s->seconds + 1e-9),
           !good      ? "BROKEN"
           : s->limit ? "stopped at the limit of "
                      : "complete within bounds",
           good && s->limit ? s->limit : "");
    if (!good)
        print_trace(s, broken);
    fflush(stdout);
    search_free(s);
    free(s);
    return good;
}

/* -------------------------------------------------------------------------------------- bounds */

static bool set_bound(struct bounds *b, const char *name, size_t n, unsigned long v)
{
    const struct {
        const char *name;
        unsigned *value;
        unsigned long low, high;
    } all[] = {
        {"nodes", &b->nodes, 2, W_NODES},
        {"terms", &b->terms, 1, W_TERMS - 1},
        {"entries", &b->entries, 1, W_LOG},
        {"timeouts", &b->timeouts, 0, W_FREE},
        {"beats", &b->beats, 0, W_FREE},
        {"proposals", &b->proposals, 0, W_FREE},
        {"crashes", &b->crashes, 0, 6},
        {"damages", &b->damages, 0, 6},
        {"reads", &b->reads, 0, 6},
        {"changes", &b->changes, 0, 6},
        {"transfers", &b->transfers, 0, 6},
        {"slow", &b->slow, 0, 15},
        {"crashing", &b->crashing, 0, 15},
        {"standing", &b->standing, 0, 15},
        {"reading", &b->reading, 0, 15},
        {"lazy", &b->lazy, 0, 1},
        {"pings", &b->pings, 0, 1},
        {"leads", &b->leads, 1, 20},
        {"probes", &b->probes, 2, 50},
        {"messages", &b->messages, 1, W_MSGS},
        {"depth", &b->depth, 1, 10000},
        {"states", &b->states, 1, UINT32_MAX},
        {"memory", &b->memory_mib, 1, 1000000},
        {"keep", &b->keep, 0, 1},
        {"outcomes", &b->outcomes, 0, 1},
    };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        if (strlen(all[k].name) == n && strncmp(all[k].name, name, n) == 0) {
            *all[k].value = (unsigned)v;
            return v >= all[k].low && v <= all[k].high;
        }
    }
    return false;
}

/* "name=value name=value"; false if one is not understood. */
static bool set_bounds(struct bounds *b, const char *text)
{
    while (*text != '\0') {
        size_t n = strcspn(text, "=");
        char *end;
        if (text[n] != '=' || text[n + 1] < '0' || text[n + 1] > '9')
            return false;
        unsigned long v = strtoul(text + n + 1, &end, 10);
        if ((*end != ' ' && *end != '\0') || !set_bound(b, text, n, v))
            return false;
        text = end + strspn(end, " ");
    }
    return true;
}

static int usage(void)
{
    fprintf(stderr, "usage: explore [BOUND=NUMBER]... [WORLD]...\ndefaults: %s\nworlds:\n",
            defaults);
    for (unsigned k = 0; k < N_SETTINGS; k++)
        fprintf(stderr, "  %-9s %s%s\n            %s\n", settings[k].name, settings[k].what,
                settings[k].usual ? "" : " (only if named)", settings[k].bounds);
    return 2;
}

/* Named in the arguments, or usual if none is. */
static bool chosen(const struct setting *set, int argc, char **argv)
{
    bool any = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], set->name) == 0)
            return true;
        any = any || strchr(argv[i], '=') == NULL;
    }
    return !any && set->usual;
}

static bool known(const char *argument)
{
    struct bounds b;
    for (unsigned k = 0; k < N_SETTINGS; k++) {
        if (strcmp(argument, settings[k].name) == 0)
            return true;
    }
    return strchr(argument, ' ') == NULL && set_bounds(&b, argument);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!known(argv[i]))
            return usage();
    }
    signal(SIGABRT, on_abort);
    for (unsigned k = 0; k < N_SETTINGS; k++) {
        struct bounds b = {0};
        if (!chosen(&settings[k], argc, argv))
            continue;
        bool good = set_bounds(&b, defaults) && set_bounds(&b, settings[k].bounds);
        for (int i = 1; i < argc; i++) {
            if (strchr(argv[i], '=') != NULL)
                good = good && set_bounds(&b, argv[i]);
        }
        if (!good)
            return usage();
        if (!run(&settings[k], &b))
            return 1;
    }
    return 0;
}
