/* cells.h: what a table of members says of one of them in a column: the same in members, status --all, top
 * and report. */
#ifndef RAFTCTL_CELLS_H
#define RAFTCTL_CELLS_H

#include <stdbool.h>

#include "raftd/serve/status_text.h"
#include "raftd/tool/human.h"

enum { CELL_BYTES = 2 * MEMBER_ADDR_BYTES }; /* room for all addresses of a member */

/* Writes the text; "-": it is not known, or makes no sense for that member. What is too long is cut. */
typedef void cell_fn(char to[CELL_BYTES], const struct status *s, const struct status_member *m);

void cell_put(char to[CELL_BYTES], const char *text);
void cell_put_if(char to[CELL_BYTES], bool known, struct human h);

cell_fn cell_lag;   /* entries that it lacks; of the leader, or if no leader tells: "-" */
cell_fn cell_heard; /* for how long it has not been heard */
cell_fn cell_rtt;
cell_fn cell_loss; /* percent in and out, rounded up: a loss that is there is not shown as none */
cell_fn cell_disk; /* all but a hundredth of its writes of the log took no longer */
cell_fn cell_log;  /* bytes of its log */
cell_fn cell_keys;
cell_fn cell_up;
cell_fn cell_version;

#endif
