/* raftctl.c: reads and writes the values of a cluster through the daemon on this box. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "raftd/base/exits.h"
#include "raftd/base/num.h"
#include "raftd/tool/raftctl.h"
#include "raftd/base/say.h"
#include "raftd/base/stdfds.h"
#include "raftd/base/version.h"

static const char default_conf[] = "/etc/raftd/raftd.conf";
static const char default_socket[] = "/run/raftd/raftd.sock";

enum { TIMEOUT_DEFAULT_MS = 5000 };

/* Options without a letter. An option of a command is OPT_FLAGS plus one of ARG_*. */
enum { OPT_TIMEOUT = 256, OPT_VERSION, OPT_FLAGS };

/* Letters of options, beside what stands in `options` for the same. */
static const char letters[] = "-hc:i:s:mnr:w:";

static const struct option options[] = {
    {"conf", required_argument, NULL, 'c'},
    {"id", required_argument, NULL, 'i'},
    {"socket", required_argument, NULL, 's'},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPT_VERSION},
    {"stale", no_argument, NULL, OPT_FLAGS + ARG_STALE},
    {"raw", no_argument, NULL, OPT_FLAGS + ARG_RAW},
    {"keys", no_argument, NULL, OPT_FLAGS + ARG_KEYS},
    {"json", no_argument, NULL, OPT_FLAGS + ARG_JSON},
    {"learner", no_argument, NULL, OPT_FLAGS + ARG_LEARNER},
    {"force", no_argument, NULL, OPT_FLAGS + ARG_FORCE},
    {"meta", no_argument, NULL, OPT_FLAGS + ARG_META},
    {"values", no_argument, NULL, OPT_FLAGS + ARG_VALUES},
    {"long", no_argument, NULL, OPT_FLAGS + ARG_LONG},
    {"escaped", no_argument, NULL, OPT_FLAGS + ARG_ESCAPED},
    {"prefix", no_argument, NULL, OPT_FLAGS + ARG_PREFIX},
    {"revision", required_argument, NULL, OPT_FLAGS + ARG_REVISION},
    {"exec", required_argument, NULL, OPT_FLAGS + ARG_EXEC},
    {"since", required_argument, NULL, OPT_FLAGS + ARG_SINCE},
    {"exec-timeout", required_argument, NULL, OPT_FLAGS + ARG_EXEC_TIMEOUT},
    {"if-absent", no_argument, NULL, OPT_FLAGS + ARG_IF_ABSENT},
    {"if-value", required_argument, NULL, OPT_FLAGS + ARG_IF_VALUE},
    {"try", no_argument, NULL, OPT_FLAGS + ARG_TRY},
    {"wait", required_argument, NULL, OPT_FLAGS + ARG_WAIT},
    {"tell", no_argument, NULL, OPT_FLAGS + ARG_TELL},
    {"file", required_argument, NULL, OPT_FLAGS + ARG_FILE},
    {"if-rev", required_argument, NULL, OPT_FLAGS + ARG_IF_REV},
    {"max-lag", required_argument, NULL, OPT_FLAGS + ARG_MAX_LAG},
    {"nagios", no_argument, NULL, OPT_FLAGS + ARG_NAGIOS},
    {"all", no_argument, NULL, OPT_FLAGS + ARG_ALL},
    {NULL, 0, NULL, 0},
};

struct command {
    const char *name;
    const char *usage; /* options and arguments */
    const char *what;  /* what it does; lines of at most 70 characters, behind ten blanks */
    void (*run)(struct tool *t, const struct args *a);
    int words_min, words_max; /* arguments */
    unsigned flags;           /* those of ARG_* that it has */
    enum {
        PLAIN,
        ALONE,       /* it asks no daemon, so it needs neither socket nor configuration */
        LAST_AS_IS,  /* its last argument may be anything, even what looks like an option; one that
                           may be missing, any number */
        OWN_OPTIONS, /* it reads itself what stands behind its name */
        THEN_A_COMMAND,       /* behind -- stands the line of a program that it runs */
        ALONE_THEN_A_COMMAND, /* both */
    } how;
};

static const struct command commands[] = {
    {"put", " KEY VALUE [--if-absent | --if-value V | --if-rev N] [--json]",
     "set KEY, if it is absent, has that value, or was written last as that\n"
     "          revision; VALUE - is read from standard input (--json: print the\n"
     "          revision)",
     run_put, 2, 2, ARG_IF_ABSENT | ARG_IF_VALUE | ARG_IF_REV | ARG_JSON | ARG_ESCAPED, LAST_AS_IS},
    {"get", " [--stale] [-m] [--raw | --json] KEY",
     "print its value and a newline (--raw: without it; -m: with its\n"
     "          revisions and what is left of its time)",
     run_get, 1, 1, ARG_STALE | ARG_META | ARG_RAW | ARG_JSON | ARG_ESCAPED, PLAIN},
    {"del", " [--json] KEY | --prefix PREFIX", "delete KEY, or all keys with PREFIX", run_del, 1, 1,
     ARG_PREFIX | ARG_JSON | ARG_ESCAPED, PLAIN},
    {"incr", " KEY [N] [--json]", "add N, or 1, to the number that KEY holds, and print the sum",
     run_incr, 1, 2, ARG_JSON | ARG_ESCAPED, LAST_AS_IS},
    {"expire", " [--json] KEY SECONDS|never", "have KEY deleted when that time is over", run_expire,
     2, 2, ARG_JSON | ARG_ESCAPED, PLAIN},
    {"ttl", " [--stale] [--json] KEY", "print in how many seconds KEY expires, or never", run_ttl,
     1, 1, ARG_STALE | ARG_JSON | ARG_ESCAPED, PLAIN},
    {"list", " [--stale] [--keys | --values] [--long] [--json] [PREFIX]",
     "print KEY=VALUE of all keys with PREFIX, sorted (--long: behind their\n"
     "          create and modify revision and the ms until they expire)",
     run_list, 0, 1, ARG_STALE | ARG_KEYS | ARG_VALUES | ARG_LONG | ARG_JSON | ARG_ESCAPED, PLAIN},
    {"txn", " [--json]", txn_what, run_txn, 0, 0, ARG_JSON, PLAIN},
    {"outcome", " [--json] TOKEN", "print what became of a write that ended with exit code 5",
     run_outcome, 1, 1, ARG_JSON, PLAIN},
    {"lock", " [-n | -w SECONDS] [--tell] NAME -- PROGRAM [ARG]...",
     "run PROGRAM while it holds the lock NAME, its fence in RAFTD_FENCE;\n"
     "          the exit code is the program's, or 13 (-n: does not wait for it;\n"
     "          --tell: the program reads until when the lock is held)",
     run_lock, 1, 1, ARG_TRY | ARG_WAIT | ARG_TELL | ARG_ESCAPED, THEN_A_COMMAND},
    {"elect", " [--tell] NAME [VALUE] -- PROGRAM [ARG]...",
     "run PROGRAM while it holds the lock NAME, again and again until it\n"
     "          ends by itself; raftctl leader prints VALUE",
     run_elect, 1, 2, ARG_TELL | ARG_ESCAPED, THEN_A_COMMAND},
    {"before", " MILLISECONDS -- PROGRAM [ARG]...",
     "run PROGRAM, which is killed at that time since boot, even if it\n"
     "          was stopped until then",
     run_before, 1, 1, 0, ALONE_THEN_A_COMMAND},
    {"leader", " [--json] NAME", "print who holds the lock NAME, as this node knows it", run_leader,
     1, 1, ARG_JSON | ARG_ESCAPED, PLAIN},
    {"publish", " KEY VALUE", "set KEY, which is deleted when this process ends", run_publish, 2, 2,
     ARG_ESCAPED, LAST_AS_IS},
    {"export", " [PREFIX]", "print all keys with PREFIX and their values as lines of JSON",
     run_export, 0, 1, 0, PLAIN},
    {"import", "", "put the keys of an export, which is read from standard input", run_import, 0, 0,
     0, PLAIN},
    {"status", " [--all] [--json]", "print the state of this node, or how all members are (--all)",
     run_status, 0, 0, ARG_ALL | ARG_JSON, PLAIN},
    {"health", " [--max-lag N] [--nagios]",
     "exit with 0 if this node does its work, else with a code for what is\n"
     "          wrong, and say what to do",
     run_health, 0, 0, ARG_MAX_LAG | ARG_NAGIOS, PLAIN},
    {"is-leader", "", "exit with 0 if this node leads, else with 1; asks no other node",
     run_is_leader, 0, 0, 0, PLAIN},
    {"watch", watch_usage, watch_what, run_watch, 0, 1, ARG_REVISION | ARG_EXEC | ARG_ESCAPED,
     PLAIN},
    {"events", " [--since SEQ] [--json | --exec PATH [--exec-timeout S]]",
     "print how this node is, then a line for each event: another leader,\n"
     "          no quorum, a silent member ... (--since: those behind event SEQ;\n"
     "          --exec: run that script, or the scripts of a directory, for it)",
     run_events, 0, 0, ARG_SINCE | ARG_JSON | ARG_EXEC | ARG_EXEC_TIMEOUT, PLAIN},
    {"wait", wait_usage, wait_what, run_wait, 1, 2, ARG_ESCAPED, PLAIN},
    {"links", " [--json]", "print which node hears which, as this node knows it", run_links, 0, 0,
     ARG_JSON, PLAIN},
    {"top", "", "show the cluster on a screen that is kept up to date; q ends it", run_top, 0, 0, 0,
     PLAIN},
    {"report", "",
     "print the state of the cluster as a page of HTML, without its keys\n"
     "          and values",
     run_report, 0, 0, 0, PLAIN},
    {"metrics", metrics_usage, metrics_what, run_metrics, 0, 0, ARG_FILE, PLAIN},
    {"members", " [--json]",
     "print the members of the cluster, as the leader or this node knows it", run_members, 0, 0,
     ARG_JSON, PLAIN},
    {"member", member_usage, member_what, run_member, 2, 4, ARG_LEARNER | ARG_FORCE, PLAIN},
    {"transfer", " [ID]",
     "have the leader hand over to node ID, or to the one that is best fit,\n"
     "          and wait for it",
     run_transfer, 0, 1, 0, PLAIN},
    {"drain", "",
     "have this node lead no more until it is started again: before a stop\n"
     "          that is not a SIGTERM",
     run_drain, 0, 0, 0, PLAIN},
    {"snapshot", "", "have this node write its state to its disk now, and wait for it",
     run_snapshot, 0, 0, 0, PLAIN},
    {"backup", " FILE",
     "write all keys, as of now, into FILE (-: to standard output);\n"
     "          raftd --init --restore FILE begins a new cluster with them",
     run_backup, 1, 1, 0, PLAIN},
    {"keygen", "",
     "print a new key for a cluster, see raftd.conf(5):\n"
     "          (umask 077; raftctl keygen >FILE)",
     run_keygen, 0, 0, 0, ALONE},
    {"bench", bench_usage, bench_what, run_bench, 0, 0, 0, OWN_OPTIONS},
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

/* Words that people type who know other tools, and what they mean here. */
static const struct {
    const char *word, *command;
} others[] = {
    {"set", "put"},     {"write", "put"},   {"delete", "del"}, {"rm", "del"},
    {"remove", "del"},  {"unset", "del"},   {"read", "get"},   {"cat", "get"},
    {"ls", "list"},     {"keys", "list"},   {"scan", "list"},  {"dump", "export"},
    {"info", "status"}, {"peers", "links"}, {"flock", "lock"}, {"subscribe", "watch"},
    {"incrby", "incr"},
};

static void print_command(FILE *out, const char *before, const struct command *c)
{
    fprintf(out, "%s%s%s\n          %s\n", before, c->name, c->usage, c->what);
}

static void print_usage(FILE *out)
{
    fputs("usage: raftctl [-c FILE [-i ID] | -s SOCKET] [--timeout SECONDS] COMMAND ...\n\n"
          "  -c, --conf FILE       take the socket from this configuration (default:\n"
          "                        /etc/raftd/raftd.conf if it exists)\n"
          "  -i, --id ID           which node of the configuration\n"
          "  -s, --socket SOCKET   the daemon's socket (default: /run/raftd/raftd.sock)\n"
          "      --timeout S       how long to wait for an answer and a leader (default: 5)\n"
          "  -h, --help [COMMAND]  this, or only that command\n"
          "      --version\n\ncommands:\n",
          out);
    for (size_t i = 0; i < COMMANDS; i++)
        print_command(out, "  ", &commands[i]);
    fputs("\n--stale answers at once from this node's own state, which may be old.\n"
          "--escaped: \\xHH in keys and values is a byte, as list prints it.\n"
          "exit codes: 0 done, 1 no such key or not so, 2 usage, configuration or empty\n"
          "  input, 3 daemon not running or not for you, 4 no leader that can commit,\n"
          "  5 outcome of the write unknown, 6 too large, 7 busy or full, 8 connection\n"
          "  lost during a read, 9 internal or output failed, 10 not yet (just started),\n"
          "  11 the leader refused it, 12 a condition does not hold, 13 lock not held,\n"
          "  14 changes not remembered, 15 changes missed, 16 outcome forgotten; of health:\n"
          "  20 no leader, 21 no quorum, 22 not caught up, 23 disk slow, 24 disk full,\n"
          "  25 in doubt, 26 no member, 27 the daemon hangs\n",
          out);
}

/* --- start ------------------------------------------------------------------------------------ */

/* The one node that has a socket here; 0: there is none, or several. Addresses come and go, so a program that
 * speaks to its own box does not ask for them. */
static uint16_t node_with_socket(const struct conf *conf)
{
    char err[CONF_ERR_SIZE];
    uint16_t found = 0;
    for (int i = 0; i < conf->n_nodes; i++) {
        struct conf as = *conf;
        if (conf_set_node(&as, conf->nodes[i].id, err, sizeof err) != 0 ||
            access(as.socket, F_OK) != 0)
            continue;
        if (found != 0)
            return 0;
        found = conf->nodes[i].id;
    }
    return found;
}

static void socket_of_conf(struct tool *t, const char *path, uint64_t id)
{
    struct conf conf;
    char err[CONF_ERR_SIZE];
    if (conf_load(&conf, path, err, sizeof err) != 0)
        say_fatal(RAFTCTL_EXIT_USAGE, "%s", err);
    /* Which node we are matters only to find its socket. */
    if (id == 0 && conf.id == 0 && strstr(conf.socket, "{id}"))
        id = node_with_socket(&conf);
    if ((id != 0 || strstr(conf.socket, "{id}")) &&
        conf_set_node(&conf, (uint16_t)id, err, sizeof err) != 0)
        say_fatal(RAFTCTL_EXIT_USAGE, "%s", err);
    memcpy(t->socket, conf.socket, sizeof t->socket);
}

static void find_socket(struct tool *t, const char *conf, const char *socket, uint64_t id)
{
    if (socket != NULL && (conf != NULL || id != 0))
        say_fatal(RAFTCTL_EXIT_USAGE, "-s says it all: not together with -c or -i");
    if (socket == NULL && conf == NULL && access(default_conf, F_OK) == 0)
        conf = default_conf;
    if (conf != NULL) {
        socket_of_conf(t, conf, id);
        return;
    }
    if (id != 0)
        say_fatal(RAFTCTL_EXIT_USAGE, "-i needs a configuration (-c FILE)");
    if (socket == NULL)
        socket = default_socket;
    if (socket[0] == '\0' || strlen(socket) >= sizeof t->socket)
        say_fatal(RAFTCTL_EXIT_USAGE, "the path of a socket has 1 to %zu bytes",
                  sizeof t->socket - 1);
    memcpy(t->socket, socket, strlen(socket) + 1);
}

static const struct command *find_command(const char *word)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(word, commands[i].name) == 0)
            return &commands[i];
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strcmp(word, others[i].word) == 0)
            say_fatal(RAFTCTL_EXIT_USAGE, "%s: no such command; do you mean %s?", word,
                      others[i].command);
    say_fatal(RAFTCTL_EXIT_USAGE, "%s: no such command; raftctl --help names them", word);
}

static _Noreturn void refuse(const struct command *c, const char *why)
{
    if (strchr(c->usage, '\n') != NULL) /* a message is one line */
        say_fatal(RAFTCTL_EXIT_USAGE, "%s: %s; raftctl %s --help shows its usage", c->name, why,
                  c->name);
    say_fatal(RAFTCTL_EXIT_USAGE, "%s: %s; usage: raftctl %s%s", c->name, why, c->name, c->usage);
}

/* All of the command line. Options may stand anywhere; behind -- there are none. */
struct line {
    const char *conf, *socket;
    uint64_t id;
    const struct command *command; /* NULL: none was named */
    bool help, version;
    struct args args;
};

static _Noreturn void refuse_options(const struct command *c)
{
    if (c != NULL)
        refuse(c, "wrong options");
    say_fatal(RAFTCTL_EXIT_USAGE, "wrong options; raftctl --help names them");
}

/* The next word that is no option: the command's name, or an argument of it. */
static void take_word(struct line *l, char *word)
{
    if (l->command == NULL && !l->help && strcmp(word, "help") == 0)
        l->help = true;
    else if (l->command == NULL)
        l->command = find_command(word);
    else if (l->args.n_words == l->command->words_max)
        refuse(l->command, "too many arguments");
    else
        l->args.words[l->args.n_words++] = (struct word){word, strlen(word)};
}

static void take_flag(struct args *a, unsigned flag, char *value)
{
    a->flags |= flag;
    for (unsigned v = 0; value != NULL && v < VALUES; v++)
        if (flag == 1U << v)
            a->values[v] = (struct word){value, strlen(value)};
}

static void take_option(struct tool *t, struct line *l, int c, char *value)
{
    uint64_t timeout_ms;
    switch (c) {
    case 'c': l->conf = value; break;
    case 's': l->socket = value; break;
    case 'i':
        if (!num_parse(value, 1, CONF_ID_MAX, &l->id))
            say_fatal(RAFTCTL_EXIT_USAGE, "-i %s: an id is 1 to %d", value, CONF_ID_MAX);
        break;
    case OPT_TIMEOUT:
        if (!num_parse_thousandths(value, 1, CTL_TIMEOUT_MAX_MS, &timeout_ms))
            say_fatal(RAFTCTL_EXIT_USAGE, "--timeout %s: seconds, 0.001 to %d", value,
                      CTL_TIMEOUT_MAX_MS / 1000);
        t->timeout_ms = (uint32_t)timeout_ms;
        break;
    case 'h': l->help = true; break;
    case OPT_VERSION: l->version = true; break;
    case 'm': take_flag(&l->args, ARG_META, NULL); break;
    case 'r': take_flag(&l->args, ARG_REVISION, value); break;
    case 'n': take_flag(&l->args, ARG_TRY, NULL); break;
    case 'w': take_flag(&l->args, ARG_WAIT, value); break;
    default:
        if (c < OPT_FLAGS) /* getopt has said which */
            refuse_options(l->command);
        take_flag(&l->args, (unsigned)(c - OPT_FLAGS), value);
    }
}

/* Leaves the rest of the line to the command, but for a call for help. */
static void leave_rest(struct line *l, int argc, char **argv)
{
    l->args.argc = argc;
    l->args.argv = argv;
    for (int i = 1; i < argc; i++)
        l->help |= strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
}

/* The next word is the last argument, and may look like an option. */
static bool is_last_as_is(const struct line *l)
{
    return l->command != NULL && l->command->how == LAST_AS_IS &&
           l->args.n_words == l->command->words_max - 1;
}

static void parse_line(struct tool *t, struct line *l, int argc, char **argv)
{
    int c;
    while ((c = getopt_long(argc, argv, letters, options, NULL)) != -1) {
        if (c != 1) { /* 1: no option */
            take_option(t, l, c, optarg);
            continue;
        }
        take_word(l, optarg);
        if (l->command != NULL && l->command->how == OWN_OPTIONS) {
            leave_rest(l, argc - optind + 1, argv + optind - 1);
            return;
        }
        /* A script that puts "$value" must not have to think of what it starts with. */
        if (is_last_as_is(l) && optind < argc &&
            (l->command->words_min > l->args.n_words || is_addend(argv[optind])))
            take_word(l, argv[optind++]);
    }
    if (l->command != NULL &&
        (l->command->how == THEN_A_COMMAND || l->command->how == ALONE_THEN_A_COMMAND)) {
        l->args.argc = argc - optind;
        l->args.argv = argv + optind;
        return;
    }
    while (optind < argc)
        take_word(l, argv[optind++]);
}

static void undo_word(const struct command *c, struct word *w)
{
    if (w->at != NULL && !undo_escapes(w->at, &w->len))
        refuse(c, "--escaped: a backslash is written \\x5c, and other bytes likewise");
}

static _Noreturn void refuse_option(const struct command *c, const char *name)
{
    char why[64];
    (void)snprintf(why, sizeof why, "--%s is not for it", name);
    refuse(c, why);
}

/* Refuses options of other commands, and missing arguments. */
static void check_line(const struct line *l)
{
    const struct args *a = &l->args;
    const struct command *c = l->command;
    for (const struct option *o = options; o->name != NULL; o++)
        if (o->val > OPT_FLAGS && (a->flags & ~c->flags & (unsigned)(o->val - OPT_FLAGS)) != 0)
            refuse_option(c, o->name);
    if (a->flags & ARG_RAW && a->flags & (ARG_JSON | ARG_META))
        refuse(c, "--raw and other forms exclude each other");
    if (a->flags & ARG_EXEC && a->flags & ARG_JSON)
        refuse(c, "--exec and --json exclude each other");
    if (a->flags & ARG_EXEC_TIMEOUT && !(a->flags & ARG_EXEC))
        refuse(c, "--exec-timeout is nothing without --exec");
    if (a->flags & ARG_KEYS && a->flags & ARG_VALUES)
        refuse(c, "--keys and --values exclude each other");
    if (a->n_words < c->words_min)
        refuse(c, "too few arguments");
}

static void run_line(struct tool *t, struct line *l)
{
    FILE *out = t->out.file;
    if (l->version)
        fputs("raftctl " RAFTD_VERSION "\n", out);
    else if (l->help && l->command != NULL)
        print_command(out, "usage: raftctl ", l->command);
    else if (l->help)
        print_usage(out);
    if (l->version || l->help)
        return;
    if (l->command == NULL) {
        print_usage(stderr);
        exit(RAFTCTL_EXIT_USAGE);
    }
    check_line(l);
    for (int i = 0; l->args.flags & ARG_ESCAPED && i < l->args.n_words; i++)
        undo_word(l->command, &l->args.words[i]);
    for (int i = 0; l->args.flags & ARG_ESCAPED && i < VALUES; i++)
        undo_word(l->command, &l->args.values[i]);
    if (l->command->how != ALONE && l->command->how != ALONE_THEN_A_COMMAND)
        find_socket(t, l->conf, l->socket, l->id);
    l->command->run(t, &l->args);
}

int main(int argc, char **argv)
{
    struct tool t = {.timeout_ms = TIMEOUT_DEFAULT_MS};
    struct line line = {0};
    if (!stdfds_fill())
        return RAFTCTL_EXIT_INTERNAL;
    say_set_ident("raftctl");
    if (output_open(&t.out) != 0)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "out of memory");
    parse_line(&t, &line, argc, argv);
    run_line(&t, &line);
    tool_end(&t, RAFTCTL_EXIT_OK);
}
