// LINK: raftd/conf.c raftd/conf_addr.c raftd/base/num.c
/* The configuration: every key, every limit, every message, and print -> parse -> the same. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>

#include <cmocka.h>

#include "raftd/conf.h"
#include "raftd/conf_addr.h"
#include "raftd/base/say.h"

#define NODES   "node.1 = 127.0.0.1:7101\nnode.2 = 127.0.0.1:7102\nnode.3 = 127.0.0.1:7103\n"
#define CLUSTER "[cluster]\nname = demo\n" NODES

static char err[CONF_ERR_SIZE];

static void parse_ok(struct conf *conf, const char *text)
{
    err[0] = '\0';
    int result = conf_parse(conf, text, "f", err, sizeof(err));
    assert_string_equal(err, "");
    assert_int_equal(result, 0);
}

static void test_sample_of_the_manual(void **state)
{
    (void)state;
    struct conf conf;
    parse_ok(&conf, CLUSTER "election_timeout_ms = 150\n[node]\ndata_dir = /var/lib/raftd\n"
                            "socket = /run/raftd/raftd.sock\n");
    assert_string_equal(conf.name, "demo");
    assert_int_equal(conf.n_nodes, 3);
    assert_int_equal(conf.nodes[1].id, 2);
    assert_string_equal(conf.nodes[1].addr_text, "127.0.0.1:7102");
    struct sockaddr_in sin;
    memcpy(&sin, &conf.nodes[1].addr, sizeof(sin));
    assert_int_equal(conf.nodes[1].addr_len, sizeof(sin));
    assert_int_equal(sin.sin_family, AF_INET);
    assert_int_equal(ntohs(sin.sin_port), 7102);
    assert_int_equal(ntohl(sin.sin_addr.s_addr), 0x7f000001);
    assert_null(conf_self(&conf));
    assert_null(conf_warning(&conf, 0));
}

static void test_defaults(void **state)
{
    (void)state;
    struct conf conf;
    parse_ok(&conf, "[cluster]\nname=x\nnode.7=127.0.0.1:1\n");
    assert_int_equal(conf.election_timeout_ms, 150);
    assert_int_equal(conf.lease_ms, 10000);
    assert_int_equal(conf.max_value_bytes, 65536);
    assert_int_equal(conf.max_data_bytes, 64 << 20);
    assert_int_equal(conf.disk_min_free, 8 << 20);
    assert_int_equal(conf.log_max_bytes, 64 << 20);
    assert_int_equal(conf.max_datagram_bytes, 1200);
    assert_int_equal(conf.id, 0);
    assert_string_equal(conf.key_file, "");
    assert_string_equal(conf.next_key_file, "");
    assert_string_equal(conf.data_dir, "/var/lib/raftd");
    assert_string_equal(conf.socket, "/run/raftd/raftd.sock");
    assert_int_equal(conf.socket_mode, 0660);
    assert_int_equal(conf.readers, 1);
    assert_int_equal(conf.log_level, SAY_INFO);
}

static void test_shipped_file(void **state)
{
    (void)state;
    struct conf shipped, defaults;
    err[0] = '\0';
    int result = conf_load(&shipped, "raftd.conf", err, sizeof(err));
    assert_string_equal(err, "");
    assert_int_equal(result, 0);
    parse_ok(&defaults, CLUSTER);
    assert_memory_equal(&shipped, &defaults, sizeof(shipped)); /* it shows the defaults */
}

/* The commented-out lines of the shipped file must be the defaults, too. */
static void test_shipped_file_uncommented(void **state)
{
    (void)state;
    FILE *in = fopen("raftd.conf", "r");
    assert_non_null(in);
    char line[256], text[8192] = "";
    while (fgets(line, sizeof(line), in) != NULL) {
        const char *from = line[0] == ';' && line[1] != ' ' ? line + 1 : line;
        strncat(text, from, sizeof(text) - strlen(text) - 1);
    }
    fclose(in);
    struct conf conf, defaults;
    parse_ok(&conf, text);
    assert_int_equal(conf.id, 1);
    conf.id = 0;
    parse_ok(&defaults, CLUSTER);
    assert_memory_equal(&conf, &defaults, sizeof(conf));
}

static void test_layout_freedom(void **state)
{
    (void)state;
    struct conf plain, odd;
    parse_ok(&plain, CLUSTER "election_timeout_ms = 200\n[node]\nid = 2\n");
    parse_ok(&odd, "\xef\xbb\xbf; comment\r\n# comment\r\n\r\n  [node] ; comment\r\n\tid=2\r\n"
                   "[cluster]\n  election_timeout_ms   =200 ; ms\n    name = demo\n"
                   "node.3 = 127.0.0.1:7103\nnode.1 = 127.0.0.1:7101\nnode.2 = 127.0.0.1:7102");
    assert_memory_equal(&plain, &odd, sizeof(plain));
}

/* What a text means does not depend on the interfaces of this machine. */
static void test_ipv6(void **state)
{
    (void)state;
    struct conf conf;
    parse_ok(&conf, "[cluster]\nname=x\nnode.1=[2001:db8::1]:7100\nnode.2=[2001:db8::2]:65535\n"
                    "[node]\nkey_file=/k\n");
    struct sockaddr_in6 sin6;
    memcpy(&sin6, &conf.nodes[1].addr, sizeof(sin6));
    assert_int_equal(conf.nodes[1].addr_len, sizeof(sin6));
    assert_int_equal(ntohs(sin6.sin6_port), 65535);
    assert_int_equal(sin6.sin6_scope_id, 0);
    assert_string_equal(conf.nodes[1].interface, "");
    assert_int_equal(conf_set_node(&conf, 1, err, sizeof(err)), 0);
    parse_ok(&conf, "[cluster]\nname=x\nnode.1=[fe80::1%nosuchdevice0]:1\n"
                    "node.2=[fe80::2%nosuchdevice0]:1\n[node]\nkey_file=/k\n");
    assert_string_equal(conf.nodes[1].interface, "nosuchdevice0");
    struct sockaddr_storage addr;
    assert_int_equal(conf_addr_resolve(&conf.nodes[1], &addr), -ENODEV);
    assert_false(conf_addr_bindable(&conf.nodes[1]));
    assert_false(conf_addr_on_interface(&conf.nodes[1]));
    assert_int_equal(conf_set_node(&conf, 0, err, sizeof(err)), -1);
    parse_ok(&conf, "[cluster]\nname=x\nnode.1=[fe80::1%lo]:1\n[node]\nkey_file=/k\n");
    assert_int_equal(conf_addr_resolve(&conf.nodes[0], &addr), 0);
    memcpy(&sin6, &addr, sizeof(sin6));
    assert_int_equal(sin6.sin6_scope_id, if_nametoindex("lo"));
}

/* Who binds one address reaches only what can be reached from there. */
static void test_nodes_that_never_hear_each_other(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second, *message;
    } cases[] = {
        {"127.0.0.1:1", "192.0.2.2:1",
         "node.7: 192.0.2.2:1 is an address of a network, and node.1 = 127.0.0.1:1 is a loopback "
         "address, of this machine alone: they would never hear each other; allowed: one kind for "
         "all nodes"},
        {"192.0.2.2:1", "127.9.9.9:1",
         "node.7: 127.9.9.9:1 is a loopback address, of this machine alone, and node.1 = "
         "192.0.2.2:1 is an address of a network: they would never hear each other; allowed: one "
         "kind for all nodes"},
        {"[::1]:1", "[fe80::1%eth0]:1",
         "node.7: [fe80::1%eth0]:1 is an address of one link alone, and node.1 = [::1]:1 is a "
         "loopback address, of this machine alone: they would never hear each other; allowed: one "
         "kind for all nodes"},
        {"[2001:db8::1]:1", "[fe80::1%eth0]:1",
         "node.7: [fe80::1%eth0]:1 is an address of one link alone, and node.1 = [2001:db8::1]:1 "
         "is an address of a network: they would never hear each other; allowed: one kind for all "
         "nodes"},
        {"[fe80::1%eth0]:1", "[fe80::2%eth1]:1",
         "node.7: [fe80::2%eth1]:1 is on another link than node.1 = [fe80::1%eth0]:1: they would "
         "never hear each other; allowed: addresses of one interface"},
        {"[fe80::1%eth0]:1", "[fe80::2%eth0]:1", NULL},
        {"169.254.0.1:1", "192.0.2.2:1", NULL}, /* whatever routes there are */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct conf conf;
        char text[300], want[400] = "";
        snprintf(text, sizeof(text),
                 "[cluster]\nname=x\nnode.1=%s\nnode.7=%s\n[node]\nkey_file=/k\n", cases[i].first,
                 cases[i].second);
        if (cases[i].message != NULL)
            snprintf(want, sizeof(want), "f: [cluster] %s", cases[i].message);
        err[0] = '\0';
        int result = conf_parse(&conf, text, "f", err, sizeof(err));
        assert_string_equal(err, want);
        assert_int_equal(result, want[0] == '\0' ? 0 : -1);
    }
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

/* Of this machine we know only that it has a loopback and nothing of TEST-NET-2. */
static void test_what_is_here(void **state)
{
    (void)state;
    struct conf conf;
    uint16_t ids[CONF_NODES_MAX];
    char name[CONF_INTERFACE_SIZE];
    parse_ok(&conf, "[cluster]\nname=x\nnode.3=127.0.0.1:1\nnode.5=127.200.1.2:1\n");
    assert_int_equal(conf_here(&conf, ids), 2);
    assert_int_equal(ids[0], 3);
    assert_int_equal(ids[1], 5);
    assert_true(conf_addr_on_interface(&conf.nodes[1]) && conf_addr_bindable(&conf.nodes[1]));
    assert_false(conf_addr_is_broadcast(&conf.nodes[0], name));
    assert_int_equal(conf_check_here(&conf, "f", err, sizeof(err)), 0);
    if (all_bindable())
        return;
    parse_ok(&conf, "[cluster]\nname=x\nnode.3=198.51.100.77:1\nnode.5=198.51.100.255:1\n"
                    "[node]\nkey_file=/k\n");
    assert_int_equal(conf_here(&conf, ids), 0);
    assert_false(conf_addr_on_interface(&conf.nodes[0]) || conf_addr_bindable(&conf.nodes[0]));
}

/* Each row: a text, and the whole message. */
struct bad {
    const char *text;
    const char *message;
};

#define ADDRESS                                                                                    \
    " is not the address of one box; allowed: 192.0.2.1:PORT, [2001:db8::1]:PORT or NAME:PORT"
#define BAD_NODE(value)                                                                            \
    {                                                                                              \
        "[cluster]\nnode.1 = " value "\n", "f:2: [cluster] node.1: '" value "'" ADDRESS            \
    }
#define BAD_CLUSTER(key, value, allowed)                                                           \
    {                                                                                              \
        CLUSTER key " = " value "\n", "f:6: [cluster] " key ": '" value "' is wrong; " allowed     \
    }
#define BAD(key, value, allowed)                                                                   \
    {                                                                                              \
        CLUSTER "[node]\n" key " = " value "\n",                                                   \
            "f:7: [node] " key ": '" value "' is wrong; " allowed                                  \
    }
#define NAME_ALLOWED   "allowed: 1 to 64 printable ASCII characters, no blanks, quotes, '#', ';'"
#define LISTEN_ALLOWED "allowed: an address of this machine alone: 127.0.0.1:PORT or [::1]:PORT"
#define DIR_ALLOWED                                                                                \
    "allowed: an absolute path of 1 to 159 bytes, no quotes, '#', ';', and no braces but {id}"
#define SECTIONS_ALLOWED "unknown section; allowed: [cluster] or [node], alone in its line"
#define TEN              "1234567890"
#define HUNDRED          TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static const struct bad bad_texts[] = {
    /* the file */
    {"", "f: [cluster] name: missing"},
    {"[cluster]\n" NODES, "f: [cluster] name: missing"},
    {"[cluster]\nname = x\n", "f: [cluster] node.N: missing; allowed: 1 to 9 nodes"},
    {CLUSTER "[node]\nid = 4\n", "f: [node] id: 4 is not one of the nodes; allowed: 1, 2, 3"},
    {"name = x\n", "f:1: name: before any section; allowed: [cluster] or [node] first"},
    {"\n\nhello\n[cluster]\nname = \n",
     "f:3: not understood; allowed: [section], key = value, ; comment"},
    {"[cluster]\nname = \nhello\n", "f:2: [cluster] name: '' is wrong; " NAME_ALLOWED},
    {"[cluster]\nname: x\n", "f:2: not understood; allowed: [section], key = value, ; comment"},
    {"[cluster]\nname ;= x\n", "f:2: not understood; allowed: [section], key = value, ; comment"},
    {"hello", "f:1: not understood; allowed: [section], key = value, ; comment"},
    {"[cluster]\nname = " HUNDRED HUNDRED HUNDRED "\n", "f:2: line of 307 bytes; allowed: 255"},
    /* sections */
    {"[cluster\n", "f:1: [cluster: " SECTIONS_ALLOWED},
    {"\n[clusters]\n", "f:2: [clusters]: " SECTIONS_ALLOWED},
    {"[clusterr\n", "f:1: [clusterr: " SECTIONS_ALLOWED},
    {"[]\n", "f:1: []: " SECTIONS_ALLOWED},
    {"[\n", "f:1: [: " SECTIONS_ALLOWED},
    {"[cluster] name = x\n", "f:1: [cluster] name = x: " SECTIONS_ALLOWED},
    /* keys */
    {"[cluster]\nnodes.1 = 1\n", "f:2: [cluster] nodes.1: unknown key; allowed: node.N, name, "
                                 "election_timeout_ms, lease_ms, max_value_bytes, max_data_bytes, "
                                 "max_datagram_bytes, auto_replace_s"},
    {"[node]\nname = x\n",
     "f:2: [node] name: unknown key; allowed: id, data_dir, socket, "
     "socket_mode, listen, password_file, status_file, key_file, next_key_file, readers, "
     "log_max_bytes, disk_min_free, log_level"},
    {"[node]\nnode.1 = 127.0.0.1:1\n",
     "f:2: [node] node.1: unknown key; allowed: id, data_dir, socket, socket_mode, listen, "
     "password_file, status_file, key_file, next_key_file, readers, log_max_bytes, disk_min_free, "
     "log_level"},
    {"[cluster]\nname = x\nname = x\n", "f:3: [cluster] name: given twice; allowed: once"},
    {"[node]\nid = 1\n[cluster]\n[node]\nid = 1\n", "f:5: [node] id: given twice; allowed: once"},
    /* nodes */
    {"[cluster]\nnode.0 = 127.0.0.1:1\n",
     "f:2: [cluster] node.0: no such node; allowed: node.1 to node.999"},
    {"[cluster]\nnode.1000 = 127.0.0.1:1\n",
     "f:2: [cluster] node.1000: no such node; allowed: node.1 to node.999"},
    {"[cluster]\nnode.01 = 127.0.0.1:1\n",
     "f:2: [cluster] node.01: no such node; allowed: node.1 to node.999"},
    {"[cluster]\nnode. = 127.0.0.1:1\n",
     "f:2: [cluster] node.: no such node; allowed: node.1 to node.999"},
    {"[cluster]\nnode.4294967297 = 127.0.0.1:1\n",
     "f:2: [cluster] node.4294967297: no such node; allowed: node.1 to node.999"},
    {CLUSTER "node.2 = 127.0.0.1:9\n", "f:6: [cluster] node.2: given twice; allowed: once"},
    {CLUSTER "node.4 = 127.0.0.1:7102\n",
     "f:6: [cluster] node.4: 127.0.0.1:7102 is node.2 already; allowed: one node per address"},
    {CLUSTER "node.4 = [::1]:7102\n", "f:6: [cluster] node.4: [::1]:7102, but node.1 is "
                                      "127.0.0.1:7101; allowed: all IPv4 or all IPv6"},
    {"[cluster]\nnode.1=[::1]:1\nnode.2=[0::1]:1\n",
     "f:3: [cluster] node.2: [0::1]:1 is node.1 already; allowed: one node per address"},
    {CLUSTER "node.4=127.0.0.1:4\nnode.5=127.0.0.1:5\nnode.6=127.0.0.1:6\nnode.7=127.0.0.1:7\n"
             "node.8=127.0.0.1:8\nnode.9=127.0.0.1:9\nnode.10=127.0.0.1:10\n",
     "f:12: [cluster] node.10: too many nodes; allowed: 9"},
    BAD_NODE("127.0.0.1"),
    BAD_NODE("127.0.0.1:"),
    BAD_NODE("127.0.0.1:0"),
    BAD_NODE("127.0.0.1:65536"),
    BAD_NODE("127.0.0.1:+1"),
    BAD_NODE("127.0.0.1:1 # main"),
    BAD_NODE("127.1:1"),
    BAD_NODE("127.0.0.256:1"),
    BAD_NODE("0.0.0.0:1"),
    BAD_NODE("224.0.0.1:1"),
    BAD_NODE("255.255.255.255:1"),
    BAD_NODE("local host:1"),
    BAD_NODE("localhost/:1"),
    BAD_NODE("localhost"),
    BAD_NODE("1.2.3:1"),
    BAD_NODE("127.0.0.1:1,"),
    BAD_NODE(", 127.0.0.1:1"),
    BAD_NODE("127.0.0.1:1, 127.0.0.1:2, 127.0.0.1:3"),
    BAD_NODE("a.name.that.is.longer.than.what.an.entry.of.the.log.holds.for.it:1"),
    {"[cluster]\nnode.1 = 127.0.0.1:1, 127.0.0.1:1\n",
     "f:2: [cluster] node.1: '127.0.0.1:1, 127.0.0.1:1' is no pair of addresses; allowed: two of "
     "one family"},
    {"[cluster]\nnode.1 = 127.0.0.1:1, [::1]:1\n",
     "f:2: [cluster] node.1: '127.0.0.1:1, [::1]:1' is no pair of addresses; allowed: two of one "
     "family"},
    {CLUSTER "node.4 = 127.0.0.1:9, 127.0.0.1:7102\n",
     "f:6: [cluster] node.4: 127.0.0.1:9, 127.0.0.1:7102 is node.2 already; allowed: one node per "
     "address"},
    BAD_NODE(":1"),
    BAD_NODE(":"),
    BAD_NODE("[:1"),
    BAD_NODE("[]:1"),
    BAD_NODE("[::1]"),
    BAD_NODE("[::]:1"),
    BAD_NODE("[ff02::1]:1"),
    BAD_NODE("[::ffff:127.0.0.1]:1"),
    BAD_NODE("[127.0.0.1]:1"),
    BAD_NODE("0.1.2.3:1"),
    BAD_NODE("[fe80::1%]:1"),
    BAD_NODE("[fe80::1%a/b]:1"),
    BAD_NODE("[fe80::1%a%b]:1"),
    BAD_NODE("[fe80::1%a\tb]:1"),
    BAD_NODE("[fe80::1%a\x01]:1"),
    BAD_NODE("[fe80::1%\x7f]:1"),
    BAD_NODE("[fe80::1%a\xff]:1"),
    BAD_NODE("[fe80::1%sixteen bytes 16]:1"),
    BAD_NODE("[fe80::1%sixteen_bytes_16]:1"),
    {"[cluster]\nnode.1 = [fe80::1]:1\n",
     "f:2: [cluster] node.1: '[fe80::1]:1' is an address of a link and does not say of which; "
     "allowed: [fe80::1%INTERFACE]:PORT"},
    {"[cluster]\nnode.1 = [::1%lo]:1\n",
     "f:2: [cluster] node.1: '[::1%lo]:1' names an interface; allowed: only with an address of a "
     "link, fe80::"},
    BAD_NODE("::1:1"),
    BAD_NODE("[" HUNDRED "]:1"),
    BAD_NODE(""),
    /* values */
    BAD_CLUSTER("election_timeout_ms", "49", "allowed: a number from 50 to 60000"),
    BAD_CLUSTER("election_timeout_ms", "60001", "allowed: a number from 50 to 60000"),
    BAD_CLUSTER("election_timeout_ms", "150ms", "allowed: a number from 50 to 60000"),
    BAD_CLUSTER("election_timeout_ms", "0150", "allowed: a number from 50 to 60000"),
    BAD_CLUSTER("election_timeout_ms", "-150", "allowed: a number from 50 to 60000"),
    BAD_CLUSTER("election_timeout_ms", "4294967446", "allowed: a number from 50 to 60000"),
    BAD_CLUSTER("election_timeout_ms", "99999999999999999999999",
                "allowed: a number from 50 to "
                "60000"),
    BAD_CLUSTER("election_timeout_ms", "", "allowed: a number from 50 to 60000"),
    BAD_CLUSTER("lease_ms", "999", "allowed: a number from 1000 to 3600000"),
    BAD_CLUSTER("lease_ms", "3600001", "allowed: a number from 1000 to 3600000"),
    BAD_CLUSTER("max_value_bytes", "1023", "allowed: a number from 1024 to 1048576"),
    BAD_CLUSTER("max_value_bytes", "1048577", "allowed: a number from 1024 to 1048576"),
    BAD_CLUSTER("max_data_bytes", "1048575", "allowed: a number from 1048576 to 1048576000"),
    BAD_CLUSTER("max_data_bytes", "1048576001", "allowed: a number from 1048576 to 1048576000"),
    BAD_CLUSTER("max_datagram_bytes", "511", "allowed: a number from 512 to 1452"),
    BAD_CLUSTER("max_datagram_bytes", "1453", "allowed: a number from 512 to 1452"),
    BAD("id", "0", "allowed: a number from 1 to 999"),
    BAD("id", "1000", "allowed: a number from 1 to 999"),
    BAD("readers", "9", "allowed: a number from 0 to 8"),
    BAD("socket_mode", "0577", "allowed: octal from 0600 to 0777"),
    BAD("socket_mode", "1000", "allowed: octal from 0600 to 0777"),
    BAD("socket_mode", "680", "allowed: octal from 0600 to 0777"),
    BAD("log_level", "Info", "allowed: debug, info, warn, error"),
    BAD("data_dir", "", DIR_ALLOWED),
    BAD("data_dir", "var/lib/raftd", DIR_ALLOWED),
    BAD("data_dir", "./raftd", DIR_ALLOWED),
    BAD("data_dir", "{id}", DIR_ALLOWED),
    BAD("key_file", "k", DIR_ALLOWED),
    BAD("data_dir", "\"/x\"", DIR_ALLOWED),
    BAD("data_dir", HUNDRED TEN TEN TEN TEN TEN TEN, DIR_ALLOWED),
    BAD("data_dir", "/x # comment", DIR_ALLOWED),
    BAD("data_dir", "/x;y", DIR_ALLOWED),
    BAD("data_dir", "/x/{ID}", DIR_ALLOWED),
    BAD("data_dir", "/x/{id", DIR_ALLOWED),
    BAD("data_dir", "/x/}", DIR_ALLOWED),
    BAD("data_dir", "/x/\033[31m", DIR_ALLOWED),
    BAD("key_file", "", DIR_ALLOWED),
    BAD("next_key_file", "/x;y",
        "allowed: an absolute path of 1 to 164 bytes, no quotes, '#', ';', and no braces but {id}"),
    BAD("listen", "0.0.0.0:6379", LISTEN_ALLOWED),
    BAD("listen", "192.0.2.1:6379", LISTEN_ALLOWED),
    BAD("listen", "[::]:6379", LISTEN_ALLOWED),
    BAD("listen", "[fe80::1%lo]:6379", LISTEN_ALLOWED),
    BAD("listen", "localhost:6379", LISTEN_ALLOWED), /* a name may come to mean anything */
    BAD("listen", "127.0.0.1", LISTEN_ALLOWED),
    BAD("listen", "127.0.0.1:0", LISTEN_ALLOWED),
    BAD("listen", "6379", LISTEN_ALLOWED),
    BAD("listen", "127.0.0.1:1,127.0.0.1:2", LISTEN_ALLOWED),
    {CLUSTER "[node]\nlisten = 127.0.0.1:6379\n",
     "f: [node] password_file: missing, and with listen every user of this machine may connect. "
     "Make "
     "a password with (umask 077; raftctl keygen >FILE), and set password_file = FILE"},
    {CLUSTER "[node]\npassword_file = /p\n",
     "f: [node] password_file: given without listen; allowed: both or none"},
    {CLUSTER "[node]\nsocket = /a\nstatus_file = /a\n",
     "f: [node] status_file: /a is socket already; allowed: a file of its own"},
    {CLUSTER "[node]\nkey_file = /a\nstatus_file = /a\n",
     "f: [node] status_file: /a is key_file already; allowed: a file of its own"},
    {CLUSTER "[node]\nnext_key_file = /k\n", "f: [node] next_key_file: given without key_file; "
                                             "allowed: both, or key_file alone"},
    BAD("socket", "/" HUNDRED "123456/",
        "allowed: an absolute path of 1 to 107 bytes, no quotes, '#', ';', and no braces but {id}"),
    {"[cluster]\nname = two words\n", "f:2: [cluster] name: 'two words' is wrong; " NAME_ALLOWED},
    {"[cluster]\nname = f\xc3\xbcnf\n",
     "f:2: [cluster] name: 'f\xc3\xbcnf' is wrong; " NAME_ALLOWED},
    {"[cluster]\nname = 12345" TEN TEN TEN TEN TEN TEN "\n",
     "f:2: [cluster] name: '12345" TEN TEN TEN TEN TEN TEN "' is wrong; " NAME_ALLOWED},
};

/* A name says nothing of where it is; without a key it could be anywhere. */
static void test_names_and_pairs(void **state)
{
    (void)state;
    struct conf conf;
    parse_ok(&conf, "[cluster]\nname = n\nnode.1 = box-1.example:7101\n"
                    "node.2 = [2001:db8::2]:7102 ,[2001:db8::22]:7102\n"
                    "[node]\ndata_dir = /d\nkey_file = /k\n");
    assert_string_equal(conf.nodes[0].addr_text, "box-1.example:7101");
    assert_true(conf.nodes[0].addr_len == 0 && conf.nodes[0].second_text[0] == '\0');
    assert_string_equal(conf.nodes[1].addr_text, "[2001:db8::2]:7102");
    assert_string_equal(conf.nodes[1].second_text, "[2001:db8::22]:7102");
    assert_int_equal(conf_family(&conf), AF_INET6);
    assert_int_equal(conf_parse(&conf,
                                "[cluster]\nname = n\nnode.1 = 127.0.0.1:1, 192.0.2.1:1\n"
                                "[node]\ndata_dir = /d\n",
                                "f", err, sizeof err),
                     -1);
    assert_non_null(strstr(err, "key_file: missing"));
    assert_int_equal(conf_parse(&conf,
                                "[cluster]\nname = n\nnode.1 = box:1\n[node]\ndata_dir = /d\n", "f",
                                err, sizeof err),
                     -1);
    assert_non_null(strstr(err, "key_file: missing"));
}

static void test_bad_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_texts) / sizeof(bad_texts[0]); i++) {
        struct conf conf;
        err[0] = '\0';
        int result = conf_parse(&conf, bad_texts[i].text, "f", err, sizeof(err));
        assert_string_equal(err, bad_texts[i].message);
        assert_int_equal(result, -1);
    }
}

static void test_limits_are_inclusive(void **state)
{
    (void)state;
    static const char *const texts[] = {
        CLUSTER "election_timeout_ms = 50\nmax_value_bytes = 1024\n",
        CLUSTER "election_timeout_ms = 60000\nmax_value_bytes = 1048576\n",
        CLUSTER "lease_ms = 1000\n",
        CLUSTER "lease_ms = 3600000\n",
        CLUSTER "max_datagram_bytes = 512\n",
        CLUSTER "max_datagram_bytes = 1452\n[node]\nkey_file = /k\n",
        CLUSTER "[node]\nlisten = 127.0.0.1:1\npassword_file = /p{id}\n",
        CLUSTER "[node]\nlisten = [::1]:65535\npassword_file = /p\n",
        CLUSTER "[node]\nreaders = 0\nsocket_mode = 600\nlog_level = debug\n",
        CLUSTER "[node]\nstatus_file = /run/raftd/{id}/status\n",
        CLUSTER "[node]\nreaders = 8\nsocket_mode = 0777\nlog_level = error\n",
        CLUSTER "[node]\nsocket = /" HUNDRED "12345/\n",
        "[cluster]\nname = 1234" TEN TEN TEN TEN TEN TEN "\nnode.999 = 223.255.255.255:65535\n"
        "[node]\nkey_file = /k\n",
        "[cluster]\nname = x\nnode.1 = 1.0.0.0:1\n[node]\nkey_file = /k\ndata_dir = /a b=c:[d]\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct conf conf;
        parse_ok(&conf, texts[i]);
    }
}

/* Whatever the size of the buffer, the message is cut and ends with a zero. */
static void test_small_error_buffer(void **state)
{
    (void)state;
    for (size_t size = 1; size < 40; size++) {
        char small[40];
        memset(small, 'x', sizeof(small));
        struct conf conf;
        assert_int_equal(conf_parse(&conf, "hello", "f", small, size), -1);
        assert_int_equal(strlen(small), size - 1);
    }
}

static void round_trip(const struct conf *conf)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    assert_int_equal(conf_print(conf, out), 0);
    assert_int_equal(fclose(out), 0);
    struct conf again;
    parse_ok(&again, text);
    again.self = conf->self;
    assert_memory_equal(conf, &again, sizeof(again));
    free(text);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct conf conf;
    parse_ok(&conf, CLUSTER);
    round_trip(&conf);
    /* longest texts; printing adds blanks, and the line must still be short enough */
    parse_ok(&conf, "[cluster]\nname=1234" TEN TEN TEN TEN TEN TEN "\nnode.1=127.2.3.4:1\n[node]\n"
                    "data_dir=/" HUNDRED TEN TEN TEN TEN TEN "23456789\nsocket=/" HUNDRED "234567\n"
                    "key_file=/" HUNDRED TEN TEN TEN TEN TEN "23456789\n"
                    "next_key_file=/" HUNDRED TEN TEN TEN TEN TEN TEN "234\n");
    round_trip(&conf);
    parse_ok(&conf, "[cluster]\nname=x\nnode.1=127.2.3.4:1\n[node]\n"
                    "key_file=/" HUNDRED TEN TEN TEN TEN TEN "23456789\n");
    assert_string_equal(conf.next_key_file, "/" HUNDRED TEN TEN TEN TEN TEN "23456789.next");
    round_trip(&conf);
    /* every key away from its default */
    parse_ok(&conf, "[cluster]\nname = a!=~[x]:1\nnode.9 = [2001:db8::1]:1\nnode.4 = "
                    "[2001:db8::2]:65535, box:1\n"
                    "election_timeout_ms = 2000\nlease_ms = 20000\nmax_value_bytes = "
                    "4096\nmax_data_bytes = 2000000\n"
                    "max_datagram_bytes = 1400\n[node]\nid = 9\n"
                    "key_file = /k/{id}\nnext_key_file = /n/{id}/{id}\n"
                    "data_dir = /some dir/{id}/{id}x\nsocket = /s{id}=1: [y]\nsocket_mode = 0600\n"
                    "readers = 0\nlog_level = warn\n");
    assert_string_equal(conf.data_dir, "/some dir/{id}/{id}x");
    round_trip(&conf);
    assert_int_equal(conf_set_node(&conf, 0, err, sizeof(err)), 0);
    assert_string_equal(conf.data_dir, "/some dir/9/9x");
    assert_string_equal(conf.socket, "/s9=1: [y]");
    assert_string_equal(conf.key_file, "/k/9");
    assert_string_equal(conf.next_key_file, "/n/9/9");
    round_trip(&conf);
}

/* Without a name of its own the second key stands beside the first, if there is a first. */
static void test_next_key_file(void **state)
{
    (void)state;
    struct conf conf;
    parse_ok(&conf, CLUSTER "[node]\nkey_file = /k/{id}\n");
    assert_string_equal(conf.next_key_file, "/k/{id}.next");
    round_trip(&conf);
    assert_int_equal(conf_set_node(&conf, 2, err, sizeof(err)), 0);
    assert_string_equal(conf.key_file, "/k/2");
    assert_string_equal(conf.next_key_file, "/k/2.next");
    round_trip(&conf);
    parse_ok(&conf, CLUSTER "[node]\nnext_key_file = /n\nkey_file = /k\n");
    assert_string_equal(conf.next_key_file, "/n");
}

static void test_print_reports_a_full_disk(void **state)
{
    (void)state;
    struct conf conf;
    parse_ok(&conf, CLUSTER);
    FILE *full = fopen("/dev/full", "w");
    assert_non_null(full);
    assert_int_equal(conf_print(&conf, full), -1);
    fclose(full);
}

static void test_set_node(void **state)
{
    (void)state;
    struct conf conf;
    parse_ok(&conf, CLUSTER "[node]\nid = 3\ndata_dir = /d/{id}\nsocket = /s{id}\n");
    struct conf given = conf;
    assert_int_equal(conf_set_node(&given, 0, err, sizeof(err)), 0);
    assert_int_equal(conf_self(&given)->id, 3);
    assert_string_equal(given.data_dir, "/d/3");
    given = conf;
    assert_int_equal(conf_set_node(&given, 2, err, sizeof(err)), 0); /* -i beats the file */
    assert_int_equal(conf_self(&given)->id, 2);
    assert_int_equal(given.id, 2);
    assert_string_equal(given.socket, "/s2");
    assert_int_equal(conf_set_node(&conf, 4, err, sizeof(err)), -1);
    assert_string_equal(err, "-i: [node] id: 4 is not one of the nodes; allowed: 1, 2, 3");
    assert_null(conf_self(&conf));
    assert_null(conf_find(&conf, 4));
    assert_int_equal(conf_find(&conf, 2)->id, 2);
}

static void test_set_node_by_address(void **state)
{
    (void)state;
    struct conf conf;
    parse_ok(&conf, "[cluster]\nname=x\nnode.2=127.0.0.2:1\n");
    assert_int_equal(conf_set_node(&conf, 0, err, sizeof(err)), 0);
    assert_int_equal(conf_self(&conf)->id, 2);
    /* 192.0.2.0/24 is TEST-NET-1: nobody's */
    parse_ok(&conf, "[cluster]\nname=x\nnode.1=192.0.2.1:1\n[node]\nkey_file=/k\n");
    assert_int_equal(conf_set_node(&conf, 0, err, sizeof(err)), -1);
    assert_string_equal(err, "configuration: [node] id: no node has an address of this machine "
                             "now; say which with -i ID or with id = ID");
    parse_ok(&conf, CLUSTER);
    assert_int_equal(conf_set_node(&conf, 0, err, sizeof(err)), -1);
    assert_string_equal(err, "configuration: [node] id: nodes 1 and 2 both have an address of this "
                             "machine; say which with -i ID or with id = ID");
    assert_null(conf_self(&conf));
}

static void test_set_from_the_command_line(void **state)
{
    (void)state;
    struct conf conf;
    parse_ok(&conf, CLUSTER);
    assert_int_equal(conf_set(&conf, "node", "data_dir", "/d{id}", "-d", err, sizeof(err)), 0);
    assert_int_equal(conf_set_node(&conf, 2, err, sizeof(err)), 0);
    assert_string_equal(conf.data_dir, "/d2");
    assert_int_equal(conf_set(&conf, "node", "id", "x", "-i", err, sizeof(err)), -1);
    assert_string_equal(err, "-i: [node] id: 'x' is wrong; allowed: a number from 1 to 999");
    assert_int_equal(conf_set(&conf, "node", "color", "x", "-i", err, sizeof(err)), -1);
}

/* Only what cannot leave the machine may go unsealed. */
static void test_key_needed(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        bool free;
    } cases[] = {
        {"127.0.0.1:1", true},        {"127.255.255.254:1", true}, {"[::1]:1", true},
        {"126.255.255.255:1", false}, {"128.0.0.1:1", false},      {"192.168.0.1:1", false},
        {"[::2]:1", false},           {"[fe80::1%lo]:1", false},   {"[2001:db8::1]:1", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct conf conf;
        char text[200], want[400];
        snprintf(text, sizeof(text), "[cluster]\nname=x\nnode.7=%s\n", cases[i].address);
        err[0] = '\0';
        int result = conf_parse(&conf, text, "f", err, sizeof(err));
        snprintf(want, sizeof(want),
                 "f: [node] key_file: missing, and node.7 = %s is not a loopback address: anybody "
                 "on the network could forge datagrams. Make a key with (umask 077; raftctl "
                 "keygen >FILE), copy it to all nodes, and set key_file = FILE",
                 cases[i].address);
        assert_string_equal(err, cases[i].free ? "" : want);
        assert_int_equal(result, cases[i].free ? 0 : -1);
        strcat(text, "[node]\nkey_file=/k\n");
        parse_ok(&conf, text);
    }
}

static void test_warning(void **state)
{
    (void)state;
    struct conf conf;
    parse_ok(&conf, CLUSTER "node.4 = 127.0.0.1:7104\n");
    assert_non_null(conf_warning(&conf, 0));
    assert_null(conf_warning(&conf, 1));
    /* A lease outlasts the search for a leader, or just does not. */
    parse_ok(&conf, CLUSTER "election_timeout_ms = 2500\n");
    assert_null(conf_warning(&conf, 0));
    parse_ok(&conf, CLUSTER "election_timeout_ms = 2501\n");
    assert_non_null(strstr(conf_warning(&conf, 0), "lease_ms is less than four times"));
    /* The largest value with the longest key fits, or just does not. */
    parse_ok(&conf, CLUSTER "max_value_bytes = 1048256\nmax_data_bytes = 1048576\n");
    assert_null(conf_warning(&conf, 0));
    parse_ok(&conf, CLUSTER "max_value_bytes = 1048257\nmax_data_bytes = 1048576\n");
    assert_non_null(strstr(conf_warning(&conf, 0), "does not fit max_data_bytes"));
    parse_ok(&conf, CLUSTER "node.4 = 127.0.0.1:7104\nmax_value_bytes = 1048576\n"
                            "max_data_bytes = 1048576\n");
    assert_non_null(strstr(conf_warning(&conf, 0), "even number"));
    assert_non_null(strstr(conf_warning(&conf, 1), "does not fit max_data_bytes"));
    assert_null(conf_warning(&conf, 2));
}

static void write_file(const char *path, const void *data, size_t len)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(data, 1, len, out), len);
    assert_int_equal(fclose(out), 0);
}

static void test_load(void **state)
{
    (void)state;
    struct conf conf;
    assert_int_equal(conf_load(&conf, "/nonexistent", err, sizeof(err)), -1);
    assert_string_equal(err, "/nonexistent: cannot open: No such file or directory");
    assert_int_equal(conf_load(&conf, "/", err, sizeof(err)), -1);
    assert_string_equal(err, "/: cannot read: Is a directory");
    assert_int_equal(conf_load(&conf, "/dev/zero", err, sizeof(err)), -1);
    assert_string_equal(err, "/dev/zero: too large; allowed: 65536 bytes");

    char path[] = "/tmp/test_conf.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    write_file(path, CLUSTER "\0x", sizeof(CLUSTER) + 1);
    assert_int_equal(conf_load(&conf, path, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "holds a zero byte"));
    static char big[CONF_FILE_MAX_BYTES];
    memset(big, '\n', sizeof(big));
    memcpy(big, CLUSTER, sizeof(CLUSTER) - 1);
    write_file(path, big, sizeof(big));
    assert_int_equal(conf_load(&conf, path, err, sizeof(err)), 0);
    assert_int_equal(conf.n_nodes, 3);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample_of_the_manual),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_shipped_file),
        cmocka_unit_test(test_shipped_file_uncommented),
        cmocka_unit_test(test_layout_freedom),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_nodes_that_never_hear_each_other),
        cmocka_unit_test(test_what_is_here),
        cmocka_unit_test(test_bad_texts),
        cmocka_unit_test(test_limits_are_inclusive),
        cmocka_unit_test(test_small_error_buffer),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_next_key_file),
        cmocka_unit_test(test_names_and_pairs),
        cmocka_unit_test(test_print_reports_a_full_disk),
        cmocka_unit_test(test_set_node),
        cmocka_unit_test(test_set_node_by_address),
        cmocka_unit_test(test_set_from_the_command_line),
        cmocka_unit_test(test_key_needed),
        cmocka_unit_test(test_warning),
        cmocka_unit_test(test_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
