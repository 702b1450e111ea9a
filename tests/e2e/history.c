// LINK: raftd/tool/client.c tests/sim/linear.c tests/sim/linear_search.c -lhiredis -lpthread
/* history.c: clients of a running cluster whose history is judged: is it linearizable?
 *
 *     history [-m] [-b FILE] [-c CLIENTS] [-k KEYS] [-t TIMEOUT_MS] [-w WAIT_MS] SOCKET...
 *
 * CLIENTS at each SOCKET put, get and delete a few keys, one request after the other, each put with
 * a value of its own, until SIGTERM. Then every key is read once more through each node that
 * answers, and everything is judged. Prints one line of key=value words; exit 0: linearizable,
 * 1: not (what is wrong is on standard error), 2: usage, or the search gave up.
 *
 * -m: a client whose request was certainly not done asks the next node, and stays there. That is then one
 * request, which fails when no node takes it within its timeout.
 *
 * -w: between two requests a client waits, for up to so long.
 *
 * -b: what part of a slow request is the machine's, which others use, too? All the while a thread of its own
 * writes a little to FILE, syncs it, and sleeps for BEAT_MS. How much longer than BEAT_MS that took at most
 * while a request was under way is what the machine takes for one turn of a process and its disk.
 * beyond_ms: the longest time of a request, less TURNS such turns.
 *
 * stall_ms: the longest time in which no client at all had a put that went well. slowest_ms: the
 * longest that a put took that went well. longest_ms: the same of all requests.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "raftd/tool/client.h"
#include "tests/sim/linear.h"

enum {
    SOCKETS_MAX = 9,
    CLIENTS_MAX = 64, // at each socket
    KEYS_MAX = 10000,
    NAME_BYTES = 16,
    FIRST_RECORDS = 1024,
    PAUSE_MS = 20,       // after a refusal, so that a node that is down costs no CPU
    LAST_READ_MS = 5000, // patience of the reads at the end
    GETS_PERCENT = 45,
    DELETES_PERCENT = 5,
    BEAT_MS = 5,
    BEAT_BYTES = 512,
    // Threads that wait for each other, from the moment at which a leader hands over to the answer to a
    // client of another node, and disks that they wait for: the heir writes its vote, another node its own,
    // then both the client's entry; each time its loop wakes its disk's thread, and that one the loop.
    TURNS = 20,
};

enum fate { RETURNED, FAILED, UNKNOWN };

struct record {
    enum linear_kind kind;
    enum fate fate;
    enum linear_result result; // of RETURNED
    uint32_t key;
    uint64_t value;
    uint64_t began_ns, ended_ns;
    uint32_t client;
    size_t op; // linear.h's handle
};

struct client {
    pthread_t thread;
    const struct plan *plan;
    unsigned socket; // of the plan's
    uint32_t number;
    uint64_t random, puts;
    struct record *records;
    size_t n, cap;
};

// Turns of one process and its disk, as long as the others run.
struct beats {
    pthread_t thread;
    const char *file; // NULL: none
    atomic_bool stop;
    uint64_t *at_ns; // when they ended; n of them
    size_t n, cap;
};

struct plan {
    char **sockets;
    unsigned n_sockets;
    uint32_t keys, timeout_ms, wait_ms;
    bool move;
    atomic_bool stop;
};

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(2);
}

static void *must(void *p)
{
    if (p == NULL)
        die("memory");
    return p;
}

static uint64_t next_random(struct client *c)
{
    c->random ^= c->random << 13; // xorshift64
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return c->random;
}

/* --- one request ------------------------------------------------------------------------------ */

static void note_get(struct record *r, const redisReply *a)
{
    if (a->type == REDIS_REPLY_NIL) {
        r->result = LINEAR_ABSENT;
        return;
    }
    r->result = LINEAR_FOUND;
    r->value = strtoull(a->str, NULL, 10);
}

static bool begins(const redisReply *a, const char *word)
{
    size_t len = strlen(word);
    return strncmp(a->str, word, len) == 0 && (a->str[len] == ' ' || a->str[len] == '\0');
}

/* What the client knows after this answer. Only a certain refusal is a failure of a write. */
static enum fate judge(struct record *r, enum ctl_outcome outcome, const redisReply *a)
{
    static const int types[] = {[LINEAR_PUT] = REDIS_REPLY_STATUS,
                                [LINEAR_GET] = REDIS_REPLY_STRING,
                                [LINEAR_DELETE] = REDIS_REPLY_INTEGER};
    bool told = outcome == CTL_ANSWERED;
    bool error = told && a->type == REDIS_REPLY_ERROR;
    bool nil = told && a->type == REDIS_REPLY_NIL && r->kind == LINEAR_GET;
    if (outcome == CTL_NONSENSE || (told && !error && !nil && a->type != types[r->kind])) {
        fprintf(stderr, "an answer that makes no sense\n");
        exit(1);
    }
    if (outcome == CTL_NOT_RUNNING || outcome == CTL_NOT_TAKEN)
        return FAILED;
    if (told && !error) {
        r->result = LINEAR_DONE;
        if (r->kind == LINEAR_GET)
            note_get(r, a);
        if (r->kind == LINEAR_DELETE)
            r->result = a->integer > 0 ? LINEAR_FOUND : LINEAR_ABSENT;
        return RETURNED;
    }
    bool refused = error && (begins(a, "NOLEADER") || begins(a, "BUSY") || begins(a, "NOTYET") ||
                             begins(a, "LOADING"));
    return refused || r->kind == LINEAR_GET ? FAILED : UNKNOWN;
}

static enum fate ask(struct client *c, struct record *r, uint32_t timeout_ms)
{
    static const char *const ops[] = {
        [LINEAR_PUT] = "SET", [LINEAR_GET] = "GET", [LINEAR_DELETE] = "DEL"};
    char name[NAME_BYTES], value[24];
    struct ctl_words w = {0};
    redisReply *a;
    (void)snprintf(name, sizeof(name), "h%" PRIu32, r->key);
    (void)snprintf(value, sizeof(value), "%" PRIu64, r->value);
    ctl_add_text(&w, ops[r->kind]);
    ctl_add_text(&w, name);
    if (r->kind == LINEAR_PUT)
        ctl_add_text(&w, value);
    const struct ctl_call call = {.path = c->plan->sockets[c->socket], .timeout_ms = timeout_ms};
    enum ctl_outcome outcome = ctl_call(&call, &w, &a);
    enum fate fate = judge(r, outcome, a);
    freeReplyObject(a);
    return fate;
}

static enum fate request(struct client *c, enum linear_kind kind, uint32_t key, uint32_t timeout_ms)
{
    if (c->n == c->cap) {
        c->cap = c->cap ? 2 * c->cap : FIRST_RECORDS;
        c->records = must(realloc(c->records, c->cap * sizeof(*c->records)));
    }
    struct record *r = &c->records[c->n++];
    *r = (struct record){.kind = kind, .key = key, .client = c->number};
    if (kind == LINEAR_PUT)
        r->value = (uint64_t)c->number * 1000000000 + ++c->puts;
    r->began_ns = ctl_now_ns();
    r->fate = ask(c, r, timeout_ms);
    while (c->plan->move && r->fate == FAILED &&
           ctl_now_ns() - r->began_ns < (uint64_t)timeout_ms * 1000000) {
        c->socket = (c->socket + 1) % c->plan->n_sockets;
        r->fate = ask(c, r, timeout_ms);
    }
    r->ended_ns = ctl_now_ns();
    return r->fate;
}

static void *client_run(void *arg)
{
    struct client *c = arg;
    while (!atomic_load(&c->plan->stop)) {
        uint64_t dice = next_random(c) % 100;
        enum linear_kind kind = dice < GETS_PERCENT                     ? LINEAR_GET
                                : dice < GETS_PERCENT + DELETES_PERCENT ? LINEAR_DELETE
                                                                        : LINEAR_PUT;
        uint32_t key = (uint32_t)(next_random(c) % c->plan->keys);
        bool failed = request(c, kind, key, c->plan->timeout_ms) == FAILED;
        uint64_t wait_ns = next_random(c) % (c->plan->wait_ms * UINT64_C(1000000) + 1);
        if (failed || wait_ns > 0)
            (void)nanosleep(
                &(struct timespec){.tv_nsec = failed ? PAUSE_MS * 1000000 : (long)wait_ns}, NULL);
    }
    return NULL;
}

/* --- beats ------------------------------------------------------------------------------------ */

static void note_beat(struct beats *b)
{
    if (b->n == b->cap) {
        b->cap = b->cap ? 2 * b->cap : FIRST_RECORDS;
        b->at_ns = must(realloc(b->at_ns, b->cap * sizeof(*b->at_ns)));
    }
    b->at_ns[b->n++] = ctl_now_ns();
}

static void *beats_run(void *arg)
{
    static const char bytes[BEAT_BYTES];
    struct beats *b = arg;
    int fd = open(b->file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        die(b->file);
    while (!atomic_load(&b->stop)) {
        note_beat(b);
        (void)nanosleep(&(struct timespec){.tv_nsec = BEAT_MS * 1000000}, NULL); // a pause
        if (pwrite(fd, bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes) || fdatasync(fd) != 0)
            die(b->file);
    }
    note_beat(b);
    (void)close(fd); // nobody reads it
    return NULL;
}

// The longest turn that had a part in that time. `from`: beats before it are older; times only grow.
static uint64_t longest_turn(const struct beats *b, size_t from, uint64_t began_ns,
                             uint64_t ended_ns)
{
    uint64_t longest = 0;
    for (size_t i = from; i + 1 < b->n && b->at_ns[i] < ended_ns; i++) {
        uint64_t took = b->at_ns[i + 1] - b->at_ns[i];
        if (b->at_ns[i + 1] > began_ns && took > longest)
            longest = took;
    }
    return longest > BEAT_MS * UINT64_C(1000000) ? longest - BEAT_MS * UINT64_C(1000000) : 0;
}

static size_t beat_before(const struct beats *b, uint64_t ns)
{
    size_t low = 0, high = b->n;
    while (low + 1 < high) {
        size_t middle = low + (high - low) / 2;
        if (b->at_ns[middle] <= ns)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static uint64_t beyond(const struct beats *b, const struct record *r)
{
    uint64_t took = r->ended_ns - r->began_ns;
    uint64_t turns = TURNS * longest_turn(b, beat_before(b, r->began_ns), r->began_ns, r->ended_ns);
    return took > turns ? took - turns : 0;
}

/* --- judgement -------------------------------------------------------------------------------- */

struct event {
    uint64_t ns;
    bool end;
    struct record *record;
};

static int compare_events(const void *pa, const void *pb)
{
    const struct event *a = pa, *b = pb;
    if (a->ns != b->ns)
        return a->ns < b->ns ? -1 : 1;
    return (int)a->end - (int)b->end; // at equal times what begins comes first
}

static struct event *all_events(struct client *clients, size_t n_clients, size_t *n)
{
    size_t total = 0;
    for (size_t i = 0; i < n_clients; i++)
        total += 2 * clients[i].n;
    struct event *events = must(calloc(total + 1, sizeof(*events)));
    *n = 0;
    for (size_t i = 0; i < n_clients; i++)
        for (size_t k = 0; k < clients[i].n; k++) {
            struct record *r = &clients[i].records[k];
            events[(*n)++] = (struct event){r->began_ns, false, r};
            events[(*n)++] = (struct event){r->ended_ns, true, r};
        }
    qsort(events, *n, sizeof(*events), compare_events);
    return events;
}

struct counts {
    uint64_t puts, gets, failed, unknown;
    uint64_t slowest_ns, longest_ns, beyond_ns, stall_ns, last_ns;
};

static void count(struct counts *c, const struct beats *b, const struct record *r)
{
    c->failed += r->fate == FAILED;
    c->unknown += r->fate == UNKNOWN;
    c->gets += r->fate == RETURNED && r->kind == LINEAR_GET;
    if (r->fate == RETURNED && r->ended_ns - r->began_ns > c->longest_ns)
        c->longest_ns = r->ended_ns - r->began_ns;
    if (r->fate == RETURNED && b->n > 0 && beyond(b, r) > c->beyond_ns)
        c->beyond_ns = beyond(b, r);
    if (r->fate != RETURNED || r->kind != LINEAR_PUT)
        return;
    c->puts++;
    if (r->ended_ns - r->began_ns > c->slowest_ns)
        c->slowest_ns = r->ended_ns - r->began_ns;
    if (r->ended_ns - c->last_ns > c->stall_ns)
        c->stall_ns = r->ended_ns - c->last_ns;
    c->last_ns = r->ended_ns;
}

static int report(struct client *clients, size_t n_clients, const struct beats *beats,
                  uint64_t start_ns)
{
    size_t n;
    struct event *events = all_events(clients, n_clients, &n);
    struct linear *l = linear_new();
    struct counts counts = {.last_ns = start_ns};
    for (size_t i = 0; i < n; i++) {
        struct record *r = events[i].record;
        if (!events[i].end) {
            r->op = linear_invoke(l, r->client, r->kind, r->key,
                                  r->kind == LINEAR_PUT ? r->value : 0, events[i].ns);
            continue;
        }
        count(&counts, beats, r);
        if (r->fate == RETURNED)
            linear_return(l, r->op, r->result, r->kind == LINEAR_GET ? r->value : 0, events[i].ns);
        else if (r->fate == FAILED)
            linear_failed(l, r->op);
        else
            linear_unknown(l, r->op);
    }
    struct linear_verdict v;
    linear_check(l, LINEAR_STATES_MAX, &v);
    static const char *const names[] = {
        [LINEAR_OK] = "linearizable", [LINEAR_BROKEN] = "broken", [LINEAR_GAVE_UP] = "gave_up"};
    printf("verdict=%s puts=%" PRIu64 " gets=%" PRIu64 " failed=%" PRIu64 " unknown=%" PRIu64
           " slowest_ms=%" PRIu64 " longest_ms=%" PRIu64 " beyond_ms=%" PRIu64 " stall_ms=%" PRIu64
           "\n",
           names[v.outcome], counts.puts, counts.gets, counts.failed, counts.unknown,
           counts.slowest_ns / 1000000, counts.longest_ns / 1000000, counts.beyond_ns / 1000000,
           counts.stall_ns / 1000000);
    if (v.outcome != LINEAR_OK)
        fprintf(stderr, "key h%" PRIu32 ":\n%s", v.key, v.text);
    linear_free(l);
    free(events);
    return v.outcome == LINEAR_OK ? 0 : v.outcome == LINEAR_BROKEN ? 1 : 2;
}

/* --- main ------------------------------------------------------------------------------------- */

static uint32_t number(const char *text, uint32_t max)
{
    char *end;
    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (errno != 0 || *end != '\0' || v == 0 || v > max) {
        fprintf(stderr, "history: %s: a number from 1 to %" PRIu32 "\n", text, max);
        exit(2);
    }
    return (uint32_t)v;
}

static void wait_for_end(const sigset_t *signals)
{
    int got;
    if (sigwait(signals, &got) != 0)
        die("sigwait");
}

/* So that a write that was lost after the last get of its key shows, too. */
static void read_all(struct client *clients, size_t n_clients, size_t per_socket, uint32_t keys)
{
    for (size_t i = 0; i < n_clients; i += per_socket)
        for (uint32_t key = 0; key < keys; key++)
            if (request(&clients[i], LINEAR_GET, key, LAST_READ_MS) == FAILED)
                break;
}

int main(int argc, char **argv)
{
    struct plan plan = {.keys = 10, .timeout_ms = 2000};
    struct beats beats = {0};
    size_t per_socket = 2;
    for (int o; (o = getopt(argc, argv, "mb:c:k:t:w:")) != -1;) {
        switch (o) {
        case 'm': plan.move = true; break;
        case 'b': beats.file = optarg; break;
        case 'c': per_socket = number(optarg, CLIENTS_MAX); break;
        case 'k': plan.keys = number(optarg, KEYS_MAX); break;
        case 't': plan.timeout_ms = number(optarg, 60000); break;
        case 'w': plan.wait_ms = number(optarg, 900); break;
        default: return 2;
        }
    }
    if (optind == argc || argc - optind > SOCKETS_MAX) {
        fprintf(stderr, "usage: history [-m] [-b FILE] [-c CLIENTS] [-k KEYS] [-t TIMEOUT_MS] "
                        "[-w WAIT_MS] SOCKET...\n");
        return 2;
    }
    sigset_t signals;
    if (sigemptyset(&signals) != 0 || sigaddset(&signals, SIGTERM) != 0 ||
        pthread_sigmask(SIG_BLOCK, &signals, NULL) != 0)
        die("signals");
    plan.sockets = argv + optind;
    plan.n_sockets = (unsigned)(argc - optind);
    size_t n = plan.n_sockets * per_socket;
    struct client *clients = must(calloc(n, sizeof(*clients)));
    uint64_t start_ns = ctl_now_ns();
    if (beats.file != NULL && pthread_create(&beats.thread, NULL, beats_run, &beats) != 0)
        die("pthread_create");
    for (size_t i = 0; i < n; i++) {
        clients[i] = (struct client){.plan = &plan,
                                     .socket = (unsigned)(i / per_socket),
                                     .number = (uint32_t)i + 1,
                                     .random = (start_ns + i) | 1};
        if (pthread_create(&clients[i].thread, NULL, client_run, &clients[i]) != 0)
            die("pthread_create");
    }
    wait_for_end(&signals);
    atomic_store(&plan.stop, true);
    for (size_t i = 0; i < n; i++)
        if (pthread_join(clients[i].thread, NULL) != 0)
            die("pthread_join");
    read_all(clients, n, per_socket, plan.keys);
    atomic_store(&beats.stop, true);
    if (beats.file != NULL && pthread_join(beats.thread, NULL) != 0)
        die("pthread_join");
    int code = report(clients, n, &beats, start_ns);
    free(beats.at_ns);
    for (size_t i = 0; i < n; i++)
        free(clients[i].records);
    free(clients);
    return code;
}
