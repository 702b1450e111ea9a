// LINK: @state tests/lib/machine_world.c
/* test_machine_once.c: a request with a token is done once; guards, and what operations tell. */
#include "tests/lib/machine_world.h"

#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/rcu.h"
#include "raftd/state/outcomes.h"

/* A request with a token, sent again through another node, or as another request of this one. */
static struct applied again(struct world *w, uint16_t origin, struct cmd_token token)
{
    start(w);
    with_number(w, CMD_ADD, "n", 1);
    w->c.origin = origin;
    w->c.predecessor = machine_process(w->m, origin);
    w->c.flags = CMD_HAS_TOKEN;
    w->c.token = token;
    return apply(w);
}

static void test_tokens(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct cmd_token t = {"sixteen letters.", 0}, full = {"another request.", 1};
    struct applied a = again(w, ORIGIN, t);
    assert_true(a.outcome == MACHINE_DONE && !a.repeated && a.revision == 1 && w->n_told == 1);
    for (uint16_t origin = ORIGIN; origin < ORIGIN + 3; origin++) {
        a = again(w, origin, t);
        assert_true(a.outcome == MACHINE_DONE && a.repeated && a.revision == 1 && w->n_told == 0);
        expect(w, "n", "1", 1, 1, 0);
        struct applied copy = apply(w); /* of the same message */
        assert_true(copy.outcome == MACHINE_DONE && copy.repeated && copy.revision == 1);
        assert_true(machine_look_up(w->m, origin, PROCESS, w->number, &copy));
        assert_true(copy.outcome == MACHINE_DONE && copy.revision == 1);
    }
    start(w); /* what was refused stays so: that it can be done by now is nothing to the request */
    with(w, CMD_IF_PRESENT, "later");
    with_value(w, CMD_PUT, "x", "x");
    w->c.flags = CMD_HAS_TOKEN;
    w->c.token = full;
    fails(w, MACHINE_CONDITION, 0);
    uint64_t refused = w->index;
    put(w, "later", "");
    a = again(w, ORIGIN, full);
    assert_true(a.outcome == MACHINE_CONDITION && a.repeated && a.revision == refused);
    a = again(w, ORIGIN, (struct cmd_token){"made too late...", w->index + 1});
    assert_true(a.outcome == MACHINE_TOO_OLD && !a.repeated && w->n_told == 0);
    a = apply(w);
    assert_true(a.outcome == MACHINE_TOO_OLD);
    a = again(w, ORIGIN, (struct cmd_token){"made just now...", w->index});
    assert_true(a.outcome == MACHINE_DONE && !a.repeated);
    expect(w, "n", "2", 1, w->index, 0);
    world_free(w);
}

/* A copy of an ended process decides nothing: the request can still be done. */
static void test_token_of_ended(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct cmd_token t = {"sixteen letters.", 0};
    put(w, "x", "x");
    start(w);
    with(w, CMD_DELETE, "x");
    w->c.process = w->c.predecessor = PROCESS + 1;
    w->c.flags = CMD_HAS_TOKEN;
    w->c.token = t;
    done(w, MACHINE_ENDED);
    struct applied a = again(w, ORIGIN, t);
    assert_true(a.outcome == MACHINE_DONE && !a.repeated);
    world_free(w);
}

/* Beyond what is remembered nothing is done, and a full state refuses no request with a token before it is in
 * the log. */
static void test_old_tokens(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct cmd_token t = {{0}, 0}, first = {"sixteen letters.", 0};
    (void)again(w, ORIGIN, first);
    for (unsigned i = 0; i < OUTCOMES_MAX - 1; i++) {
        put_u64(t.random, i);
        t.index = w->index;
        (void)again(w, ORIGIN, t);
    }
    struct applied a = again(w, ORIGIN, first);
    assert_true(a.outcome == MACHINE_DONE && a.repeated && a.revision == 1);
    put_u64(t.random, OUTCOMES_MAX);
    (void)again(w, ORIGIN, t);
    a = again(w, ORIGIN, first);
    assert_true(a.outcome == MACHINE_TOO_OLD && !a.repeated);
    assert_true(kv_find(w->kv, (const uint8_t *)"n", 1)->modify_revision == w->index - 1);
    static uint8_t large[CMD_LIMIT_BYTES];
    uint8_t buf[256];
    put_long(w, "large", large, sizeof large);
    start(w);
    with_value(w, CMD_PUT, "more", "more");
    size_t size = cmd_encode(buf, &w->c, w->items);
    assert_true(machine_is_full_for(w->m, buf, size, 1));
    /* What has a token is refused, too, unless a copy of it may have been done. */
    const struct cmd_token fresh = {{1}, w->index}, *tokens[] = {&fresh, &t, &first};
    w->c.flags = CMD_HAS_TOKEN;
    for (unsigned i = 0; i < 3; i++) {
        w->c.token = *tokens[i];
        size = cmd_encode(buf, &w->c, w->items);
        assert_int_equal(machine_is_full_for(w->m, buf, size, 1), i == 0);
    }
    world_free(w);
}

/* A guard sees what the operations before it did. What it guards is done or not; what follows is done. */
static void test_guards(void **state)
{
    (void)state;
    struct world *w = world_new();
    start(w);
    with(w, CMD_IF_ABSENT, "a");
    guards(w, 2);
    with_value(w, CMD_PUT, "a", "one");
    with_number(w, CMD_EXPIRE, "a", 70);
    with_value(w, CMD_IF_VALUE, "a", "one");
    guards(w, 1);
    with_value(w, CMD_PUT, "b", "seen");
    with(w, CMD_IF_ABSENT, "a");
    guards(w, 1);
    with_value(w, CMD_PUT, "a", "two");
    with_value(w, CMD_PUT, "c", "after");
    done(w, MACHINE_SKIPPED);
    expect(w, "a", "one", 1, 1, 70);
    expect(w, "b", "seen", 1, 1, 0);
    expect(w, "c", "after", 1, 1, 0);
    told(w, 0, MACHINE_DONE, 0, NULL);
    told(w, 1, MACHINE_DONE, 1, NULL);
    told(w, 3, MACHINE_DONE, 1, NULL);
    told(w, 4, MACHINE_DONE, 1, NULL);
    told(w, 5, MACHINE_CONDITION, 1, NULL);
    told(w, 6, MACHINE_SKIPPED, 0, NULL);
    told(w, 7, MACHINE_DONE, 1, NULL);
    start(w); /* all hold */
    with(w, CMD_IF_PRESENT, "a");
    guards(w, 1);
    with(w, CMD_DELETE, "a");
    with(w, CMD_DELETE, "none");
    done(w, MACHINE_NO_KEY);
    start(w); /* what is skipped outweighs what finds no key */
    with_number(w, CMD_IF_REVISION, "b", 2);
    guards(w, 1);
    with(w, CMD_DELETE, "b");
    with(w, CMD_DELETE, "none");
    done(w, MACHINE_SKIPPED);
    expect(w, "b", "seen", 1, 1, 0);
    start(w); /* a condition proper stops all, and is no guard */
    with(w, CMD_IF_PRESENT, "none");
    with_value(w, CMD_PUT, "b", "x");
    fails(w, MACHINE_CONDITION, 0);
    world_free(w);
}

/* Guards of one another: all of the keys or none. A guard that is skipped guards nothing. */
static void test_guarded_guards(void **state)
{
    (void)state;
    struct world *w = world_new();
    for (unsigned round = 0; round < 2; round++) {
        start(w);
        with(w, CMD_IF_ABSENT, round == 0 ? "a" : "c");
        guards(w, 3);
        with(w, CMD_IF_ABSENT, "b");
        guards(w, 2);
        with_value(w, CMD_PUT, round == 0 ? "a" : "c", "1");
        with_value(w, CMD_PUT, "b", "1");
        done(w, round == 0 ? MACHINE_DONE : MACHINE_SKIPPED);
    }
    expect(w, "a", "1", 1, 1, 0);
    expect(w, "c", NULL, 0, 0, 0);
    start(
        w); /* the outer one fails; the inner one, skipped, reaches beyond it and must not count */
    with(w, CMD_IF_ABSENT, "a");
    guards(w, 1);
    with(w, CMD_IF_ABSENT, "a");
    guards(w, 1);
    with_value(w, CMD_PUT, "d", "1");
    done(w, MACHINE_SKIPPED);
    expect(w, "d", "1", 3, 3, 0);
    start(w); /* something that can't be done is a failure only if it is not skipped */
    with(w, CMD_IF_ABSENT, "d");
    guards(w, 1);
    with_number(w, CMD_ADD, "x", UINT64_C(1) << 63);
    with_value(w, CMD_PUT, "word", "word");
    with(w, CMD_IF_PRESENT, "d");
    guards(w, 1);
    with_number(w, CMD_ADD, "word", 1);
    fails(w, MACHINE_NOT_NUMBER, 4);
    world_free(w);
}

/* What is read is told as it is at that place: before a later operation replaces or deletes it. */
static void test_read_before(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->ms = 1000;
    start(w);
    with_value(w, CMD_PUT, "k", "old");
    with_number(w, CMD_EXPIRE, "k", 500);
    done(w, MACHINE_DONE);
    start(w);
    with(w, CMD_READ, "k");
    with_value(w, CMD_PUT_KEEP, "k", "new");
    with(w, CMD_READ, "k");
    with(w, CMD_DELETE, "k");
    with(w, CMD_READ, "k");
    with_value(w, CMD_PUT_KEEP, "k", "newest");
    done(w, MACHINE_NO_KEY);
    told(w, 0, MACHINE_DONE, 1, "old");
    told(w, 2, MACHINE_DONE, 2, "new");
    told(w, 4, MACHINE_NO_KEY, 0, NULL);
    assert_true(w->told[0].expiry_before_ms == 1500 && w->told[1].expiry_before_ms == 1500);
    assert_true(w->told[3].expiry_before_ms == 1500 && w->told[4].expiry_before_ms == 0);
    expect(w, "k", "newest", 2, 2, 0);
    world_free(w);
}

/* A small command can't make its node copy without bound. */
static void test_too_much(void **state)
{
    (void)state;
    enum { TIMES = MACHINE_TELL_MAX_BYTES / CMD_VALUE_MAX_BYTES };
    struct world *w = world_new();
    uint8_t *value = calloc(1, CMD_VALUE_MAX_BYTES);
    assert_non_null(value);
    put_long(w, "large", value, CMD_VALUE_MAX_BYTES);
    put(w, "small", "1");
    start(w);
    for (unsigned i = 0; i < TIMES; i++)
        with(w, CMD_READ, "large");
    done(w, MACHINE_DONE);
    start(w);
    with_value(w, CMD_PUT, "small", "2");
    with(w, CMD_READ, "small");
    for (unsigned i = 0; i < TIMES; i++)
        with(w, CMD_READ, "large");
    fails(w, MACHINE_TOO_MUCH, TIMES + 1);
    free(value);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),         cmocka_unit_test(test_token_of_ended),
        cmocka_unit_test(test_old_tokens),     cmocka_unit_test(test_guards),
        cmocka_unit_test(test_guarded_guards), cmocka_unit_test(test_read_before),
        cmocka_unit_test(test_too_much),
    };
    rcu_thread_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
