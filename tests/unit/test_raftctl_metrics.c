// LINK: raftd/tool/metrics_print.c @status @core @base
/* Metrics: the format that Prometheus reads, its conventions of names, and that no number is forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/version.h"
#include "raftd/serve/status_fields.h"
#include "raftd/tool/raftctl.h"

/* To be freed. */
static char *metrics(const char *info)
{
    char *text = NULL, *copy = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    if (info != NULL)
        copy = strdup(info); /* so that a sanitizer sees a read past the end */
    print_metrics(out, copy);
    free(copy);
    assert_int_equal(fclose(out), 0);
    return text;
}

static bool ends(const char *word, const char *with)
{
    size_t n = strlen(word), m = strlen(with);
    return n >= m && strcmp(word + n - m, with) == 0;
}

/* What the conventions want of a name. */
static void check_name(const char *name, bool counter)
{
    assert_int_equal(strncmp(name, "raftd_", 6), 0);
    assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(name));
    if (counter != ends(name, "_total"))
        fail_msg("%s: counters, and nothing else, end with _total", name);
    static const char *const bad[] = {"_ms",    "_us",  "_milliseconds", "_permille", "_percent",
                                      "_count", "_sum", "_bucket",       "_counter",  "_gauge"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (ends(name, bad[i]) || strstr(name, "__") != NULL)
            fail_msg("%s: %s", name, bad[i]);
}

/* The labels of a sample, from the brace on. Returns what is behind them. */
static char *check_labels(char *at)
{
    do {
        at++;
        size_t n = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
        assert_true(n > 0 && at[n] == '=' && at[n + 1] == '"');
        for (at += n + 2; *at != '"'; at++) {
            assert_true(*at != '\0');
            if (*at == '\\')
                assert_non_null(strchr("\\\"n", *++at));
        }
    } while (*++at == ',');
    assert_int_equal(*at, '}');
    return at + 1;
}

/* Takes the text apart, and refuses whatever Prometheus would. */
static void check(const char *metrics_text)
{
    char *text = strdup(metrics_text), *rest = text, *line;
    char family[100] = "", seen[16384] = "";
    bool counter = false;
    unsigned samples = 1;
    assert_true(ends(text, "\n"));
    while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
        if (strncmp(line, "# HELP ", 7) == 0) {
            char *name = line + 7, *type = rest, word[12], again[120];
            assert_true(samples > 0); /* no family without one */
            samples = 0;
            name[strcspn(name, " ")] = '\0';
            assert_true(strlen(name + strlen(name) + 1) > 3 && ends(name + strlen(name) + 1, "."));
            (void)snprintf(again, sizeof again, "\n%s\n", name);
            assert_null(strstr(seen, again)); /* all samples of a family are together */
            assert_true(strlen(seen) + strlen(again) < sizeof seen);
            strcat(seen, again);
            (void)snprintf(family, sizeof family, "%s", name);
            assert_int_equal(sscanf(type, "# TYPE %*s %11s", word), 1);
            assert_int_equal(strncmp(type + 7, family, strlen(family)), 0);
            counter = strcmp(word, "counter") == 0;
            assert_true(counter || strcmp(word, "gauge") == 0);
            check_name(family, counter);
            (void)strsep(&rest, "\n");
            continue;
        }
        size_t n = strlen(family);
        if (strncmp(line, family, n) != 0 || (line[n] != ' ' && line[n] != '{'))
            fail_msg("in the family %s: %s", family, line);
        char *value = line[n] == '{' ? check_labels(line + n) : line + n, *end;
        assert_true(*value == ' ' && isdigit(value[1]));
        (void)strtod(value + 1, &end);
        assert_int_equal(*end, '\0');
        samples++;
        *value = '\0';
        char series[300];
        (void)snprintf(series, sizeof series, "\n%s ", line);
        const char *first = strstr(metrics_text, series);
        assert_non_null(first);
        assert_null(strstr(first + 1, series)); /* once */
    }
    assert_true(samples > 0);
    free(text);
}

static void has(const char *text, const char *line)
{
    char whole[300];
    (void)snprintf(whole, sizeof whole, "\n%s\n", line);
    if (strstr(text, whole) == NULL)
        fail_msg("no %s in:\n%s", line, text);
}

static void test_values(void **state)
{
    (void)state;
    static const char info[] =
        "# Memory\r\nused_memory_rss:4096\r\n\r\n# CPU\r\nused_cpu_sys:1.250000\r\n"
        "used_cpu_user:0.000001\r\n\r\n"
        "# Commandstats\r\ncmdstat_set:calls=12,usec=0,usec_per_call=0.00\r\n"
        "cmdstat_raft.get:calls=3,usec=0,usec_per_call=0.00\r\n"
        "# "
        "Raft\r\nid:2\r\ncluster:a\"b\\c\r\nrole:leader\r\nhealth:ok\r\nterm:7\r\nleader_since_s:-"
        "1\r\n"
        "commit_index:18446744073709551615\r\nlease_left_ms:9700\r\nfsync_p99_us:1200\r\n"
        "drop.short:0\r\ndrop.no_session:5\r\n"
        "peer.1.addr:[2001:db8::1]:7100, 192.0.2.1:7100\r\npeer.1.session:established\r\n"
        "peer.1.last_heard_ms:40\r\npeer.1.loss_in_permille:303\r\npeer.1.drop.replay:2\r\n"
        "peer.12.addr:x\r\npeer.12.session:none\r\npeer.12.last_heard_ms:-1\r\npeer.12.loss_in_"
        "permille:-1\r\n"
        "link.1.2:30\r\nlink.1.12:silent\r\nlink.2.1:unknown\r\n";
    char *text = metrics(info);
    check(text);
    static const char *const lines[] = {
        "raftd_up 1",
        "raftd_info{cluster=\"a\\\"b\\\\c\",node=\"2\",version=\"" RAFTD_VERSION "\"} 1",
        "raftd_role{role=\"leader\"} 1",
        "raftd_is_leader 1",
        "raftd_health{health=\"ok\"} 1",
        "raftd_healthy 1",
        "raftd_term_total 7",
        "raftd_commit_index_total 18446744073709551615",
        "raftd_lease_left_seconds 9.700",
        "raftd_fsync_p99_seconds 0.001200",
        "raftd_process_resident_memory_bytes 4096",
        "raftd_process_cpu_seconds_total{mode=\"sys\"} 1.250000",
        "raftd_commands_total{command=\"set\"} 12",
        "raftd_commands_total{command=\"raft.get\"} 3",
        "raftd_dropped_datagrams_total{reason=\"no_session\"} 5",
        ("raftd_peer_info{peer=\"1\",address=\"[2001:db8::1]:7100, "
         "192.0.2.1:7100\",session=\"established\"} 1"),
        "raftd_peer_info{peer=\"12\",address=\"x\",session=\"none\"} 1",
        "raftd_peer_last_heard_seconds{peer=\"1\"} 0.040",
        "raftd_peer_loss_in_ratio{peer=\"1\"} 0.303",
        "raftd_peer_dropped_datagrams_total{peer=\"1\",reason=\"replay\"} 2",
        "raftd_link_loss_ratio{at=\"1\",from=\"2\"} 0.30",
        "raftd_link_loss_ratio{at=\"1\",from=\"12\"} 1.00",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        has(text, lines[i]);
    static const char *const not_known[] = {"leader_age", "heard_seconds{peer=\"12\"", "at=\"2\"",
                                            "loss_in_ratio{peer=\"12\""};
    for (size_t i = 0; i < sizeof not_known / sizeof not_known[0]; i++)
        assert_null(strstr(text, not_known[i]));
    free(text);
    text = metrics(NULL);
    check(text);
    has(text, "raftd_up 0");
    assert_null(strstr(text, "raftd_term"));
    free(text);
}

/* Numbers of status that are no metric. */
static const char *const others[] = {
    "id", /* a label */
    "leader_before",
    "vote",
    "members_committed",
    "doubt_index", /* of moments */
    "transfer_to",
    "outranked_by",
    "max_value_bytes",
    "lease_ms",
    "priority",
    "commands", /* the sum of those by name */
    "uptime_box_s",
    "of_bytes",
    "percent",
    "eta_s",
};

static unsigned families(const char *info)
{
    unsigned n = 0;
    char *text = metrics(info);
    check(text);
    for (const char *at = text; (at = strstr(at, "# TYPE ")) != NULL; at++)
        n++;
    free(text);
    return n;
}

static void all_are_there(const struct fields *fields, const char *prefix)
{
    for (size_t i = 0; i < fields->n; i++) {
        const struct field *f = &fields->at[i];
        char info[80];
        bool other = false;
        if (f->show > AGE_S)
            continue; /* no number */
        for (size_t k = 0; k < sizeof others / sizeof others[0]; k++)
            other |= strcmp(f->name, others[k]) == 0;
        (void)snprintf(info, sizeof info, "%s%s:5\r\n", prefix, f->name);
        if (families(info) != families("") + !other)
            fail_msg("%s%s: %s", prefix, f->name, other ? "a metric" : "no metric");
    }
}

/* A number that status comes to show becomes a metric, or it is said above that it does not. */
static void test_all(void **state)
{
    (void)state;
    all_are_there(&status_node_fields, "");
    all_are_there(&status_peer_fields, "peer.3.");
    all_are_there(&status_member_fields, "member.3.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
