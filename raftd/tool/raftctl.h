/* raftctl.h: what the parts of raftctl share. */
#ifndef RAFTCTL_H
#define RAFTCTL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "raftd/conf.h"
#include "raftd/tool/client.h"

/* Standard output; error: errno of the first write that failed, 0 = none. */
struct output {
    FILE *file;
    int error;
};

struct tool {
    char socket[CONF_SOCKET_SIZE];
    uint32_t timeout_ms;
    struct output out;
};

/* Options that are said or not. */
enum { ARG_STALE = 1, ARG_RAW = 2, ARG_KEYS = 4, ARG_JSON = 8, ARG_LINES = 16 };

/* What stands behind the name of a command. */
enum { WORDS_MAX = 2 };
struct args {
    unsigned flags; /* ARG_*, ored */
    const char *words[WORDS_MAX];
    int n_words;
    int argc; /* of a command that takes all of it as it is: from its name on */
    char **argv;
};

/* outcome.c */

/* Ends the process with that code (exits.h), unless what was printed is lost. */
_Noreturn void tool_end(struct tool *t, int code);

/* Asks the daemon; on anything but RESULT_OK says on standard error what happened and what to do.
 * Returns an exit code (exits.h). */
int tool_try(const struct tool *t, const struct proto_request *r, struct ctl_answer *a);
/* Then ends the process, too. */
void tool_call(struct tool *t, const struct proto_request *r, struct ctl_answer *a);

/* Says why the daemon at t->socket could not be connected to (errno); returns the exit code. */
int say_not_running(const struct tool *t);

/* A word for a daemon's answer, and its exit code. */
const char *result_name(enum result result);
int exit_of_result(enum result result, bool write);

/* print.c: answers on standard output. */

/* Control characters, backslash and what is not UTF-8 become \xNN; `also` (0 = none) too. */
void print_escaped(FILE *out, const uint8_t *bytes, size_t len, char also);
/* One key, and its value if it is asked for, as a JSON object. */
void print_item_json(FILE *out, const struct proto_item *item, bool with_value);

/* links.c: who hears whom, of the text of status, which it takes apart. False without memory. */
bool print_links(FILE *out, char *text, bool json);

/* bench.c */
void run_bench(struct tool *t, const struct args *a);
extern const char bench_usage[], bench_what[];

/* import.c */
void run_import(struct tool *t, const struct args *a);
/* A line of an export, which is decoded where it stands: *item has its key and value. False: it is none. */
bool import_line(char *line, size_t len, struct proto_item *item);

/* snapshot.c */
void run_snapshot(struct tool *t, const struct args *a);
void run_backup(struct tool *t, const struct args *a);

/* keygen.c */
void run_keygen(struct tool *t, const struct args *a);

/* stdio.c: standard streams, of which somebody may have made a non-blocking one. */

/* Reads until size or the end. Bytes, or -1 with errno. */
ssize_t patient_read(int fd, void *buf, size_t size);
/* Writes all. 0, or -1 with errno. */
int patient_write(int fd, const void *buf, size_t len);
/* 0, or -1 without memory. */
int output_open(struct output *out);
/* 0: all that was printed has left; else an errno. */
int output_flush(struct output *out);

#endif
