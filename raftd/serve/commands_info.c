/* commands_info.c: see commands_impl.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "raftd/serve/commands_impl.h"
#include "raftd/base/clock.h"
#include "raftd/base/rcu.h"
#include "raftd/base/version.h"
#include "raftd/serve/glob.h"
#include "raftd/serve/shared.h"
#include "raftd/serve/status_text.h"
#include "raftd/serve/tally.h"
#include "raftd/state/kv.h"

/* Redis whose commands these are, for libraries that ask for a version before they use something. */
#define REDIS_VERSION "7.2.0"

/* A node that is not heard for so long is shown as offline: nodes send something at least every 3 s. */
enum { LINK_UP_US = 10 * 1000 * 1000 };

/* What INFO tells of: all of one moment, as far as they are of one thread. */
struct telling {
    FILE *out;
    const struct shared *shared;
    const struct status *status;
    const struct kv_view *view;
    struct tally_sum sum; /* of all threads */
    uint64_t now_us;
};

static void server(const struct telling *t)
{
    uint64_t up_s = (t->now_us - t->status->start_us) / 1000000;
    fprintf(t->out, "redis_version:" REDIS_VERSION "\r\nredis_mode:standalone\r\n");
    fprintf(t->out, "raftd_version:" RAFTD_VERSION "\r\n");
    fprintf(t->out, "process_id:%ld\r\n", (long)getpid());
    fprintf(t->out, "uptime_in_seconds:%" PRIu64 "\r\n", up_s);
    fprintf(t->out, "uptime_in_days:%" PRIu64 "\r\n", up_s / 86400);
}

static void clients(const struct telling *t)
{
    fprintf(t->out, "connected_clients:%" PRIu64 "\r\n", t->sum.clients);
    fprintf(t->out, "maxclients:%zu\r\n", t->shared->users.limit[USERS_CONNS]);
    fprintf(t->out, "blocked_clients:%" PRIu64 "\r\n", t->sum.blocked);
}

/* What the process has of the box; 0: it may not know. */
static uint64_t resident_bytes(void)
{
    unsigned long all, pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL)
        return 0;
    if (fscanf(f, "%lu %lu", &all, &pages) != 2)
        pages = 0;
    (void)fclose(f); /* only read from */
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void memory(const struct telling *t)
{
    fprintf(t->out, "used_memory:%" PRIu64 "\r\n", t->view->bytes);
    fprintf(t->out, "used_memory_rss:%" PRIu64 "\r\n", resident_bytes());
    fprintf(t->out, "maxmemory:%" PRIu64 "\r\n", t->status->max_data_bytes);
    fprintf(t->out, "maxmemory_policy:noeviction\r\n");
}

static void persistence(const struct telling *t)
{
    bool starting = atomic_load_explicit(&t->shared->starting, memory_order_acquire);
    fprintf(t->out, "loading:%d\r\n", starting); /* libraries wait for 0 */
    fprintf(t->out, "rdb_bgsave_in_progress:%d\r\n", t->status->imaging);
    fprintf(t->out, "aof_enabled:1\r\n");
    fprintf(t->out, "aof_last_write_status:%s\r\n", t->status->disk_full != 0 ? "err" : "ok");
    fprintf(t->out, "aof_current_size:%" PRIu64 "\r\n", t->status->log_bytes);
}

static void stats(const struct telling *t)
{
    fprintf(t->out, "total_connections_received:%" PRIu64 "\r\n", t->sum.connections);
    fprintf(t->out, "total_commands_processed:%" PRIu64 "\r\n", t->sum.commands);
    fprintf(t->out, "rejected_connections:%" PRIu64 "\r\n", t->sum.refused);
    fprintf(t->out, "pending_writes:%" PRIu64 "\r\n", t->status->pending_writes);
    fprintf(t->out, "total_fsyncs:%" PRIu64 "\r\n", t->status->fsyncs);
    fprintf(t->out, "total_log_bytes_written:%" PRIu64 "\r\n", t->status->disk_bytes);
}

static void print_seconds(FILE *out, const char *name, const struct timeval *t)
{
    fprintf(out, "%s:%lld.%06ld\r\n", name, (long long)t->tv_sec, (long)t->tv_usec);
}

static void cpu(const struct telling *t)
{
    struct rusage used;
    if (getrusage(RUSAGE_SELF, &used) != 0)
        return; /* cannot happen */
    print_seconds(t->out, "used_cpu_sys", &used.ru_stime);
    print_seconds(t->out, "used_cpu_user", &used.ru_utime);
}

/* How long they took is not measured, which would cost a look at the clock for each. Monitors want a
 * number. */
static void commandstats(const struct telling *t)
{
    uint64_t n;
    for (unsigned i = 0; i < TALLY_CALLS_MAX; i++) {
        const char *name = tally_calls(t->shared, i, &n);
        if (name != NULL)
            fprintf(t->out, "cmdstat_%s:calls=%" PRIu64 ",usec=0,usec_per_call=0.00\r\n", name, n);
    }
}

/* A follower as the leader sees it, in the words that monitors know. */
static void replica(const struct telling *t, unsigned i)
{
    const struct status_peer *p = &t->status->peers[i];
    int len = (int)strcspn(p->addr, ",");
    while (len > 0 && p->addr[len] != ':')
        len--;
    bool there = p->heard_us != 0 && t->now_us < p->heard_us + LINK_UP_US;
    fprintf(t->out, "slave%u:ip=%.*s,port=%lu,state=%s,offset=%" PRIu64 ",lag=%" PRIu64 "\r\n", i,
            len, p->addr, strtoul(p->addr + len + (p->addr[len] == ':'), NULL, 10),
            there ? "online" : "offline", p->match_index,
            p->heard_us != 0 && t->now_us > p->heard_us ? (t->now_us - p->heard_us) / 1000000 : 0);
}

/* The leader is what monitors know as a master, and a node that hears none is a replica without its link. */
static void replication(const struct telling *t)
{
    const struct status *s = t->status;
    bool leads = s->leader == s->id && s->leader != 0;
    fprintf(t->out, "role:%s\r\n", leads ? "master" : "slave");
    fprintf(t->out, "connected_slaves:%u\r\n", leads ? s->n_peers : 0);
    for (unsigned i = 0; leads && i < s->n_peers; i++)
        replica(t, i);
    if (!leads)
        fprintf(t->out, "master_link_status:%s\r\n", s->leader != 0 ? "up" : "down");
    fprintf(t->out, "master_repl_offset:%" PRIu64 "\r\n", s->commit_index);
    fprintf(t->out, "slave_repl_offset:%" PRIu64 "\r\n", t->view->index);
}

static void keyspace(const struct telling *t)
{
    if (t->view->count > 0)
        fprintf(t->out, "db0:keys=%" PRIu64 ",expires=%" PRIu64 ",avg_ttl=0\r\n", t->view->count,
                t->view->expiring);
}

/* The lines of the status, "name=value", as INFO writes them. */
static void raft(const struct telling *t)
{
    char *text = NULL, *save = NULL;
    size_t len = 0;
    FILE *lines = open_memstream(&text, &len);
    if (lines == NULL)
        return;
    status_print_all(lines, t->status, t->now_us, false);
    if (fclose(lines) == 0)
        for (char *line = strtok_r(text, "\n", &save); line != NULL;
             line = strtok_r(NULL, "\n", &save)) {
            char *value = strchr(line, '=');
            if (value != NULL)
                fprintf(t->out, "%.*s:%s\r\n", (int)(value - line), line, value + 1);
        }
    free(text);
}

static const struct {
    const char *name, *title;
    void (*tell)(const struct telling *t);
} sections[] = {
    {"server", "Server", server},
    {"clients", "Clients", clients},
    {"memory", "Memory", memory},
    {"persistence", "Persistence", persistence},
    {"stats", "Stats", stats},
    {"raft", "Raft", raft}, /* before the role that monitors know, for they take the last one */
    {"replication", "Replication", replication},
    {"cpu", "CPU", cpu},
    {"commandstats", "Commandstats", commandstats},
    {"keyspace", "Keyspace", keyspace},
};

static bool asked(const struct call *call, const char *section)
{
    bool found = call->argc == 1;
    for (unsigned i = 1; !found && i < call->argc; i++)
        found = resp_is(&call->argv[i], section) || resp_is(&call->argv[i], "all") ||
                resp_is(&call->argv[i], "default") || resp_is(&call->argv[i], "everything");
    return found;
}

void run_info(struct talker *t, const struct call *call, struct resp_out *out)
{
    char *text = NULL;
    size_t len = 0;
    struct telling telling = {
        .out = open_memstream(&text, &len), .shared = t->shared, .now_us = clock_us()};
    if (telling.out != NULL) {
        rcu_enter();
        telling.status = rcu_get(t->shared->status);
        atomic_store_explicit(&t->shared->status_asked, true, memory_order_relaxed);
        telling.view = kv_view(t->shared->kv);
        telling.sum = tally_sum(t->shared);
        bool first = true;
        for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
            if (!asked(call, sections[i].name))
                continue;
            fprintf(telling.out, "%s# %s\r\n", first ? "" : "\r\n", sections[i].title);
            sections[i].tell(&telling);
            first = false;
        }
        rcu_leave();
    }
    if (telling.out == NULL || fclose(telling.out) != 0)
        resp_error(out, "BUSY no memory");
    else
        resp_verbatim(out, text, len);
    free(text);
}

/* --- CONFIG GET --------------------------------------------------------------------------------- */

static uint64_t max_clients(const struct shared *s)
{
    return s->users.limit[USERS_CONNS];
}

static uint64_t max_value(const struct shared *s)
{
    return s->max_value_bytes;
}

static uint64_t max_data(const struct shared *s)
{
    rcu_enter();
    uint64_t n = rcu_get(s->status)->max_data_bytes;
    rcu_leave();
    return n;
}

/* Settings by which programs find out with what they deal; ours are in raftd.conf(5), and no client changes
 * them. */
static const struct {
    const char *name;
    const char *text; /* NULL: a number */
    uint64_t (*number)(const struct shared *s);
} settings[] = {
    {"appendonly", "yes", NULL},
    {"appendfsync", "always", NULL},
    {"databases", "1", NULL},
    {"maxclients", NULL, max_clients},
    {"maxmemory", NULL, max_data},
    {"maxmemory-policy", "noeviction", NULL},
    {"proto-max-bulk-len", NULL, max_value},
    {"save", "", NULL},
};

enum {
    SETTINGS = sizeof settings / sizeof settings[0],
    /* Of one CONFIG GET, and of a pattern: each is compared with each name. */
    PATTERNS_MAX = 16,
    PATTERN_MAX_BYTES = 64,
};

static bool setting_asked(const struct call *call, const char *name)
{
    bool found = false;
    unsigned steps = 0;
    for (unsigned i = 2; !found && i < call->argc; i++)
        found = glob_match(call->argv[i].p, call->argv[i].len, (const uint8_t *)name, strlen(name),
                           &steps);
    return found;
}

void run_config(struct talker *t, const struct call *call, struct resp_out *out)
{
    if (!resp_is(&call->argv[1], "get") || call->argc < 3) {
        resp_error(out, "ERR CONFIG takes GET pattern; settings are changed in raftd.conf");
        return;
    }
    bool told[SETTINGS], too_much = call->argc > 2 + PATTERNS_MAX;
    size_t n = 0;
    for (unsigned i = 2; !too_much && i < call->argc; i++)
        too_much = call->argv[i].len > PATTERN_MAX_BYTES;
    if (too_much) {
        resp_error(out, "TOOBIG CONFIG GET takes %d patterns of at most %d bytes", PATTERNS_MAX,
                   PATTERN_MAX_BYTES);
        return;
    }
    for (size_t i = 0; i < SETTINGS; i++)
        n += told[i] = setting_asked(call, settings[i].name);
    resp_map(out, n);
    for (size_t i = 0; i < SETTINGS; i++) {
        if (!told[i])
            continue;
        char number[24];
        if (settings[i].text == NULL)
            (void)snprintf(number, sizeof number, "%" PRIu64, settings[i].number(t->shared));
        resp_text(out, settings[i].name);
        resp_text(out, settings[i].text != NULL ? settings[i].text : number);
    }
}
