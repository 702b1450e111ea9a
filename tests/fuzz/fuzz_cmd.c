// LINK: raftd/state/cmd.c
/* fuzz_cmd.c: any bytes; what decodes encodes to the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/state/cmd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cmd c;
    if (cmd_decode(data, size, &c) != 0)
        return 0;
    uint8_t *again = malloc(size);
    if (!again)
        return 0;
    if (cmd_encode(again, &c) != size || memcmp(again, data, size) != 0)
        abort();
    free(again);
    return 0;
}
