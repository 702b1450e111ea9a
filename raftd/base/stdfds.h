/* stdfds.h: nothing but standard streams under the numbers 0, 1 and 2. Who starts a program with one
 * of them closed (">&- 2>&-") gives that number to the first file it opens: messages would be written
 * into the log or to a peer. */
#ifndef RAFTD_STDFDS_H
#define RAFTD_STDFDS_H

#include <stdbool.h>

/* Puts /dev/null where 0, 1 or 2 is closed, the other way round: reading from such a standard input
 * and writing to such an output fail with EBADF, as before. Comes before all else in main(). False
 * and errno if there is nothing that could be put there: then end without a word. */
bool stdfds_fill(void);

#endif
