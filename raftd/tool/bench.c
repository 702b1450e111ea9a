/* bench.c: keeps a number of requests under way at the local daemon and measures them.
 *
 * The requests are spread over a few connections and travel in batches, so that the generator costs
 * little of the CPU that it shares with what it measures. Every request outstanding has a slot; its
 * tag is the slot's number.
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
    RESULTS = RESULT_LAST + 1,
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
    unsigned n_free; /* slots that are not under way */
    uint32_t *free_slots;
    struct outq out; /* requests that the socket has not taken yet */
};

/* One run of `ops` operations. */
struct run {
    const struct tool *tool;
    struct options o;
    bool read;
    uint64_t sent, done, missing; /* missing: get found no key */
    uint64_t errors[RESULTS];
    uint64_t random;
    bool tell; /* show progress */
    uint64_t began_ns, ended_ns, heard_ns, told_ns;
    uint64_t good_ns, stall_ns;   /* when an operation last went well; longest time without one */
    uint64_t awake_ns, asleep_ns; /* last turn of the loop; the longest delay of one */
    bool measured;
    uint32_t *latencies; /* of the operations that went well */
    uint64_t n_latencies, cap_latencies;
    uint64_t *start_ns; /* per slot */
    struct conn conns[CONNS_MAX];
    unsigned n_conns;
    uint8_t packet[PROTO_PACKET_MAX_BYTES]; /* of answers */
    uint8_t value[VALUE_MAX_BYTES];
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

static struct run *run_new(const struct tool *t, const struct options *o)
{
    struct run *r = must(calloc(1, sizeof *r));
    r->tool = t;
    r->o = *o;
    r->tell = isatty(STDERR_FILENO);
    r->start_ns = must(calloc((size_t)o->clients, sizeof *r->start_ns));
    r->random = ctl_now_ns() | 1;
    for (size_t i = 0; i < o->value_bytes; i++)
        r->value[i] = (uint8_t)('a' + next_random(r) % 26);
    r->n_conns = o->clients < CONNS_MAX ? (unsigned)o->clients : CONNS_MAX;
    for (unsigned c = 0; c < r->n_conns; c++) {
        struct conn *conn = &r->conns[c];
        conn->fd = ctl_connect(t->socket);
        if (conn->fd < 0)
            exit(say_not_running(t));
        conn->free_slots = must(calloc((size_t)o->clients, sizeof *conn->free_slots));
        for (uint64_t slot = c; slot < o->clients; slot += r->n_conns)
            conn->free_slots[conn->n_free++] = (uint32_t)slot;
    }
    return r;
}

static void run_free(struct run *r)
{
    for (unsigned c = 0; c < r->n_conns; c++) {
        close(r->conns[c].fd);
        free(r->conns[c].free_slots);
        outq_free(&r->conns[c].out);
    }
    free(r->latencies);
    free(r->start_ns);
    free(r);
}

static void make_request(struct run *r, struct outq *out, uint64_t number, uint32_t slot)
{
    uint8_t key[KEY_BYTES] = {'b', 'e', 'n', 'c', 'h', '/'};
    uint64_t k = (r->read ? next_random(r) : number) % r->o.keys;
    for (int i = KEY_BYTES - 1; i >= KEY_PREFIX_BYTES; i--, k /= 10)
        key[i] = (uint8_t)('0' + k % 10);
    uint32_t len = r->read ? 0 : (uint32_t)r->o.value_bytes;
    if (!ctl_queue(out, &(struct proto_request){
                            .op = r->read ? PROTO_GET : PROTO_PUT,
                            .flags = r->read && r->o.stale ? PROTO_STALE : 0,
                            .timeout_ms = r->tool->timeout_ms,
                            .tag = slot,
                            .key = key,
                            .key_len = KEY_BYTES,
                            .value_len = len,
                            .part = r->value,
                            .part_len = len,
                        }))
        out_of_memory();
}

/* Sends as many requests as there are free slots, operations left, and room in the socket. */
static int send_requests(struct run *r, struct conn *conn)
{
    enum outq_state state;
    while ((state = outq_flush(&conn->out, conn->fd)) == OUTQ_EMPTY && conn->n_free > 0 &&
           r->sent < r->o.ops) {
        uint64_t now = ctl_now_ns();
        while (outq_pending(&conn->out) < BATCH_BYTES && conn->n_free > 0 && r->sent < r->o.ops) {
            uint32_t slot = conn->free_slots[--conn->n_free];
            r->start_ns[slot] = now;
            make_request(r, &conn->out, r->sent++, slot);
        }
    }
    return state == OUTQ_BROKEN ? -1 : 0;
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

static int take_answer(struct run *r, struct conn *conn, const struct proto_reply *reply,
                       uint64_t now)
{
    if (reply->flags & PROTO_MORE)
        return 0;
    if (reply->tag >= r->o.clients || conn->n_free >= r->o.clients)
        return -1;
    conn->free_slots[conn->n_free++] = (uint32_t)reply->tag;
    r->done++;
    if (reply->result == RESULT_NO_KEY)
        r->missing++;
    else if (reply->result != RESULT_OK)
        r->errors[reply->result]++;
    if (reply->result == RESULT_OK || reply->result == RESULT_NO_KEY) {
        note_good(r, now);
        if (r->measured)
            note_latency(r, r->start_ns[reply->tag], now);
    }
    return 0;
}

static int receive(struct run *r, struct conn *conn)
{
    ssize_t n;
    while ((n = recv(conn->fd, r->packet, sizeof r->packet, MSG_DONTWAIT)) > 0) {
        uint64_t now = ctl_now_ns();
        r->heard_ns = now;
        struct proto_reply reply;
        for (size_t at = 0, size; at < (size_t)n; at += size) {
            size = proto_reply_decode(r->packet + at, (size_t)n - at, &reply);
            if (size == 0 || take_answer(r, conn, &reply, now) != 0)
                return -1;
        }
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static uint64_t count_errors(const struct run *r)
{
    uint64_t n = 0;
    for (int i = 0; i < RESULTS; i++)
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
            short events = outq_pending(&r->conns[c].out) > 0 ? POLLIN | POLLOUT : POLLIN;
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
    for (int i = 0; i < RESULTS; i++)
        if (r->errors[i] > 0)
            return exit_of_result((enum result)i, !r->read);
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
    for (int i = 0; i < RESULTS; i++)
        if (r->errors[i] > 0)
            json_number(&j, result_name((enum result)i), r->errors[i]);
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
    for (int i = 0; i < RESULTS; i++)
        if (r->errors[i] > 0)
            fprintf(out, "error.%s=%" PRIu64 "\n", result_name((enum result)i), r->errors[i]);
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
    struct run *r = run_new(t, &fill);
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
    struct run *r = run_new(t, &o);
    r->read = o.read;
    r->measured = true;
    code = run_all(r, o.read ? "get" : "put");
    report(r);
    if (code == RAFTCTL_EXIT_OK)
        code = exit_of_errors(r);
    run_free(r);
    tool_end(t, code);
}
