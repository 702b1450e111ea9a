/* stdfds.h: the descriptors 0, 1 and 2 are standard streams and nothing else. If one of them is closed
 * when a program starts (">&- 2>&-"), the first file that it opens gets that number: messages would be
 * written into the log or to a peer. */
#ifndef RAFTD_STDFDS_H
#define RAFTD_STDFDS_H

#include <stdbool.h>

/* Opens /dev/null where 0, 1 or 2 is closed: for writing as standard input, for reading as an output,
 * so that using it fails with EBADF, as before. The first call in main(). False and errno if nothing
 * can be opened there: then end without a message. */
bool stdfds_fill(void);

#endif
