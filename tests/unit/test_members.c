// LINK: raftd/base/members.c
#include "raftd/base/members.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct members some(unsigned n)
{
    struct members m = {.cluster_id = 0x1122334455667788, .n = n};
    for (unsigned i = 0; i < n; i++) {
        m.m[i] = (struct member){.id = (uint16_t)(i + 1), .standing = MEMBER_VOTER, .priority = 1};
        m.m[i].key[3] = (uint8_t)(i + 1);
        (void)snprintf(m.m[i].addr[0], MEMBER_ADDR_BYTES, "10.0.0.%u:7000", i + 1);
    }
    return m;
}

static void decode_inverts_encode(void **state)
{
    uint8_t buf[MEMBERS_BYTES_MAX];
    (void)state;
    for (unsigned n = 1; n <= MEMBERS_MAX; n++) {
        struct members m = some(n), again;
        for (unsigned i = MEMBERS_VOTERS_MAX; i < n; i++)
            m.m[i].standing = MEMBER_LEARNER;
        (void)strcpy(m.m[n - 1].addr[1], "[fe80::1%eth0]:7000");
        size_t len = members_encode(&m, buf);
        assert_true(members_decode(buf, len, &again));
        assert_memory_equal(&again, &m, sizeof m);
        uint8_t *exact = malloc(len); /* the sanitizer sees a read behind it */
        assert_non_null(exact);
        memcpy(exact, buf, len);
        for (size_t cut = 0; cut < len; cut++)
            assert_false(members_decode(exact, cut, &again));
        free(exact);
        buf[len] = 0;
        assert_false(members_decode(buf, len + 1, &again));
    }
}

static void the_largest_fits(void **state)
{
    uint8_t *buf = malloc(MEMBERS_BYTES_MAX);
    struct members m = some(MEMBERS_MAX), again;
    (void)state;
    assert_non_null(buf);
    for (unsigned i = 0; i < MEMBERS_MAX; i++) {
        m.m[i].standing = i < MEMBERS_VOTERS_MAX ? MEMBER_VOTER : MEMBER_LEARNER;
        memset(m.m[i].addr, 'x', sizeof m.m[i].addr);
        for (unsigned k = 0; k < MEMBER_ADDRS; k++)
            m.m[i].addr[k][MEMBER_ADDR_BYTES - 1] = '\0';
    }
    assert_int_equal(members_encode(&m, buf), MEMBERS_BYTES_MAX);
    assert_true(members_decode(buf, MEMBERS_BYTES_MAX, &again));
    assert_memory_equal(&again, &m, sizeof m);
    free(buf);
}

static void what_is_no_configuration(void **state)
{
    struct members m;
    (void)state;
    m = some(1);
    assert_true(members_valid(&m));
    m.n = 0;
    assert_false(members_valid(&m));
    m = some(3);
    m.n = MEMBERS_MAX + 1;
    assert_false(members_valid(&m));
    m = some(3);
    m.m[0].id = 0;
    assert_false(members_valid(&m));
    m = some(3);
    m.m[2].id = 2; /* twice */
    assert_false(members_valid(&m));
    m = some(3);
    m.m[0].id = 9; /* in another order */
    assert_false(members_valid(&m));
    m = some(3);
    m.m[1].standing = 0;
    assert_false(members_valid(&m));
    m.m[1].standing = MEMBER_JOINING + 1;
    assert_false(members_valid(&m));
    m = some(1);
    m.m[0].standing = MEMBER_JOINING; /* nobody counts */
    assert_false(members_valid(&m));
    m = some(MEMBERS_VOTERS_MAX + 1);
    assert_false(members_valid(&m));
    m.m[0].standing = MEMBER_JOINING;
    assert_false(members_valid(&m));
    m.m[0].standing = MEMBER_LEARNER;
    assert_true(members_valid(&m));
}

static void keys_are_of_one_each(void **state)
{
    struct members m = some(3);
    (void)state;
    memcpy(m.m[2].key, m.m[0].key, MEMBER_KEY_BYTES);
    assert_false(members_valid(&m));
    memset(m.m[0].key, 0, MEMBER_KEY_BYTES);
    memset(m.m[2].key, 0, MEMBER_KEY_BYTES); /* two that are not known */
    assert_true(members_valid(&m));
    assert_false(member_has_key(&m.m[0]));
    assert_true(member_has_key(&m.m[1]));
    assert_true(member_incarnation(&m.m[1]) == UINT64_C(2) << 24);
    assert_true(member_incarnation(&m.m[0]) == 0);
}

static void addresses(void **state)
{
    static const char *const bad[] = {"a b", "a,b", "a\n", "\x7f", "\xc3\xa9"};
    struct members m;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (unsigned k = 0; k < MEMBER_ADDRS; k++) {
            m = some(3);
            (void)strcpy(m.m[1].addr[k], bad[i]);
            assert_false(members_valid(&m));
        }
    }
    m = some(3);
    memset(m.m[1].addr[0], 'x', MEMBER_ADDR_BYTES); /* no end */
    assert_false(members_valid(&m));
    m = some(3);
    (void)strcpy(m.m[1].addr[1], m.m[1].addr[0]);
    m.m[1].addr[0][0] = '\0'; /* a second one only */
    assert_false(members_valid(&m));
    m.m[1].addr[1][0] = '\0';
    assert_true(members_valid(&m));
}

static void bytes_that_are_none(void **state)
{
    uint8_t buf[MEMBERS_BYTES_MAX];
    struct members m = some(3), out;
    size_t len = members_encode(&m, buf);
    (void)state;
    enum { FIRST = MEMBERS_HEAD_BYTES, ADDR_LEN = FIRST + 4 + MEMBER_KEY_BYTES };
    static const struct {
        size_t at;
        uint8_t value;
    } change[] = {
        {0, MEMBERS_VERSION + 1},
        {1, 2},
        {1, 4},
        {1, 0},
        {1, MEMBERS_MAX + 1},
        {FIRST, 0},
        {FIRST, 2},
        {FIRST + 2, 0},
        {FIRST + 2, MEMBER_JOINING + 1},
        {ADDR_LEN, 0xff},
        {ADDR_LEN, 12},
        {ADDR_LEN, MEMBER_ADDR_BYTES},
        {ADDR_LEN + 1, 1},
        {ADDR_LEN + 2, 0},
        {ADDR_LEN + 2, ' '},
    };
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        uint8_t old = buf[change[i].at];
        buf[change[i].at] = change[i].value;
        assert_false(members_decode(buf, len, &out));
        buf[change[i].at] = old;
    }
    assert_true(members_decode(buf, len, &out));
}

static void find(void **state)
{
    struct members m = some(3);
    (void)state;
    assert_ptr_equal(members_find(&m, 2), &m.m[1]);
    assert_null(members_find(&m, 4));
    assert_null(members_find(&m, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_inverts_encode),
        cmocka_unit_test(the_largest_fits),
        cmocka_unit_test(what_is_no_configuration),
        cmocka_unit_test(keys_are_of_one_each),
        cmocka_unit_test(addresses),
        cmocka_unit_test(bytes_that_are_none),
        cmocka_unit_test(find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
