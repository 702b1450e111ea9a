/* stdfds.h: keeps the descriptors 0, 1 and 2 for the standard streams. If one of them is closed when a
 * program starts (">&- 2>&-"), the first file that it opens gets that number, and messages would be written
 * into the log or to a peer. */
#ifndef RAFTD_STDFDS_H
#define RAFTD_STDFDS_H

#include <stdbool.h>

/* Opens /dev/null in the place of those that are closed: an input for writing and an output for reading,
 * so that their use fails with EBADF as before. It is the first call in main(). False, with errno, if
 * nothing can be opened; then the program must end without a message. */
bool stdfds_fill(void);

#endif
