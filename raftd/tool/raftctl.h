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

/* Options without a value. */
enum {
    ARG_STALE = 1,
    ARG_RAW = 2,
    ARG_KEYS = 4,
    ARG_JSON = 8,
    ARG_LINES = 16,
    ARG_LEARNER = 32,
    ARG_FORCE = 64,
};

/* What stands behind the name of a command. */
enum { WORDS_MAX = 4 };
struct args {
    unsigned flags; /* ARG_*, ored */
    const char *words[WORDS_MAX];
    int n_words;
    int argc; /* for a command that reads its own options: the line from its name on */
    char **argv;
};

/* outcome.c */

/* A request without a value; `key` (NULL: none) outlives it. Ends the process for a bad key. */
struct proto_request request(const struct tool *t, enum proto_op op, const char *key);

/* Ends the process with that code (exits.h), or with another one if what was printed could not be written. */
_Noreturn void tool_end(struct tool *t, int code);

/* Asks the daemon; on anything but RESULT_OK says on standard error what happened and what to do.
 * Returns an exit code (exits.h). */
int tool_try(const struct tool *t, const struct proto_request *r, struct ctl_answer *a);
/* The same, but on anything but RESULT_OK it ends the process with that code. */
void tool_call(struct tool *t, const struct proto_request *r, struct ctl_answer *a);

/* The same for a status; the peers in it have no texts. */
int tool_status(const struct tool *t, struct status *s);

/* Says why nobody could connect to t->socket (errno). Returns the exit code. */
int say_not_running(const struct tool *t);

/* A word for a result, and its exit code, which is another one for a write in some cases. */
const char *result_name(enum result result);
int exit_of_result(enum result result, bool write);

/* print.c: answers on standard output. */

/* Prints bytes; control characters, backslash, `also` (0 = none) and what is not UTF-8 become \xNN. */
void print_escaped(FILE *out, const uint8_t *bytes, size_t len, char also);
/* Prints a key, and with_value its value, as a JSON object. */
void print_item_json(FILE *out, const struct proto_item *item, bool with_value);

/* links.c: prints who hears whom, from the text of a status, which it takes apart. False without memory. */
bool print_links(FILE *out, char *text, bool json);

/* bench.c */
void run_bench(struct tool *t, const struct args *a);
extern const char bench_usage[], bench_what[];

/* import.c */
void run_import(struct tool *t, const struct args *a);
/* Decodes a line of an export where it stands: *item gets its key and value. False: it is no such line. */
bool import_line(char *line, size_t len, struct proto_item *item);

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
