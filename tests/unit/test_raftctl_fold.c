// LINK: raftd/tool/fold.c raftd/base/event.c
/* Events that wait for a script: what was overtaken is not told, the last word always is, and in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/tool/fold.h"

static uint64_t seq;

static void add(struct fold *f, enum event_kind kind, uint16_t node)
{
    char role[] = "leader", why[] = "a text that is gone soon";
    struct event e = {.seq = ++seq, .kind = kind, .node = node, .role = role, .why = why};
    assert_true(fold_add(f, &e));
    memset(role, 'x', sizeof role - 1);
    memset(why, 'x', sizeof why - 1);
}

/* Takes all that waits, and requires these kinds, up to EVENT_KINDS. */
static void gives(struct fold *f, const enum event_kind *kinds)
{
    uint64_t last = 0;
    for (; *kinds != EVENT_KINDS; kinds++) {
        const struct event *e = fold_first(f);
        assert_non_null(e);
        assert_string_equal(event_kind_name(e->kind), event_kind_name(*kinds));
        assert_string_equal(e->role, "leader");
        assert_string_equal(e->why, "a text that is gone soon");
        assert_true(e->seq > last);
        last = e->seq;
        fold_drop(f);
    }
    assert_null(fold_first(f));
}

static void in_order(void **state)
{
    (void)state;
    struct fold f = {0};
    assert_null(fold_first(&f));
    add(&f, EVENT_LEADER_NONE, 0);
    add(&f, EVENT_DISK_SLOW, 0);
    add(&f, EVENT_MEMBER_SILENT, 2);
    gives(&f, (enum event_kind[]){EVENT_LEADER_NONE, EVENT_DISK_SLOW, EVENT_MEMBER_SILENT,
                                  EVENT_KINDS});
}

static void the_last_word_of_each_subject(void **state)
{
    (void)state;
    struct fold f = {0};
    for (int i = 0; i < 100; i++) {
        add(&f, EVENT_QUORUM_LOST, 0);
        add(&f, EVENT_MEMBER_SILENT, 2);
        add(&f, EVENT_MEMBER_SILENT, 3);
        add(&f, EVENT_QUORUM_BACK, 0);
        add(&f, EVENT_MEMBER_BACK, 2);
    }
    gives(&f, (enum event_kind[]){EVENT_MEMBER_SILENT, EVENT_QUORUM_BACK, EVENT_MEMBER_BACK,
                                  EVENT_KINDS});
}

/* What is being told stays, for its script runs; whether it is to be tried again is another question. */
static void what_is_being_told(void **state)
{
    (void)state;
    struct fold f = {0};
    add(&f, EVENT_DISK_SLOW, 0);
    add(&f, EVENT_DISK_FULL, 0);
    assert_int_equal(fold_first(&f)->kind, EVENT_DISK_FULL);
    f.busy = true;
    assert_false(fold_is_overtaken(&f));
    add(&f, EVENT_QUORUM_LOST, 0);
    assert_false(fold_is_overtaken(&f));
    add(&f, EVENT_DISK_SLOW, 0);
    add(&f, EVENT_DISK_OK, 0);
    assert_true(fold_is_overtaken(&f));
    gives(&f, (enum event_kind[]){EVENT_DISK_FULL, EVENT_QUORUM_LOST, EVENT_DISK_OK, EVENT_KINDS});
    assert_false(f.busy);
}

/* Whatever comes, in whatever order: all is told in order but what was overtaken. */
static void any_order(void **state)
{
    (void)state;
    srand(1);
    for (int round = 0; round < 200; round++) {
        struct fold f = {0};
        struct event all[60];
        int n = 1 + rand() % 60, told = 0;
        for (int i = 0; i < n; i++) {
            all[i] = (struct event){.seq = (uint64_t)i + 1,
                                    .kind = (enum event_kind)(rand() % EVENT_KINDS),
                                    .node = (uint16_t)(rand() % 3),
                                    .role = "",
                                    .why = ""};
            assert_true(fold_add(&f, &all[i]));
        }
        for (int i = 0; i < n; i++) {
            bool overtaken = false;
            for (int k = i + 1; k < n; k++)
                overtaken |= event_overtakes(&all[k], &all[i]);
            if (overtaken)
                continue;
            assert_int_equal(fold_first(&f)->seq, all[i].seq);
            fold_drop(&f);
            told++;
        }
        assert_null(fold_first(&f));
        assert_true(told > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order),
        cmocka_unit_test(the_last_word_of_each_subject),
        cmocka_unit_test(what_is_being_told),
        cmocka_unit_test(any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
