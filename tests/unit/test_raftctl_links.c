// LINK: raftd/tool/links.c @status @core @base
/* The table of who hears whom, what it says in words, and the same as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/tool/raftctl.h"

static char *printed(bool json, const char *lines)
{
    char *text = NULL;
    size_t size, len = strlen(lines);
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    char *copy = malloc(len + 1); /* so that ASan sees a read past the end */
    assert_non_null(copy);
    memcpy(copy, lines, len + 1);
    assert_true(print_links(out, copy, json));
    free(copy);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void table(const char *lines, const char *want)
{
    char *text = printed(false, lines);
    assert_string_equal(text, want);
    free(text);
}

#define ALL_OK                                                                                     \
    "link.1.2=0\nlink.1.3=0\nlink.2.1=0\nlink.2.3=0\nlink.3.1=0\n"                                 \
    "link.3.2=0\n"

static void test_all_well(void **state)
{
    (void)state;
    table("id=1\nrole=leader\npeer.2.rtt_us=7\n" ALL_OK "other=1\n", "   hears    1    2    3\n"
                                                                     "node   1    .   ok   ok\n"
                                                                     "node   2   ok    .   ok\n"
                                                                     "node   3   ok   ok    .\n"
                                                                     "\n"
                                                                     "all nodes hear each other\n");
    table(ALL_OK "link.2.1=unknown\n", "   hears    1    2    3\n"
                                       "node   1    .   ok   ok\n"
                                       "node   2    ?    .   ok\n"
                                       "node   3   ok   ok    .\n"
                                       "\n"
                                       "all nodes hear each other, as far as is known yet\n");
    table("id=1\nrole=leader\n", "there are no other nodes\n");
    table("", "there are no other nodes\n");
}

static void test_one_way(void **state)
{
    (void)state;
    table(ALL_OK "link.3.1=silent\nlink.2.1=3\nlink.2.3=30\n",
          "   hears    1    2    3\n"
          "node   1    .   ok   ok\n"
          "node   2   3%    .  30%\n"
          "node   3   --   ok    .\n"
          "\n"
          "node 2 loses 30 % of what node 3 sends\n"
          "node 3 does not hear node 1\n");
}

static void test_partial_partition(void **state)
{
    (void)state;
    table(ALL_OK "link.3.1=silent\nlink.1.3=silent\n", "   hears    1    2    3\n"
                                                       "node   1    .   ok   --\n"
                                                       "node   2   ok    .   ok\n"
                                                       "node   3   --   ok    .\n"
                                                       "\n"
                                                       "nodes 1 and 3 do not hear each other\n");
}

static void test_node_down(void **state)
{
    (void)state;
    table("link.1.2=0\nlink.1.30=silent\nlink.2.1=100\nlink.2.30=silent\nlink.30.1=unknown\n"
          "link.30.2=unknown\n",
          "   hears    1    2   30\n"
          "node   1    .   ok   --\n"
          "node   2 100%    .   --\n"
          "node  30    ?    ?    .\n"
          "\n"
          "nobody hears node 30: is it down, or cut off?\n"
          "node 2 loses 100 % of what node 1 sends\n");
}

/* They are there and speak, but the node asked takes nothing from them. */
static void test_trouble(void **state)
{
    (void)state;
    table("peer.2.session=established\npeer.3.trouble=speaks with another key\npeer.9.trouble=x\n"
          "peer.99999.trouble=x\npeer.2.troubles=x\npeer.trouble=x\npeer.2.trouble\nlink.1.2=0\n"
          "link.1.3=silent\nlink.2.1=0\nlink.2.3=silent\nlink.3.1=unknown\nlink.3.2=unknown\n",
          "   hears    1    2    3\n"
          "node   1    .   ok   --\n"
          "node   2   ok    .   --\n"
          "node   3    ?    ?    .\n"
          "\n"
          "nobody hears node 3\n"
          "node 3 speaks with another key\n");
    /* Asked at the node that has another key than all others. */
    table("peer.1.trouble=has a = b\npeer.2.trouble=has c\nlink.1.2=unknown\nlink.1.3=unknown\n"
          "link.2.1=unknown\nlink.2.3=unknown\nlink.3.1=silent\nlink.3.2=silent\n",
          "   hears    1    2    3\n"
          "node   1    .    ?    ?\n"
          "node   2    ?    .    ?\n"
          "node   3   --   --    .\n"
          "\n"
          "it is not known whom node 1 hears\n"
          "node 1 has a = b\n"
          "it is not known whom node 2 hears\n"
          "node 2 has c\n"
          "node 3 hears nobody\n");
    table("peer.2.trouble=is not counted\nlink.1.2=0\nlink.2.1=0\n", "   hears    1    2\n"
                                                                     "node   1    .   ok\n"
                                                                     "node   2   ok    .\n"
                                                                     "\n"
                                                                     "node 2 is not counted\n");
}

/* Without a leader a node knows its own row alone. */
static void test_little_known(void **state)
{
    (void)state;
    table("link.1.2=0\nlink.1.3=silent\nlink.2.1=unknown\nlink.2.3=unknown\nlink.3.1=unknown\n"
          "link.3.2=unknown\n",
          "   hears    1    2    3\n"
          "node   1    .   ok   --\n"
          "node   2    ?    .    ?\n"
          "node   3    ?    ?    .\n"
          "\n"
          "it is not known whom node 2 hears\n"
          "nobody hears node 3: is it down, or cut off?\n");
    /* Asked at a node that is cut off. */
    table("link.1.2=unknown\nlink.1.3=unknown\nlink.2.1=silent\nlink.2.3=silent\n"
          "link.3.1=unknown\nlink.3.2=unknown\n",
          "   hears    1    2    3\n"
          "node   1    .    ?    ?\n"
          "node   2   --    .   --\n"
          "node   3    ?    ?    .\n"
          "\n"
          "it is not known whom node 1 hears\n"
          "node 2 hears nobody\n"
          "it is not known whom node 3 hears\n");
}

/* It hears, or is heard, but not both. */
static void test_half_cut_off(void **state)
{
    (void)state;
    table(ALL_OK "link.1.3=silent\nlink.2.3=silent\n", "   hears    1    2    3\n"
                                                       "node   1    .   ok   --\n"
                                                       "node   2   ok    .   --\n"
                                                       "node   3   ok   ok    .\n"
                                                       "\n"
                                                       "nobody hears node 3\n");
    table(ALL_OK "link.3.1=silent\nlink.3.2=silent\nlink.1.3=silent\n",
          "   hears    1    2    3\n"
          "node   1    .   ok   --\n"
          "node   2   ok    .   ok\n"
          "node   3   --   --    .\n"
          "\n"
          "node 3 hears nobody\n"
          "node 1 does not hear node 3\n");
    table(ALL_OK "link.3.1=silent\nlink.3.2=silent\nlink.1.3=silent\nlink.2.3=silent\n",
          "   hears    1    2    3\n"
          "node   1    .   ok   --\n"
          "node   2   ok    .   --\n"
          "node   3   --   --    .\n"
          "\n"
          "node 3 hears nobody\n"
          "nobody hears node 3\n");
}

/* Of a daemon of another version, or not of a daemon at all. */
static void test_nonsense(void **state)
{
    (void)state;
    table("link.1.2=0\nlink.2.1=101\nlink.\nlink.1=\nlink.1.2\nlink.a.b=0\nlink.1.1=0\n"
          "link.0.2=0\nlink.70000.2=0\nlink.1.99999999999999999999=0\nlink.2.1.3=0\n",
          "   hears    1    2\n"
          "node   1    .   ok\n"
          "node   2    ?    .\n"
          "\n"
          "it is not known whom node 2 hears\n");
    char lines[4096] = "";
    for (unsigned id = 2; id < 99; id++)
        snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "link.1.%u=0\n", id);
    free(printed(false, lines)); /* more nodes than there can be */
    free(printed(true, lines));
}

static void test_json(void **state)
{
    (void)state;
    char *text = printed(true, "link.1.2=7\nlink.2.1=silent\n");
    assert_string_equal(text, "{\n"
                              "  \"links\": [\n"
                              "    {\n"
                              "      \"node\": 1,\n"
                              "      \"hears\": 2,\n"
                              "      \"state\": \"heard\",\n"
                              "      \"loss_percent\": 7\n"
                              "    },\n"
                              "    {\n"
                              "      \"node\": 2,\n"
                              "      \"hears\": 1,\n"
                              "      \"state\": \"silent\"\n"
                              "    }\n"
                              "  ],\n"
                              "  \"trouble\": [\n"
                              "    \"node 2 hears nobody\",\n"
                              "    \"node 1 loses 7 % of what node 2 sends\"\n"
                              "  ]\n"
                              "}\n");
    free(text);
    text = printed(true, "link.1.2=0\nlink.2.1=unknown\n");
    assert_non_null(strstr(text, "\"state\": \"unknown\"\n"));
    free(text);
    text = printed(true, "");
    assert_string_equal(text, "{\n  \"links\": [],\n  \"trouble\": []\n}\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_well),
        cmocka_unit_test(test_one_way),
        cmocka_unit_test(test_partial_partition),
        cmocka_unit_test(test_node_down),
        cmocka_unit_test(test_trouble),
        cmocka_unit_test(test_little_known),
        cmocka_unit_test(test_half_cut_off),
        cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
