// LINK: raftd/base/member_change.c raftd/base/members.c raftd/base/num.c
#include "raftd/base/member_change.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct member_seen nobody;

static struct members voters(unsigned n)
{
    struct members m = {.cluster_id = 7, .n = n};
    for (unsigned i = 0; i < n; i++) {
        m.m[i] = (struct member){.id = (uint16_t)(i + 1), .standing = MEMBER_VOTER, .priority = 1};
        m.m[i].key[0] = (uint8_t)(i + 1);
        (void)snprintf(m.m[i].addr[0], MEMBER_ADDR_BYTES, "10.0.0.%u:7000", i + 1);
    }
    return m;
}

static struct member_change wish(enum member_op op, uint16_t id, const char *addr)
{
    struct member_change c = {.op = (uint8_t)op, .id = id};
    if (addr != NULL)
        (void)snprintf(c.addr[0], sizeof c.addr[0], "%s", addr);
    return c;
}

static struct member_seen seen(uint8_t key, bool lately)
{
    return (struct member_seen){.key = {key}, .lately = lately};
}

/* What members_change() says; what it makes is valid, and of the same cluster. */
static enum member_verdict change(const struct members *now, struct member_change c,
                                  const struct member_seen *s, struct members *out)
{
    enum member_verdict v = members_change(now, &c, s, out);
    if (v == MEMBER_TAKEN) {
        assert_true(members_valid(out));
        assert_true(out->cluster_id == now->cluster_id);
    }
    return v;
}

static void an_added_one_joins(void **state)
{
    struct members m = voters(3), out;
    (void)state;
    m.m[2].id = 9;
    struct member_change c = wish(MEMBER_ADD, 4, "10.0.0.4:7000");
    (void)strcpy(c.addr[1], "box4.example:7000");
    assert_int_equal(change(&m, c, &nobody, &out), MEMBER_TAKEN);
    assert_int_equal(out.n, 4);
    const struct member *added = members_find(&out, 4);
    assert_int_equal(added->standing, MEMBER_JOINING);
    assert_int_equal(added->priority, 1);
    assert_false(member_has_key(added));
    assert_string_equal(added->addr[0], "10.0.0.4:7000");
    assert_string_equal(added->addr[1], "box4.example:7000");
    assert_memory_equal(&out.m[0], &m.m[0], 2 * sizeof m.m[0]);
    assert_memory_equal(&out.m[3], &m.m[2], sizeof m.m[0]);
    c.flags = MEMBER_CHANGE_LEARNER;
    assert_int_equal(change(&m, c, &nobody, &out), MEMBER_TAKEN);
    assert_int_equal(members_find(&out, 4)->standing, MEMBER_LEARNER);
}

static void an_id_is_added_once(void **state)
{
    struct members m = voters(3), out;
    (void)state;
    for (uint8_t standing = MEMBER_VOTER; standing <= MEMBER_JOINING; standing++) {
        m.m[2].standing = standing;
        assert_int_equal(change(&m, wish(MEMBER_ADD, 3, "10.0.0.9:7000"), &nobody, &out),
                         MEMBER_IS_MEMBER);
        assert_int_equal(change(&m, wish(MEMBER_ADD, 3, m.m[2].addr[0]), &nobody, &out),
                         MEMBER_IS_MEMBER);
    }
}

static void there_are_limits(void **state)
{
    struct members m = voters(MEMBERS_VOTERS_MAX), out;
    struct member_change c = wish(MEMBER_ADD, 100, "10.0.1.1:7000");
    (void)state;
    assert_int_equal(change(&m, c, &nobody, &out), MEMBER_TOO_MANY_VOTERS);
    m.m[4].standing = MEMBER_JOINING; /* it will be one */
    assert_int_equal(change(&m, c, &nobody, &out), MEMBER_TOO_MANY_VOTERS);
    c.flags = MEMBER_CHANGE_LEARNER;
    assert_int_equal(change(&m, c, &nobody, &out), MEMBER_TAKEN);
    m.m[4].standing = MEMBER_LEARNER;
    c.flags = 0;
    assert_int_equal(change(&m, c, &nobody, &out), MEMBER_TAKEN);
    for (; m.n < MEMBERS_MAX; m.n++)
        m.m[m.n] = (struct member){.id = (uint16_t)(m.n + 1), .standing = MEMBER_LEARNER};
    assert_int_equal(change(&m, c, &nobody, &out), MEMBER_TOO_MANY);
    c.flags = MEMBER_CHANGE_LEARNER;
    assert_int_equal(change(&m, c, &nobody, &out), MEMBER_TOO_MANY);
}

static void ids_and_ops_that_are_none(void **state)
{
    struct members m = voters(3), out;
    (void)state;
    assert_int_equal(change(&m, wish(MEMBER_ADD, 0, "h:1"), &nobody, &out), MEMBER_BAD_ID);
    assert_int_equal(change(&m, wish(MEMBER_ADD, MEMBER_ID_MAX, "h:1"), &nobody, &out),
                     MEMBER_TAKEN);
    assert_int_equal(change(&m, wish(MEMBER_ADD, MEMBER_ID_MAX + 1, "h:1"), &nobody, &out),
                     MEMBER_BAD_ID);
    for (enum member_op op = MEMBER_REMOVE; op <= MEMBER_SET; op++)
        assert_int_equal(change(&m, wish(op, 4, NULL), &nobody, &out), MEMBER_UNKNOWN);
    assert_int_equal(change(&m, wish(0, 1, NULL), &nobody, &out), MEMBER_BAD_CHANGE);
    assert_int_equal(change(&m, wish(MEMBER_SET + 1, 1, NULL), &nobody, &out), MEMBER_BAD_CHANGE);
    assert_int_equal(change(&m, wish(MEMBER_SET, 1, NULL), &nobody, &out), MEMBER_BAD_CHANGE);
}

static void addresses(void **state)
{
    static const char *const good[] = {"10.0.0.4:1", "[::1]:65535", "[fe80::1%eth0]:7000", "h:7"};
    static const char *const bad[] = {"",     "h",    ":7000", "h:",     "h:0",       "h:65536",
                                      "h:07", "h :7", "h,g:7", "::1:7",  "[::1]",     "[]:7",
                                      "[h:7", "h:7 ", "h:+7",  "\x7f:7", "\xc3\xa9:7"};
    struct members m = voters(3), out;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(change(&m, wish(MEMBER_ADD, 4, good[i]), &nobody, &out), MEMBER_TAKEN);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(change(&m, wish(MEMBER_ADD, 4, bad[i]), &nobody, &out),
                         MEMBER_BAD_ADDRESS);
        struct member_change c = wish(MEMBER_SET, 3, "h:7");
        c.flags = MEMBER_CHANGE_ADDRESS;
        (void)strcpy(c.addr[1], bad[i]);
        assert_int_equal(change(&m, c, &nobody, &out), i == 0 ? MEMBER_TAKEN : MEMBER_BAD_ADDRESS);
    }
    char too_long[MEMBER_ADDR_BYTES + 1];
    memset(too_long, 'x', sizeof too_long);
    (void)strcpy(too_long + MEMBER_ADDR_BYTES - 2, ":7");
    assert_false(member_address_valid(too_long));
    assert_true(member_address_valid(too_long + 1));
}

static void an_address_is_of_one_member(void **state)
{
    struct members m = voters(3), out;
    struct member_change c = wish(MEMBER_ADD, 4, "10.0.0.2:7000");
    (void)state;
    assert_int_equal(change(&m, c, &nobody, &out), MEMBER_ADDRESS_OF_OTHER);
    c = wish(MEMBER_SET, 3, "10.0.0.9:7000");
    c.flags = MEMBER_CHANGE_ADDRESS;
    (void)strcpy(c.addr[1], "10.0.0.1:7000");
    assert_int_equal(change(&m, c, &nobody, &out), MEMBER_ADDRESS_OF_OTHER);
    (void)strcpy(m.m[0].addr[1], "10.0.1.1:7000");
    (void)strcpy(c.addr[1], "10.0.1.1:7000");
    assert_int_equal(change(&m, c, &nobody, &out), MEMBER_ADDRESS_OF_OTHER);
    (void)strcpy(c.addr[1], "10.0.0.9:7000"); /* its own, twice */
    assert_int_equal(change(&m, c, &nobody, &out), MEMBER_BAD_ADDRESS);
}

static void remove_takes_one_out(void **state)
{
    struct members m = voters(3), out, none = {0};
    (void)state;
    assert_int_equal(change(&m, wish(MEMBER_REMOVE, 2, NULL), &nobody, &out), MEMBER_TAKEN);
    assert_int_equal(out.n, 2);
    assert_null(members_find(&out, 2));
    assert_memory_equal(&out.m[1], &m.m[2], sizeof m.m[0]);
    assert_memory_equal(&out.m[2], &none.m[0], sizeof m.m[0]); /* one encoding of a value */
}

static void the_last_voter_stays(void **state)
{
    struct members m = voters(3), out;
    (void)state;
    m.m[1].standing = MEMBER_LEARNER;
    m.m[2].standing = MEMBER_JOINING;
    struct member_change c = wish(MEMBER_REMOVE, 1, NULL);
    c.flags = MEMBER_CHANGE_FORCE;
    assert_int_equal(change(&m, c, &nobody, &out), MEMBER_LAST_VOTER);
    assert_int_equal(change(&m, wish(MEMBER_REMOVE, 2, NULL), &nobody, &out), MEMBER_TAKEN);
    assert_int_equal(change(&m, wish(MEMBER_REMOVE, 3, NULL), &nobody, &out), MEMBER_TAKEN);
    assert_int_equal(change(&m, wish(MEMBER_REPLACE, 1, NULL), &nobody, &out), MEMBER_ONLY_COPY);
}

static void a_replaced_one_joins_with_its_new_key(void **state)
{
    struct members m = voters(3), out;
    struct member_seen other = seen(77, true);
    (void)state;
    assert_int_equal(change(&m, wish(MEMBER_REPLACE, 3, NULL), &other, &out), MEMBER_TAKEN);
    assert_int_equal(out.m[2].standing, MEMBER_JOINING);
    assert_memory_equal(out.m[2].key, other.key, MEMBER_KEY_BYTES);
    assert_string_equal(out.m[2].addr[0], m.m[2].addr[0]);
    /* A learner stays one. */
    m.m[2].standing = MEMBER_LEARNER;
    assert_int_equal(change(&m, wish(MEMBER_REPLACE, 3, NULL), &other, &out), MEMBER_TAKEN);
    assert_int_equal(out.m[2].standing, MEMBER_LEARNER);
    assert_memory_equal(out.m[2].key, other.key, MEMBER_KEY_BYTES);
}

static void nobody_who_is_there_is_replaced(void **state)
{
    struct members m = voters(3), out;
    struct member_seen same = seen(3, true);
    (void)state;
    assert_int_equal(change(&m, wish(MEMBER_REPLACE, 3, NULL), &same, &out), MEMBER_SAME_DIRECTORY);
    /* It was there, and is not any more: the next one must have shown its key. */
    same.lately = false;
    assert_int_equal(change(&m, wish(MEMBER_REPLACE, 3, NULL), &same, &out), MEMBER_NOT_THERE);
    assert_int_equal(change(&m, wish(MEMBER_REPLACE, 3, NULL), &nobody, &out), MEMBER_NOT_THERE);
    /* Without a key it waits for whoever comes first. */
    memset(m.m[2].key, 0, sizeof m.m[2].key);
    assert_int_equal(change(&m, wish(MEMBER_REPLACE, 3, NULL), &nobody, &out), MEMBER_AS_IT_IS);
}

static void set_changes_what_it_names(void **state)
{
    struct members m = voters(3), out;
    struct member_change c = wish(MEMBER_SET, 2, "10.9.9.9:7000");
    (void)state;
    c.flags = MEMBER_CHANGE_ADDRESS;
    assert_int_equal(change(&m, c, &nobody, &out), MEMBER_TAKEN);
    assert_string_equal(out.m[1].addr[0], "10.9.9.9:7000");
    assert_int_equal(out.m[1].priority, 1);
    assert_memory_equal(out.m[1].key, m.m[1].key, MEMBER_KEY_BYTES);
    c = wish(MEMBER_SET, 2, NULL);
    c.flags = MEMBER_CHANGE_PRIORITY;
    assert_int_equal(change(&m, c, &nobody, &out), MEMBER_TAKEN);
    assert_int_equal(out.m[1].priority, 0);
    assert_string_equal(out.m[1].addr[0], m.m[1].addr[0]);
    c.priority = 1;
    assert_int_equal(change(&m, c, &nobody, &out), MEMBER_AS_IT_IS);
}

static void bytes(void **state)
{
    uint8_t buf[MEMBER_CHANGE_BYTES_MAX + 1];
    struct member_change c = wish(MEMBER_ADD, 4, "10.0.0.4:7000"), again;
    (void)state;
    c.flags = 5;
    c.priority = 9;
    memset(c.addr[1], 'x', MEMBER_ADDR_BYTES - 1);
    size_t len = member_change_encode(&c, buf);
    assert_true(len <= MEMBER_CHANGE_BYTES_MAX);
    assert_true(member_change_decode(buf, len, &again));
    assert_memory_equal(&again, &c, sizeof c);
    uint8_t *exact = malloc(len); /* the sanitizer sees a read behind it */
    assert_non_null(exact);
    memcpy(exact, buf, len);
    for (size_t cut = 0; cut < len; cut++)
        assert_false(member_change_decode(exact, cut, &again));
    exact[5] = MEMBER_ADDR_BYTES;
    assert_false(member_change_decode(exact, len, &again));
    free(exact);
    buf[len] = 0;
    assert_false(member_change_decode(buf, len + 1, &again));
    buf[MEMBER_CHANGE_HEAD_BYTES] = 0; /* an end within an address */
    assert_false(member_change_decode(buf, len, &again));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_added_one_joins),
        cmocka_unit_test(an_id_is_added_once),
        cmocka_unit_test(there_are_limits),
        cmocka_unit_test(ids_and_ops_that_are_none),
        cmocka_unit_test(addresses),
        cmocka_unit_test(an_address_is_of_one_member),
        cmocka_unit_test(remove_takes_one_out),
        cmocka_unit_test(the_last_voter_stays),
        cmocka_unit_test(a_replaced_one_joins_with_its_new_key),
        cmocka_unit_test(nobody_who_is_there_is_replaced),
        cmocka_unit_test(set_changes_what_it_names),
        cmocka_unit_test(bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
