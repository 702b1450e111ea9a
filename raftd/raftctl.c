/* raftctl.c: reads and writes the values of a cluster through the daemon on this box. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "raftd/cmd.h"
#include "raftd/exits.h"
#include "raftd/raftctl.h"
#include "raftd/say.h"
#include "raftd/stdfds.h"
#include "raftd/version.h"

static const char default_conf[] = "/etc/raftd/raftd.conf";
static const char default_socket[] = "/run/raftd/raftd.sock";

enum { TIMEOUT_DEFAULT_MS = 5000 };

struct command {
    const char *name;
    const char *usage; /* options, arguments and what it does                                    */
    int (*run)(const struct tool *t, int argc, char **argv);
    bool alone; /* asks no daemon: needs neither socket nor configuration                        */
};

static int run_put(const struct tool *t, int argc, char **argv);
static int run_get(const struct tool *t, int argc, char **argv);
static int run_del(const struct tool *t, int argc, char **argv);
static int run_list(const struct tool *t, int argc, char **argv);
static int run_status(const struct tool *t, int argc, char **argv);
static int run_links(const struct tool *t, int argc, char **argv);

static const struct command commands[] = {
    {"put", "put KEY VALUE                  set KEY; VALUE - is read from standard input\n",
     run_put, false},
    {"get",
     "get [--stale] [--raw | --json] KEY\n"
     "                                 print its value and a newline (--raw: without it)\n",
     run_get, false},
    {"del", "del KEY                        delete KEY\n", run_del, false},
    {"list",
     "list [--stale] [--keys] [--json] [PREFIX]\n"
     "                                 print KEY=VALUE of all keys with PREFIX, sorted\n",
     run_list, false},
    {"status", "status [--json]                print the state of this node\n", run_status, false},
    {"links",
     "links [--json]                 print which node hears which, as this node knows it\n",
     run_links, false},
    {"keygen",
     "keygen                         print a new key for a cluster, see raftd.conf(5):\n"
     "                                 (umask 077; raftctl keygen >FILE)\n",
     run_keygen, true},
    {"bench", bench_usage, run_bench, false},
};

static void print_usage(FILE *out)
{
    fputs("usage: raftctl [-c FILE [-i ID] | -s SOCKET] [--timeout SECONDS] COMMAND ...\n\n"
          "  -c, --conf FILE      take the socket from this configuration (default:\n"
          "                       /etc/raftd/raftd.conf if it exists)\n"
          "  -i, --id ID          which node of the configuration\n"
          "  -s, --socket SOCKET  the daemon's socket (default: /run/raftd/raftd.sock)\n"
          "      --timeout S      how long to wait for an answer and a leader (default: 5)\n"
          "      --help, --version\n\ncommands:\n",
          out);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        fprintf(out, "  %s", commands[i].usage);
    fputs("\n--stale answers at once from this node's own state, which may be old.\n"
          "exit codes: 0 done, 1 no such key, 2 usage or configuration, 3 daemon not running,\n"
          "  4 no leader, 5 outcome of the write unknown, 6 too large, 7 busy,\n"
          "  8 connection lost during a read, 9 internal\n",
          out);
}

int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || v < min || v > max)
        return -1;
    *out = v;
    return 0;
}

int parse_thousandths(const char *text, uint32_t max, uint32_t *out)
{
    char *end;
    double v = strtod(text, &end) * 1000;
    if (end == text || *end != '\0' || !isfinite(v) || v < 1 || v > max)
        return -1;
    *out = (uint32_t)v;
    return 0;
}

/* --- outcomes --------------------------------------------------------------------------------- */

int exit_of_result(enum result result, bool write)
{
    switch (result) {
    case RESULT_OK: return RAFTCTL_EXIT_OK;
    case RESULT_NO_KEY: return RAFTCTL_EXIT_NO_KEY;
    case RESULT_NO_LEADER: return RAFTCTL_EXIT_NO_LEADER;
    case RESULT_UNKNOWN: return RAFTCTL_EXIT_UNKNOWN;
    case RESULT_TOO_LARGE: return RAFTCTL_EXIT_TOO_LARGE;
    case RESULT_BUSY: return RAFTCTL_EXIT_BUSY;
    case RESULT_BAD: return RAFTCTL_EXIT_INTERNAL;
    case RESULT_STOPPING: return write ? RAFTCTL_EXIT_UNKNOWN : RAFTCTL_EXIT_LOST;
    }
    return RAFTCTL_EXIT_INTERNAL;
}

static const char unknown_text[] =
    "OUTCOME UNKNOWN: the write may or may not have happened; read the key to find out";

static int say_result(enum result result, const struct tool *t, bool write)
{
    double seconds = t->timeout_ms / 1000.0;
    switch (result) {
    case RESULT_OK: break;
    case RESULT_NO_KEY: say_error("no such key"); break;
    case RESULT_NO_LEADER:
        say_error(
            "no leader within %g s: nothing was done; try again, or look at the nodes' status",
            seconds);
        break;
    case RESULT_UNKNOWN: say_error("timeout after %g s: %s", seconds, unknown_text); break;
    case RESULT_TOO_LARGE:
        say_error("too large: a key has at most %d bytes, a value at most max_value_bytes of the "
                  "configuration; nothing was done",
                  CMD_KEY_MAX_BYTES);
        break;
    case RESULT_BUSY:
        say_error(
            "this node takes no more now (too much under way, too many clients, or its disk is "
            "full: see raftctl status): nothing was done; try again");
        break;
    case RESULT_BAD: say_error("the daemon did not understand: is it of another version?"); break;
    case RESULT_STOPPING:
        say_error("the daemon is stopping: %s", write ? unknown_text : "no answer");
        break;
    }
    return exit_of_result(result, write);
}

static int say_outcome(enum ctl_outcome outcome, const struct tool *t, bool write)
{
    double seconds = (t->timeout_ms + CTL_GRACE_MS) / 1000.0;
    switch (outcome) {
    case CTL_ANSWERED: break;
    case CTL_NOT_RUNNING:
        say_error("no daemon at %s: %s", t->socket, strerror(errno));
        return RAFTCTL_EXIT_NOT_RUNNING;
    case CTL_NOT_TAKEN:
        say_error("the daemon at %s took no request for %g s (is it stopped?): nothing was done",
                  t->socket, seconds);
        return RAFTCTL_EXIT_BUSY;
    case CTL_TIMEOUT:
        say_error("no answer from the daemon for %g s: %s", seconds,
                  write ? unknown_text : "is it stopped?");
        return write ? RAFTCTL_EXIT_UNKNOWN : RAFTCTL_EXIT_LOST;
    case CTL_LOST:
        say_error("the daemon closed the connection: %s", write ? unknown_text : "no answer");
        return write ? RAFTCTL_EXIT_UNKNOWN : RAFTCTL_EXIT_LOST;
    case CTL_NONSENSE:
        say_error("the daemon's answer makes no sense: is it of another version?");
        return write ? RAFTCTL_EXIT_UNKNOWN : RAFTCTL_EXIT_INTERNAL;
    }
    return RAFTCTL_EXIT_INTERNAL;
}

int tool_call(const struct tool *t, const struct proto_request *r, struct ctl_answer *a)
{
    bool write = r->op == PROTO_PUT || r->op == PROTO_DELETE;
    enum ctl_outcome outcome = ctl_call(t->socket, r, a);
    if (outcome != CTL_ANSWERED)
        return say_outcome(outcome, t, write);
    int code = say_result(a->result, t, write);
    if (code != RAFTCTL_EXIT_OK)
        ctl_answer_free(a);
    return code;
}

/* --- commands --------------------------------------------------------------------------------- */

struct flags {
    bool stale, raw, keys, json;
};

/* Options of a command: those of `allowed` (letters: s stale, r raw, k keys, j json); then min to
 * max arguments, from optind on. Ends the program on anything else. */
static struct flags parse_flags(int argc, char **argv, const char *allowed, int min, int max)
{
    static const struct option options[] = {
        {"stale", no_argument, NULL, 's'}, {"raw", no_argument, NULL, 'r'},
        {"keys", no_argument, NULL, 'k'},  {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},  {NULL, 0, NULL, 0},
    };
    struct flags f = {0};
    int c;
    optind = 0; /* starts getopt anew */
    while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        if (c == 'h') {
            print_usage(stdout);
            exit(RAFTCTL_EXIT_OK);
        }
        if (c == '?')
            exit(RAFTCTL_EXIT_USAGE); /* getopt has said it */
        if (!strchr(allowed, c))
            say_fatal(RAFTCTL_EXIT_USAGE, "%s: this option is not for it; raftctl --help", argv[0]);
        f.stale |= c == 's';
        f.raw |= c == 'r';
        f.keys |= c == 'k';
        f.json |= c == 'j';
    }
    if (f.raw && f.json)
        say_fatal(RAFTCTL_EXIT_USAGE, "%s: --raw and --json exclude each other", argv[0]);
    if (argc - optind < min || argc - optind > max)
        say_fatal(RAFTCTL_EXIT_USAGE, "%s: %s arguments; raftctl --help", argv[0],
                  argc - optind < min ? "too few" : "too many");
    return f;
}

static struct proto_request request(const struct tool *t, enum proto_op op, const char *key)
{
    size_t len = key ? strlen(key) : 0;
    if (key && len == 0 && op != PROTO_LIST)
        say_fatal(RAFTCTL_EXIT_USAGE, "a key has at least one byte");
    if (len > CMD_KEY_MAX_BYTES)
        say_fatal(RAFTCTL_EXIT_TOO_LARGE, "a key has at most %d bytes, this one has %zu",
                  CMD_KEY_MAX_BYTES, len);
    return (struct proto_request){.op = (uint8_t)op,
                                  .timeout_ms = t->timeout_ms,
                                  .key = (const uint8_t *)(key ? key : ""),
                                  .key_len = (uint16_t)len};
}

/* All of standard input; one byte more than any value may have is enough to be refused. */
static uint8_t *read_stdin(size_t *len)
{
    uint8_t *buf = malloc(CMD_VALUE_MAX_BYTES + 1);
    if (!buf) {
        say_error("out of memory");
        exit(RAFTCTL_EXIT_INTERNAL);
    }
    *len = fread(buf, 1, CMD_VALUE_MAX_BYTES + 1, stdin);
    if (ferror(stdin))
        say_fatal(RAFTCTL_EXIT_USAGE, "standard input: %s", strerror(errno));
    if (*len > CMD_VALUE_MAX_BYTES)
        say_fatal(RAFTCTL_EXIT_TOO_LARGE, "no value may have more than %d bytes; nothing was done",
                  CMD_VALUE_MAX_BYTES);
    return buf;
}

static int run_put(const struct tool *t, int argc, char **argv)
{
    parse_flags(argc, argv, "", 2, 2);
    struct proto_request r = request(t, PROTO_PUT, argv[optind]);
    const char *value = argv[optind + 1];
    uint8_t *input = NULL;
    size_t len = strlen(value);
    if (strcmp(value, "-") == 0)
        input = read_stdin(&len);
    else if (len > CMD_VALUE_MAX_BYTES)
        say_fatal(RAFTCTL_EXIT_TOO_LARGE, "no value may have more than %d bytes; nothing was done",
                  CMD_VALUE_MAX_BYTES);
    r.part = input ? input : (const uint8_t *)value;
    r.part_len = r.value_len = (uint32_t)len;
    struct ctl_answer a;
    int code = tool_call(t, &r, &a);
    if (code == RAFTCTL_EXIT_OK)
        ctl_answer_free(&a);
    free(input);
    return code;
}

static int run_del(const struct tool *t, int argc, char **argv)
{
    parse_flags(argc, argv, "", 1, 1);
    struct proto_request r = request(t, PROTO_DELETE, argv[optind]);
    struct ctl_answer a;
    int code = tool_call(t, &r, &a);
    if (code == RAFTCTL_EXIT_OK)
        ctl_answer_free(&a);
    return code;
}

static int run_get(const struct tool *t, int argc, char **argv)
{
    struct flags f = parse_flags(argc, argv, "srj", 1, 1);
    struct proto_request r = request(t, PROTO_GET, argv[optind]);
    r.flags = f.stale ? PROTO_STALE : 0;
    struct ctl_answer a;
    int code = tool_call(t, &r, &a);
    if (code != RAFTCTL_EXIT_OK)
        return code;
    struct proto_item item = {.key = r.key,
                              .key_len = r.key_len,
                              .value = a.body ? a.body : r.key,
                              .value_len = (uint32_t)a.len,
                              .create_revision = a.create_revision,
                              .modify_revision = a.modify_revision};
    if (f.json && print_item_json(stdout, &item, true) != 0)
        code = RAFTCTL_EXIT_INTERNAL;
    else if (!f.json && a.len > 0)
        fwrite(a.body, 1, a.len, stdout);
    if (!f.raw)
        fputc('\n', stdout);
    ctl_answer_free(&a);
    return code;
}

/* Prints a page; last (CMD_KEY_MAX_BYTES) becomes its last key. Returns an exit code. */
static int print_page(const struct ctl_answer *a, const struct flags *f, bool first, uint8_t *last,
                      uint32_t *last_len)
{
    struct proto_item item;
    for (size_t at = 0, n; at < a->len; at += n, first = false) {
        n = proto_item_decode(a->body + at, a->len - at, &item);
        if (n == 0 || item.key_len > CMD_KEY_MAX_BYTES)
            return RAFTCTL_EXIT_INTERNAL;
        memcpy(last, item.key, item.key_len);
        *last_len = item.key_len;
        if (f->json) {
            fputs(first ? "\n" : ",\n", stdout);
            if (print_item_json(stdout, &item, !f->keys) != 0)
                return RAFTCTL_EXIT_INTERNAL;
            continue;
        }
        print_escaped(stdout, item.key, item.key_len, f->keys ? '\0' : '=');
        if (!f->keys) {
            fputc('=', stdout);
            print_escaped(stdout, item.value, item.value_len, '\0');
        }
        fputc('\n', stdout);
    }
    return RAFTCTL_EXIT_OK;
}

static int run_list(const struct tool *t, int argc, char **argv)
{
    struct flags f = parse_flags(argc, argv, "skj", 0, 1);
    struct proto_request r = request(t, PROTO_LIST, optind < argc ? argv[optind] : NULL);
    uint8_t last[CMD_KEY_MAX_BYTES];
    bool more = true, first = true;
    int code = RAFTCTL_EXIT_OK;
    r.flags = f.stale ? PROTO_STALE : 0;
    r.part = last;
    while (more && code == RAFTCTL_EXIT_OK) {
        struct ctl_answer a;
        code = tool_call(t, &r, &a);
        if (code != RAFTCTL_EXIT_OK)
            return code;
        if (f.json && first)
            fputc('[', stdout);
        more = a.flags & PROTO_PARTIAL && a.len > 0;
        code = print_page(&a, &f, first, last, &r.part_len);
        first = false;
        r.value_len = r.part_len;
        ctl_answer_free(&a);
    }
    if (f.json)
        fputs("\n]\n", stdout);
    if (code == RAFTCTL_EXIT_INTERNAL)
        say_error("the daemon's list makes no sense, or memory was refused");
    return code;
}

static int print_status(FILE *out, const uint8_t *text, size_t len)
{
    return fwrite(text, 1, len, out) == len ? 0 : -1;
}

/* Asks for the status and prints it, or what it tells. */
static int ask_status(const struct tool *t, int (*print)(FILE *, const uint8_t *, size_t))
{
    struct proto_request r = request(t, PROTO_STATUS, NULL);
    struct ctl_answer a;
    int code = tool_call(t, &r, &a);
    if (code != RAFTCTL_EXIT_OK)
        return code;
    if (print(stdout, a.body, a.len) != 0)
        code = RAFTCTL_EXIT_INTERNAL;
    ctl_answer_free(&a);
    return code;
}

static int run_status(const struct tool *t, int argc, char **argv)
{
    struct flags f = parse_flags(argc, argv, "j", 0, 0);
    return ask_status(t, f.json ? print_status_json : print_status);
}

static int run_links(const struct tool *t, int argc, char **argv)
{
    struct flags f = parse_flags(argc, argv, "j", 0, 0);
    return ask_status(t, f.json ? print_links_json : print_links);
}

/* --- start ------------------------------------------------------------------------------------ */

/* The node that has a socket here, if it is the only one; 0: none, or several. Addresses come and go,
 * and are nothing to a program that speaks to its own box. */
static uint16_t node_with_socket(const struct conf *conf)
{
    char err[CONF_ERR_SIZE];
    uint16_t found = 0;
    for (int i = 0; i < conf->n_nodes; i++) {
        struct conf as = *conf;
        if (conf_set_node(&as, conf->nodes[i].id, err, sizeof(err)) != 0 ||
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
    if (conf_load(&conf, path, err, sizeof(err)) != 0)
        say_fatal(RAFTCTL_EXIT_USAGE, "%s", err);
    /* Which node we are matters only to find its socket. */
    if (id == 0 && conf.id == 0 && strstr(conf.socket, "{id}"))
        id = node_with_socket(&conf);
    if ((id != 0 || strstr(conf.socket, "{id}")) &&
        conf_set_node(&conf, (uint16_t)id, err, sizeof(err)) != 0)
        say_fatal(RAFTCTL_EXIT_USAGE, "%s", err);
    memcpy(t->socket, conf.socket, sizeof(t->socket));
}

static void find_socket(struct tool *t, const char *conf, const char *socket, uint64_t id)
{
    if (socket && (conf || id != 0))
        say_fatal(RAFTCTL_EXIT_USAGE, "-s says it all: not together with -c or -i");
    if (!socket && !conf && access(default_conf, F_OK) == 0)
        conf = default_conf;
    if (conf) {
        socket_of_conf(t, conf, id);
        return;
    }
    if (id != 0)
        say_fatal(RAFTCTL_EXIT_USAGE, "-i needs a configuration (-c FILE)");
    if (!socket)
        socket = default_socket;
    if (strlen(socket) >= sizeof(t->socket))
        say_fatal(RAFTCTL_EXIT_USAGE, "the path of a socket has less than %zu bytes",
                  sizeof(t->socket));
    memcpy(t->socket, socket, strlen(socket) + 1);
}

static const struct command *parse_options(struct tool *t, int argc, char **argv)
{
    enum { OPT_TIMEOUT = 256, OPT_HELP, OPT_VERSION };
    static const struct option options[] = {
        {"conf", required_argument, NULL, 'c'},
        {"id", required_argument, NULL, 'i'},
        {"socket", required_argument, NULL, 's'},
        {"timeout", required_argument, NULL, OPT_TIMEOUT},
        {"help", no_argument, NULL, OPT_HELP},
        {"version", no_argument, NULL, OPT_VERSION},
        {NULL, 0, NULL, 0},
    };
    const char *conf = NULL, *socket = NULL;
    uint64_t id = 0;
    int c;
    while ((c = getopt_long(argc, argv, "+c:i:s:", options, NULL)) != -1) {
        switch (c) {
        case 'c': conf = optarg; break;
        case 's': socket = optarg; break;
        case 'i':
            if (parse_number(optarg, 1, CONF_ID_MAX, &id) != 0)
                say_fatal(RAFTCTL_EXIT_USAGE, "-i %s: an id is 1 to %d", optarg, CONF_ID_MAX);
            break;
        case OPT_TIMEOUT:
            if (parse_thousandths(optarg, PROTO_TIMEOUT_MAX_MS, &t->timeout_ms) != 0)
                say_fatal(RAFTCTL_EXIT_USAGE, "--timeout %s: seconds, 0.001 to %d", optarg,
                          PROTO_TIMEOUT_MAX_MS / 1000);
            break;
        case OPT_HELP: print_usage(stdout); exit(RAFTCTL_EXIT_OK);
        case OPT_VERSION: puts("raftctl " RAFTD_VERSION); exit(RAFTCTL_EXIT_OK);
        default: exit(RAFTCTL_EXIT_USAGE); /* getopt has said it */
        }
    }
    if (optind == argc) {
        print_usage(stderr);
        exit(RAFTCTL_EXIT_USAGE);
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(argv[optind], commands[i].name) == 0) {
            /* --help of a command needs no configuration. */
            if (optind + 1 < argc && strcmp(argv[optind + 1], "--help") == 0) {
                print_usage(stdout);
                exit(RAFTCTL_EXIT_OK);
            }
            if (!commands[i].alone)
                find_socket(t, conf, socket, id);
            return &commands[i];
        }
    say_fatal(RAFTCTL_EXIT_USAGE, "%s: no such command; raftctl --help", argv[optind]);
}

int main(int argc, char **argv)
{
    struct tool t = {.timeout_ms = TIMEOUT_DEFAULT_MS};
    if (!stdfds_fill())
        return RAFTCTL_EXIT_INTERNAL;
    say_set_ident("raftctl");
    const struct command *command = parse_options(&t, argc, argv);
    int code = command->run(&t, argc - optind, argv + optind);
    if (fflush(stdout) != 0 || ferror(stdout))
        say_fatal(RAFTCTL_EXIT_INTERNAL, "standard output: %s", strerror(errno));
    return code;
}
