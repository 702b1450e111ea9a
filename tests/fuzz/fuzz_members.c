// LINK: raftd/base/members.c
/* fuzz_members.c: any bytes; what decodes encodes to the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/members.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t again[MEMBERS_BYTES_MAX];
    struct members m;
    if (!members_decode(data, size, &m))
        return 0;
    if (!members_valid(&m) || members_encode(&m, again) != size || memcmp(again, data, size) != 0)
        abort();
    return 0;
}
