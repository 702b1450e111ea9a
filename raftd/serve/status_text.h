/* status_text.h: a status as text or as JSON, and back. */
#ifndef RAFTD_STATUS_TEXT_H
#define RAFTD_STATUS_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "raftd/node/health.h"
#include "raftd/node/status.h"

/* Prints it: key=value lines, or an object of JSON with the same names. `now_us` gives the ages. A
 * peer's drops are shown where they are not zero. link.A.B is what A hears of B: loss in percent,
 * "silent" or "unknown". */
void status_print(FILE *out, const struct status *s, uint64_t now_us, bool json);

/* The same of the members alone, member.ID.NAME=VALUE; and both at once. */
void status_print_members(FILE *out, const struct status *s, uint64_t now_us, bool json);
void status_print_all(FILE *out, const struct status *s, uint64_t now_us, bool json);

/* Prints the lines of links alone, as status_print() does. */
void status_print_links(FILE *out, const struct status *s, uint64_t now_us);

/* Reads such lines, of any of these functions, which it takes apart, as if they had been printed at now_us:
 * ages become moments again. All that was printed is there, and all else in *s is zero; the trouble of peers
 * points into `text`. Lines that it does not know do not matter. NULL is a text without lines. */
void status_read(struct status *s, char *text, uint64_t now_us);

#endif
