/* raftctl.h: what the parts of raftctl share. */
#ifndef RAFTCTL_H
#define RAFTCTL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "raftd/conf.h"
#include "raftd/serve/status_text.h"
#include "raftd/tool/client.h"

/* Standard output. */
struct output {
    FILE *file;
    int error; /* errno of the first write that failed, 0 = none */
};

struct tool {
    char socket[CONF_SOCKET_SIZE]; /* the daemon's */
    uint32_t timeout_ms;           /* of each request */
    struct output out;
};

/* The options of commands, as bits of args.flags. The first ones have a value, args.values[VALUE_*]. */
enum {
    VALUE_IF_VALUE,
    VALUE_IF_REV,
    VALUE_REVISION,
    VALUE_EXEC,
    VALUE_WAIT,
    VALUE_MAX_LAG,
    VALUE_SINCE,
    VALUE_FILE,
    VALUE_EXEC_TIMEOUT,
    VALUES
};
enum {
    ARG_IF_VALUE = 1 << VALUE_IF_VALUE,
    ARG_IF_REV = 1 << VALUE_IF_REV,
    ARG_REVISION = 1 << VALUE_REVISION,
    ARG_EXEC = 1 << VALUE_EXEC,
    ARG_WAIT = 1 << VALUE_WAIT,
    ARG_MAX_LAG = 1 << VALUE_MAX_LAG,
    ARG_SINCE = 1 << VALUE_SINCE,
    ARG_FILE = 1 << VALUE_FILE,
    ARG_EXEC_TIMEOUT = 1 << VALUE_EXEC_TIMEOUT,
    ARG_RAW = 1 << 9,
    ARG_KEYS = 1 << 10,
    ARG_JSON = 1 << 11,
    ARG_LINES = 1 << 12,
    ARG_LEARNER = 1 << 13,
    ARG_FORCE = 1 << 14,
    ARG_META = 1 << 15,
    ARG_VALUES = 1 << 16,
    ARG_LONG = 1 << 17,
    ARG_ESCAPED = 1 << 18,
    ARG_PREFIX = 1 << 19,
    ARG_IF_ABSENT = 1 << 20,
    ARG_TRY = 1 << 21,
    ARG_TELL = 1 << 22,
    ARG_NAGIOS = 1 << 24,
    ARG_ALL = 1 << 25,
    ARG_STALE = 1 << 26,
};

/* Bytes of the command line; a zero stands behind them. */
struct word {
    char *at;
    size_t len;
};

/* What stands behind the name of a command. With ARG_ESCAPED, escapes in it are undone already. */
enum { WORDS_MAX = 4 };
struct args {
    unsigned flags; /* ARG_*, ored */
    struct word words[WORDS_MAX], values[VALUES];
    int n_words;
    /* For a command that reads its own options, the line from its name on; for one that runs another
     * program, that one's line. */
    int argc;
    char **argv;
};

/* outcome.c: what is asked, and what became of it */

enum asked {
    LOOKS, /* at this node, which answers at once */
    READS, /* through the leader */
    PEEKS, /* reads what this node has */
    WRITES,
    CHANGES, /* the members */
};

/* The words are borrowed. */
struct question {
    enum asked asked;
    struct ctl_words words;
};

/* What an error that the daemon answers means. */
struct tool_error {
    const char *prefix; /* its first word */
    const char *name;   /* in what `bench` prints */
    int exit;           /* exits.h */
    const char *words;  /* what happened, and what to do; %s: what the daemon said */
};

enum { TOOL_ERRORS = 17 };
extern const struct tool_error tool_errors[];

/* Which row is that error's; the last one is for errors that have none. *text: what stands behind the
 * prefix. */
unsigned tool_error_of(const redisReply *error, const char **text);

/* Ends the process with that code (exits.h), or with another one if what was printed could not be written. */
_Noreturn void tool_end(struct tool *t, int code);

/* Adds a key to a command; ends the process if it is none. */
void add_key(struct ctl_words *w, const char *key, size_t len);

/* Asks the daemon. On an error it says on standard error what happened and what to do, and *a is NULL;
 * else *a is to be freed. Returns an exit code (exits.h). */
int tool_try(const struct tool *t, const struct question *q, redisReply **a);
/* The same, but says nothing. */
int tool_ask(const struct tool *t, const struct question *q, redisReply **a);
/* The same, but on an error it says it, and ends the process with that code. */
redisReply *tool_call(struct tool *t, const struct question *q);
/* Ends the process unless the answer is of that type, and if it is an array, of so many elements at least. */
void must_be(const redisReply *a, int type, size_t elements);

/* Asks for a status; the peers in it have no texts. */
int tool_status(const struct tool *t, struct status *s);
/* The same, but not one from before the main loop hung: then it says so, and returns RAFTCTL_EXIT_HUNG. */
int tool_fresh_status(const struct tool *t, struct status *s);

/* Says what became of a question that has no answer, or an error (*a, which is freed). Returns an exit
 * code. */
int say_trouble(const struct tool *t, enum asked asked, enum ctl_outcome outcome, redisReply **a);

/* Says why nobody could connect to t->socket (errno). Returns the exit code. */
int say_not_running(const struct tool *t);

/* write.c */

/* Has the daemon do a command that writes, once. The answer *a, to be freed, is an array: the revision;
 * whether a copy before had done it; the command's own answer, nil if that is not known any more. On an
 * error it says what happened, and *a is NULL. Returns an exit code. */
int write_try(const struct tool *t, const struct ctl_words *command, redisReply **a);
/* The same, but on an error it ends the process with that code. */
redisReply *write_call(struct tool *t, const struct ctl_words *command);

/* Of the answer to a RAFT.TXN: whether it was done, or a condition did not hold (which one, from 0:
 * txn_unmet(); -1: that is not known any more); and what its operation number i told, NULL if that is not
 * known any more. */
bool txn_done(const redisReply *a);
long long txn_unmet(const redisReply *a);
const redisReply *txn_result(const redisReply *a, size_t i);

/* print.c: answers on standard output. */

/* Prints bytes; control characters, backslash, `also` (0 = none) and what is not UTF-8 become \xNN. */
void print_escaped(FILE *out, const uint8_t *bytes, size_t len, char also);
/* Undoes that where it stands: \xHH becomes a byte. False: a backslash stands for nothing. */
bool undo_escapes(char *text, size_t *len);

/* A key and what belongs to it; borrowed. */
struct item {
    const uint8_t *key, *value; /* value NULL: it was not asked for */
    size_t key_len, value_len;
    uint64_t create_revision, modify_revision;
    int64_t ttl_ms; /* -1: it stays */
};

/* Adds its key and its value to a JSON object. */
struct json;
void json_key(struct json *j, const struct item *item);
/* Prints it as a JSON object. */
void print_item_json(FILE *out, const struct item *item);
/* Prints a JSON object in a line: `text` (ASCII) as `name` unless it is NULL, and the revision. */
void print_done_json(FILE *out, const char *name, const char *text, uint64_t revision);

/* members.c */
/* Prints the table of all members, and what is wrong below it: how they are, or who they are. False without
 * memory. */
bool print_members(FILE *out, const struct status *s, bool how);
/* Who tells does not hear it, or has not yet. */
bool member_is_silent(const struct status_member *m);
/* What it last said of itself; HEALTH_UNKNOWN if it has not, or that is known to be over. */
enum health member_health(const struct status_member *m);
/* What is wrong with this node and the members, a line each, to be freed; NULL without memory. */
char *members_troubles(const struct status *s);

/* links.c: prints who hears whom, from the text of a status, which it takes apart. False without memory. */
bool print_links(FILE *out, char *text, bool json);
/* What is wrong between the nodes, a line each, to be freed; NULL without memory. */
char *links_trouble(const struct status *s);
enum { LINKS_LOSS_TOLD = 5 }; /* percent; less is usual on radio links, and no trouble */

/* top.c */
void run_top(struct tool *t, const struct args *a);
void run_report(struct tool *t, const struct args *a);

/* values.c */
void run_put(struct tool *t, const struct args *a);
void run_get(struct tool *t, const struct args *a);
void run_del(struct tool *t, const struct args *a);
void run_list(struct tool *t, const struct args *a);
void run_export(struct tool *t, const struct args *a);
void run_incr(struct tool *t, const struct args *a);
void run_expire(struct tool *t, const struct args *a);
void run_ttl(struct tool *t, const struct args *a);

/* txn.c */
/* True if that is a number that can be added: decimal, maybe negative, of 64 bits. */
bool is_addend(const char *text);
void run_txn(struct tool *t, const struct args *a);
extern const char txn_what[];

/* look.c */
void run_status(struct tool *t, const struct args *a);
void run_links(struct tool *t, const struct args *a);
void run_members(struct tool *t, const struct args *a);
void run_health(struct tool *t, const struct args *a);
void run_is_leader(struct tool *t, const struct args *a);
void run_outcome(struct tool *t, const struct args *a);
/* Asks through the leader for something that does not matter, which takes until there is one and this node
 * has all that was committed before. Returns an exit code; on failure it has said why. */
int wait_for_read(const struct tool *t);

/* metrics.c */
void run_metrics(struct tool *t, const struct args *a);
extern const char metrics_usage[], metrics_what[];
/* metrics_print.c: prints the answer to INFO as metrics; NULL: that the daemon does not answer. */
void print_metrics(FILE *out, const char *info);

/* wait.c */
void run_wait(struct tool *t, const struct args *a);
extern const char wait_usage[], wait_what[];

/* watch.c */
void run_watch(struct tool *t, const struct args *a);
extern const char watch_usage[], watch_what[];
/* Waits, for t->timeout_ms at most, until the key is there and, if value->at is not NULL, has that value.
 * RAFTCTL_EXIT_NOT_YET: the time is over, the connection is, or the daemon is not ready. Else an exit
 * code. */
int wait_for_key(struct tool *t, const struct word *key, const struct word *value);

/* events.c */
void run_events(struct tool *t, const struct args *a);

/* lock.c */
void run_lock(struct tool *t, const struct args *a);
void run_elect(struct tool *t, const struct args *a);
void run_before(struct tool *t, const struct args *a);
void run_leader(struct tool *t, const struct args *a);
void run_publish(struct tool *t, const struct args *a);

/* bench.c */
void run_bench(struct tool *t, const struct args *a);
extern const char bench_usage[], bench_what[];

/* import.c */
void run_import(struct tool *t, const struct args *a);
/* Decodes a line of an export where it stands: *item gets its key and value. False: it is no such line. */
bool import_line(char *line, size_t len, struct item *item);

/* snapshot.c */
void run_snapshot(struct tool *t, const struct args *a);
void run_backup(struct tool *t, const struct args *a);

/* handover.c */
void run_transfer(struct tool *t, const struct args *a);
void run_drain(struct tool *t, const struct args *a);

/* member.c */
void run_member(struct tool *t, const struct args *a);
extern const char member_usage[], member_what[];

/* keygen.c */
void run_keygen(struct tool *t, const struct args *a);

/* stdio.c: standard streams, which somebody may have made non-blocking. */

/* Reads `size` bytes, or fewer at the end. Returns how many, or -1 with errno. */
ssize_t patient_read(int fd, void *buf, size_t size);
/* Writes all bytes. 0, or -1 with errno. */
int patient_write(int fd, const void *buf, size_t len);
/* Opens out->file. 0, or -1 without memory. */
int output_open(struct output *out);
/* Returns 0 if all that was printed is written, else an errno. */
int output_flush(struct output *out);

#endif
