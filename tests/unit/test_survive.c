// LINK: raftd/survive.c raftd/base/say.c raftd/base/clock.c @storage
/* Of several nodes that are left the one with most goes on alone, and its cluster has another random id. */
#include "raftd/survive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/record.h"

const struct disk disk_posix;

const struct conf_node *conf_self(const struct conf *conf)
{
    return &conf->nodes[0];
}

static char path[] = "/tmp/test_survive.XXXXXX";

static bool reads(struct survivor *s, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    return survivor_read(s, path, "demo");
}

#define REST "last_index=17\nlast_term=3\ncommit_index=16\ndoubt=1\n"

static void test_read(void **state)
{
    struct survivor s;
    (void)state;
    assert_true(reads(&s, "cluster=demo\nnodes=1,2,3\nnode=2\nsnapshot_index=5\n" REST));
    assert_true(s.node == 2 && s.last_index == 17 && s.last_term == 3 && s.commit == 16 && s.doubt);
    assert_true(reads(&s,
                      "{\n  \"cluster\": \"demo\",\n  \"node\": \"3\",\n  \"last_index\": \"9\",\n"
                      "  \"last_term\": \"4\",\n  \"commit_index\": \"8\",\n"
                      "  \"doubt\": \"0\"\n}\n"));
    assert_true(s.node == 3 && s.last_index == 9 && s.last_term == 4 && s.commit == 8 && !s.doubt);
}

static void test_no_report(void **state)
{
    struct survivor s;
    (void)state;
    assert_false(reads(&s, ""));
    assert_false(reads(&s, "cluster=demo2\nnode=2\n" REST)); /* of another cluster */
    assert_false(reads(&s, "cluster=dem\nnode=2\n" REST));
    assert_false(reads(&s, "cluster=demo\nnodes=2\n" REST));
    assert_false(reads(&s, "cluster=demo\nnode=1000\n" REST));
    assert_false(reads(&s, "cluster=demo\nnode=2\nlast_index=17\nlast_term=3\n"));
    assert_false(reads(&s, "cluster=demo\nnode=2\nlast_index=x\n" REST));
    assert_false(survivor_read(&s, "/nonexistent", "demo"));
}

static void test_best(void **state)
{
    (void)state;
    const struct survivor s[] = {
        {.last_term = 3, .last_index = 90},
        {.last_term = 4, .last_index = 10},
        {.last_term = 4, .last_index = 12},
        {.last_term = 4, .last_index = 12},
    };
    assert_int_equal(survivor_best(s, 1), 0);
    assert_int_equal(survivor_best(s, 2), 1);
    assert_int_equal(survivor_best(s, 4), 2);
}

/* The log of before a recovery may go on beside the one of after it, with higher terms, and is not better. */
static void test_another_cluster(void **state)
{
    (void)state;
    struct survivor s[] = {
        {.cluster = 7, .last_term = 3}, {.cluster = 6, .last_term = 9},
        {.cluster = 0, .last_term = 4}, /* it has no members yet */
        {.cluster = 7, .last_term = 5}, {.cluster = 0xffffffff00000007, .last_term = 9},
    };
    const unsigned best[] = {0, 0, 2, 3, 3};
    for (unsigned n = 1; n <= 5; n++)
        assert_int_equal(survivor_best(s, n), best[n - 1]);
    assert_true(survivors_differ(&s[0], &s[1]) && !survivors_differ(&s[0], &s[2]));
    assert_true(
        reads(s, "cluster=demo\nmembers_index=16\ncluster_id=00000000000000ab\nnode=2\n" REST));
    assert_true(s[0].cluster == 0xab);
    assert_true(
        reads(s, "cluster=demo\nmembers_index=17\ncluster_id=00000000000000ab\nnode=2\n" REST));
    assert_true(s[0].cluster == 0); /* the next leader may give another one */
    assert_true(reads(s, "cluster=demo\nmembers_index=0\nnode=2\n" REST) && s[0].cluster == 0);
    struct ident id = {.node_id = 2};
    struct wal_report rep = {.commit = 16, .members = {.index = 16, .members.cluster_id = 77}};
    assert_true(survivor_of("", &id, &rep).cluster == 77);
    rep.members.index++;
    assert_true(survivor_of("", &id, &rep).cluster == 0);
}

/* Only this node is left of the members, under another id of the cluster. */
static void test_alone(void **state)
{
    (void)state;
    struct conf conf = {.nodes = {{.id = 2, .addr_text = "10.0.0.2:7000"}}};
    struct ident id = {.node_id = 2, .key = {9, 8, 7}};
    struct members m = {.cluster_id = 77, .n = 3}, alone;
    for (unsigned i = 0; i < 3; i++)
        m.m[i] = (struct member){.id = (uint16_t)(i + 1), .standing = MEMBER_LEARNER};
    m.m[0].standing = MEMBER_VOTER;
    (void)strcpy(m.m[1].addr[0], "box2:7000");
    alone = survivor_alone(&conf, &id, &m);
    assert_true(members_valid(&alone));
    assert_true(alone.n == 1 && alone.cluster_id != 77 && alone.cluster_id != 0);
    assert_true(alone.m[0].id == 2 && alone.m[0].standing == MEMBER_VOTER);
    assert_int_equal(alone.m[0].priority, 1);
    assert_memory_equal(alone.m[0].key, id.key, MEMBER_KEY_BYTES);
    assert_string_equal(alone.m[0].addr[0], "box2:7000");
    m.n = 0; /* none was in the log yet */
    alone = survivor_alone(&conf, &id, &m);
    assert_true(members_valid(&alone) && alone.n == 1);
    assert_string_equal(alone.m[0].addr[0], "10.0.0.2:7000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),  cmocka_unit_test(test_no_report),
        cmocka_unit_test(test_best),  cmocka_unit_test(test_another_cluster),
        cmocka_unit_test(test_alone),
    };
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    (void)close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path);
    return failed;
}
