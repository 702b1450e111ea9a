// LINK: @storage tests/lib/disk_memory.c
/* A snapshot whose members are none is not loaded, whatever its checksum says. */
#include "storage/snapshot.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "raftd/base/bytes.h"
#include "storage/crc32c.h"
#include "tests/lib/disk_memory.h"
#include "tests/lib/record_members.h"

enum { HEAD = 4096, AT_LENGTH = 10, AT_STORAGE = 16, AT_MEMBERS = 96 };

#define PATH "/d/snap/0000000000000009.snap"

static struct memdisk *m;
static struct snapshots s;
static uint8_t good[HEAD];
static size_t len;

static int nothing(void *ctx, uint16_t *section, const uint8_t **bytes, size_t *n)
{
    (void)ctx, (void)section, (void)bytes, (void)n;
    return 0;
}

static int set_up(void **state)
{
    const struct snapshot_head head = {
        .index = 9, .term = 2, .members = {.index = 4, .members = members_sample}};
    const struct snapshot_source source = {nothing, NULL};
    struct snapshot_name name;
    uint8_t buf[MEMBERS_BYTES_MAX];
    size_t size;

    (void)state;
    m = memdisk_new(1);
    s = (struct snapshots){.disk = memdisk_disk(m), .dir = "/d", .storage_id = 77, .cluster = 5};
    assert_int_equal(s.disk->mkdir(s.disk->ctx, "/d"), 0);
    assert_int_equal(snapshot_write(&s, &head, &source, &name), 0);
    const uint8_t *p = memdisk_peek(m, PATH, &size);
    assert_true(p != NULL && size >= HEAD);
    memcpy(good, p, HEAD);
    len = members_encode(&members_sample, buf);
    assert_int_equal(get_u16(good + AT_LENGTH), len);
    assert_memory_equal(good + AT_MEMBERS, buf, len);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    memdisk_free(m);
    return 0;
}

/* With this head, whose checksum is made right. */
static int load(const uint8_t changed[HEAD])
{
    struct snapshot_head head;
    struct snapshot_name name;
    uint8_t b[HEAD];
    memcpy(b, changed, HEAD);
    memset(b + AT_STORAGE, 0, 8); /* not part of it */
    put_u32(b, crc32c(0, b + 4, HEAD - 4));
    memcpy(b + AT_STORAGE, changed + AT_STORAGE, 8);
    memdisk_poke(m, PATH, 0, b, HEAD);
    return snapshot_load(&s, 9, NULL, &head, &name);
}

static void must_be_none(const uint8_t changed[HEAD], size_t which)
{
    int rc = load(changed);
    if (rc != -EBADMSG || strstr(s.message, "the head contradicts itself") == NULL)
        fail_msg("%zu: %d, %s", which, rc, s.message);
}

static void any_other_length(void **state)
{
    uint8_t b[HEAD];
    (void)state;
    memcpy(b, good, HEAD);
    assert_int_equal(load(b), 0);
    for (size_t n = 0; n <= UINT16_MAX; n += n < HEAD ? 1 : 997) {
        put_u16(b + AT_LENGTH, (uint16_t)n);
        if (n != len)
            must_be_none(b, n);
    }
}

static void any_wrong_field(void **state)
{
    uint8_t b[HEAD];
    (void)state;
    for (size_t i = 0; i < MEMBERS_WRONG; i++) {
        memcpy(b, good, HEAD);
        b[AT_MEMBERS + members_wrong[i].at] = members_wrong[i].value;
        must_be_none(b, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_other_length, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_wrong_field, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
