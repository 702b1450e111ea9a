// LINK: net/wire.c tests/lib/wire_frames.c -lsodium
/* The input is a payload. Any bytes are either refused or mean something that survives writing and
 * reading again, and what was written is written the same way once more. */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/wire_frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t once[WIRE_DATAGRAM_MAX], twice[WIRE_DATAGRAM_MAX];
    struct wire_header h;
    unsigned frames, again;
    if (!payload_check(data, size, &h) || size > WIRE_DATAGRAM_MAX)
        return 0;
    size_t len = payload_rewrite(data, size, once, &frames);
    demand(len <= size);
    demand(payload_rewrite(once, len, twice, &again) == len);
    demand(frames == again && memcmp(once, twice, len) == 0);
    return 0;
}
