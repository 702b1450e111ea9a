// LINK: storage/record.c storage/crc32c.c -lsodium
/* Any bytes as a record. What decodes must encode to the same bytes. The checksum would stop
 * nearly all inputs at the door, so each is tried as it is and with a right one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "storage/crc32c.h"
#include "storage/record.h"
#include "tests/lib/record_make.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const uint8_t *buf, size_t len)
{
    struct record r;
    size_t n = 0;

    switch (record_decode(buf, len, &r, &n)) {
    case RECORD_OK: {
        uint8_t *again = malloc(n);
        if (n > len || again == NULL || record_make(again, &r) != n || memcmp(again, buf, n) != 0)
            abort();
        free(again);
        break;
    }
    case RECORD_SHORT:
        if (n <= len || n > RECORD_MAX_BYTES)
            abort();
        break;
    case RECORD_BAD: break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size);
    if (size >= RECORD_HEAD_BYTES) {
        uint8_t *buf = malloc(size);
        if (buf == NULL)
            abort();
        memcpy(buf, data, size);
        uint32_t data_len = get_u32(buf + 4);
        size_t whole = data_len <= RECORD_DATA_MAX_BYTES ? record_size(data_len) : size;
        if (whole <= size)
            put_u32(buf, crc32c(0, buf + 4, whole - 4));
        check(buf, size);
        free(buf);
    }
    return 0;
}
