/* raftd.c: the daemon's command line. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "raftd/conf.h"
#include "raftd/datadir.h"
#include "raftd/base/entropy.h"
#include "raftd/base/exits.h"
#include "raftd/base/json.h"
#include "raftd/files.h"
#include "raftd/keyfile.h"
#include "raftd/loop.h"
#include "raftd/members_print.h"
#include "raftd/newest.h"
#include "raftd/refused.h"
#include "raftd/restore.h"
#include "raftd/base/nodump.h"
#include "raftd/base/notify.h"
#include "raftd/base/num.h"
#include "raftd/base/rcu.h"
#include "raftd/base/say.h"
#include "raftd/starting.h"
#include "raftd/survive.h"
#include "raftd/base/stdfds.h"
#include "raftd/base/version.h"
#include "raftd/state/cmd.h"
#include "raftd/state/machine.h"
#include "net/wire.h"
#include "storage/ident.h"
#include "storage/record.h"
#include "storage/wal.h"

static const char usage_text[] =
    "usage: raftd [-c FILE] [-i ID] [-d DIR] [-s SOCKET] [-np]\n"
    "       raftd --init [--join | --restore FILE] [-c FILE] [-i ID] [-d DIR]\n"
    "       raftd --check DIR|FILE [--json]\n"
    "       raftd --recover [--yes CLUSTER] [-c FILE] [-i ID] [-d DIR]\n"
    "                       [DIR|REPORT ...]\n"
    "\n"
    "  -c, --conf FILE\n"
    "                 configuration (/etc/raftd/raftd.conf), see raftd.conf(5)\n"
    "  -i, --id ID    which of the configured nodes this is\n"
    "  -d, --data-dir DIR\n"
    "                 data directory, in place of data_dir\n"
    "  -s, --socket SOCKET\n"
    "                 client socket, in place of socket\n"
    "  -n             check the configuration and the key files and exit\n"
    "  -p             print the configuration with all defaults and exit\n"
    "  --init         create the data directory with this node's identity, once; exit\n"
    "  --join         for a node that an existing cluster takes in: raftctl member\n"
    "  --restore FILE begin with the keys of this snapshot of another cluster\n"
    "  --check DIR    say what recovery of DIR would find and do, and exit\n"
    "  --json         as JSON\n"
    "  --recover      more than half of the voters are lost for good: say what this\n"
    "                 node has, beside others that are left, and exit\n"
    "  --yes CLUSTER  and have it go on alone, as a cluster of one\n"
    "  -h, --help     this text\n"
    "  --version      the version\n";

struct options {
    const char *conf_path;
    const char *data_dir;
    const char *socket;
    const char *check_dir;
    const char *backup;
    const char *yes;
    char **others; /* arguments, n_others of them */
    unsigned n_others;
    uint16_t id;
    bool test, print, init, join, json, recover;
};

/* The exit code, unless what was printed is lost. */
static int printed(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    say_error("standard output: %s", strerror(errno));
    return RAFTD_EXIT_INTERNAL;
}

/* The first SIGTERM or SIGINT, until the loop takes them over. */
static volatile sig_atomic_t stop_signal;

static void on_stop(int signo)
{
    stop_signal = signo;
}

static bool stopped(void)
{
    return stop_signal != 0;
}

/* From the first moment on. Process 1 of a container gets no signal that it has no handler for; all
 * others would be ended by signals that only look as if they meant something to us. */
static void set_signals(void)
{
    static const int ignored[] = {
        SIGPIPE, SIGALRM,   SIGUSR1, SIGUSR2, SIGPWR, SIGSTKFLT,
        SIGIO,   SIGVTALRM, SIGPROF, SIGXFSZ, /* a write beyond a limit fails, and is told */
        SIGHUP};                              /* until the loop takes it: it must not end a start */
    struct sigaction stop = {.sa_handler = on_stop}; /* no SA_RESTART: it shall interrupt */
    (void)sigemptyset(&stop.sa_mask);
    (void)sigaction(SIGTERM, &stop, NULL); /* all of these fail for wrong arguments alone */
    (void)sigaction(SIGINT, &stop, NULL);
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        (void)signal(ignored[i], SIG_IGN);
    for (int signo = SIGRTMIN; signo <= SIGRTMAX; signo++)
        (void)signal(signo, SIG_IGN);
}

/* What is not a daemon ends as it would without a handler. */
static _Noreturn void end_by_signal(void)
{
    int signo = stop_signal;
    (void)signal(signo, SIG_DFL);
    (void)raise(signo);
    _exit(128 + signo); /* process 1 of a container */
}

static _Noreturn void usage_error(const char *what)
{
    fprintf(stderr, "raftd: %s\n%s", what, usage_text);
    exit(RAFTD_EXIT_USAGE);
}

static uint16_t parse_id(const char *text)
{
    uint64_t id;
    if (!num_parse(text, 1, CONF_ID_MAX, &id))
        usage_error("-i takes a node id, a number from 1 to 999");
    return (uint16_t)id;
}

/* Which options go together. */
static void check_options(const struct options *o)
{
    if (o->n_others > 0 && !o->recover)
        usage_error("no arguments expected after the options");
    if (o->init && (o->test || o->print))
        usage_error("--init makes a data directory, -n and -p only look: one of them at a time");
    if (o->backup != NULL && !o->init)
        usage_error("--restore is for a new data directory: with --init alone");
    if (o->check_dir != NULL && (o->init || o->test || o->print))
        usage_error("--check looks at a data directory and nothing else: not with --init, -n, -p");
    if (o->check_dir != NULL && *o->check_dir == '\0')
        usage_error("--check takes a data directory, and not an empty name");
    if (o->join && (!o->init || o->backup != NULL))
        usage_error("--join is for a new and empty data directory: with --init, without --restore");
    if (o->json && o->check_dir == NULL)
        usage_error("--json goes with --check");
    if (o->yes != NULL && !o->recover)
        usage_error("--yes goes with --recover");
    if (o->recover && (o->init || o->test || o->print || o->check_dir != NULL))
        usage_error("--recover does nothing else: not with --init, --check, -n, -p");
    if (o->n_others >= CONF_NODES_MAX)
        usage_error("there are not so many nodes");
}

static struct options parse_options(int argc, char **argv)
{
    enum {
        OPT_INIT = 256,
        OPT_JOIN,
        OPT_CHECK,
        OPT_JSON,
        OPT_RECOVER,
        OPT_YES,
        OPT_RESTORE,
        OPT_VERSION,
    };
    static const struct option longs[] = {
        {"conf", required_argument, NULL, 'c'},
        {"id", required_argument, NULL, 'i'},
        {"data-dir", required_argument, NULL, 'd'},
        {"socket", required_argument, NULL, 's'},
        {"init", no_argument, NULL, OPT_INIT},
        {"join", no_argument, NULL, OPT_JOIN},
        {"json", no_argument, NULL, OPT_JSON},
        {"recover", no_argument, NULL, OPT_RECOVER},
        {"yes", required_argument, NULL, OPT_YES},
        {"restore", required_argument, NULL, OPT_RESTORE},
        {"check", required_argument, NULL, OPT_CHECK},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, OPT_VERSION},
        {NULL, 0, NULL, 0},
    };
    struct options o = {.conf_path = "/etc/raftd/raftd.conf"};
    int c;
    while ((c = getopt_long(argc, argv, "c:i:d:s:nph", longs, NULL)) != -1) {
        switch (c) {
        case 'c': o.conf_path = optarg; break;
        case 'i': o.id = parse_id(optarg); break;
        case 'd': o.data_dir = optarg; break;
        case 's': o.socket = optarg; break;
        case 'n': o.test = true; break;
        case 'p': o.print = true; break;
        case OPT_INIT: o.init = true; break;
        case OPT_JOIN: o.join = true; break;
        case OPT_JSON: o.json = true; break;
        case OPT_RECOVER: o.recover = true; break;
        case OPT_YES: o.yes = optarg; break;
        case OPT_RESTORE: o.backup = optarg; break;
        case OPT_CHECK: o.check_dir = optarg; break;
        case 'h': fputs(usage_text, stdout); exit(printed(RAFTD_EXIT_OK));
        case OPT_VERSION: puts("raftd " RAFTD_VERSION); exit(printed(RAFTD_EXIT_OK));
        default: usage_error("wrong option");
        }
    }
    o.others = argv + optind;
    o.n_others = (unsigned)(argc - optind);
    check_options(&o);
    return o;
}

/* A path of the command line is meant from where it was typed. NULL stays NULL. */
static const char *absolute(const char *path, char *buf, size_t size)
{
    char here[PATH_MAX];
    if (path == NULL || *path == '/' || *path == '\0')
        return path;
    if (getcwd(here, sizeof here) == NULL)
        say_fatal(RAFTD_EXIT_INTERNAL, "this directory: %s", strerror(errno));
    int n = snprintf(buf, size, "%s/%s", strcmp(here, "/") == 0 ? "" : here, path);
    return n < 0 || (size_t)n >= size ? path : buf; /* too long: refused as it is */
}

static void load_conf(struct conf *conf, const struct options *o)
{
    char err[CONF_ERR_SIZE], dir_buf[PATH_MAX], socket_buf[PATH_MAX];
    const char *dir = absolute(o->data_dir, dir_buf, sizeof dir_buf);
    const char *sock = absolute(o->socket, socket_buf, sizeof socket_buf);
    int rc = conf_load(conf, o->conf_path, err, sizeof err);
    if (rc == 0 && dir != NULL)
        rc = conf_set(conf, "node", "data_dir", dir, "-d", err, sizeof err);
    if (rc == 0 && sock != NULL)
        rc = conf_set(conf, "node", "socket", sock, "-s", err, sizeof err);
    if (rc < 0)
        say_fatal(RAFTD_EXIT_USAGE, "%s", err);
}

/* Who writes the file, or sets up a node, is refused what looks wrong on this machine; a node that has
 * run with it for months starts. */
static void look_at_conf(const struct conf *conf, const struct options *o)
{
    char err[CONF_ERR_SIZE];
    const char *text;
    bool wrong = conf_check_here(conf, o->conf_path, err, sizeof err) < 0;
    if (wrong && (o->test || o->init))
        say_fatal(RAFTD_EXIT_USAGE, "%s", err);
    if (wrong)
        say_warn("%s", err);
    for (unsigned i = 0; (text = conf_warning(conf, i)) != NULL; i++)
        say_warn("%s", text);
}

static void set_node(struct conf *conf, uint16_t id)
{
    char err[CONF_ERR_SIZE], ident[SAY_IDENT_MAX_BYTES];
    if (conf_set_node(conf, id, err, sizeof err) < 0)
        say_fatal(RAFTD_EXIT_USAGE, "%s", err);
    (void)snprintf(ident, sizeof ident, "raftd[%u]", conf_self(conf)->id);
    say_set_ident(ident);
    say_set_level((enum say_level)conf->log_level);
}

/* The node that this machine is, where neither option nor file says so; 0: conf_set_node() knows, or
 * says what is wrong. An address that is not there yet is no reason to give up: the data directory
 * knows whose it is. */
static uint16_t find_node(const struct conf *conf, bool init)
{
    uint16_t here[CONF_NODES_MAX], id = 0;
    int n = conf_here(conf, here);
    if (n == 1)
        return here[0];
    if (!init)
        id = datadir_node(conf);
    if (id == 0 && n == 0)
        say_fatal(RAFTD_EXIT_INTERNAL,
                  "no node has an address of this machine now, and %s; say which node this is with "
                  "-i ID or with id = ID",
                  init ? "--init does not wait for one"
                       : "none of them, or more than one, has its data directory here");
    return id;
}

static int say_stopped(void)
{
    say_info("signal %d: stopping before the start is over", (int)stop_signal);
    (void)notify_send("STOPPING=1");
    return RAFTD_EXIT_OK;
}

/* sodium_init() may block for minutes on a small box that has just booted: wait with a message. */
static void init_random(bool daemon)
{
    int rc = entropy_wait(stopped);
    if (rc == -ECANCELED && daemon)
        exit(say_stopped());
    if (rc == -ECANCELED)
        end_by_signal();
    if (rc < 0)
        say_fatal(RAFTD_EXIT_INTERNAL, "no random numbers: %s", strerror(-rc));
    if (sodium_init() < 0)
        say_fatal(RAFTD_EXIT_INTERNAL, "libsodium cannot start");
}

/* What recovery found, in words, and the exit code that it means (0: the log can be used). */
static int say_recovered(const char *dir, int rc, const struct wal_report *rep)
{
    if (rc == -EBADMSG) {
        say_error("%s. Nothing was changed and nothing will be: entries that were acknowledged may "
                  "be in there. See \"Damaged disks\" in raftd(8)",
                  rep->message);
        return RAFTD_EXIT_CORRUPT;
    }
    if (rc < 0)
        return refused(dir, rc, rep->message);
    if (rep->message[0] != '\0')
        (rep->doubt ? say_error : say_warn)("%s", rep->message);
    return RAFTD_EXIT_OK;
}

/* The newest snapshot, and then the options to recover the log behind it. Returns an exit code. */
static int read_snapshots(const char *dir, const char *cluster, struct starting *start,
                          struct wal_options *opts, struct snapshot_head *head,
                          struct snapshot_name *name, struct machine *machine)
{
    struct snapshots s = {
        .disk = &disk_posix,
        .dir = dir,
        .storage_id = opts->storage_id,
        .cluster = wire_cluster_id(cluster),
        .pace = starting_pace,
        .pace_ctx = start,
    };
    struct image_load *load;
    start->snapshot = true;
    int rc = newest_read(&s, head, name, machine != NULL ? &load : NULL);
    start->snapshot = false;
    opts->progress = starting_progress;
    opts->progress_ctx = start;
    if (rc == -ECANCELED)
        return RAFTD_EXIT_OK; /* reading the log ends at once, too, and says so */
    if (rc == -ENOTSUP)
        say_fatal(RAFTD_EXIT_DATA_DIR, "%s", s.message);
    if (rc != 0)
        return refused(dir, rc, s.message);
    if (name->index == 0)
        return RAFTD_EXIT_OK;
    opts->base = snapshot_base(head);
    if (machine != NULL)
        machine_replace(machine, load, head->index, head->cluster_ms);
    return RAFTD_EXIT_OK;
}

/* Bytes of a key or a value, whatever they are, in one line. */
static void print_key(FILE *out, const struct cmd_item *item)
{
    fprintf(out, " key=");
    for (unsigned i = 0; i < item->key_len; i++)
        fprintf(out,
                item->key[i] > ' ' && item->key[i] < 0x7f && item->key[i] != '\\' ? "%c"
                                                                                  : "\\x%02x",
                item->key[i]);
}

/* Entries that are cut off the log: what the disk still has of them. */
static void print_cut_off(void *ctx, uint64_t first, uint64_t last, const struct record *rec)
{
    struct cmd cmd;
    FILE *out = ctx;
    fprintf(out, "entry.%" PRIu64, first);
    if (last != first)
        fprintf(out, "-%" PRIu64, last);
    if (rec == NULL) {
        fputs("=lost\n", out);
        return;
    }
    fprintf(out, "=readable term=%" PRIu64, rec->term);
    if (rec->type == RECORD_COMMAND && cmd_decode(rec->data, rec->data_len, &cmd) == 0) {
        const uint8_t *at = cmd.items;
        for (unsigned i = 0; i < (unsigned)cmd.conditions + cmd.operations; i++) {
            struct cmd_item item = cmd_next(&at);
            if (i >= cmd.conditions)
                print_key(out, &item);
        }
    }
    fputc('\n', out);
}

/* What recovery of a directory that is claimed would find. Returns an exit code. */
static int look(const char *dir, const struct ident *id, struct wal_options *opts,
                struct snapshot_head *head, struct snapshot_name *newest, struct wal_report *rep)
{
    struct starting s = {.stopped = stopped, .screen = isatty(STDERR_FILENO)};
    int code = read_snapshots(dir, id->name, &s, opts, head, newest, NULL);
    int rc = code == RAFTD_EXIT_OK ? wal_check(&disk_posix, dir, opts, rep) : 0;
    opts->progress = NULL;
    opts->progress_ctx = NULL;
    if (code != RAFTD_EXIT_OK)
        return code;
    starting_done(&s);
    if (rc == -ECANCELED)
        end_by_signal();
    return say_recovered(dir, rc, rep);
}

/* Lines of NAME=VALUE, which it takes apart, as an object of JSON. */
static void print_as_json(char *lines)
{
    struct json j = {.out = stdout};
    json_open(&j, NULL, '{');
    for (char *line; (line = strsep(&lines, "\n")) != NULL && *line != '\0';) {
        const char *name = strsep(&line, "=");
        json_text(&j, name, line);
    }
    json_close(&j, '}');
    puts("");
}

static void print_found(FILE *out, const struct ident *id, const struct snapshot_name *newest,
                        const struct wal_report *rep)
{
    static const char *const verdicts[] = {"clean", "torn", "corrupt"};
    fprintf(out, "cluster=%s\nnodes=", id->name);
    for (unsigned i = 0; i < id->n_voters; i++)
        fprintf(out, "%s%u", i == 0 ? "" : ",", id->voters[i]);
    fputc('\n', out);
    members_print(out, &rep->members);
    fprintf(out,
            "node=%u\nverdict=%s\nsnapshot_index=%" PRIu64 "\nsnapshot_bytes=%" PRIu64
            "\nterm=%" PRIu64 "\nvote=%u\nfirst_index=%" PRIu64 "\nlast_index=%" PRIu64
            "\nlast_term=%" PRIu64 "\ncommit_index=%" PRIu64 "\nbatches=%" PRIu64
            "\nsegments=%" PRIu64 "\ncut_bytes=%" PRIu64 "\ntail_dropped=%d\ndoubt=%d\n",
            id->node_id, verdicts[rep->verdict], newest->index,
            newest->index != 0 ? newest->size : 0, rep->term, rep->vote, rep->base_index + 1,
            rep->last_index, rep->last_term, rep->commit, rep->batches, rep->segments,
            rep->cut_bytes, rep->verdict == WAL_TORN, rep->doubt);
}

static int run_check(const char *dir, bool json)
{
    struct ident id;
    struct wal_report rep;
    struct snapshot_head head;
    struct snapshot_name newest;
    char other[WAL_MESSAGE_BYTES];
    struct wal_options opts = datadir_claim(dir, NULL, &id, other);
    char *lines = NULL;
    size_t len;
    FILE *out = json ? open_memstream(&lines, &len) : stdout;
    if (out == NULL)
        say_fatal(RAFTD_EXIT_INTERNAL, "out of memory");
    opts.repair = true;
    opts.cut_off = print_cut_off;
    opts.cut_off_ctx = out;
    int code = look(dir, &id, &opts, &head, &newest, &rep);
    if (code == RAFTD_EXIT_OK && rep.verdict == WAL_CORRUPT)
        say_error("%s",
                  id.n_voters != 1
                      ? "a start does so, and the node is in doubt until the others mend it"
                      : "a start refuses to do so, for nobody else has what would be lost: see "
                        "\"Damaged disks\" in raftd(8)");
    if (code == RAFTD_EXIT_OK)
        print_found(out, &id, &newest, &rep);
    if (json && fclose(out) != 0)
        say_fatal(RAFTD_EXIT_INTERNAL, "out of memory");
    if (json && code == RAFTD_EXIT_OK)
        print_as_json(lines);
    free(lines);
    if (code != RAFTD_EXIT_OK)
        return code;
    return printed(rep.verdict == WAL_CORRUPT ? RAFTD_EXIT_CORRUPT : RAFTD_EXIT_OK);
}

/* One of those that are left beside this node: its directory, or a file with what --check said of it. */
static struct survivor look_at_other(const char *path, const struct conf *conf)
{
    struct survivor s;
    struct stat st;
    struct ident id;
    struct wal_report rep;
    struct snapshot_head head;
    struct snapshot_name newest;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        if (!survivor_read(&s, path, conf->name))
            say_fatal(
                RAFTD_EXIT_USAGE,
                "%s is no data directory, nor what raftd --check printed of one of cluster %s",
                path, conf->name);
        return s;
    }
    char other[WAL_MESSAGE_BYTES];
    struct wal_options opts = datadir_claim(path, NULL, &id, other);
    opts.repair = true;
    if (strcmp(id.name, conf->name) != 0)
        say_fatal(RAFTD_EXIT_USAGE, "%s is of the cluster named %s", path, id.name);
    int code = look(path, &id, &opts, &head, &newest, &rep);
    if (code != RAFTD_EXIT_OK)
        exit(code);
    return survivor_of(path, &id, &rep);
}

static int go_on_alone(const struct conf *conf, const struct ident *id, struct wal_options *opts,
                       const struct snapshot_head *head)
{
    struct wal_report rep;
    struct wal *w;
    int code = say_recovered(conf->data_dir, wal_open(&w, &disk_posix, conf->data_dir, opts, &rep),
                             &rep);
    if (code != RAFTD_EXIT_OK)
        return code;
    survivor_go_on(conf, id, w, &rep, opts->base.index != 0 ? head->cluster_ms : 0);
    wal_close(w);
    say_info("node %u is the only member of cluster %s now: start it, and have others join it "
             "(raftd --init --join on them, raftctl member add); the nodes of before are refused",
             id->node_id, conf->name);
    return RAFTD_EXIT_OK;
}

static int run_recover(const struct conf *conf, const struct options *o)
{
    struct survivor all[CONF_NODES_MAX];
    unsigned n = 1 + o->n_others;
    struct ident id;
    struct wal_report rep;
    struct snapshot_head head;
    struct snapshot_name newest;
    if (o->yes != NULL && strcmp(o->yes, conf->name) != 0)
        say_fatal(RAFTD_EXIT_USAGE, "--yes %s: the cluster of this configuration is %s", o->yes,
                  conf->name);
    char other[WAL_MESSAGE_BYTES]; /* another list of nodes in the file does not matter here */
    struct wal_options opts = datadir_claim(conf->data_dir, conf, &id, other);
    opts.repair = true;
    int code = look(conf->data_dir, &id, &opts, &head, &newest, &rep);
    if (code != RAFTD_EXIT_OK)
        return code;
    all[0] = survivor_of(conf->data_dir, &id, &rep);
    for (unsigned i = 1; i < n; i++)
        all[i] = look_at_other(o->others[i - 1], conf);
    unsigned best = survivor_best(all, n);
    members_print(stdout, &rep.members);
    for (unsigned i = 0; i < n; i++) {
        survivor_print(stdout, &all[i]);
        if (survivors_differ(&all[0], &all[i]))
            say_warn(
                "%s is of another cluster of this name, that of before or after a recovery, and "
                "is not compared: if it is the later one, do not go on from this one",
                all[i].path);
    }
    printf("best=%u\n", all[best].node);
    if (printed(RAFTD_EXIT_OK) != RAFTD_EXIT_OK)
        return RAFTD_EXIT_INTERNAL;
    if (best != 0)
        say_fatal(RAFTD_EXIT_DATA_DIR,
                  "node %u has more than this one: recover that one. Nothing was changed",
                  all[best].node);
    if (o->yes != NULL)
        return go_on_alone(conf, &id, &opts, &head);
    say_info("nothing was changed. If more than half of the voters are lost for good, and no other "
             "node has more, --yes %s has node %u go on alone",
             conf->name, id.node_id);
    return RAFTD_EXIT_OK;
}

/* Reads the keys only to see whether they can be read; a key_file that is refused ends the process.
 * What is wrong with next_key_file goes to err, "" = nothing. */
static void check_keys(const struct conf *conf, char *err, size_t errlen)
{
    uint8_t keys[KEYFILE_KEYS_MAX][KEYFILE_KEY_BYTES];
    bool secret = conf->key_file[0] != '\0' || conf->password_file[0] != '\0';
    int rc = secret ? nodump() : 0;
    if (rc < 0)
        say_fatal(RAFTD_EXIT_INTERNAL, "cannot keep the keys out of core dumps: %s", strerror(-rc));
    char password[2 * KEYFILE_KEY_BYTES];
    int n = keyfile_load_password(conf, password, err, errlen);
    sodium_memzero(password, sizeof password);
    if (n == 0)
        n = keyfile_load_all(conf, keys, err, errlen);
    sodium_memzero(keys, sizeof keys);
    if (n < 0)
        say_fatal(RAFTD_EXIT_USAGE, "%s", err);
}

static void become(uid_t uid, gid_t gid)
{
    if (setegid(gid) != 0 || seteuid(uid) != 0)
        say_fatal(RAFTD_EXIT_INTERNAL, "cannot become user %u: %s", uid, strerror(errno));
}

/* -n: would a start, or a reload, take the key files? Root asks for the user who will run raftd: the
 * one whom key_file belongs to, or of whose group root lets it be read. */
static void test_keys(const struct conf *conf, uint16_t id)
{
    char err[CONF_ERR_SIZE + KEYFILE_ERR_SIZE];
    struct conf known = *conf;
    struct stat st;
    const char *file = conf->key_file[0] != '\0' ? known.key_file : known.password_file;
    if (*file == '\0')
        return;
    if (conf_set_node(&known, id, err, sizeof err) < 0) {
        say_info("the key files were not looked at: this machine is none of the nodes, or several; "
                 "-i says which");
        return;
    }
    if (geteuid() != 0 || stat(file, &st) != 0) {
        check_keys(&known, err, sizeof err);
    } else {
        become(st.st_uid, st.st_gid);
        check_keys(&known, err, sizeof err);
        if (seteuid(0) != 0)
            say_fatal(RAFTD_EXIT_INTERNAL, "cannot become root again: %s", strerror(errno));
        if (st.st_uid == 0 && (st.st_mode & S_IRGRP) == 0)
            say_info(
                "%s can be read by root alone: a raftd that runs as another user, as the unit's "
                "does, needs chown USER",
                file);
    }
    if (err[0] != '\0')
        say_fatal(RAFTD_EXIT_USAGE, "%s", err);
}

/* Before the first of them is missing somewhere. */
static void check_files(const struct conf *conf)
{
    unsigned limit = files_limit(), clients = files_for_clients(limit, conf->readers);
    if (clients < FILES_CLIENTS_MIN)
        say_fatal(RAFTD_EXIT_INTERNAL,
                  "%u open files are allowed; raftd needs at least %u, and some hundred for many "
                  "clients: see LimitNOFILE= of the unit, or ulimit -Hn",
                  limit, FILES_OWN + FILES_PER_READER * conf->readers + FILES_CLIENTS_MIN);
}

/* Which data directories the peers have had until now, and whether this node had another one. */
static void load_peers(const struct conf *conf, uint64_t storage_id, struct peerids *ids)
{
    char err[WAL_MESSAGE_BYTES];
    int rc = peerids_load(&disk_posix, conf->data_dir, storage_id, ids, err, sizeof err);
    if (rc == -EBADMSG)
        say_fatal(RAFTD_EXIT_DATA_DIR, "%s", err);
    if (rc != 0)
        exit(refused(conf->data_dir, rc, err));
    uint8_t before[PEERIDS_KEY_BYTES];
    if (peerids_find(ids, conf_self(conf)->id, before))
        say_error(
            "this data directory is new under an old id, as another node told: what the old one "
            "promised is forgotten, so this node stays out for good; raftd(8) says what to do");
}

/* The file has another list of nodes than --init had. Once members are in the log they count, and nothing
 * else. Until then this is refused, and nothing is changed. */
static int find_members(const char *dir, const struct wal_options *opts, const char *other)
{
    struct wal_report rep = {.members = opts->base.members};
    int rc = rep.members.index == 0 ? wal_check(&disk_posix, dir, opts, &rep) : 0;
    if (rc == -ECANCELED)
        return say_stopped();
    if (rc < 0)
        return say_recovered(dir, rc, &rep);
    if (rep.members.index != 0)
        return RAFTD_EXIT_OK;
    say_error("%s", other);
    return RAFTD_EXIT_DATA_DIR;
}

/* What of a log is damaged is put aside first, which takes room. */
static int open_log(struct wal **wal, const char *dir, const struct wal_options *opts,
                    struct starting *s, struct wal_report *rep)
{
    int rc;
    do
        rc = wal_open(wal, &disk_posix, dir, opts, rep);
    while (rc == -ENOSPC && starting_waits(s, rep->message));
    return rc == -ENOSPC ? -ECANCELED : rc;
}

static int run_daemon(const struct conf *conf)
{
    struct ident id;
    struct wal_report rep;
    struct wal *wal = NULL;
    struct loop *loop;
    struct peerids ids;
    char err[KEYFILE_ERR_SIZE], other[WAL_MESSAGE_BYTES];
    say_seldom();
    check_files(conf);
    check_keys(conf, err, sizeof err); /* now, and not when the first datagram comes */
    /* Power may have been lost while it was written. The cluster needs this node, and the others
     * have the first key, too, as long as there is a second one. */
    if (err[0] != '\0')
        say_warn("%s; starting with key_file alone: write that file again or remove it, and reload",
                 err);
    struct wal_options opts = datadir_claim(conf->data_dir, conf, &id, other);
    datadir_mend(conf->data_dir);
    load_peers(conf, ident_storage_id(&id), &ids);
    int rc = rcu_start();
    if (rc < 0)
        say_fatal(RAFTD_EXIT_INTERNAL, "cannot start a thread: %s", strerror(-rc));
    /* Recovery may cut and begin segments. The lock is one proof that we are alone, these are the
     * others. */
    int code = loop_open(&loop, conf);
    if (code != RAFTD_EXIT_OK)
        return code;
    struct starting s = {.stopped = stopped, .loop = loop};
    struct snapshot_head head;
    struct snapshot_name newest;
    code = loop_serve(loop);
    if (code == RAFTD_EXIT_OK)
        code = read_snapshots(conf->data_dir, conf->name, &s, &opts, &head, &newest,
                              loop_machine(loop));
    if (code == RAFTD_EXIT_OK && other[0] != '\0')
        code = find_members(conf->data_dir, &opts, other);
    if (code == RAFTD_EXIT_OK) {
        loop_starting(loop, "the daemon is starting");
        rc = open_log(&wal, conf->data_dir, &opts, &s, &rep);
        code = rc == -ECANCELED ? say_stopped() : say_recovered(conf->data_dir, rc, &rep);
    }
    if (wal != NULL) {
        members_compare(&rep.members, conf);
        code = loop_run(loop, wal, &rep, newest.index != 0 ? &newest : NULL, &ids, id.n_voters == 0,
                        stopped);
        wal_close(wal);
    }
    loop_close(loop);
    return code;
}

int main(int argc, char **argv)
{
    set_signals();
    if (!stdfds_fill())
        return RAFTD_EXIT_INTERNAL;
    struct options o = parse_options(argc, argv);
    struct conf conf;
    say_set_ident("raftd");
#ifdef M_ARENA_MAX /* of the GNU C library: heaps per thread cost more than they save here */
    (void)mallopt(M_ARENA_MAX, 2);
#endif
    struct stat st;
    if (o.check_dir != NULL && stat(o.check_dir, &st) == 0 && S_ISREG(st.st_mode))
        return printed(restore_check(o.check_dir));
    if (o.check_dir != NULL)
        return run_check(o.check_dir, o.json);
    load_conf(&conf, &o);
    if (o.print && !o.test) {
        if (o.id != 0)
            set_node(&conf, o.id);
        (void)conf_print(&conf, stdout);
        return printed(RAFTD_EXIT_OK);
    }
    look_at_conf(&conf, &o);
    if (o.test) {
        if (o.id != 0)
            set_node(&conf, o.id);
        if (o.print)
            (void)conf_print(&conf, stdout);
        test_keys(&conf, o.id);
        return printed(RAFTD_EXIT_OK);
    }
    if (o.id == 0 && conf.id == 0)
        o.id = find_node(&conf, o.init);
    set_node(&conf, o.id);
    init_random(!o.init && !o.recover);
    if (o.recover)
        return run_recover(&conf, &o);
    if (!o.init)
        return run_daemon(&conf);
    datadir_init(&conf, o.backup, o.join);
    return RAFTD_EXIT_OK;
}
