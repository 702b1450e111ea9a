/* raftctl.h: what the parts of raftctl share. */
#ifndef RAFTCTL_H
#define RAFTCTL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "raftd/conf.h"
#include "raftd/raftctl_client.h"

struct tool {
    char socket[CONF_SOCKET_SIZE];
    uint32_t timeout_ms;
};

/* A number with an optional fraction, in thousandths: 0, or -1 if text is not one or is not within
 * [1, max]. */
int parse_thousandths(const char *text, uint32_t max, uint32_t *out);

/* A whole number: 0, or -1 if text is not one or is not within [min, max]. */
int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* Asks the daemon; on anything but RESULT_OK says on standard error what happened and what to do.
 * Returns an exit code (exits.h). */
int tool_call(const struct tool *t, const struct proto_request *r, struct ctl_answer *a);

/* Exit code of a daemon's answer. */
int exit_of_result(enum result result, bool write);

/* raftctl_print.c: answers on standard output. */

/* Control characters, backslash and what is not UTF-8 become \xNN; `also` (0 = none) too. */
void print_escaped(FILE *out, const uint8_t *bytes, size_t len, char also);
/* One key with its value (NULL = keys only) as a JSON object. 0, or -1 without memory. */
int print_item_json(FILE *out, const struct proto_item *item, bool with_value);
/* key=value lines of status as one JSON object. 0, or -1 without memory. */
int print_status_json(FILE *out, const uint8_t *text, size_t len);

/* raftctl_links.c: who hears whom, of the text of status. 0, or -1 without memory. */
int print_links(FILE *out, const uint8_t *text, size_t len);
int print_links_json(FILE *out, const uint8_t *text, size_t len);

/* raftctl_bench.c */
int run_bench(const struct tool *t, int argc, char **argv);
extern const char bench_usage[];

/* raftctl_keygen.c */
int run_keygen(const struct tool *t, int argc, char **argv);

#endif
