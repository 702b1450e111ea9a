// LINK: raftd/serve/proto.c
/* fuzz_proto.c: any bytes as a request, as an answer and as items; what decodes encodes to the
 * same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/serve/proto.h"

static void same(const uint8_t *again, size_t len, const uint8_t *data, size_t size)
{
    if (len != size || memcmp(again, data, size) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *again = malloc(size + 1);
    if (!again)
        return 0;
    struct proto_request rq;
    for (size_t at = 0, n; (n = proto_request_decode(data + at, size - at, &rq)) > 0; at += n)
        same(again, proto_request_encode(again, &rq), data + at, n);
    struct proto_reply rp;
    for (size_t at = 0, n; (n = proto_reply_decode(data + at, size - at, &rp)) > 0; at += n)
        same(again, proto_reply_encode(again, &rp), data + at, n);
    struct proto_item item;
    for (size_t at = 0, n; (n = proto_item_decode(data + at, size - at, &item)) > 0; at += n)
        same(again, proto_item_encode(again, &item), data + at, n);
    free(again);
    return 0;
}
