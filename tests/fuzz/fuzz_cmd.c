// LINK: raftd/state/cmd.c
/* fuzz_cmd.c: any bytes; what decodes encodes to the same bytes, item by item. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/state/cmd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cmd_item items[CMD_CONDITIONS_MAX + CMD_OPERATIONS_MAX];
    struct cmd c;
    if (cmd_decode(data, size, &c) != 0)
        return 0;
    uint8_t *again = malloc(size);
    if (again == NULL)
        return 0;
    const uint8_t *at = c.items;
    for (unsigned i = 0; i < (unsigned)c.conditions + c.operations; i++)
        items[i] = cmd_next(&at);
    if (at != data + size || cmd_size(&c, items) != size || cmd_encode(again, &c, items) != size ||
        memcmp(again, data, size) != 0)
        abort();
    free(again);
    return 0;
}
