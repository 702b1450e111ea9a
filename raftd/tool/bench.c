/* bench.c: keeps a number of requests under way at the local daemon and measures them.
 *
 * The requests are spread over a few connections and travel in batches, so that the generator costs
 * little of the CPU that it shares with what it measures. Answers come in the order of the requests, so a
 * connection remembers in a ring when each of those under way was made.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "raftd/base/exits.h"
#include "raftd/base/json.h"
#include "raftd/base/num.h"
#include "raftd/tool/raftctl.h"
#include "raftd/base/say.h"

enum {
    CONNS_MAX = 4,
    CLIENTS_MAX = 4096, /* the daemon takes 2048 of one connection */
    OPS_MAX = 50 * 1000 * 1000,
    KEYS_MAX = 100 * 1000 * 1000,
    SECONDS_MAX = 24 * 3600,
    VALUE_MAX_BYTES = 1 << 20, /* the daemon's own limit */
    KEY_PREFIX_BYTES = 6,      /* "bench/", then */
    KEY_BYTES = 14,            /* eight digits */
    BATCH_BYTES = 24 * 1024,   /* of requests that are made before they are sent */
    RECEIVE_BYTES = 1 << 16,
    LATENCIES_FIRST = 1 << 16, /* room for so many at first */
    POLL_MS = 200,
    NS_PER_UNIT = 100, /* of a recorded latency: 32 bits hold seven minutes */
    PREFILL_CLIENTS_MIN = 64,
};

const char bench_usage[] = " -c CLIENTS {-n OPS | -t SECONDS} [-v BYTES] [-k KEYS]\n"
                           "        [--read [--stale]] [--json]";
const char bench_what[] =
    "keep CLIENTS requests under way until OPS puts (of BYTES to KEYS keys\n"
    "          bench/...) or gets are done, or for SECONDS; -v 128 -k 1000 are the\n"
    "          defaults; needs 4 bytes of memory per operation";

struct options {
    uint64_t clients, ops, seconds, value_bytes, keys; /* seconds: 0 = until ops are done */
    bool read, stale, json;
};

struct conn {
    int fd;
    redisReader *reader;
    unsigned share;      /* requests that it may have under way, */
    unsigned under_way;  /* and has */
    unsigned oldest;     /* place of the oldest of them in the ring */
    uint64_t *start_ns;  /* the ring, of `share` places */
    unsigned greetings;  /* answers to come that are not measured */
    char *out;           /* requests that the socket has not taken yet; they fit */
    size_t at, end, cap; /* of out */
};

/* One run of `ops` operations. */
struct run {
    const struct tool *tool;
    struct options o;
    bool read;
    uint64_t sent, done, missing; /* missing: get found no key */
    uint64_t errors[TOOL_ERRORS];
    uint64_t random;
    bool tell; /* show progress */
    uint64_t began_ns, ended_ns, heard_ns, told_ns;
    uint64_t good_ns, stall_ns;   /* when an operation last went well; longest time without one */
    uint64_t awake_ns, asleep_ns; /* last turn of the loop; the longest delay of one */
    bool measured;
    uint32_t *latencies; /* of the operations that went well */
    uint64_t n_latencies, cap_latencies;
    struct conn conns[CONNS_MAX];
    unsigned n_conns;
    char *request; /* of one operation; its key is patched in */
    size_t request_len, key_at;
    char came[RECEIVE_BYTES]; /* of answers */
};

static uint64_t next_random(struct run *r)
{
    r->random ^= r->random << 13; /* xorshift64 */
    r->random ^= r->random >> 7;
    r->random ^= r->random << 17;
    return r->random;
}

static _Noreturn void out_of_memory(void)
{
    say_fatal(RAFTCTL_EXIT_INTERNAL, "out of memory; try a smaller -n");
}

static void *must(void *p)
{
    if (p == NULL)
        out_of_memory();
    return p;
}

/* Makes the request that all others are copies of. */
static void make_request(struct run *r)
{
    struct ctl_words w = {0};
    size_t len = (size_t)r->o.value_bytes;
    char *value = must(malloc(len + 1));
    for (size_t i = 0; i < len; i++)
        value[i] = (char)('a' + next_random(r) % 26);
    ctl_add_text(&w, r->read ? "GET" : "SET");
    ctl_add(&w, "bench/00000000", KEY_BYTES);
    if (!r->read)
        ctl_add(&w, value, len);
    r->request_len = ctl_format(&w, &r->request);
    if (r->request_len == 0)
        out_of_memory();
    const char *key = memmem(r->request, r->request_len, w.at[1], KEY_BYTES);
    r->key_at = (size_t)(key - r->request);
    free(value);
}

/* Adds what is said once on each connection. */
static void greet(struct conn *c, const char *word, const char *value)
{
    struct ctl_words w = {0};
    char *text;
    ctl_add_text(&w, word);
    if (value != NULL)
        ctl_add_text(&w, value);
    size_t len = ctl_format(&w, &text);
    if (len == 0)
        out_of_memory();
    memcpy(c->out + c->end, text, len); /* it is short, and the first */
    c->end += len;
    c->greetings++;
    redisFreeCommand(text);
}

static void open_conn(struct run *r, struct conn *c, unsigned share)
{
    char ms[sizeof "4294967295"];
    (void)snprintf(ms, sizeof ms, "%" PRIu32, r->tool->timeout_ms);
    c->fd = ctl_connect(r->tool->socket);
    if (c->fd < 0)
        exit(say_not_running(r->tool));
    c->share = share;
    c->reader = must(redisReaderCreate());
    c->start_ns = must(calloc(share, sizeof *c->start_ns));
    c->cap = BATCH_BYTES + r->request_len;
    c->out = must(malloc(c->cap));
    greet(c, "RAFT.TIMEOUT", ms);
    if (r->o.stale)
        greet(c, "READONLY", NULL);
}

static struct run *run_new(const struct tool *t, const struct options *o, bool read)
{
    struct run *r = must(calloc(1, sizeof *r));
    unsigned clients = (unsigned)o->clients;
    r->tool = t;
    r->o = *o;
    r->read = read;
    r->tell = isatty(STDERR_FILENO);
    r->random = ctl_now_ns() | 1;
    make_request(r);
    r->n_conns = clients < CONNS_MAX ? clients : CONNS_MAX;
    for (unsigned c = 0; c < r->n_conns; c++)
        open_conn(r, &r->conns[c], (clients + r->n_conns - 1 - c) / r->n_conns);
    return r;
}

static void run_free(struct run *r)
{
    for (unsigned c = 0; c < r->n_conns; c++) {
        close(r->conns[c].fd);
        redisReaderFree(r->conns[c].reader);
        free(r->conns[c].start_ns);
        free(r->conns[c].out);
    }
    redisFreeCommand(r->request);
    free(r->latencies);
    free(r);
}

static void add_request(struct run *r, struct conn *c, uint64_t number)
{
    char *to = c->out + c->end;
    uint64_t k = (r->read ? next_random(r) : number) % r->o.keys;
    memcpy(to, r->request, r->request_len);
    for (size_t i = r->key_at + KEY_BYTES - 1; i >= r->key_at + KEY_PREFIX_BYTES; i--, k /= 10)
        to[i] = (char)('0' + k % 10);
    c->end += r->request_len;
}

/* Sends what waits. False: the socket is full for now, or *broken. */
static bool flush(struct conn *c, bool *broken)
{
    while (c->at < c->end) {
        ssize_t n = send(c->fd, c->out + c->at, c->end - c->at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        *broken = n < 0 && errno != EAGAIN;
        if (n < 0)
            return false;
        c->at += (size_t)n;
    }
    c->at = c->end = 0;
    return true;
}

/* Sends as many requests as this connection may have under way, and the socket takes. */
static int send_requests(struct run *r, struct conn *c)
{
    bool broken = false;
    while (flush(c, &broken) && c->under_way < c->share && r->sent < r->o.ops) {
        uint64_t now = ctl_now_ns();
        while (c->end < BATCH_BYTES && c->under_way < c->share && r->sent < r->o.ops) {
            c->start_ns[(c->oldest + c->under_way++) % c->share] = now;
            add_request(r, c, r->sent++);
        }
    }
    return broken ? -1 : 0;
}

static void note_latency(struct run *r, uint64_t began_ns, uint64_t now)
{
    if (r->n_latencies == r->cap_latencies) {
        r->cap_latencies = r->cap_latencies > 0 ? 2 * r->cap_latencies : LATENCIES_FIRST;
        r->latencies = must(realloc(r->latencies, (size_t)r->cap_latencies * sizeof *r->latencies));
    }
    uint64_t took = (now - began_ns) / NS_PER_UNIT;
    r->latencies[r->n_latencies++] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
}

/* An operation went well, or the run is over. */
static void note_good(struct run *r, uint64_t now)
{
    r->stall_ns = max_u64(r->stall_ns, now - r->good_ns);
    r->good_ns = now;
}

/* Measures how late a turn of the loop comes: a machine that stood still is not to be taken for a cluster
 * that did. */
static void note_turn(struct run *r, uint64_t now)
{
    uint64_t late = now - r->awake_ns;
    if (late > (uint64_t)POLL_MS * 1000000 + r->asleep_ns)
        r->asleep_ns = late - (uint64_t)POLL_MS * 1000000;
    r->awake_ns = now;
}

static int take_answer(struct run *r, struct conn *c, const redisReply *reply, uint64_t now)
{
    const char *text;
    bool error = reply->type == REDIS_REPLY_ERROR;
    if (c->greetings > 0) {
        c->greetings--;
        return error ? -1 : 0;
    }
    if (c->under_way == 0)
        return -1;
    uint64_t began_ns = c->start_ns[c->oldest];
    c->oldest = (c->oldest + 1) % c->share;
    c->under_way--;
    r->done++;
    r->missing += reply->type == REDIS_REPLY_NIL;
    if (error) {
        r->errors[tool_error_of(reply, &text)]++;
        return 0;
    }
    note_good(r, now);
    if (r->measured)
        note_latency(r, began_ns, now);
    return 0;
}

/* Takes the answers that have come. */
static int receive(struct run *r, struct conn *c)
{
    ssize_t n;
    while ((n = recv(c->fd, r->came, sizeof r->came, 0)) > 0) {
        void *reply = NULL;
        r->heard_ns = ctl_now_ns();
        int rc = redisReaderFeed(c->reader, r->came, (size_t)n);
        while (rc == REDIS_OK && (rc = redisReaderGetReply(c->reader, &reply)) == REDIS_OK &&
               reply != NULL) {
            rc = take_answer(r, c, reply, r->heard_ns) == 0 ? REDIS_OK : REDIS_ERR;
            freeReplyObject(reply);
        }
        if (rc != REDIS_OK)
            return -1;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static uint64_t count_errors(const struct run *r)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < TOOL_ERRORS; i++)
        n += r->errors[i];
    return n;
}

static void show_progress(struct run *r, const char *what, uint64_t now)
{
    if (!r->tell || now - r->told_ns < 1000000000)
        return;
    double seconds = (double)(now - r->began_ns) / 1e9;
    fprintf(stderr, "\r%s: %" PRIu64 " in %.0f s, %.0f per s, %" PRIu64 " errors \033[K", what,
            r->done, seconds, (double)r->done / seconds, count_errors(r));
    r->told_ns = now;
}

/* Runs until all operations have an answer. Returns an exit code; on failure it has said why. */
static int run_all(struct run *r, const char *what)
{
    uint64_t patience_ns = ((uint64_t)r->tool->timeout_ms + CTL_GRACE_MS) * 1000000;
    int rc = 0;
    r->began_ns = r->heard_ns = r->told_ns = r->good_ns = r->awake_ns = ctl_now_ns();
    while (r->done < r->o.ops && rc == 0) {
        struct pollfd p[CONNS_MAX];
        for (unsigned c = 0; c < r->n_conns && rc == 0; c++) {
            rc = send_requests(r, &r->conns[c]);
            short events = r->conns[c].end > 0 ? POLLIN | POLLOUT : POLLIN;
            p[c] = (struct pollfd){.fd = r->conns[c].fd, .events = events};
        }
        int n = rc == 0 ? poll(p, r->n_conns, POLL_MS) : 0;
        for (unsigned c = 0; c < r->n_conns && n > 0 && rc == 0; c++)
            if (p[c].revents & (POLLIN | POLLHUP | POLLERR))
                rc = receive(r, &r->conns[c]);
        uint64_t now = ctl_now_ns();
        note_turn(r, now);
        if (now - r->heard_ns > patience_ns)
            rc = -1;
        if (r->o.seconds > 0 && now - r->began_ns >= r->o.seconds * 1000000000)
            r->o.ops = r->sent; /* time is up: what is under way is waited for */
        show_progress(r, what, now);
    }
    r->ended_ns = ctl_now_ns();
    note_good(r, r->ended_ns);
    if (r->told_ns != r->began_ns)
        fputs("\r\033[K", stderr);
    if (rc == 0)
        return RAFTCTL_EXIT_OK;
    say_error("%s: connection lost or no answer after %" PRIu64 " of %" PRIu64 " operations", what,
              r->done, r->sent);
    return r->read ? RAFTCTL_EXIT_LOST : RAFTCTL_EXIT_UNKNOWN;
}

/* Exit code of the first kind of error that happened. */
static int exit_of_errors(const struct run *r)
{
    for (unsigned i = 0; i < TOOL_ERRORS; i++)
        if (r->errors[i] > 0)
            return tool_errors[i].exit;
    return RAFTCTL_EXIT_OK;
}

/* --- report ----------------------------------------------------------------------------------- */

static int compare_u32(const void *pa, const void *pb)
{
    const uint32_t *a = pa, *b = pb;
    return *a < *b ? -1 : *a > *b;
}

/* Of sorted latencies, in microseconds; 0 when there are none. */
static double percentile(const struct run *r, double fraction)
{
    if (r->n_latencies == 0)
        return 0;
    uint64_t at = (uint64_t)(fraction * (double)r->n_latencies);
    if (at >= r->n_latencies)
        at = r->n_latencies - 1;
    return r->latencies[at] * ((double)NS_PER_UNIT / 1000);
}

enum { REALS = 9 };

/* These numbers are far below 2^53: plain JSON numbers. */
static void report_json(const struct run *r, const char *const *names, const double *reals)
{
    struct json j = {.out = r->tool->out.file};
    json_open(&j, NULL, '{');
    json_text(&j, "op", r->read ? "get" : "put");
    json_number(&j, "clients", r->o.clients);
    json_number(&j, "value_bytes", r->o.value_bytes);
    json_number(&j, "ops", r->done);
    json_number(&j, "missing", r->missing);
    json_open(&j, "errors", '{');
    for (unsigned i = 0; i < TOOL_ERRORS; i++)
        if (r->errors[i] > 0)
            json_number(&j, tool_errors[i].name, r->errors[i]);
    json_close(&j, '}');
    for (int i = 0; i < REALS; i++)
        json_real(&j, names[i], reals[i]);
    json_close(&j, '}');
    fputc('\n', j.out);
}

static void report_text(const struct run *r, const char *const *names, const double *reals)
{
    FILE *out = r->tool->out.file;
    fprintf(out, "ops=%" PRIu64 "\nerrors=%" PRIu64 "\nmissing=%" PRIu64 "\n", r->done,
            count_errors(r), r->missing);
    for (unsigned i = 0; i < TOOL_ERRORS; i++)
        if (r->errors[i] > 0)
            fprintf(out, "error.%s=%" PRIu64 "\n", tool_errors[i].name, r->errors[i]);
    for (int i = 0; i < REALS; i++)
        fprintf(out, "%s=%.3f\n", names[i], reals[i]);
}

static void report(const struct run *r)
{
    static const char *const names[REALS] = {"seconds",  "per_s",  "p50_us",   "p90_us",   "p99_us",
                                             "p99_9_us", "max_us", "stall_us", "asleep_us"};
    double seconds = (double)(r->ended_ns - r->began_ns) / 1e9;
    if (r->n_latencies > 0)
        qsort(r->latencies, (size_t)r->n_latencies, sizeof *r->latencies, compare_u32);
    const double reals[REALS] = {
        seconds,
        seconds > 0 ? (double)r->n_latencies / seconds : 0,
        percentile(r, 0.5),
        percentile(r, 0.9),
        percentile(r, 0.99),
        percentile(r, 0.999),
        percentile(r, 1),
        (double)r->stall_ns / 1000,
        (double)r->asleep_ns / 1000,
    };
    (r->o.json ? report_json : report_text)(r, names, reals);
}

/* --- command ---------------------------------------------------------------------------------- */

static uint64_t number_option(const char *name, const char *text, uint64_t min, uint64_t max)
{
    uint64_t v;
    if (!num_parse(text, min, max, &v))
        say_fatal(RAFTCTL_EXIT_USAGE, "bench -%s %s: a number from %" PRIu64 " to %" PRIu64, name,
                  text, min, max);
    return v;
}

static struct options parse_bench(int argc, char **argv)
{
    static const struct option options[] = {
        {"clients", required_argument, NULL, 'c'},
        {"ops", required_argument, NULL, 'n'},
        {"time", required_argument, NULL, 't'},
        {"value", required_argument, NULL, 'v'},
        {"keys", required_argument, NULL, 'k'},
        {"read", no_argument, NULL, 'r'},
        {"stale", no_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},
        {NULL, 0, NULL, 0},
    };
    struct options o = {.value_bytes = 128, .keys = 1000};
    int c;
    optind = 0; /* starts getopt anew */
    while ((c = getopt_long(argc, argv, "+c:n:t:v:k:", options, NULL)) != -1) {
        switch (c) {
        case 'c': o.clients = number_option("c", optarg, 1, CLIENTS_MAX); break;
        case 'n': o.ops = number_option("n", optarg, 1, OPS_MAX); break;
        case 't': o.seconds = number_option("t", optarg, 1, SECONDS_MAX); break;
        case 'v': o.value_bytes = number_option("v", optarg, 0, VALUE_MAX_BYTES); break;
        case 'k': o.keys = number_option("k", optarg, 1, KEYS_MAX); break;
        case 'r': o.read = true; break;
        case 's': o.stale = true; break;
        case 'j': o.json = true; break;
        default: exit(RAFTCTL_EXIT_USAGE); /* getopt has said it */
        }
    }
    if (optind != argc || o.clients == 0 || (o.ops == 0) == (o.seconds == 0) ||
        (o.stale && !o.read))
        say_fatal(
            RAFTCTL_EXIT_USAGE,
            "bench takes -c CLIENTS and one of -n OPS and -t SECONDS, see raftctl help bench; "
            "raftctl's own options stand before it");
    if (o.seconds > 0)
        o.ops = OPS_MAX;
    return o;
}

/* Puts every key once, so that gets find something. This is not measured. */
static int prefill(const struct tool *t, const struct options *o)
{
    struct options fill = *o;
    fill.ops = o->keys;
    fill.seconds = 0;
    fill.clients = max_u64(fill.clients, PREFILL_CLIENTS_MIN);
    struct run *r = run_new(t, &fill, false);
    int code = run_all(r, "filling");
    if (code == RAFTCTL_EXIT_OK && (code = exit_of_errors(r)) != RAFTCTL_EXIT_OK)
        say_error("filling: %" PRIu64 " of %" PRIu64 " writes failed", count_errors(r), r->done);
    run_free(r);
    return code;
}

void run_bench(struct tool *t, const struct args *a)
{
    struct options o = parse_bench(a->argc, a->argv);
    int code = o.read ? prefill(t, &o) : RAFTCTL_EXIT_OK;
    if (code != RAFTCTL_EXIT_OK)
        tool_end(t, code);
    struct run *r = run_new(t, &o, o.read);
    r->measured = true;
    code = run_all(r, o.read ? "get" : "put");
    report(r);
    if (code == RAFTCTL_EXIT_OK)
        code = exit_of_errors(r);
    run_free(r);
    tool_end(t, code);
}
