// LINK: raftd/serve/watch.c raftd/serve/channels.c raftd/serve/glob.c raftd/serve/resp.c @state
/* test_watch.c: what those who watch are told: every change that they want, once, in order and in whole
 * entries; or that they missed some. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/rcu.h"
#include "raftd/serve/glob.h"
#include "raftd/serve/watch.h"

enum { PLENTY = 1 << 20 };

static uint64_t entry_index;

static struct resp_arg arg(const char *text)
{
    return (struct resp_arg){(const uint8_t *)text, (uint32_t)strlen(text)};
}

/* The present entry puts the value, or with NULL deletes the key. */
static void change(struct kv *kv, const char *key, const char *value, enum history_kind kind,
                   uint32_t operations, uint64_t expiry_ms)
{
    const uint8_t *k = (const uint8_t *)key;
    size_t len = strlen(key);
    if (kind == HISTORY_PUT)
        assert_int_equal(kv_put(kv, &(struct kv_content){.key = k,
                                                         .key_len = (uint16_t)len,
                                                         .value = (const uint8_t *)value,
                                                         .value_len = (uint32_t)strlen(value),
                                                         .create_revision = 1,
                                                         .modify_revision = entry_index,
                                                         .expiry_ms = expiry_ms}),
                         KV_DONE);
    else
        (void)kv_delete(kv, k, len);
    assert_true(kv_tell(kv, entry_index, kind, operations, k, len));
}

static void put(struct kv *kv, const char *key, const char *value)
{
    change(kv, key, value, HISTORY_PUT, 1, 0);
}

static void publish(struct kv *kv)
{
    assert_true(kv_publish(kv, entry_index, 0));
}

/* Everything that there is to be told, with blanks for line ends, and how it ended. */
static void tell_all(struct watch *w, const struct kv *kv, struct resp_out *out)
{
    struct watch_news news;
    enum watch_look found;
    int work = PLENTY;
    out->most = SIZE_MAX;
    rcu_enter();
    while ((found = watch_look(w, kv_view(kv), &work, &news)) == WATCH_TELL) {
        watch_say(&news, out);
        watch_pass(w, &news);
    }
    rcu_leave();
    if (found == WATCH_MISSED)
        resp_simple(out, "missed");
    assert_true(found != WATCH_GOES_ON && out->lost == 0);
}

static void check_out(struct resp_out *out, const char *expected)
{
    char text[2048];
    size_t n = 0;
    for (size_t i = 0; i < out->len && n + 1 < sizeof text; i++)
        if (out->buf[i] != '\r')
            text[n++] = (char)(out->buf[i] == '\n' ? ' ' : out->buf[i]);
    text[n] = '\0';
    assert_string_equal(text, expected);
    out->len = 0;
}

/* ---- RAFT.WATCH ---- */

static void test_prefix(void **state)
{
    static const struct {
        const char *prefix;
        uint64_t from;
        uint8_t version;
        const char *told; /* then, of entry 7, which puts ab: */
        const char *then;
    } rows[] = {
        {"ab", 1, 3, ">6 $6 change :2 $3 put $2 ab $1 2 :0 >6 $6 change :5 $3 del $2 ab _ :0 ",
         ">6 $6 change :7 $3 put $2 ab $1 6 :0 "},
        {"ab", 1, 2, "*6 $6 change :2 $3 put $2 ab $1 2 :0 *6 $6 change :5 $3 del $2 ab $-1 :0 ",
         "*6 $6 change :7 $3 put $2 ab $1 6 :0 "},
        {"", 2, 3,
         ">6 $6 change :2 $3 put $2 ab $1 2 :1 >6 $6 change :2 $3 put $1 b $1 3 :1 "
         ">6 $6 change :2 $3 put $2 ac $1 4 :0 >6 $6 change :4 $6 expire $1 a _ :0 "
         ">6 $6 change :5 $3 del $2 ab _ :0 ",
         ">6 $6 change :7 $3 put $2 ab $1 6 :0 "},
        {"a", 1, 3,
         ">6 $6 change :1 $3 put $1 a $1 1 :0 >6 $6 change :2 $3 put $2 ab $1 2 :1 "
         ">6 $6 change :2 $3 put $2 ac $1 4 :0 >6 $6 change :4 $6 expire $1 a _ :0 "
         ">6 $6 change :5 $3 del $2 ab _ :0 ",
         ">6 $6 change :7 $3 put $2 ab $1 6 :0 "},
        {"", 5, 3, ">6 $6 change :5 $3 del $2 ab _ :0 ", ">6 $6 change :7 $3 put $2 ab $1 6 :0 "},
        {"b", 1, 3, ">6 $6 change :2 $3 put $1 b $1 3 :0 ", ""},
        {"abc", 1, 3, "", ""},
        {"a", 6, 3, "", ">6 $6 change :7 $3 put $2 ab $1 6 :0 "},
        {"a", 0, 3, "", ">6 $6 change :7 $3 put $2 ab $1 6 :0 "},
        {"a", 8, 3, "", ""},
    };
    enum { ROWS = sizeof rows / sizeof rows[0] };
    struct kv *kv = kv_new();
    struct resp_out out = {0};
    struct watch w[ROWS];
    (void)state;
    entry_index = 1;
    put(kv, "a", "1");
    entry_index = 2;
    put(kv, "ab", "2");
    put(kv, "b", "3");
    put(kv, "ac", "4");
    entry_index = 4;
    change(kv, "a", NULL, HISTORY_EXPIRED, 0, 0);
    entry_index = 5;
    change(kv, "ab", NULL, HISTORY_DELETED, 0, 0);
    publish(kv);
    for (size_t i = 0; i < ROWS; i++) {
        struct resp_arg prefix = arg(rows[i].prefix);
        out.version = rows[i].version;
        rcu_enter();
        assert_true(watch_begin(&w[i], kv_view(kv), &prefix, rows[i].from));
        rcu_leave();
        tell_all(&w[i], kv, &out);
        check_out(&out, rows[i].told);
    }
    entry_index = 7;
    put(kv, "ab", "6");
    publish(kv);
    for (size_t i = 0; i < ROWS; i++) {
        out.version = rows[i].version;
        tell_all(&w[i], kv, &out);
        check_out(&out, rows[i].then);
    }
    free(out.buf);
    kv_free(kv);
}

/* Another state comes as of entry 50: who has been told less missed something, and who wants only what comes
 * after it did not. */
static void test_missed(void **state)
{
    static const struct {
        uint64_t from;
        const char *told;
    } rows[] = {
        {1, "+missed "},  {0, "+missed "},
        {50, "+missed "}, {51, ">6 $6 change :60 $3 put $1 a $1 3 :0 "},
        {61, ""},
    };
    enum { ROWS = sizeof rows / sizeof rows[0] };
    struct kv *kv = kv_new();
    struct resp_out out = {.version = 3};
    struct watch w[ROWS];
    struct resp_arg prefix = arg("a");
    (void)state;
    entry_index = 1;
    put(kv, "a", "1");
    publish(kv);
    rcu_enter();
    for (size_t i = 0; i < ROWS; i++)
        assert_true(watch_begin(&w[i], kv_view(kv), &prefix, rows[i].from));
    rcu_leave();
    kv_replace(kv, kv_new(), 50, 0);
    entry_index = 60;
    put(kv, "a", "3");
    publish(kv);
    for (size_t i = 0; i < ROWS; i++) {
        tell_all(&w[i], kv, &out);
        check_out(&out, rows[i].told);
    }
    rcu_enter();
    assert_false(watch_begin(&w[0], kv_view(kv), &prefix, 50));
    assert_true(watch_begin(&w[0], kv_view(kv), &prefix, 51));
    rcu_leave();
    free(out.buf);
    kv_free(kv);
}

/* ---- channels ---- */

static void test_channel_names(void **state)
{
    static const struct {
        const char *name;
        bool pattern, good;
    } rows[] = {
        {"__keyspace@0__:a", false, true},
        {"__keyspace@0__:", false, true},
        {"__keyevent@0__:set", false, true},
        {"__keyevent@0__:expired", false, true},
        {"__keyevent@0__:", false, false},
        {"__keyevent@0__:evicted", false, false},
        {"__keyevent@0__:sets", false, false},
        {"__keyspace@1__:a", false, false},
        {"__keyspace@0__", false, false},
        {"news", false, false},
        {"", false, false},
        {"__key*", false, false},
        {"__key*__:*", true, true},
        {"*", true, true},
        {"__keyspace@0__:user:*", true, true},
        {"__keyevent@0__:ex*", true, true},
        {"?_keyspace@0__:a", true, true},
        {"news.*", true, false},
        {"__keyspace@1__:*", true, false},
        {"__keyzpace*", true, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct resp_arg name = arg(rows[i].name);
        const char *error = channels_check(&name, rows[i].pattern);
        assert_true((error == NULL) == rows[i].good);
        assert_true(error == NULL || strncmp(error, "ERR ", 4) == 0);
    }
    uint8_t longest[GLOB_MAX_BYTES + 1];
    memset(longest, '*', sizeof longest);
    memcpy(longest, "__keyspace@0__:", 15);
    struct resp_arg name = {longest, 15 + CMD_KEY_MAX_BYTES};
    assert_null(channels_check(&name, false));
    name.len++;
    assert_non_null(channels_check(&name, false));
    name.len = GLOB_MAX_BYTES;
    assert_null(channels_check(&name, true));
    name.len++;
    assert_non_null(channels_check(&name, true));
}

/* What happened to the key "k", and what somebody is told who has subscribed to these; "~": a pattern. */
static void test_channel_messages(void **state)
{
    enum { PUT = 1, DEL = 2, ADD = 4, EXPIRE = 8, READ = 16, KEEP = 32 };
    static const struct {
        const char *subscribed;
        enum history_kind kind;
        uint32_t operations;
        uint64_t expiry_ms;
        const char *told;
    } rows[] = {
        {"__keyspace@0__:k", HISTORY_PUT, PUT | READ, 0,
         ">3 $7 message $16 __keyspace@0__:k $3 set "},
        {"__keyspace@0__:k", HISTORY_PUT, KEEP, 0, ">3 $7 message $16 __keyspace@0__:k $3 set "},
        {"__keyspace@0__:k", HISTORY_PUT, ADD, 0, ">3 $7 message $16 __keyspace@0__:k $6 incrby "},
        {"__keyspace@0__:k", HISTORY_PUT, EXPIRE, 7,
         ">3 $7 message $16 __keyspace@0__:k $6 expire "},
        {"__keyspace@0__:k", HISTORY_PUT, EXPIRE, 0,
         ">3 $7 message $16 __keyspace@0__:k $7 persist "},
        {"__keyspace@0__:k", HISTORY_PUT, PUT | EXPIRE | DEL, 7,
         ">3 $7 message $16 __keyspace@0__:k $3 set >3 $7 message $16 __keyspace@0__:k $6 expire "},
        {"__keyspace@0__:k", HISTORY_DELETED, PUT | DEL, 0,
         ">3 $7 message $16 __keyspace@0__:k $3 del "},
        {"__keyspace@0__:k", HISTORY_EXPIRED, 0, 0,
         ">3 $7 message $16 __keyspace@0__:k $7 expired "},
        {"__keyspace@0__:other __keyevent@0__:del", HISTORY_PUT, PUT, 0, ""},
        {"__keyspace@0__:kk __keyspace@0__:", HISTORY_PUT, PUT, 0, ""},
        {"__keyevent@0__:set", HISTORY_PUT, PUT, 0, ">3 $7 message $18 __keyevent@0__:set $1 k "},
        {"__keyevent@0__:expire __keyspace@0__:k", HISTORY_PUT, PUT | EXPIRE, 7,
         ">3 $7 message $16 __keyspace@0__:k $3 set >3 $7 message $16 __keyspace@0__:k $6 expire "
         ">3 $7 message $21 __keyevent@0__:expire $1 k "},
        {"~__key*__:k __keyspace@0__:k", HISTORY_DELETED, DEL, 0,
         ">4 $8 pmessage $10 __key*__:k $16 __keyspace@0__:k $3 del "
         ">3 $7 message $16 __keyspace@0__:k $3 del "},
        {"~__key*__:*", HISTORY_DELETED, DEL, 0,
         ">4 $8 pmessage $10 __key*__:* $16 __keyspace@0__:k $3 del "
         ">4 $8 pmessage $10 __key*__:* $18 __keyevent@0__:del $1 k "},
    };
    struct kv *kv = kv_new();
    struct resp_out out = {.version = 3};
    (void)state;
    entry_index = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct watch w;
        char names[128], *rest = NULL;
        rcu_enter();
        watch_begin_channels(&w, kv_view(kv));
        rcu_leave();
        snprintf(names, sizeof names, "%s", rows[i].subscribed);
        for (char *n = strtok_r(names, " ", &rest); n != NULL; n = strtok_r(NULL, " ", &rest)) {
            bool pattern = *n == '~';
            struct resp_arg name = arg(n + pattern);
            assert_true(channels_add(&w.channels, &name, pattern, w.at.next));
            assert_true(channels_add(&w.channels, &name, pattern, w.at.next)); /* no second time */
        }
        entry_index++;
        change(kv, "k", "v", rows[i].kind, rows[i].operations, rows[i].expiry_ms);
        publish(kv);
        tell_all(&w, kv, &out);
        check_out(&out, rows[i].told);
        channels_clear(&w.channels);
    }
    free(out.buf);
    kv_free(kv);
}

/* What is subscribed to later does not get what was before; what has ended gets nothing; there is a limit. */
static void test_subscriptions(void **state)
{
    struct kv *kv = kv_new();
    struct resp_out out = {.version = 2};
    struct resp_arg a = arg("__keyspace@0__:a"), b = arg("__keyspace@0__:b"), all = arg("*"), name;
    struct watch w;
    (void)state;
    entry_index = 1;
    rcu_enter();
    watch_begin_channels(&w, kv_view(kv));
    assert_true(channels_add(&w.channels, &a, false, w.at.next));
    put(kv, "b", "1");
    put(kv, "a", "1");
    publish(kv);
    assert_true(channels_add(&w.channels, &b, false, kv_view(kv)->history.end));
    rcu_leave();
    tell_all(&w, kv, &out);
    check_out(&out, "*3 $7 message $16 __keyspace@0__:a $3 set ");
    assert_true(channels_add(&w.channels, &all, true, w.at.next) && w.channels.n == 3);
    assert_true(channels_first(&w.channels, false, &name) && name.len == a.len);
    assert_true(channels_first(&w.channels, true, &name) && *name.p == '*' && name.len == 1);
    channels_remove(&w.channels, &a, true); /* it is no pattern */
    assert_int_equal(w.channels.n, 3);
    channels_remove(&w.channels, &a, false);
    channels_remove(&w.channels, &all, true);
    entry_index = 2;
    put(kv, "a", "2");
    put(kv, "b", "2");
    publish(kv);
    tell_all(&w, kv, &out);
    check_out(&out, "*3 $7 message $16 __keyspace@0__:b $3 set ");
    assert_false(channels_first(&w.channels, true, &name));
    char text[64];
    for (unsigned i = 1; i <= CHANNELS_MAX; i++) {
        snprintf(text, sizeof text, "__keyspace@0__:%u", i);
        name = arg(text);
        assert_true(channels_add(&w.channels, &name, false, 0) == (i < CHANNELS_MAX));
    }
    channels_clear(&w.channels);
    assert_true(w.channels.n == 0 && !channels_first(&w.channels, false, &name));
    free(out.buf);
    kv_free(kv);
}

/* ---- at random ---- */

enum { WATCHES = 12, ENTRIES = 12000, CHANGES = 4 };

struct model {
    uint64_t index;
    char key[8];
    bool last; /* of its entry */
};

struct one {
    struct watch w;
    char prefix[8];
    bool running;
    size_t next; /* in the model: all before has been told, if it was wanted */
};

static uint32_t seed;

static uint32_t roll(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

static bool wants(const struct one *o, const struct model *m)
{
    return strncmp(m->key, o->prefix, strlen(o->prefix)) == 0;
}

/* A turn of little work, in which the client may have no room. */
static void turn(struct one *o, const struct kv *kv, const struct model *model, size_t n)
{
    struct watch_news news;
    enum watch_look found;
    int work = 1 + (int)roll(6);
    while ((found = watch_look(&o->w, kv_view(kv), &work, &news)) == WATCH_TELL) {
        while (!wants(o, &model[o->next]))
            o->next++;
        const struct model *m = &model[o->next];
        const struct kv_object *k = news.change->object;
        assert_true(o->next < n && k->modify_revision == m->index);
        assert_true(k->key_len == strlen(m->key) && memcmp(kv_key(k), m->key, k->key_len) == 0);
        size_t after = o->next;
        bool more = false;
        while (!more && !model[after].last)
            more = wants(o, &model[++after]);
        assert_true(more == news.more);
        if (roll(10) == 0)
            return; /* it is found again */
        watch_pass(&o->w, &news);
        o->next++;
    }
    if (found == WATCH_MISSED) {
        o->running = false;
        while (o->next < n && !wants(o, &model[o->next]))
            o->next++;
        assert_true(o->next < n && model[o->next].index < kv_view(kv)->history.whole_from);
    }
    if (found == WATCH_DONE)
        for (; o->next < n && model[o->next].index <= kv_view(kv)->index; o->next++)
            assert_false(wants(o, &model[o->next]));
}

static void start(struct one *o, const struct kv *kv, const struct model *model, size_t n)
{
    const struct kv_view *v = kv_view(kv);
    uint64_t whole = v->history.whole_from;
    uint64_t from = whole - 1 + roll((uint32_t)(v->index - whole) + 6);
    if (from == 0 || roll(3) == 0)
        from = v->index + 1;
    snprintf(o->prefix, sizeof o->prefix, "%.*s", (int)roll(3), roll(2) ? "a1" : "b2");
    struct resp_arg prefix = arg(o->prefix);
    assert_true(watch_begin(&o->w, v, &prefix, from) == (from >= whole));
    o->running = from >= whole;
    o->next = 0;
    while (o->next < n && model[o->next].index < from)
        o->next++;
}

static void test_random(void **state)
{
    struct kv *kv = kv_new();
    struct one *all = calloc(WATCHES, sizeof *all);
    struct model *model = calloc(ENTRIES * CHANGES + 1, sizeof *model);
    size_t n = 0, started = 0;
    char value[300];
    (void)state;
    seed = 7;
    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = '\0';
    for (entry_index = 1; entry_index <= ENTRIES; entry_index++) {
        unsigned changes = roll(CHANGES + 1), first = roll(30);
        for (unsigned i = 0; i < changes; i++) {
            struct model *m = &model[n++];
            *m = (struct model){.index = entry_index, .last = i + 1 == changes};
            snprintf(m->key, sizeof m->key, "%c%u", 'a' + (int)(first + i) % 2, first + i);
            put(kv, m->key, value);
        }
        if (roll(3) == 0)
            publish(kv);
        rcu_enter();
        struct one *o = &all[roll(roll(10) == 0 ? WATCHES : 3)]; /* most are too slow */
        if (o->running)
            turn(o, kv, model, n);
        else
            start(o, kv, model, n);
        started += !o->running;
        rcu_leave();
    }
    assert_true(started > 20);
    free(model);
    free(all);
    kv_free(kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefix),        cmocka_unit_test(test_missed),
        cmocka_unit_test(test_channel_names), cmocka_unit_test(test_channel_messages),
        cmocka_unit_test(test_subscriptions), cmocka_unit_test(test_random),
    };
    rcu_thread_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
