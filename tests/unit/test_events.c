// LINK: raftd/serve/events.c raftd/serve/resp.c raftd/node/happened.c raftd/node/health.c tests/lib/last_words.c @core @base
/* test_events.c: what one client is told: first how things are, then every event once and in order; or that
 * there were others, and how things are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/serve/events.h"
#include "tests/lib/last_words.h"

static struct status status_of(uint64_t start_us)
{
    struct status s = {.now_us = start_us + 50,
                       .start_us = start_us,
                       .id = 1,
                       .standing = RAFT_VOTER,
                       .term = 3,
                       .leader = 1,
                       .role = RAFT_LEADER,
                       .n_links = 1};
    s.links[0].id = 1;
    return s;
}

/* A process that started then, and so many events. */
static struct happened process(uint64_t start_us, unsigned events)
{
    struct happened h = {0};
    struct status s = status_of(start_us);
    (void)happened_take(&h, &s);
    while (events-- > 0) {
        s.disk_full = !s.disk_full;
        (void)happened_take(&h, &s);
    }
    return h;
}

/* All that is told now, each as KIND:SEQ:STATE. */
static const char *told(struct events_reader *r, const struct happened *h)
{
    static char text[1 << 16];
    struct event e;
    size_t len = 0;
    text[0] = '\0';
    while (events_look(r, h, &e)) {
        len += (size_t)snprintf(text + len, sizeof text - len, "%s:%llu:%u ",
                                event_kind_name(e.kind), (unsigned long long)e.seq, e.state);
        events_pass(r, &e);
    }
    return text;
}

static void test_begins(void **state)
{
    (void)state;
    struct events_reader r = {.since = 0};
    struct happened h = process(1000, 0);
    assert_string_equal(told(&r, &h), "leader-gained:0:5 quorum-back:0:4 disk-ok:0:3 healed:0:2 "
                                      "member-promoted:1001:1 ");
    assert_string_equal(told(&r, &h), "");
    h = process(1000, 2);
    assert_string_equal(told(&r, &h), "disk-full:1002:0 disk-ok:1003:0 ");
}

static void test_goes_on(void **state)
{
    (void)state;
    struct happened h = process(1000, 3);
    for (uint64_t since = 1001; since <= 1004; since++) {
        struct events_reader r = {.since = since};
        const char *all = told(&r, &h);
        unsigned n = 0;
        for (const char *p = all; (p = strstr(p, "disk-")) != NULL; p++)
            n++;
        assert_int_equal(n, 1004 - since);
        assert_true(strstr(all, "quorum") == NULL && r.since == 1004);
    }
}

/* Each break is told, with how things are; who is cut off in the middle of that is told it again. */
static void test_breaks(void **state)
{
    (void)state;
    static const struct {
        uint64_t since;
        unsigned events;
        const char *says;
    } breaks[] = {
        {1000, 0, "restarted:1000:0 leader-gained:1000:5 "}, /* of an earlier process */
        {1, 3, "restarted:1:0 leader-gained:1:5 "},
        {1001, HAPPENED_KEPT + 1, "missed:1001:0 leader-gained:1001:5 "}, /* forgotten */
        {5000, 3, "missed:5000:0 leader-gained:5000:5 "}, /* of another start of the box */
        {1005, 3, "missed:1005:0 leader-gained:1005:5 "},
    };
    for (size_t i = 0; i < sizeof breaks / sizeof breaks[0]; i++) {
        struct happened h = process(1000, breaks[i].events);
        struct events_reader r = {.since = breaks[i].since};
        struct event e;
        assert_int_equal(strncmp(told(&r, &h), breaks[i].says, strlen(breaks[i].says)), 0);
        assert_true(r.since == h.end);
        r = (struct events_reader){.since = breaks[i].since};
        for (unsigned lines = 0; lines < 5; lines++) {
            assert_true(events_look(&r, &h, &e));
            events_pass(&r, &e);
            struct events_reader again = {.since = e.seq};
            assert_int_equal(strncmp(told(&again, &h), breaks[i].says, strlen(breaks[i].says)), 0);
        }
    }
    struct happened h = process(1000, HAPPENED_KEPT);
    struct events_reader r = {.since = 1001};
    assert_true(strncmp(told(&r, &h), "disk-full:1002:0 ", 17) == 0); /* just remembered */
}

/* All that is remembered, and nothing else. */
static void test_oldest(void **state)
{
    (void)state;
    static struct happened h;
    struct events_reader r = {.since = EVENTS_OLDEST};
    h = process(1000, 0);
    assert_string_equal(told(&r, &h), "");
    r.since = EVENTS_OLDEST;
    h = process(1000, 2);
    assert_string_equal(told(&r, &h), "disk-full:1002:0 disk-ok:1003:0 ");
    r.since = EVENTS_OLDEST;
    h = process(1000, HAPPENED_KEPT + 2);
    assert_int_equal(strncmp(told(&r, &h), "disk-full:1004:0 disk-ok:1005:0 ", 32), 0);
    assert_int_equal(r.since, 1001 + HAPPENED_KEPT + 2);
}

/* What comes while the state is being told comes behind it; the state is of one moment. */
static void test_state_of_one_moment(void **state)
{
    (void)state;
    struct happened h = process(1000, 0);
    struct events_reader r = {.since = 0};
    struct event e;
    assert_true(events_look(&r, &h, &e));
    events_pass(&r, &e);
    h = process(1000, 1);
    assert_string_equal(told(&r, &h), "quorum-back:0:4 disk-ok:0:3 healed:0:2 "
                                      "member-promoted:1001:1 disk-full:1002:0 ");
}

static void test_say(void **state)
{
    (void)state;
    struct resp_out out = {.version = 2, .most = 1 << 12};
    struct event e = {.seq = 9007199254740993,
                      .boot_us = 12,
                      .term = 7,
                      .role = "follower",
                      .why = "so",
                      .leader = 2,
                      .node = 3,
                      .state = 4,
                      .kind = EVENT_MEMBER_SILENT};
    events_say(&e, &out);
    static const char want[] =
        "*10\r\n$5\r\nevent\r\n:9007199254740993\r\n:12\r\n:7\r\n"
        "$13\r\nmember-silent\r\n$8\r\nfollower\r\n:2\r\n:3\r\n:4\r\n$2\r\nso\r\n";
    assert_int_equal(out.len, sizeof want - 1);
    assert_memory_equal(out.buf, want, out.len);
    free(out.buf);
}

/* A client that takes some now and then, over processes that come and go: it always knows how things are
 * when it has taken all, and every number but at breaks is the next one. */
static void test_slow_client(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 100; seed++) {
        struct events_reader r = {.since = 0};
        struct last_words words = {.n = 0};
        struct happened h = {0};
        struct event e;
        uint64_t now = 1000;
        struct status s = status_of(now);
        srand(seed);
        for (unsigned step = 0; step < 300; step++, now += 100000) {
            if (rand() % 100 == 0) {
                h = (struct happened){0};
                s = status_of(now);
            }
            s.now_us = now;
            for (int i = rand() % (seed % 3 == 0 ? 400 : 4); i > 0; i--) {
                s.disk_full = (uint8_t)(rand() % 2);
                s.doubt = rand() % 2 ? STATUS_DOUBT_DAMAGED : STATUS_DOUBT_NONE;
                (void)happened_take(&h, &s);
            }
            if (h.start == 0)
                (void)happened_take(&h, &s);
            if (rand() % 20 == 0) /* another connection */
                r = (struct events_reader){.since = r.since};
            int take = rand() % 40;
            while (take-- > 0 && events_look(&r, &h, &e)) {
                bool line = e.state != 0 || e.kind == EVENT_RESTARTED || e.kind == EVENT_MISSED;
                if (!line)
                    assert_int_equal(e.seq, r.since + 1);
                last_words_take(&words, &e);
                events_pass(&r, &e);
            }
            if (!events_look(&r, &h, &e))
                assert_null(last_words_differ(&words, &h.state));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begins),
        cmocka_unit_test(test_goes_on),
        cmocka_unit_test(test_breaks),
        cmocka_unit_test(test_oldest),
        cmocka_unit_test(test_state_of_one_moment),
        cmocka_unit_test(test_say),
        cmocka_unit_test(test_slow_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
