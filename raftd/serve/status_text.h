/* status_text.h: a status as text or as JSON, and back. */
#ifndef RAFTD_STATUS_TEXT_H
#define RAFTD_STATUS_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "raftd/node/status.h"

/* Prints it: key=value lines, or an object of JSON with the same names. `now_us` gives the ages. A
 * peer's drops are shown where they are not zero. link.A.B is what A hears of B: loss in percent,
 * "silent" or "unknown". */
void status_print(FILE *out, const struct status *s, uint64_t now_us, bool json);

/* Prints the members: a table with a line each, or an object of JSON with the same names. */
void status_print_members(FILE *out, const struct status *s, uint64_t now_us, bool json);

/* Prints the lines of links alone, as status_print() does. */
void status_print_links(FILE *out, const struct status *s, uint64_t now_us);

/* Reads such lines, which it takes apart: numbers, ids, the outcome of a transfer, the trouble of peers
 * (which points into `text`), and links. All else in *s is zero. Lines that it does not know do not matter.
 * NULL is a text without lines. */
void status_read(struct status *s, char *text);

#endif
