// LINK: raftd/own_address.c raftd/conf_addr.c raftd/base/num.c raftd/base/lasting.c net/udp.c tests/lib/say_heard.c
/* A node's own address that comes, goes and comes back: what is bound, and what is said when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "raftd/conf_addr.h"
#include "raftd/own_address.h"
#include "tests/lib/say_heard.h"

enum { SECOND = 1000 * 1000 };

static struct conf_node node_at(const char *text)
{
    struct conf_node node;
    memset(&node, 0, sizeof node);
    assert_null(conf_addr_parse(&node, text));
    return node;
}

/* With this every address can be bound to, and nothing is known to be missing. */
static bool all_bindable(void)
{
    FILE *f = fopen("/proc/sys/net/ipv4/ip_nonlocal_bind", "r");
    int on = 0;
    bool known = f != NULL && fscanf(f, "%d", &on) == 1;
    if (f != NULL)
        fclose(f);
    return known && on != 0;
}

static void look(struct own_address *a, struct udp *u, uint64_t *t, unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++, *t += SECOND)
        assert_false(own_address_look(a, u, *t));
}

static void on_datagram(void *ctx, uint8_t *bytes, size_t len, const struct sockaddr *from,
                        socklen_t from_len)
{
    (void)ctx, (void)bytes, (void)len, (void)from, (void)from_len;
}

/* Said at once, then every ten minutes. */
static void test_what_is_said(void **state)
{
    (void)state;
    const struct conf_node none = node_at("198.51.100.77:17176"), here = node_at("127.0.0.1:17176");
    struct own_address a;
    struct udp *u = udp_new(AF_INET);
    uint64_t t = 1000 * (uint64_t)SECOND;
    if (all_bindable())
        skip();
    heard_forget();
    assert_int_equal(own_address_bind(&a, &none, AF_INET, false, u), 0);
    for (unsigned i = 1; i <= 3; i++) {
        look(&a, u, &t, 600);
        heard_is(0, i, 0, "does not have the address of this node, 198.51.100.77:17176: waiting");
    }
    a.self = &here;
    look(&a, u, &t, 2);
    heard_is(0, 3, 1, "has the address of this node, 127.0.0.1:17176, now");
    /* It goes and comes back. */
    a.self = &none;
    look(&a, u, &t, 50);
    heard_is(0, 4, 1, "has lost the address of this node, 198.51.100.77:17176: waiting");
    a.self = &here;
    look(&a, u, &t, 1);
    heard_is(0, 4, 2, NULL);
    /* It was there from the start: nothing to say. */
    assert_int_equal(own_address_bind(&a, &here, AF_INET, false, u), 0);
    look(&a, u, &t, 10);
    heard_is(0, 4, 2, NULL);
    udp_close(u);
}

/* Who has no descriptor to look with, knows nothing new. */
static void test_without_descriptors(void **state)
{
    (void)state;
    const struct conf_node none = node_at("198.51.100.77:17183"), here = node_at("127.0.0.1:17183");
    struct own_address a;
    struct rlimit all, no_more;
    struct udp *u = udp_new(AF_INET);
    if (all_bindable())
        skip();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    no_more = all;
    no_more.rlim_cur = 0;
    for (unsigned missing = 0; missing < 2; missing++) {
        heard_forget();
        assert_int_equal(own_address_bind(&a, missing ? &none : &here, AF_INET, true, u), 0);
        (void)own_address_look(&a, u, SECOND);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &no_more), 0);
        bool anew = own_address_look(&a, u, 2 * SECOND);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
        assert_false(anew);
        assert_int_equal(a.missing, missing);
        heard_is(0, missing, 0, NULL);
    }
    udp_close(u);
}

/* The port is ours before the address is there, so two daemons never have it. */
static void test_bound_before_it_is_there(void **state)
{
    (void)state;
    const struct conf_node node = node_at("198.51.100.77:17177"); /* TEST-NET-2: nobody's */
    struct own_address a, b;
    struct udp *first = udp_new(AF_INET), *second = udp_new(AF_INET);
    assert_true(first != NULL && second != NULL);
    assert_int_equal(own_address_bind(&a, &node, AF_INET, false, first), 0);
    assert_int_equal(own_address_bind(&b, &node, AF_INET, false, second), -EADDRINUSE);
    assert_false(own_address_look(&a, first, SECOND)); /* says that it waits */
    assert_true(a.missing || all_bindable());
    /* What is sent is lost and counted, and ends nothing. */
    udp_queue(first, (const struct sockaddr *)&node.addr, node.addr_len, (const uint8_t *)"x", 1);
    udp_queue(second, (const struct sockaddr *)&node.addr, node.addr_len, (const uint8_t *)"x", 1);
    udp_flush(first);
    udp_flush(second);
    assert_int_equal(udp_counters(first)->lost, 1);
    assert_int_equal(udp_counters(second)->lost, 1);
    assert_int_equal(udp_counters(second)->lost_errno, EADDRNOTAVAIL); /* it is not bound at all */
    udp_close(first);
    assert_int_equal(own_address_bind(&b, &node, AF_INET, false, second), 0);
    udp_close(second);
}

static void test_an_interface_that_is_not_there(void **state)
{
    (void)state;
    const struct conf_node node = node_at("[fe80::1%nosuchdevice0]:17178");
    struct own_address a;
    struct udp *u = udp_new(AF_INET6);
    if (u == NULL) /* IPv6 is switched off */
        skip();
    assert_int_equal(own_address_bind(&a, &node, AF_INET6, false, u), 0);
    assert_false(own_address_look(&a, u, SECOND));
    assert_true(a.missing);
    udp_close(u);
}

/* Another socket under the same number: what comes to the new address is received. */
static void test_bound_anew(void **state)
{
    (void)state;
    const struct conf_node from = node_at("127.0.0.1:17179"), to = node_at("127.0.0.2:17180");
    struct own_address a, b;
    struct udp *u = udp_new(AF_INET), *peer = udp_new(AF_INET);
    assert_int_equal(own_address_bind(&a, &from, AF_INET, false, u), 0);
    int fd = udp_fd(u);
    assert_int_equal(own_address_bind(&a, &to, AF_INET, false, u), 0);
    assert_int_equal(udp_fd(u), fd);
    assert_int_equal(own_address_bind(&b, &from, AF_INET, false, peer), 0); /* given back */
    assert_false(own_address_look(&a, u, SECOND));
    assert_false(a.missing);
    udp_queue(peer, (const struct sockaddr *)&to.addr, to.addr_len, (const uint8_t *)"x", 1);
    udp_flush(peer);
    assert_int_equal(udp_counters(peer)->sent, 1);
    udp_close(u);
    udp_close(peer);
}

/* Where peers follow it, a node whose address is missing listens at all that the machine has. */
static void test_any_address_meanwhile(void **state)
{
    (void)state;
    const struct conf_node none = node_at("198.51.100.77:17181"), peer = node_at("127.0.0.1:17182");
    const struct conf_node there = node_at("127.0.0.2:17181"), name = node_at("box.example:17181");
    struct own_address a, b;
    struct udp *u = udp_new(AF_INET), *from = udp_new(AF_INET);
    if (all_bindable())
        skip();
    heard_forget();
    assert_int_equal(own_address_bind(&b, &peer, AF_INET, false, from), 0);
    for (unsigned i = 0; i < 2; i++) { /* a name is none of its own addresses */
        assert_int_equal(own_address_bind(&a, i == 0 ? &none : &name, AF_INET, i == 0, u), 0);
        assert_int_equal(own_address_look(&a, u, SECOND), i == 0);
        assert_false(own_address_look(&a, u, SECOND));
        assert_true(a.any);
        udp_queue(from, (const struct sockaddr *)&there.addr, there.addr_len, (const uint8_t *)"x",
                  1);
        udp_flush(from);
        assert_int_equal(udp_receive(u, on_datagram, NULL), 1);
        heard_is(0, 1, 0, "198.51.100.77:17181: listening at all that it has");
    }
    a.self = &there; /* it has come */
    a.roams = true;
    assert_true(own_address_look(&a, u, SECOND));
    assert_false(a.any || a.missing);
    udp_close(u);
    udp_close(from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_said),
        cmocka_unit_test(test_without_descriptors),
        cmocka_unit_test(test_bound_before_it_is_there),
        cmocka_unit_test(test_an_interface_that_is_not_there),
        cmocka_unit_test(test_bound_anew),
        cmocka_unit_test(test_any_address_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
