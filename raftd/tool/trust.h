/* trust.h: whether somebody else could put another program in the place of one that is to be run. */
#ifndef RAFTCTL_TRUST_H
#define RAFTCTL_TRUST_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum { TRUST_WHY_SIZE = PATH_MAX + 128 };

/* True if the file, each directory above it and each link on the way belong to root or to the user of this
 * process, and nobody else may write them; a directory above it may be one like /tmp, whose names only their
 * owners change. So it stays true until one of these two changes it. Else `why` names what is not so. */
bool trust_file(const char *path, char why[TRUST_WHY_SIZE]);

#endif
