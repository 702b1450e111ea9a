// LINK: raftd/places.c raftd/conf_addr.c raftd/base/num.c
/* Where peers are looked for, and where they are. */
#include "raftd/places.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "raftd/conf_addr.h"

enum { SECOND = 1000 * 1000 };

static struct places ps;
static uint64_t now;

static struct address at(const char *text)
{
    struct conf_node node = {.id = 0};
    assert_null(conf_addr_parse(&node, text));
    return (struct address){node.addr, node.addr_len};
}

static bool here(uint16_t id, const char *text)
{
    const struct address a = at(text);
    return places_here(&ps, id, (const struct sockaddr *)&a.sa, a.len);
}

static uint16_t whose(const char *text)
{
    const struct address a = at(text);
    return places_whose(&ps, (const struct sockaddr *)&a.sa);
}

/* Where the next datagram to the peer goes. */
static const char *next(uint16_t id)
{
    static char text[64];
    struct address a;
    struct sockaddr_in sin;
    if (!places_next(&ps, now, id, &a))
        return "nowhere";
    memcpy(&sin, &a.sa, sizeof sin);
    (void)snprintf(text, sizeof text, "%s:%u", inet_ntoa(sin.sin_addr), ntohs(sin.sin_port));
    return text;
}

static void start(const char *first, const char *second)
{
    struct member m = {.id = 2};
    now = 10 * SECOND;
    ps = (struct places){.family = AF_INET};
    (void)snprintf(m.addr[0], sizeof m.addr[0], "%s", first);
    (void)snprintf(m.addr[1], sizeof m.addr[1], "%s", second);
    places_set(&ps, 2, &m);
}

static bool goes_there(uint16_t id, const char *text)
{
    for (unsigned i = 0; i < 8; i++)
        if (strcmp(next(id), text) == 0)
            return true;
    return false;
}

/* All boxes may have moved at once: then their addresses are in nobody's log, but in everybody's file. */
static void test_file(void **state)
{
    (void)state;
    static struct conf file;
    start("192.0.2.2:7100", "");
    assert_false(goes_there(2, "198.51.100.2:7100"));
    assert_int_equal(whose("198.51.100.2:7100"), 0);
    file.nodes[0].id = 2;
    assert_null(conf_addr_parse(&file.nodes[0], "198.51.100.2:7100"));
    file.n_nodes = 1;
    ps.file = &file;
    assert_true(goes_there(2, "198.51.100.2:7100") && goes_there(2, "192.0.2.2:7100"));
    assert_int_equal(whose("198.51.100.2:7100"), 2);
    assert_true(here(2, "192.0.2.2:7100"));
    assert_false(goes_there(2, "198.51.100.2:7100"));
}

/* Replies go to where the peer was heard, and nowhere else, as long as it answers. */
static void test_follows(void **state)
{
    (void)state;
    start("192.0.2.2:7100", "");
    assert_string_equal(next(2), "192.0.2.2:7100");
    assert_int_equal(whose("192.0.2.2:7100"), 2);
    assert_int_equal(whose("192.0.2.2:7101"), 0);
    assert_true(here(2, "192.0.2.77:900"));
    assert_false(here(2, "192.0.2.77:900"));
    for (unsigned i = 0; i < 100; i++) {
        assert_string_equal(next(2), "192.0.2.77:900");
        now += SECOND / 50;
        if (i % 10 == 0)
            (void)here(2, "192.0.2.77:900");
    }
    assert_true(whose("192.0.2.77:900") == 2 && whose("192.0.2.2:7100") == 2);
    assert_false(here(3, "192.0.2.3:1")); /* nobody has asked for it */
    assert_string_equal(next(3), "nowhere");
    places_remove(&ps, 2);
    assert_string_equal(next(2), "nowhere");
    assert_int_equal(whose("192.0.2.77:900"), 0);
}

/* Who is heard no more is looked for at all places; who is there again, only there. */
static void test_looks_elsewhere(void **state)
{
    (void)state;
    start("192.0.2.2:7100", "192.0.2.22:7100");
    assert_true(goes_there(2, "192.0.2.2:7100") && goes_there(2, "192.0.2.22:7100"));
    (void)here(2, "192.0.2.2:7100");
    for (unsigned i = 0; i < PLACES_DEAF + 3; i++)
        assert_string_equal(next(2), "192.0.2.2:7100");
    now += PLACES_DEAF_US; /* many, and for long */
    assert_true(goes_there(2, "192.0.2.2:7100") && goes_there(2, "192.0.2.22:7100"));
    (void)here(2, "192.0.2.22:7100");
    assert_string_equal(next(2), "192.0.2.22:7100");
    now += 10 * PLACES_DEAF_US; /* two who have little to say */
    for (unsigned i = 1; i < PLACES_DEAF; i++)
        assert_string_equal(next(2), "192.0.2.22:7100");
}

/* Another configuration: what is not named any more is not tried; where it was heard stays. */
static void test_other_addresses(void **state)
{
    (void)state;
    struct member m = {.id = 2, .addr = {"192.0.2.99:1", "[2001:db8::1]:1"}};
    start("192.0.2.2:7100", "192.0.2.22:7100");
    places_set(&ps, 2, &m);
    for (unsigned i = 0; i < 8; i++)
        assert_string_equal(next(2), "192.0.2.99:1"); /* the other one is of another family */
    (void)here(2, "192.0.2.3:3");
    places_set(&ps, 2, NULL);
    assert_string_equal(next(2), "192.0.2.3:3");
    assert_int_equal(whose("192.0.2.99:1"), 0);
}

/* Names: asked for at once, then again and again while the peer is silent. */
static void test_names(void **state)
{
    (void)state;
    uint16_t id;
    unsigned which;
    char name[CONF_ADDR_SIZE];
    struct address found = at("192.0.2.50:7100");
    start("192.0.2.2:7100", "box:7100");
    assert_true(places_name(&ps, now, &id, &which, name) && id == 2 && which == 1);
    assert_string_equal(name, "box:7100");
    assert_false(places_name(&ps, now, &id, &which, name));
    places_resolved(&ps, 2, 1, name, &(struct address){.len = 0});
    assert_false(goes_there(2, "192.0.2.50:7100"));
    now += PLACES_RESOLVE_US;
    assert_true(places_name(&ps, now, &id, &which, name));
    places_resolved(&ps, 2, 1, "another:7100", &found); /* of a name that it had before */
    assert_false(goes_there(2, "192.0.2.50:7100"));
    places_resolved(&ps, 2, 1, name, &found);
    assert_true(goes_there(2, "192.0.2.50:7100") && whose("192.0.2.50:7100") == 2);
    (void)here(2, "192.0.2.50:7100");
    now += PLACES_RESOLVE_US;
    assert_false(places_name(&ps, now, &id, &which, name));
    for (unsigned i = 0; i < PLACES_DEAF; i++)
        (void)next(2);
    now += PLACES_DEAF_US;
    assert_true(places_name(&ps, now, &id, &which, name));
}

/* The next process tries where peers were seen by this one, after what the configuration says. */
static void test_kept(void **state)
{
    (void)state;
    char text[PLACES_TEXT_MAX_BYTES];
    start("192.0.2.2:7100", "");
    assert_int_equal(places_text(&ps, text), 0);
    (void)here(2, "192.0.2.77:900");
    assert_int_equal(places_text(&ps, text), strlen("2 192.0.2.77:900\n"));
    assert_string_equal(text, "2 192.0.2.77:900\n");
    assert_int_equal(places_text(&ps, text), 0); /* it is kept */
    start("192.0.2.2:7100", "");
    assert_false(goes_there(2, "192.0.2.77:900"));
    places_read(&ps, "");
    places_read(&ps, "2\n2 \n 2 192.0.2.77:901\n3 192.0.2.77:902\n2 box:1\n2 192.0.2.77:900x\n\n");
    assert_false(goes_there(2, "192.0.2.77:900"));
    places_read(&ps, text);
    assert_true(goes_there(2, "192.0.2.77:900") && goes_there(2, "192.0.2.2:7100"));
    (void)here(2, "192.0.2.2:7100");
    assert_string_equal(next(2), "192.0.2.2:7100");
}

static const char *tell(bool cloned)
{
    static char text[PLACES_TELL_BYTES];
    places_tell(&ps, 2, cloned, text);
    return text;
}

/* People are told where a peer is that is at none of its addresses; of a cloned one, where both are. */
static void test_told(void **state)
{
    (void)state;
    const struct address box = at("192.0.2.50:7100");
    start("192.0.2.2:7100", "box:7100");
    assert_string_equal(tell(false), "");
    (void)here(2, "192.0.2.2:7100");
    assert_string_equal(tell(false), "");
    assert_string_equal(tell(true), "192.0.2.2:7100");
    (void)here(2, "192.0.2.50:7100");
    assert_string_equal(tell(false), "192.0.2.50:7100");
    assert_string_equal(tell(true), "192.0.2.50:7100,192.0.2.2:7100");
    places_resolved(&ps, 2, 1, "box:7100", &box);
    assert_string_equal(tell(false), "");
    places_tell(&ps, 3, true, (char[PLACES_TELL_BYTES]){"x"});
}

/* All peers with the longest addresses fit. */
static void test_longest_text(void **state)
{
    (void)state;
    char text[PLACES_TEXT_MAX_BYTES];
    const char longest[] = "[2001:db8:1111:1111:1111:1111:1111:1111]:65535";
    ps = (struct places){.family = AF_INET6};
    for (unsigned i = 0; i < RAFT_PEERS_MAX; i++) {
        places_set(&ps, (uint16_t)(65535 - i), NULL);
        assert_true(here((uint16_t)(65535 - i), longest));
    }
    assert_int_equal(places_text(&ps, text), RAFT_PEERS_MAX * (6 + strlen(longest) + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_follows),
        cmocka_unit_test(test_looks_elsewhere),
        cmocka_unit_test(test_other_addresses),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_told),
        cmocka_unit_test(test_longest_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
