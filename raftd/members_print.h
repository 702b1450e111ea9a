/* members_print.h: a configuration in the lines of --check. */
#ifndef RAFTD_MEMBERS_PRINT_H
#define RAFTD_MEMBERS_PRINT_H

#include "raftd/base/members.h"

/* Prints to standard output which entry it is, and a line for each member. Of a key there are the first 8
 * bytes. */
void members_print(const struct members_at *m);

#endif
