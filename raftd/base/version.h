/* version.h: what --version prints. */
#ifndef RAFTD_VERSION_H
#define RAFTD_VERSION_H

#define RAFTD_VERSION "0.1.0"

#endif
