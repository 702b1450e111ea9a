// LINK: raftd/tool/glance.c raftd/tool/glance_draw.c raftd/tool/page.c raftd/tool/screen.c raftd/tool/human.c raftd/tool/links.c raftd/tool/members.c raftd/tool/cells.c @status @core @base -lm
/* The screen of top, of several sizes and in every trouble, and the page of
 * report. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/tool/glance.h"
#include "raftd/tool/page.h"

enum { NOW_S = 1000000 };

static struct glance g; /* too large for a stack, as the next one */
static struct screen s;

static void add(char *text, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void add(char *text, size_t size, const char *fmt, ...)
{
    size_t len = strlen(text);
    va_list args;
    va_start(args, fmt);
    assert_true(vsnprintf(text + len, size - len, fmt, args) < (int)(size - len));
    va_end(args);
}

static void add_member(char *text, size_t size, unsigned id, const char *lines)
{
    char *copy = strdup(lines), *at = copy, *line;
    assert_non_null(copy);
    while ((line = strsep(&at, "\n")) != NULL)
        if (line[0] != '\0')
            add(text, size, "member.%u.%s\n", id, line);
    free(copy);
}

/* The glance gets this status; `more` stands behind what is usual. */
static void see(const char *more)
{
    static char text[1 << 16];
    text[0] = '\0';
    add(text, sizeof text,
        "id=2\ncluster=workshop\nrole=leader\nhealth=ok\nterm=29\nleader="
        "2\nleader_since_s=3120\n"
        "age_ms=20\nlog_first_index=8000\nlast_index=123456\ndurable_index="
        "123456\n"
        "commit_index=123456\napplied_index=123456\nlog_bytes=33000000\nlog_max_"
        "bytes=268000000\n"
        "snapshot_index=100000\nsnapshot_bytes=1200000\nkeys=420\ndata_bytes="
        "1000000\n"
        "max_data_bytes=64000000\nfsync_p50_us=700\nfsync_p99_us=1100\n"
        "members_by=2\nmembers_by_leader=1\nmembers_told_ms=0\n");
    for (unsigned i = 1; i <= 3; i++)
        for (unsigned k = 1; k <= 3; k++)
            if (i != k)
                add(text, sizeof text, "link.%u.%u=0\n", i, k);
    add_member(text, sizeof text, 1,
               "id=1\nstanding=voter\naddress=192.168.7.11:7101\nsession=established\n"
               "heard_ms=75\nlag=0\npercent=100\nrtt_us=260\nloss_in_permille=0\nloss_out_permille="
               "12\n"
               "told_ms=90\nhealth=ok\nversion=1.2.3\nuptime_s=3120\nfsync_p99_us=900\n"
               "log_bytes=33000000\nsnapshot_index=100000\nsnapshot_age_s=7000\n"
               "data_bytes=1000000\nkeys=420\n");
    add_member(text, sizeof text, 2,
               "id=2\nstanding=voter\nrole=leader\naddress=192.168.7.12:7101\nsession="
               "own\n"
               "heard_ms=-1\nlag=0\npercent=100\nrtt_us=0\nloss_in_permille=-1\nloss_out_permille=-"
               "1\n"
               "told_ms=0\nhealth=ok\nversion=1.2.3\nuptime_s=90000\nfsync_p99_us=1100\n"
               "log_bytes=33000000\nsnapshot_index=100000\nsnapshot_age_s=7000\n"
               "data_bytes=1000000\nkeys=420\n");
    add_member(text, sizeof text, 3,
               "id=3\nstanding=voter\naddress=192.168.7.13:7101\nsession=handshake\n"
               "heard_ms=9100\nlag=412\npercent=100\nrtt_us=0\nloss_in_permille=1000\nloss_out_"
               "permille=-1\n"
               "told_ms=-1\nhealth=unknown\n");
    add(text, sizeof text, "%s", more);
    glance_status(&g, text);
}

static void happens(unsigned seconds_ago, enum event_kind kind, uint16_t node, const char *why)
{
    const struct event e = {.boot_us = (NOW_S - (uint64_t)seconds_ago) * 1000000,
                            .kind = kind,
                            .node = node,
                            .leader = 2,
                            .why = why};
    glance_event(&g, &e);
}

static void begin(void)
{
    glance_free(&g);
    g = (struct glance){.now_us = NOW_S * UINT64_C(1000000)};
}

static void shows(unsigned columns, unsigned rows, const char *want)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    screen_clear(&s, columns, rows);
    glance_draw(&g, &s);
    screen_print(&s, (struct screen_as){0}, out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, want);
    free(text);
}

static void usual(void)
{
    begin();
    happens(7300, EVENT_LEADER_CHANGED, 0, "");
    happens(3120, EVENT_LEADER_GAINED, 0, "the leader was silent");
    happens(70, EVENT_DISK_SLOW, 0, "");
    happens(9, EVENT_MEMBER_SILENT, 3, "");
    see("link.1.3=silent\nlink.2.3=silent\nlink.3.1=unknown\nlink.3.2=unknown\n");
    g.quits = true;
    g.writes.n = g.reads.n = 60;
    for (unsigned i = 0; i < 60; i++) {
        g.writes.per_s[i] = i % 9 * 100;
        g.reads.per_s[i] = i * 1000;
    }
}

static void test_sizes(void **state)
{
    (void)state;
    usual();
    shows(60, 15,
          "workshop  node 2 leads term 29 for 52min             q quits\n"
          "node 2: ok\n"
          "writes 500/s   .:-=+*%# .:-=+ reads 59k/s    %%%%%%%########\n"
          "  node role             lag    rtt  loss % disk p99     up\n"
          "     1 follower           0  260us     0/2    900us  52min\n"
          "    *2 leader             -      -       -    1.1ms   1.0d\n"
          "    !3 silent           412      -   100/?        -      -\n"
          "! node 3 has not been heard for 9.0s: is it down, or cut of~\n"
          "! 2 of 3 voters are heard: if one more is lost, nothing can~\n"
          "! nobody hears node 3: is it down, or cut off?\n"
          "   ago  what happened\n"
          "    9s  member-silent node 3\n"
          "1.1min  disk-slow\n"
          " 52min  leader-gained: the leader was silent\n"
          "  2.0h  leader-changed node 2\n");
    shows(80, 24,
          "workshop  node 2 leads term 29 for 52min                                 q quits\n"
          "node 2: ok\n"
          "writes 500/s    .:-=+*%# .:-=+*%# .:-=+ reads 59k/s    ++********%%%%%%%########\n"
          "  node role             lag    rtt  loss % disk p99     up  heard    log   data\n"
          "     1 follower           0  260us     0/2    900us  52min   55ms   33MB  1.0MB\n"
          "    *2 leader             -      -       -    1.1ms   1.0d      -   33MB  1.0MB\n"
          "    !3 silent           412      -   100/?        -      -   9.0s      -      -\n"
          "! node 3 has not been heard for 9.0s: is it down, or cut off?\n"
          "! 2 of 3 voters are heard: if one more is lost, nothing can be written\n"
          "! nobody hears node 3: is it down, or cut off?\n"
          "   ago  what happened\n"
          "    9s  member-silent node 3\n"
          "1.1min  disk-slow\n"
          " 52min  leader-gained: the leader was silent\n"
          "  2.0h  leader-changed node 2\n");
    shows(120, 40,
          "workshop  node 2 leads term 29 for 52min                                                "
          "                         q quits\n"
          "node 2: ok\n"
          "writes 500/s   %# .:-=+*%# .:-=+*%# .:-=+*%# .:-=+*%# .:-=+ reads 59k/s    "
          "--------=======+++++++********%%%%%%%########\n"
          "  node role             lag    rtt  loss % disk p99     up  heard    log   data   keys "
          "snapshot address\n"
          "     1 follower           0  260us     0/2    900us  52min   55ms   33MB  1.0MB    420  "
          "   1.9h 192.168.7.11:7101\n"
          "    *2 leader             -      -       -    1.1ms   1.0d      -   33MB  1.0MB    420  "
          "   1.9h 192.168.7.12:7101\n"
          "    !3 silent           412      -   100/?        -      -   9.0s      -      -      -  "
          "      - 192.168.7.13:7101\n"
          "! node 3 has not been heard for 9.0s: is it down, or cut off?\n"
          "! 2 of 3 voters are heard: if one more is lost, nothing can be written\n"
          "! nobody hears node 3: is it down, or cut off?\n"
          "   ago  what happened\n"
          "    9s  member-silent node 3\n"
          "1.1min  disk-slow\n"
          " 52min  leader-gained: the leader was silent\n"
          "  2.0h  leader-changed node 2\n");
    shows(40, 10,
          "workshop  node 2 leads term 29 for 52min\n"
          "node 2: ok\n"
          "writes 500/s   =+%# reads 59k/s    #####\n"
          "  node role             lag    rtt\n"
          "     1 follower           0  260us\n"
          "    *2 leader             -      -\n"
          "    !3 silent           412      -\n"
          "   ago  what happened\n"
          "    9s  member-silent node 3\n"
          "1.1min  disk-slow\n");
}

/* What is wrong with the leader is said of this node, for its clients, and stands in the leader's row. */
static void test_leaders_trouble(void **state)
{
    (void)state;
    begin();
    see("leader=1\nrole=follower\nhealth=disk_slow\nleader_health=disk_slow\n"
        "health_why=the disk of the leader, node 1, is slow\nmembers_by=1\n"
        "member.1.role=leader\nmember.1.health=disk_slow\n");
    g.s.members[1].leads = 0;
    shows(60, 7,
          "workshop  node 1 leads term 29 for 52min\n"
          "node 2: disk_slow: the disk of the leader, node 1, is slow\n"
          "writes ?/s                    reads ?/s\n"
          "  node role             lag    rtt  loss % disk p99     up\n"
          "    !1 disk_slow          -  260us     0/2    900us  52min\n"
          "     2 follower           0      -       -    1.1ms   1.0d\n"
          "    !3 silent           412      -   100/?        -      -\n");
}

/* Of a cluster with more members than there are lines, those are shown that
 * somebody should look at. */
static void many(void)
{
    static char text[1 << 15];
    text[0] = '\0';
    for (unsigned id = 4; id <= 16; id++)
        add_member(text, sizeof text, id,
                   id < 14
                       ? "standing=learner\nsession=plain\nheard_ms=50\npercent=100\nhealth=ok\n"
                       : "standing=joining\nsession=plain\nheard_ms=50\npercent=100\n");
    add(text, sizeof text,
        "member.9.health=disk_slow\nmember.9.told_ms=5\nmember.16.session=wrong_key\nmember.15."
        "drained=1\n"
        "member.14.address=[2001:db8::1:2:3:4]:7101,192.168.100.100:7101\n");
    begin();
    see(text);
}

static void test_many(void **state)
{
    (void)state;
    many();
    shows(60, 15,
          "workshop  node 2 leads term 29 for 52min\n"
          "node 2: ok\n"
          "writes ?/s                    reads ?/s\n"
          "  node role             lag    rtt  loss % disk p99     up\n"
          "    *2 leader             -      -       -    1.1ms   1.0d\n"
          "    !3 silent           412      -   100/?        -      -\n"
          "    !9 disk_slow          0      -     0/0        -     0s\n"
          "   !16 wrong_key          0      -     0/0        -      -\n"
          "     1 follower           0  260us     0/2    900us  52min\n"
          "     4 learner            0      -     0/0        -      -\n"
          "     5 learner            0      -     0/0        -      -\n"
          "and 9 more\n");
    shows(60, 40,
          "workshop  node 2 leads term 29 for 52min\n"
          "node 2: ok\n"
          "writes ?/s                    reads ?/s\n"
          "  node role             lag    rtt  loss % disk p99     up\n"
          "     1 follower           0  260us     0/2    900us  52min\n"
          "    *2 leader             -      -       -    1.1ms   1.0d\n"
          "    !3 silent           412      -   100/?        -      -\n"
          "     4 learner            0      -     0/0        -      -\n"
          "     5 learner            0      -     0/0        -      -\n"
          "     6 learner            0      -     0/0        -      -\n"
          "     7 learner            0      -     0/0        -      -\n"
          "     8 learner            0      -     0/0        -      -\n"
          "    !9 disk_slow          0      -     0/0        -     0s\n"
          "    10 learner            0      -     0/0        -      -\n"
          "    11 learner            0      -     0/0        -      -\n"
          "    12 learner            0      -     0/0        -      -\n"
          "    13 learner            0      -     0/0        -      -\n"
          "    14 joining            0      -     0/0        -      -\n"
          "    15 drained            0      -     0/0        -      -\n"
          "   !16 wrong_key          0      -     0/0        -      -\n"
          "! node 3 has not been heard for 9.0s: is it down, or cut of~\n"
          "! node 9 says that its disk is slow\n"
          "! node 15 is drained: it does not lead until it is started ~\n"
          "! node 16: wrong_key, see session in raftctl(1)\n"
          "! 2 of 3 voters are heard: if one more is lost, nothing can~\n");
}

static void test_trouble(void **state)
{
    (void)state;
    begin();
    see("leader=0\nrole=candidate\nmembers_by_leader=0\nhealth=no_quorum\n"
        "health_why=only 1 of 3 voters is heard: see raftctl "
        "links\nmember.2.role=x\nmember.2.health=no_quorum\n");
    shows(60, 8,
          "workshop  term 29, no leader\n"
          "node 2: no_quorum: only 1 of 3 voters is heard: see raftctl~\n"
          "writes ?/s                    reads ?/s\n"
          "  node role             lag    rtt  loss % disk p99     up\n"
          "     1 follower           -  260us     0/2    900us  52min\n"
          "    !2 no_quorum          -      -       -    1.1ms   1.0d\n"
          "    !3 silent             -      -   100/?        -      -\n"
          "! node 3 has not been heard for 9.0s: is it down, or cut of~\n");
    /* The daemon ends, and what is shown is what it last told. */
    g.now_us += 12000000;
    snprintf(g.silent, sizeof g.silent, "no daemon is there");
    shows(40, 3,
          "workshop  term 29, no leader\n"
          "for 12s: no daemon is there\n"
          "writes ?/s          reads ?/s\n");
    see("");
    shows(40, 3,
          "workshop  node 2 leads term 29 for 52min\n"
          "node 2: ok\n"
          "writes 0/s          reads 0/s\n");
    see("age_ms=7100\n");
    shows(40, 3,
          "workshop  node 2 leads term 29 for 52min\n"
          "node 2: its daemon hangs for 7.1s\n"
          "writes 0/s          reads 0/s\n");
    /* A leader that is known since the last moment, as rounded ages say it. */
    begin();
    see("leader_since_s=0\n");
    shows(40, 3,
          "workshop  node 2 leads term 29 for 0us\n"
          "node 2: ok\n"
          "writes ?/s          reads ?/s\n");
    begin();
    snprintf(g.silent, sizeof g.silent, "no daemon is there");
    shows(40, 3, "no daemon is there\n");
}

/* No size is too small, and none too large. */
static void test_any_size(void **state)
{
    (void)state;
    for (int full = 0; full < 2; full++) {
        begin();
        if (full)
            many();
        for (unsigned i = 0; full && i < 2 * GLANCE_EVENTS; i++)
            happens(i, EVENT_DOUBT, 0, "its disk was damaged");
        for (unsigned columns = 0; columns < SCREEN_COLUMNS_MAX + 10;
             columns += columns < 70 ? 1 : 7)
            for (unsigned rows = 0; rows < SCREEN_ROWS_MAX + 10; rows += rows < 40 ? 1 : 7) {
                screen_clear(&s, columns, rows);
                glance_draw(&g, &s);
            }
    }
}

static void test_rates(void **state)
{
    (void)state;
    static struct rates r;
    r = (struct rates){.n = 0};
    rates_see(&r, 5000, 1000000);
    assert_int_equal(r.n, 0); /* nobody knows since when */
    rates_see(&r, 5100, 2000000);
    rates_see(&r, 5100, 2000000); /* at the same time */
    rates_see(&r, 5101, 4000000);
    assert_int_equal(r.n, 2);
    assert_int_equal(r.per_s[0], 100);
    assert_int_equal(r.per_s[1], 1); /* a half, rounded */
    rates_see(&r, 7, 5000000);       /* of a process that has started since */
    assert_int_equal(r.n, 2);
    rates_see(&r, 9, 6000000);
    assert_int_equal(r.per_s[2], 2);
    rates_see(&r, UINT64_MAX, 6000001);
    for (unsigned i = 0; i < 2 * GLANCE_RATES; i++)
        rates_see(&r, 0, 7000000 + i * 1000000);
    rates_see(&r, 42, r.at_us + 1000000);
    assert_int_equal(r.n, GLANCE_RATES);
    assert_int_equal(r.per_s[r.n - 1], 42);
}

static void test_events(void **state)
{
    (void)state;
    begin();
    const struct event how_it_is = {.state = 1, .kind = EVENT_LEADER_GAINED, .why = ""};
    glance_event(&g, &how_it_is);
    assert_int_equal(g.n_events, 0);
    for (unsigned i = 0; i < GLANCE_EVENTS + 5; i++)
        happens(i, EVENT_MEMBER_BACK, (uint16_t)(i + 1), "");
    assert_int_equal(g.n_events, GLANCE_EVENTS);
    assert_string_equal(g.events[0].text, "member-back node 6");
    assert_string_equal(g.events[GLANCE_EVENTS - 1].text, "member-back node 105");
    assert_false(g.events[0].bad);
    char why[1000];
    memset(why, 'x', sizeof why - 1);
    why[sizeof why - 1] = '\0';
    happens(0, EVENT_QUORUM_LOST, 0, why);
    assert_true(g.events[GLANCE_EVENTS - 1].bad);
}

/* --- the page --- */

static char *page(const char *text)
{
    char *html = NULL;
    size_t size;
    FILE *out = open_memstream(&html, &size);
    assert_non_null(out);
    page_print(&g, text, out);
    assert_int_equal(fclose(out), 0);
    return html;
}

/* No byte from outside is markup: all elements are those that the page has by
 * itself. */
static void test_page_escapes(void **state)
{
    (void)state;
    static const char *const known =
        " !DOCTYPE html head meta title style body h1 h2 p svg g path circle "
        "text ul li div table tr "
        "th td details summary pre ";
    static const char evil[] = "</td></text></title><b onload='x'>\"&lt;\x1b\xff<script>";
    char more[2000];
    begin();
    snprintf(more, sizeof more,
             "cluster=%.50s\nhealth_why=%s\nmember.1.address=%s\nmember.3.at=%s\n"
             "peer.3.at=%s\npeer.3.trouble=%s\nlink.1.3=30\n",
             evil + 20, evil, evil, evil, evil, evil);
    see(more);
    happens(1, EVENT_DOUBT, 0, evil);
    char *html = page(evil);
    for (const char *at = html; (at = strchr(at, '<')) != NULL; at++) {
        char name[20] = " ";
        const char *from = at + 1 + (at[1] == '/');
        snprintf(name + 1, sizeof name - 1, "%.*s ", (int)strcspn(from, " >/"), from);
        if (strstr(known, name) == NULL)
            fail_msg("an element from outside: %.40s", at);
    }
    assert_null(strstr(html, "onload='"));
    assert_null(strchr(html, '\x1b'));
    assert_null(strchr(html, '\xff'));
    assert_non_null(strstr(html, "&lt;script&gt;"));
    assert_non_null(strstr(html, "&quot;&amp;lt;"));
    assert_non_null(strstr(html, "onload=&#39;x&#39;&gt;"));
    free(html);
}

static void test_page_alone(void **state)
{
    static const char *const outside[] = {"<script", "http:", "https:", "src=",    "href",   "url(",
                                          "@import", "<link", "<img",   "<object", "<iframe"};
    (void)state;
    usual();
    char *html = page("id=2\n");
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++)
        assert_null(strstr(html, outside[i]));
    assert_non_null(strstr(html, "content=\"default-src 'none'; style-src 'unsafe-inline'\""));
    assert_non_null(
        strstr(html, "<p>500 writes a second; 59k reads a second by way of node 2.</p>"));
    assert_non_null(strstr(html, "<title>node 1 hears node 3: nothing</title>"));
    assert_non_null(strstr(html, "<title>node 3 hears node 1: not known</title>"));
    assert_non_null(strstr(html, "<title>node 1 hears node 2: 0 % is lost</title>"));
    assert_non_null(strstr(html, "nobody hears node 3: is it down, or cut off?"));
    assert_non_null(strstr(html, "<td class=\"left\">member-silent node 3</td>"));
    free(html);
    /* Of one node that is alone, and of as many as there can be. */
    begin();
    static char alone[] = "id=1\ncluster=x\nleader=1\nhealth=ok\nmember.1.id=1\n";
    glance_status(&g, alone);
    html = page("");
    assert_non_null(strstr(html, "There are no other nodes."));
    assert_null(strstr(html, "nan"));
    free(html);
    many();
    free(page(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),      cmocka_unit_test(test_leaders_trouble),
        cmocka_unit_test(test_many),       cmocka_unit_test(test_trouble),
        cmocka_unit_test(test_any_size),   cmocka_unit_test(test_rates),
        cmocka_unit_test(test_events),     cmocka_unit_test(test_page_escapes),
        cmocka_unit_test(test_page_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
