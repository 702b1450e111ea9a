// LINK: raftd/serve/proto.c
/* test_proto.c: encode and decode are inverse; truncation at every length; refused shapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/serve/proto.h"

#define BYTES(text) ((const uint8_t *)(text))

static uint8_t *exact_copy(const uint8_t *p, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1); /* so that ASan sees a read past the end */
    assert_non_null(copy);
    memcpy(copy, p, len);
    return copy;
}

static const struct proto_request requests[] = {
    {.op = PROTO_GET,
     .flags = PROTO_STALE,
     .key_len = 3,
     .timeout_ms = 5,
     .tag = 1,
     .key = BYTES("abc")},
    {.op = PROTO_GET, .key_len = 1, .tag = UINT64_MAX, .key = BYTES("a")},
    {.op = PROTO_PUT,
     .key_len = 1,
     .value_len = 4,
     .part_len = 4,
     .key = BYTES("k"),
     .part = BYTES("vvvv")},
    {.op = PROTO_PUT, .key_len = 1, .value_len = 0, .key = BYTES("k")},
    {.op = PROTO_PUT,
     .key_len = 1,
     .value_len = UINT32_MAX,
     .part_len = 1,
     .key = BYTES("k"),
     .part = BYTES("v")},
    {.op = PROTO_PUT, .key_len = 1, .value_len = 9, .part_len = 0, .key = BYTES("k")},
    {.op = PROTO_PART, .part_len = 3, .part = BYTES("xyz"), .tag = 77},
    {.op = PROTO_DELETE, .key_len = 2, .key = BYTES("de"), .timeout_ms = UINT32_MAX},
    {.op = PROTO_LIST},
    {.op = PROTO_LIST,
     .flags = PROTO_STALE,
     .key_len = 1,
     .value_len = 2,
     .part_len = 2,
     .key = BYTES("p"),
     .part = BYTES("pq")},
    {.op = PROTO_STATUS, .tag = 0x0102030405060708},
    {.op = PROTO_SNAPSHOT, .tag = 5},
    {.op = PROTO_FETCH, .key_len = 16, .key = BYTES("0123456789abcdef"), .tag = 6},
    {.op = PROTO_STATUS, .flags = PROTO_MEMBERS | PROTO_JSON, .tag = 7},
    {.op = PROTO_MEMBER, .key_len = 7, .key = BYTES("1234567"), .tag = 8},
};

static void test_request_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        const struct proto_request *a = &requests[i];
        uint8_t buf[128], again[128];
        size_t len = proto_request_encode(buf, a);
        struct proto_request b;
        uint8_t *copy = exact_copy(buf, len);
        assert_int_equal(proto_request_decode(copy, len, &b), len);
        assert_int_equal(b.op, a->op);
        assert_int_equal(b.flags, a->flags);
        assert_int_equal(b.timeout_ms, a->timeout_ms);
        assert_int_equal(b.key_len, a->key_len);
        assert_int_equal(b.value_len, a->value_len);
        assert_int_equal(b.part_len, a->part_len);
        assert_true(b.tag == a->tag);
        assert_int_equal(proto_request_encode(again, &b), len);
        assert_memory_equal(buf, again, len);
        free(copy);
    }
}

static void test_request_truncation(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        uint8_t buf[128];
        struct proto_request b;
        size_t len = proto_request_encode(buf, &requests[i]);
        for (size_t cut = 0; cut < len; cut++) {
            uint8_t *copy = exact_copy(buf, cut);
            assert_int_equal(proto_request_decode(copy, cut, &b), 0);
            free(copy);
        }
    }
}

/* All of them in one packet. */
static void test_requests_joined(void **state)
{
    (void)state;
    enum { N = sizeof(requests) / sizeof(requests[0]) };
    uint8_t buf[N * 128];
    struct proto_request b;
    size_t len = 0, at = 0;
    for (size_t i = 0; i < N; i++)
        len += proto_request_encode(buf + len, &requests[i]);
    for (size_t i = 0; i < N; i++) {
        at += proto_request_decode(buf + at, len - at, &b);
        assert_int_equal(b.op, requests[i].op);
        assert_true(b.tag == requests[i].tag);
    }
    assert_int_equal(at, len);
}

static void test_request_refused(void **state)
{
    (void)state;
    static const uint8_t long_key[140];
    const struct proto_request bad[] = {
        {.op = 0},
        {.op = 9},
        {.op = PROTO_GET},
        {.op = PROTO_GET, .flags = 2, .key_len = 1, .key = BYTES("k")},
        {.op = PROTO_GET,
         .key_len = 1,
         .key = BYTES("k"),
         .value_len = 1,
         .part_len = 1,
         .part = BYTES("v")},
        {.op = PROTO_DELETE, .flags = PROTO_STALE, .key_len = 1, .key = BYTES("k")},
        {.op = PROTO_STATUS, .flags = PROTO_STALE},
        {.op = PROTO_STATUS, .flags = PROTO_JSON | PROTO_STALE},
        {.op = PROTO_LIST, .flags = PROTO_JSON},
        {.op = PROTO_PUT, .value_len = 1, .part_len = 1, .part = BYTES("v")},
        {.op = PROTO_PUT,
         .key_len = 1,
         .key = BYTES("k"),
         .value_len = 1,
         .part_len = 2,
         .part = BYTES("vv")},
        {.op = PROTO_PART},
        {.op = PROTO_PART, .key_len = 1, .key = BYTES("k"), .part_len = 1, .part = BYTES("v")},
        {.op = PROTO_LIST, .value_len = 2, .part_len = 1, .part = BYTES("v")},
        {.op = PROTO_STATUS, .key_len = 1, .key = BYTES("k")},
        {.op = PROTO_SNAPSHOT, .key_len = 1, .key = BYTES("k")},
        {.op = PROTO_GET, .flags = PROTO_MEMBERS, .key_len = 1, .key = BYTES("k")},
        {.op = PROTO_MEMBER},
        {.op = PROTO_MEMBER, .flags = PROTO_STALE, .key_len = 1, .key = BYTES("k")},
        {.op = PROTO_MEMBER, .key_len = 140, .key = long_key},
        {.op = PROTO_FETCH, .key_len = 15, .key = BYTES("0123456789abcde")},
    };
    uint8_t buf[256];
    struct proto_request r;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(proto_request_decode(buf, proto_request_encode(buf, &bad[i]), &r), 0);
    static const size_t wrong[] = {0, 3, 5, 6, 7};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        size_t len = proto_request_encode(buf, &requests[0]);
        buf[wrong[i]]++;
        assert_int_equal(proto_request_decode(buf, len, &r), 0);
    }
    uint8_t *huge = calloc(1, PROTO_PACKET_MAX_BYTES + 1);
    assert_non_null(huge);
    huge[0] = PROTO_VERSION;
    huge[1] = PROTO_PART;
    size_t part_len = PROTO_PACKET_MAX_BYTES - PROTO_REQUEST_HEAD_BYTES;
    huge[6] = (uint8_t)part_len;
    huge[7] = (uint8_t)(part_len >> 8);
    assert_int_equal(proto_request_decode(huge, PROTO_PACKET_MAX_BYTES, &r),
                     PROTO_PACKET_MAX_BYTES);
    assert_int_equal(proto_request_decode(huge, PROTO_PACKET_MAX_BYTES + 1, &r), 0);
    free(huge);
}

static void test_reply(void **state)
{
    (void)state;
    for (int result = RESULT_OK; result <= RESULT_LAST; result++) {
        uint8_t buf[128], again[128];
        struct proto_reply b, a = {.result = (enum result)result,
                                   .flags = (uint8_t)(result & 7),
                                   .leader = 300,
                                   .tag = UINT64_MAX - 5,
                                   .create_revision = 1ULL << 40,
                                   .modify_revision = 1ULL << 50,
                                   .body = BYTES("body"),
                                   .body_len = (size_t)result % 5};
        size_t len = proto_reply_encode(buf, &a);
        uint8_t *copy = exact_copy(buf, len);
        assert_int_equal(proto_reply_decode(copy, len, &b), len);
        assert_int_equal(b.result, a.result);
        assert_int_equal(b.leader, 300);
        assert_int_equal(b.body_len, a.body_len);
        assert_int_equal(proto_reply_encode(again, &b), len);
        assert_memory_equal(buf, again, len);
        free(copy);
        for (size_t cut = 0; cut < len; cut++) {
            copy = exact_copy(buf, cut);
            assert_int_equal(proto_reply_decode(copy, cut, &b), 0);
            free(copy);
        }
    }
    static const struct {
        size_t at;
        uint8_t value;
    } bad[] = {{0, 2}, {1, RESULT_LAST + 1}, {2, 8}, {3, 1}, {6, 1}, {7, 1}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t buf[PROTO_REPLY_HEAD_BYTES];
        struct proto_reply b;
        proto_reply_encode(buf, &(struct proto_reply){.result = RESULT_OK});
        buf[bad[i].at] = bad[i].value;
        assert_int_equal(proto_reply_decode(buf, sizeof(buf), &b), 0);
    }
}

static void test_items(void **state)
{
    (void)state;
    uint8_t buf[256];
    const struct proto_item a = {.key_len = 3,
                                 .value_len = 5,
                                 .create_revision = 9,
                                 .modify_revision = UINT64_MAX,
                                 .key = BYTES("key"),
                                 .value = BYTES("value")};
    const struct proto_item b = {.key_len = 1, .key = BYTES("z")};
    size_t first = proto_item_encode(buf, &a);
    size_t len = first + proto_item_encode(buf + first, &b);
    struct proto_item got;
    assert_int_equal(proto_item_decode(buf, len, &got), first);
    assert_memory_equal(got.key, "key", 3);
    assert_memory_equal(got.value, "value", 5);
    assert_true(got.modify_revision == UINT64_MAX && got.create_revision == 9);
    assert_int_equal(proto_item_decode(buf + first, len - first, &got), len - first);
    assert_int_equal(got.value_len, 0);
    for (size_t cut = 0; cut < first; cut++) {
        uint8_t *copy = exact_copy(buf, cut);
        assert_int_equal(proto_item_decode(copy, cut, &got), 0);
        free(copy);
    }
    buf[2] = 1;
    assert_int_equal(proto_item_decode(buf, len, &got), 0);
    memset(buf, 0xff, sizeof(buf)); /* lengths that overflow */
    buf[2] = buf[3] = 0;
    assert_int_equal(proto_item_decode(buf, sizeof(buf), &got), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_round_trip),
        cmocka_unit_test(test_request_truncation),
        cmocka_unit_test(test_request_refused),
        cmocka_unit_test(test_requests_joined),
        cmocka_unit_test(test_reply),
        cmocka_unit_test(test_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
