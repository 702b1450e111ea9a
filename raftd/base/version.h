/* version.h: what --version prints. */
#ifndef RAFTD_VERSION_H
#define RAFTD_VERSION_H

#ifndef RAFTD_MINOR /* a test builds the next one, too */
#define RAFTD_MINOR 1
#endif
#define RAFTD_TEXT_OF(number) #number
#define RAFTD_TEXT(macro)     RAFTD_TEXT_OF(macro)
#define RAFTD_VERSION         "0." RAFTD_TEXT(RAFTD_MINOR) ".0"
enum {
    RAFTD_VERSION_NUMBER = 0 << 16 | RAFTD_MINOR << 8 | 0
}; /* the same, to be told to other nodes */

#endif
