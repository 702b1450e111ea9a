/* version.h: what --version prints. */
#ifndef RAFTD_VERSION_H
#define RAFTD_VERSION_H

#define RAFTD_VERSION "0.1.0"
enum { RAFTD_VERSION_NUMBER = 0 << 16 | 1 << 8 | 0 }; /* the same, to be told to other nodes */

#endif
