/* kept.h: what the state keeps of a command that was applied. */
#ifndef RAFTD_KEPT_H
#define RAFTD_KEPT_H

#include <stdint.h>

struct kept {
    uint64_t index;  /* of its log entry, never 0 */
    uint8_t outcome; /* enum outcome (machine.h) */
};

#endif
