// LINK: raftd/own_address.c raftd/conf_addr.c raftd/base/num.c raftd/base/say.c net/udp.c
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
#include <unistd.h>

#include "raftd/conf_addr.h"
#include "raftd/own_address.h"

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

static void test_news(void **state)
{
    (void)state;
    struct own_address a = {0};
    uint64_t t = 1000 * (uint64_t)SECOND;
    /* Not there at first: said at once, then once a minute. */
    for (int i = 0; i < 181; i++)
        assert_int_equal(own_address_news(&a, false, t + (uint64_t)i * SECOND),
                         i % 60 == 0 ? OWN_ADDRESS_MISSING : OWN_ADDRESS_NOTHING);
    t += 200 * (uint64_t)SECOND;
    assert_int_equal(own_address_news(&a, true, t), OWN_ADDRESS_CAME);
    assert_int_equal(own_address_news(&a, true, t + SECOND), OWN_ADDRESS_NOTHING);
    /* It goes, and is back before a minute is over. */
    assert_int_equal(own_address_news(&a, false, t + 2 * SECOND), OWN_ADDRESS_GONE);
    assert_int_equal(own_address_news(&a, false, t + 61 * SECOND), OWN_ADDRESS_NOTHING);
    assert_int_equal(own_address_news(&a, false, t + 62 * SECOND), OWN_ADDRESS_MISSING);
    assert_int_equal(own_address_news(&a, true, t + 63 * SECOND), OWN_ADDRESS_CAME);
    /* There from the start: nothing to say. */
    a = (struct own_address){0};
    assert_int_equal(own_address_news(&a, true, t), OWN_ADDRESS_NOTHING);
}

/* The port is ours before the address is there, so two daemons never have it. */
static void test_bound_before_it_is_there(void **state)
{
    (void)state;
    const struct conf_node node = node_at("198.51.100.77:17177"); /* TEST-NET-2: nobody's */
    struct own_address a, b;
    struct udp *first = udp_new(AF_INET), *second = udp_new(AF_INET);
    assert_true(first != NULL && second != NULL);
    assert_int_equal(own_address_bind(&a, &node, first), 0);
    assert_int_equal(own_address_bind(&b, &node, second), -EADDRINUSE);
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
    assert_int_equal(own_address_bind(&b, &node, second), 0);
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
    assert_int_equal(own_address_bind(&a, &node, u), 0);
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
    assert_int_equal(own_address_bind(&a, &from, u), 0);
    int fd = udp_fd(u);
    assert_int_equal(own_address_bind(&a, &to, u), 0);
    assert_int_equal(udp_fd(u), fd);
    assert_int_equal(own_address_bind(&b, &from, peer), 0); /* given back */
    assert_false(own_address_look(&a, u, SECOND));
    assert_false(a.missing);
    udp_queue(peer, (const struct sockaddr *)&to.addr, to.addr_len, (const uint8_t *)"x", 1);
    udp_flush(peer);
    assert_int_equal(udp_counters(peer)->sent, 1);
    udp_close(u);
    udp_close(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_news),
        cmocka_unit_test(test_bound_before_it_is_there),
        cmocka_unit_test(test_an_interface_that_is_not_there),
        cmocka_unit_test(test_bound_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
