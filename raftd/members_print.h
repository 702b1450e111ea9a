/* members_print.h: a configuration for people: in the lines of --check, and beside the file. */
#ifndef RAFTD_MEMBERS_PRINT_H
#define RAFTD_MEMBERS_PRINT_H

#include "raftd/base/members.h"
#include "raftd/conf.h"

/* Prints to standard output which entry it is, and a line for each member. Of a key there are the first 8
 * bytes. */
#include <stdio.h>

void members_print(FILE *out, const struct members_at *m);

/* Members that are in the log count, whatever the configuration file says: tells where that differs. */
void members_compare(const struct members_at *m, const struct conf *conf);

#endif
