// LINK: tests/sim/linear.c tests/sim/linear_search.c HEAVY
/* test_linear.c: the checker of histories. What a real store did is accepted, whatever was unknown;
 * every known way to be wrong is refused; tiny histories get the verdict of trying all orders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/linear.h"

enum {
    OPS_MAX = 12000,
    CLIENTS_MAX = 64,
    KEYS_MAX = 8,
    TINY_OPS_MAX = 8, /* for trying all orders */
};

enum fate { RETURNED, UNKNOWN, REFUSED };

/* An operation as the tests write it. Value 0 is "absent". */
struct op {
    enum linear_kind kind;
    enum linear_result result;
    enum fate fate;
    uint32_t client, key;
    uint64_t value; /* put, or found */
    uint64_t invoke, ret;
};

struct history {
    struct op op[OPS_MAX];
    size_t n;
};

static uint32_t draw(uint64_t *rng, uint32_t n)
{
    *rng += 0x9e3779b97f4a7c15;
    uint64_t x = *rng;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return (uint32_t)(((x >> 32) * n) >> 32);
}

static bool chance(uint64_t *rng, uint32_t percent)
{
    return draw(rng, 100) < percent;
}

/* --- handing a history to the checker --------------------------------------------------------- */

/* Operation by operation; times alone say what was first. */
static struct linear *record(const struct op *op, size_t n)
{
    struct linear *l = linear_new();
    for (size_t i = 0; i < n; i++) {
        const struct op *o = &op[i];
        size_t h = linear_invoke(l, o->client, o->kind, o->key,
                                 o->kind == LINEAR_PUT ? o->value : 0, o->invoke);
        assert_int_equal(h, i);
        if (o->fate == RETURNED)
            linear_return(l, h, o->result, o->result == LINEAR_FOUND ? o->value : 0, o->ret);
        else if (o->fate == REFUSED)
            linear_failed(l, h);
        else if (i % 2)
            linear_unknown(l, h);
    }
    return l;
}

/* Event by event, with a clock so coarse that the order of the calls must decide. Times of the
 * events are all different here. */
static struct linear *record_coarsely(const struct op *op, size_t n)
{
    struct linear *l = linear_new();
    size_t handle[TINY_OPS_MAX];
    assert_true(n <= TINY_OPS_MAX);
    uint64_t last = 0;
    for (size_t i = 0; i < n; i++) {
        last = op[i].invoke > last ? op[i].invoke : last;
        last = op[i].fate == RETURNED && op[i].ret > last ? op[i].ret : last;
    }
    for (uint64_t t = 0; t <= last; t++)
        for (size_t i = 0; i < n; i++) {
            const struct op *o = &op[i];
            if (o->invoke == t)
                handle[i] = linear_invoke(l, o->client, o->kind, o->key,
                                          o->kind == LINEAR_PUT ? o->value : 0, t / 5);
            else if (o->fate == RETURNED && o->ret == t)
                linear_return(l, handle[i], o->result, o->result == LINEAR_FOUND ? o->value : 0,
                              t / 5);
        }
    for (size_t i = 0; i < n; i++)
        if (op[i].fate == REFUSED)
            linear_failed(l, handle[i]);
    return l;
}

static struct linear_verdict judge(struct linear *l)
{
    struct linear_verdict v;
    linear_check(l, LINEAR_STATES_MAX, &v);
    linear_free(l);
    return v;
}

/* --- a store that is right -------------------------------------------------------------------- */

struct store_conf {
    uint32_t ops, clients, keys;
    uint32_t put, del;       /* percent; the rest are gets */
    uint32_t lost, refused;  /* percent of operations */
    uint32_t values;         /* 0: every put its own */
    uint32_t silent_deletes; /* percent of deletes that do not say what they found */
    uint32_t slow;           /* percent of steps that rather begin than end an operation */
};

struct store {
    uint64_t value[KEYS_MAX];
    struct {
        size_t op; /* index + 1, 0: idle */
        bool took_effect;
    } client[CLIENTS_MAX];
    size_t limbo[OPS_MAX]; /* given up by their clients, on their way still */
    size_t n_limbo;
    uint64_t now, last_value;
};

static void take_effect(struct store *s, struct op *o)
{
    uint64_t *value = &s->value[o->key];
    uint64_t was = *value;
    if (o->kind != LINEAR_GET)
        *value = o->kind == LINEAR_PUT ? o->value : 0;
    if (o->kind == LINEAR_GET)
        o->value = was;
    if (o->kind == LINEAR_GET || (o->kind == LINEAR_DELETE && o->result != LINEAR_DONE))
        o->result = was ? LINEAR_FOUND : LINEAR_ABSENT;
}

static struct op new_op(struct store *s, const struct store_conf *c, uint64_t *rng)
{
    struct op o = {.kind = LINEAR_GET, .key = draw(rng, c->keys), .fate = UNKNOWN};
    uint32_t kind = draw(rng, 100);
    o.invoke = s->now;
    if (kind < c->put) {
        o.kind = LINEAR_PUT;
        o.value = c->values ? 1 + draw(rng, c->values) : ++s->last_value;
    } else if (kind < c->put + c->del) {
        o.kind = LINEAR_DELETE;
        o.result = chance(rng, c->silent_deletes) ? LINEAR_DONE : LINEAR_FOUND;
    }
    return o;
}

static void client_step(struct store *s, const struct store_conf *c, struct history *h,
                        uint64_t *rng)
{
    uint32_t i = draw(rng, c->clients);
    if (!s->client[i].op) {
        if (h->n == c->ops)
            return;
        h->op[h->n] = new_op(s, c, rng);
        h->op[h->n].client = i;
        s->client[i].op = ++h->n;
        s->client[i].took_effect = false;
        return;
    }
    if (chance(rng, c->slow))
        return;
    struct op *o = &h->op[s->client[i].op - 1];
    bool done = s->client[i].took_effect;
    if (chance(rng, c->lost)) {
        if (!done)
            s->limbo[s->n_limbo++] = s->client[i].op - 1;
    } else if (!done && chance(rng, c->refused)) {
        o->fate = REFUSED;
    } else if (!done) {
        take_effect(s, o);
        s->client[i].took_effect = true;
        return;
    } else {
        o->fate = RETURNED;
        o->ret = s->now;
    }
    s->client[i].op = 0;
}

/* What its clients saw of a store that is right. All times are different. */
static void run_store(const struct store_conf *c, uint64_t seed, struct history *h)
{
    struct store *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    assert_true(c->ops <= OPS_MAX && c->clients <= CLIENTS_MAX && c->keys <= KEYS_MAX);
    uint64_t rng = seed;
    h->n = 0;
    for (uint64_t quiet = 0; h->n < c->ops || quiet < 20 * c->clients; s->now++) {
        quiet = h->n < c->ops ? 0 : quiet + 1;
        if (s->n_limbo && chance(&rng, 2)) {
            size_t k = draw(&rng, (uint32_t)s->n_limbo);
            struct op late = h->op[s->limbo[k]];
            if (chance(&rng, 60)) /* else lost for good */
                take_effect(s, &late);
            s->limbo[k] = s->limbo[--s->n_limbo];
        }
        client_step(s, c, h, &rng);
    }
    free(s);
}

static struct store_conf any_conf(uint64_t *rng)
{
    struct store_conf c = {.ops = 1 + draw(rng, 300),
                           .clients = 1 + draw(rng, chance(rng, 20) ? CLIENTS_MAX : 8),
                           .keys = 1 + draw(rng, KEYS_MAX),
                           .put = draw(rng, 70),
                           .del = chance(rng, 30) ? 0 : draw(rng, 30),
                           .lost = chance(rng, 50) ? 0 : draw(rng, 20),
                           .refused = chance(rng, 50) ? 0 : draw(rng, 20),
                           .values = chance(rng, 60) ? 0 : 1 + draw(rng, chance(rng, 50) ? 6 : 60),
                           .silent_deletes = chance(rng, 50) ? 0 : draw(rng, 101),
                           .slow = draw(rng, 80)};
    return c;
}

static void test_what_a_store_did_is_accepted(void **state)
{
    (void)state;
    struct history *h = malloc(sizeof(*h));
    assert_non_null(h);
    for (uint64_t seed = 1; seed <= 4000; seed++) {
        uint64_t rng = seed;
        struct store_conf c = any_conf(&rng);
        run_store(&c, seed, h);
        struct linear_verdict v = judge(record(h->op, h->n));
        if (v.outcome != LINEAR_OK)
            fail_msg("seed %llu: outcome %d: %s", (unsigned long long)seed, v.outcome, v.text);
        assert_string_equal(v.text, "");
    }
    free(h);
}

/* With hardly any states allowed, only parts of the history are looked at: none may seem broken. */
static void test_no_part_of_what_a_store_did_is_refused(void **state)
{
    (void)state;
    uint32_t gave_up = 0;
    struct history *h = malloc(sizeof(*h));
    assert_non_null(h);
    for (uint64_t seed = 6001; seed <= 8000; seed++) { /* 7672: a value of before put again */
        uint64_t rng = seed;
        struct store_conf c = any_conf(&rng);
        c.keys = 1 + c.keys % 2;
        run_store(&c, seed, h);
        struct linear *l = record(h->op, h->n);
        struct linear_verdict v;
        linear_check(l, draw(&rng, 40), &v);
        linear_free(l);
        if (v.outcome == LINEAR_BROKEN)
            fail_msg("seed %llu: %s", (unsigned long long)seed, v.text);
        gave_up += v.outcome == LINEAR_GAVE_UP;
    }
    assert_true(gave_up > 500);
    free(h);
}

/* --- long histories --------------------------------------------------------------------------- */

static void test_long_histories_are_cheap(void **state)
{
    (void)state;
    const struct store_conf confs[] = {
        {.ops = 10000, .clients = 64, .keys = 1, .put = 40, .slow = 30},
        {.ops = 10000, .clients = 64, .keys = 1, .put = 40, .del = 10, .slow = 30},
        {.ops = 10000, .clients = 64, .keys = 1, .put = 40, .del = 10, .lost = 1, .slow = 30},
        {.ops = 10000, .clients = 64, .keys = 1, .put = 20, .del = 20, .lost = 1, .slow = 70},
        {.ops = 10000, .clients = 8, .keys = 1, .put = 30, .del = 30, .lost = 1, .refused = 1},
        {.ops = 12000, .clients = 64, .keys = 8, .put = 40, .del = 10, .lost = 5},
    };
    struct history *h = malloc(sizeof(*h));
    assert_non_null(h);
    for (size_t i = 0; i < sizeof(confs) / sizeof(confs[0]); i++)
        for (uint64_t seed = 1; seed <= 3; seed++) {
            run_store(&confs[i], seed, h);
            struct linear_verdict v = judge(record(h->op, h->n));
            assert_int_equal(v.outcome, LINEAR_OK);
            assert_true(v.states > 0 && v.states <= h->n); /* a state is visited in about 1 us */
        }
    free(h);
}

enum wrong {
    WRONG_NEVER_PUT,
    WRONG_STALE,  /* a value that was overwritten before the get began */
    WRONG_FUTURE, /* a value whose put began after the get ended */
    WRONG_REFUSED,
    WRONG_ABSENT, /* though a put had ended, and there are no deletes */
    WRONG_KINDS,
};

/* A returned operation of this kind among ops[from..to), at random; NULL if there is none. */
static struct op *pick(struct history *h, enum linear_kind kind, enum fate fate, size_t from,
                       size_t to, uint64_t *rng)
{
    for (uint32_t tries = 0; tries < 1000; tries++) {
        struct op *o = &h->op[from + draw(rng, (uint32_t)(to - from))];
        if (o->kind == kind && o->fate == fate)
            return o;
    }
    return NULL;
}

/* Make one get in the middle of the history wrong for certain. NULL if this history does not allow
 * it. */
static const struct op *make_wrong(struct history *h, enum wrong wrong, uint64_t *rng)
{
    size_t third = h->n / 3;
    struct op *get = pick(h, LINEAR_GET, RETURNED, third, 2 * third, rng);
    struct op *early = pick(h, LINEAR_PUT, RETURNED, 0, third, rng);
    struct op *later = pick(h, LINEAR_PUT, RETURNED, third / 2, third, rng);
    struct op *future = pick(h, LINEAR_PUT, RETURNED, 2 * third, h->n, rng);
    struct op *refused = pick(h, LINEAR_PUT, REFUSED, 0, third, rng);
    if (!get || !early || !later || !future)
        return NULL;
    get->result = LINEAR_FOUND;
    switch (wrong) {
    case WRONG_NEVER_PUT: get->value = 1000000; break;
    case WRONG_STALE:
        if (early->ret >= later->invoke || later->ret >= get->invoke)
            return NULL;
        get->value = early->value;
        break;
    case WRONG_FUTURE:
        if (future->invoke <= get->ret)
            return NULL;
        get->value = future->value;
        break;
    case WRONG_REFUSED:
        if (!refused)
            return NULL;
        get->value = refused->value;
        break;
    case WRONG_ABSENT:
    case WRONG_KINDS:
        if (early->ret >= get->invoke)
            return NULL;
        get->result = LINEAR_ABSENT;
        break;
    }
    return get;
}

static void expect_named(const struct history *h, const struct op *wrong)
{
    struct linear_verdict v = judge(record(h->op, h->n));
    assert_int_equal(v.outcome, LINEAR_BROKEN);
    char times[60];
    (void)snprintf(times, sizeof(times), " %llu .. %llu", (unsigned long long)wrong->invoke,
                   (unsigned long long)wrong->ret);
    if (!strstr(v.text, times))
        fail_msg("not named: %s in: %s", times, v.text);
}

static void test_one_wrong_answer_in_a_long_history_is_found(void **state)
{
    (void)state;
    uint32_t found[WRONG_KINDS] = {0};
    struct history *h = malloc(sizeof(*h));
    assert_non_null(h);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        uint64_t rng = seed;
        enum wrong wrong = (enum wrong)draw(&rng, WRONG_KINDS);
        struct store_conf c = {.ops = 1000 + draw(&rng, 2000),
                               .clients = 2 + draw(&rng, CLIENTS_MAX - 1),
                               .keys = 1,
                               .put = 10 + draw(&rng, 50),
                               .del = wrong == WRONG_ABSENT ? 0 : draw(&rng, 20),
                               .lost = draw(&rng, 3),
                               .refused = 1 + draw(&rng, 3),
                               .slow = draw(&rng, 60)};
        run_store(&c, seed, h);
        const struct op *get = make_wrong(h, wrong, &rng);
        if (!get)
            continue;
        expect_named(h, get);
        found[wrong]++;
    }
    for (uint32_t i = 0; i < WRONG_KINDS; i++)
        assert_true(found[i] > 2);
    free(h);
}

/* Here a search of the whole would give up; a part must be found that is broken. */
static void test_one_wrong_answer_among_many_clients_is_found(void **state)
{
    (void)state;
    const struct store_conf c = {
        .ops = 10000, .clients = 64, .keys = 1, .put = 40, .del = 10, .lost = 1, .slow = 30};
    struct history *h = malloc(sizeof(*h));
    assert_non_null(h);
    for (uint64_t seed = 1; seed <= 2; seed++) {
        uint64_t rng = seed;
        run_store(&c, seed, h);
        const struct op *get = make_wrong(h, WRONG_STALE, &rng);
        assert_non_null(get);
        expect_named(h, get);
    }
    free(h);
}

/* --- histories by hand ------------------------------------------------------------------------ */

/* "p5:10-20 g5:30-40 g-:..." One key; each operation by its own client. p5: put 5; g5, g-: get that
 * found 5, or nothing; d+, d-, d?: delete that found something, nothing, did not say. The return is
 * a time, ? for unknown, x for refused. */
static size_t parse(const char *text, struct op *op)
{
    size_t n = 0;
    for (const char *at = text; *at; n++) {
        char kind, ret[8];
        int used = 0;
        char arg[8];
        unsigned long long invoke;
        int got = sscanf(at, " %c%7[0-9?+-]:%llu-%7[0-9?x] %n", &kind, arg, &invoke, ret, &used);
        assert_int_equal(got, 4);
        at += used;
        struct op o = {.client = (uint32_t)n, .key = 7, .invoke = invoke};
        o.kind = kind == 'p' ? LINEAR_PUT : kind == 'g' ? LINEAR_GET : LINEAR_DELETE;
        o.value = strtoull(arg, NULL, 10);
        if (kind != 'p')
            o.result = arg[0] == '-' ? LINEAR_ABSENT : arg[0] == '?' ? LINEAR_DONE : LINEAR_FOUND;
        o.fate = ret[0] == '?' ? UNKNOWN : ret[0] == 'x' ? REFUSED : RETURNED;
        o.ret = strtoull(ret, NULL, 10);
        op[n] = o;
    }
    return n;
}

struct example {
    const char *name, *history;
    bool right;
};

static const struct example examples[] = {
    {"nothing", "", true},
    {"put and get", "p1:1-2 g1:3-4 g1:5-6", true},
    {"absent at first", "g-:1-2 d-:3-4 p1:5-6 g1:7-8", true},
    {"overlapping get sees either", "p1:1-2 p2:3-9 g1:4-5 g2:6-7", true},
    {"get during its put", "p1:1-9 g1:2-3", true},
    {"delete", "p1:1-2 d+:3-4 g-:5-6 d-:7-8", true},
    {"the same value twice", "p1:1-2 p2:3-4 p1:5-6 g1:7-8", true},

    {"stale read", "p1:1-2 p2:3-4 g1:5-6", false},
    {"lost write", "p1:1-2 g-:3-4", false},
    {"lost write, older value", "p1:1-2 p2:3-4 g1:5-6 g1:7-8", false},
    {"value never written", "p1:1-2 g9:3-4", false},
    {"value never written, nor anything", "g9:3-4", false},
    {"read goes back", "p1:1-2 p2:3-20 g2:4-5 g1:6-7", false},
    {"read goes back to absent", "p1:3-20 g1:4-5 g-:6-7", false},
    {"read may go on", "p1:1-2 p2:3-20 g1:4-5 g2:6-7", true},
    {"refused write takes effect", "p1:1-x g1:3-4", false},
    {"refused delete takes effect", "p1:1-2 d?:3-x g-:5-6", false},
    {"refused write has no effect", "p1:1-2 p2:3-x g1:5-6 d?:7-x g1:9-10", true},
    {"deleted key comes back", "p1:1-2 d+:3-4 g1:5-6", false},
    {"deleted key comes back after absence was seen", "p1:1-2 d?:3-9 g-:4-5 g1:6-7", false},
    {"read before the put", "g1:1-2 p1:3-4", false},
    {"unknown put seen, then unseen", "p1:1-2 p2:3-? g2:5-6 g1:7-8", false},
    {"unknown put seen, then absence", "p2:3-? g2:5-6 g-:7-8", false},
    {"unknown delete seen, then unseen", "p1:1-2 d?:3-? g-:5-6 g1:7-8", false},
    {"put executed twice", "p1:1-2 p2:3-4 g2:5-6 g1:7-8", false},
    {"unknown put executed twice", "p1:1-? g1:3-4 p2:5-6 g2:7-8 g1:9-10", false},
    {"delete executed twice", "p1:1-2 d+:3-4 p2:5-6 g2:7-8 g-:9-10", false},
    {"unknown delete executed twice", "p1:1-2 d?:3-? g-:4-5 p2:6-7 g-:8-9 g2:10-11", false},
    {"unknown delete executed twice, at the end", "p1:1-2 d?:3-? g-:4-5 p2:6-7 g-:8-9", false},
    {"two deletes find the same value", "p1:1-2 d+:3-9 d+:4-8", false},
    {"two deletes, two values", "p1:1-2 d+:3-9 p2:4-7 d+:5-8", true},
    {"delete found what was not there", "d+:1-2", false},
    {"delete found what was deleted", "p1:1-2 d?:3-4 d+:5-6", false},
    {"delete did not find what was there", "p1:1-2 d-:3-4", false},
    {"delete did not find, and left it", "p1:5-9 d-:3-8 g1:10-11", true},
    {"delete did not find, yet it is gone", "p1:1-2 d-:3-9 g-:10-11", false},
    {"two readers, two orders", "p1:1-20 p2:2-21 g1:3-4 g2:5-6 g2:3-4 g1:5-6", false},
    {"two readers, one order", "p1:1-20 p2:2-21 g1:3-4 g2:5-6 g1:3-4 g2:5-6", true},
    {"two readers, two orders, at the end", "p1:1-4 p2:2-5 g1:6-7 g2:8-9", false},
    {"two readers disagree on a delete", "p1:1-2 d+:3-20 g-:4-6 g1:7-8", false},
    {"seen by one that ended, not by one that began", "p1:1-20 g1:2-6 g-:7-8", false},

    {"unknown put had effect", "p1:1-2 p2:3-? g2:5-6 g2:7-8", true},
    {"unknown put had none", "p1:1-2 p2:3-? g1:5-6 g1:7-8", true},
    {"unknown put, late", "p1:1-2 p2:3-? g1:5-6 p3:7-8 g3:9-10 g2:11-12", true},
    {"unknown put, in time for the delete", "p2:3-? d+:5-6", true},
    {"unknown put, one delete only", "p2:3-? d+:5-6 d+:7-8", false},
    {"unknown put, too late for the delete", "d+:1-2 p2:3-?", false},
    {"unknown put, read before the delete", "p2:3-? g2:4-5 d+:6-7 g-:8-9 d+:10-11", false},
    {"unknown delete had effect", "p1:1-2 d?:3-? g-:5-6", true},
    {"unknown delete had none", "p1:1-2 d?:3-? g1:5-6", true},
    {"unknown delete, late", "p1:1-2 d?:3-? g1:5-6 p2:7-8 g2:9-10 g-:11-12", true},
    {"two unknown deletes", "p1:1-2 d?:3-? d?:3-? g-:5-6 p2:7-8 g-:9-10", true},
    {"unknown delete, better saved", "d?:1-? p2:2-3 d+:4-6 p3:5-7 d-:8-9 p1:10-11 g-:12-13", true},
    {"unknown delete, saved but once", "d?:1-? p2:2-3 d+:4-5 p3:6-7 d-:8-9 p1:10-11 g-:12-13",
     false},
    {"unknown delete after the read", "p1:1-2 g-:3-4 d?:5-?", false},
    {"unknown get", "p1:1-2 g9:3-? g1:5-6", true},
    {"silent delete had to be", "p1:1-2 d?:3-4 g1:5-6", false},
    {"silent delete of nothing", "d?:1-2 g-:3-4 p1:5-6 d?:7-8 d-:9-10", true},
    {"the same value again, unknown", "p1:1-2 p2:3-4 p1:5-? g2:6-7 g1:8-9", true},
    {"the same value again, seen, unseen", "p1:1-2 p2:3-4 p1:5-? g1:6-7 g2:8-9 g1:10-11", false},
    {"the same value three times", "p1:1-? p1:2-? p2:3-4 g1:5-6 p2:7-8 g1:9-10 g2:11-12", false},
    {"put unread between deletes", "p1:1-30 p2:2-31 p3:3-32 d+:4-5 d+:6-7 d+:8-9 g-:10-11", true},
    {"too few puts unread", "p1:1-30 p2:2-31 p3:20-32 d+:4-5 d+:6-7 d+:8-9", false},
};

static void test_examples(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        const struct example *e = &examples[i];
        struct op op[16];
        size_t n = parse(e->history, op);
        struct linear_verdict v = judge(record(op, n));
        if (v.outcome != (e->right ? LINEAR_OK : LINEAR_BROKEN))
            fail_msg("%s: outcome %d: %s", e->name, v.outcome, v.text);
        assert_true((v.outcome == LINEAR_BROKEN) == (v.text[0] != '\0'));
    }
}

static void explains(const char *history, const char *text)
{
    struct op op[16];
    struct linear_verdict v = judge(record(op, parse(history, op)));
    assert_int_equal(v.outcome, LINEAR_BROKEN);
    assert_int_equal(v.key, 7);
    assert_string_equal(v.text, text);
}

static void test_explanations_are_short(void **state)
{
    (void)state;
    explains("p1:1-2 p2:3-4 g2:5-6 d+:10-11 p3:12-13 g3:14-15 g-:16-17 g3:18-19 p4:20-?",
             "key 7: no order explains 3 of its 9 operations:\n"
             "  client 4    put 3                        12 .. 13 (end not needed)\n"
             "  client 5    get -> 3                     14 .. 15\n"
             "  client 6    get -> absent                16 .. 17\n"
             "  client 7    get -> 3                     18 .. 19\n");
    explains("p1:1-2 p8:2-x g9:3-4 g1:5-6", "key 7: no order explains 1 of its 4 operations:\n"
                                            "  client 2    get -> 9                     3 .. 4\n"
                                            "              9 was never put\n");
    explains("p1:1-2 p8:2-x g8:3-4 g1:5-6",
             "key 7: no order explains 1 of its 4 operations:\n"
             "  client 1    put 8                        2 .. failed\n"
             "  client 2    get -> 8                     3 .. 4\n");
    explains("d-:1-9 p1:2-3 g-:10-11", /* what a delete that found nothing did is known: nothing */
             "key 7: no order explains 2 of its 3 operations:\n"
             "  client 1    put 1                        2 .. 3\n"
             "  client 2    get -> absent                10 .. 11\n");
    explains("p1:1-2 d?:3-? d+:5-6 d-:7-8 d+:9-10",
             "key 7: no order explains 2 of its 5 operations:\n"
             "  client 2    delete -> found              5 .. 6\n"
             "  client 4    delete -> found              9 .. 10\n");
}

/* More deletes found something than there were puts, and each of them is needed to show it. */
static void test_long_explanations_are_cut(void **state)
{
    (void)state;
    enum { DELETES = LINEAR_EXPLAIN_LINES + 6 };
    const uint64_t late = UINT64_MAX / 2; /* so that the lines are long */
    struct linear *l = linear_new();
    for (uint32_t i = 1; i < DELETES; i++)
        linear_return(l, linear_invoke(l, UINT32_MAX, LINEAR_PUT, 1, i, late), LINEAR_DONE, 0,
                      UINT64_MAX);
    for (uint32_t i = 0; i < DELETES; i++)
        linear_return(l, linear_invoke(l, UINT32_MAX, LINEAR_DELETE, 1, 0, late), LINEAR_FOUND, 0,
                      UINT64_MAX);
    struct linear_verdict v = judge(l);
    assert_int_equal(v.outcome, LINEAR_BROKEN);
    assert_non_null(strstr(v.text, "no order explains 30 of its 59 operations:\n"));
    assert_non_null(strstr(v.text, "\n  and 6 more\n"));
}

/* --- against trying all orders ---------------------------------------------------------------- */

struct brute {
    const struct op *op;
    size_t n;
};

/* Can the operations not yet done be done in some order, beginning with this value? */
static bool brute(const struct brute *b, uint32_t done, uint64_t value)
{
    bool all = true;
    for (size_t i = 0; i < b->n; i++)
        all = all && (b->op[i].fate != RETURNED || done & 1u << i);
    if (all)
        return true;
    for (size_t i = 0; i < b->n; i++) {
        const struct op *o = &b->op[i];
        bool allowed = o->fate != REFUSED && !(done & 1u << i);
        for (size_t k = 0; k < b->n; k++)
            if (b->op[k].fate == RETURNED && b->op[k].ret < o->invoke && !(done & 1u << k))
                allowed = false;
        uint64_t answer = o->result == LINEAR_FOUND ? o->value : 0, after = value;
        if (o->fate == RETURNED && o->kind == LINEAR_GET && answer != value)
            allowed = false;
        if (o->fate == RETURNED && o->kind == LINEAR_DELETE && o->result != LINEAR_DONE &&
            (o->result == LINEAR_FOUND) != (value != 0))
            allowed = false;
        if (o->kind != LINEAR_GET)
            after = o->kind == LINEAR_PUT ? o->value : 0;
        if (allowed && brute(b, done | 1u << i, after))
            return true;
    }
    return false;
}

/* Intervals and answers at random: one after the other, then the more mixed up the more swaps. */
static void any_tiny(struct history *h, uint64_t *rng)
{
    uint32_t times[2 * TINY_OPS_MAX], values = 1 + draw(rng, 3);
    bool own_values = chance(rng, 50);
    uint32_t gets = draw(rng, 90), lost = chance(rng, 50) ? 0 : draw(rng, 60);
    h->n = 1 + draw(rng, TINY_OPS_MAX);
    for (uint32_t i = 0; i < 2 * h->n; i++)
        times[i] = i;
    for (uint32_t swaps = draw(rng, 30); swaps > 0; swaps--) {
        uint32_t i = draw(rng, (uint32_t)(2 * h->n)), k = i + draw(rng, 4);
        k = k < 2 * h->n ? k : i;
        uint32_t t = times[i];
        times[i] = times[k];
        times[k] = t;
    }
    for (size_t i = 0; i < h->n; i++) {
        struct op *o = &h->op[i];
        uint32_t a = times[2 * i], b = times[2 * i + 1];
        *o = (struct op){.client = (uint32_t)i, .invoke = a < b ? a : b, .ret = a < b ? b : a};
        o->kind = chance(rng, gets) ? LINEAR_GET : chance(rng, 50) ? LINEAR_PUT : LINEAR_DELETE;
        o->value = o->kind == LINEAR_PUT && own_values ? i + 1 : 1 + draw(rng, values);
        if (o->kind == LINEAR_GET)
            o->result = chance(rng, 60) ? LINEAR_FOUND : LINEAR_ABSENT;
        else if (o->kind == LINEAR_DELETE)
            o->result = (enum linear_result)draw(rng, 3);
        o->fate = chance(rng, lost) ? UNKNOWN : chance(rng, 3) ? REFUSED : RETURNED;
    }
}

/* What a store did, then changed in a few places. */
static void changed_tiny(struct history *h, uint64_t seed, uint64_t *rng)
{
    struct store_conf c = {.ops = 1 + draw(rng, TINY_OPS_MAX),
                           .clients = 1 + draw(rng, 5),
                           .keys = 1,
                           .put = 20 + draw(rng, 50),
                           .del = draw(rng, 30),
                           .lost = chance(rng, 50) ? 0 : draw(rng, 30),
                           .refused = draw(rng, 10),
                           .values = chance(rng, 60) ? 0 : 1 + draw(rng, 3),
                           .silent_deletes = draw(rng, 50),
                           .slow = draw(rng, 70)};
    run_store(&c, seed, h);
    for (uint32_t changes = draw(rng, 3); changes > 0; changes--) {
        struct op *o = &h->op[draw(rng, (uint32_t)h->n)];
        if (o->kind == LINEAR_PUT)
            o->fate = (enum fate)draw(rng, 3);
        else if (o->kind == LINEAR_DELETE)
            o->result = (enum linear_result)draw(rng, 3);
        else
            o->result = chance(rng, 60) ? LINEAR_FOUND : LINEAR_ABSENT;
        if (o->kind == LINEAR_GET)
            o->value = h->op[draw(rng, (uint32_t)h->n)].value;
        if (!o->value) /* of a get that found nothing */
            o->value = 99;
        if (o->fate == RETURNED && o->ret <= o->invoke)
            o->fate = UNKNOWN;
    }
}

static void test_same_verdict_as_all_orders(void **state)
{
    (void)state;
    uint32_t right = 0, wrong = 0;
    struct history *h = malloc(sizeof(*h));
    assert_non_null(h);
    for (uint64_t seed = 1; seed <= 60000; seed++) {
        uint64_t rng = seed;
        if (seed % 2)
            any_tiny(h, &rng);
        else
            changed_tiny(h, seed, &rng);
        bool expect = brute(&(struct brute){h->op, h->n}, 0, 0);
        bool coarse = chance(&rng, 50);
        struct linear_verdict v = judge(coarse ? record_coarsely(h->op, h->n)
                                               : record(h->op, h->n));
        if (v.outcome != (expect ? LINEAR_OK : LINEAR_BROKEN))
            fail_msg("seed %llu: outcome %d: %s", (unsigned long long)seed, v.outcome, v.text);
        right += expect;
        wrong += !expect;
    }
    assert_true(right > 15000 && wrong > 15000);
    free(h);
}

/* --- the rest of the interface ---------------------------------------------------------------- */

static void test_gives_up_at_the_limit(void **state)
{
    (void)state;
    struct linear_verdict v;
    struct linear *l = linear_new();
    for (uint32_t i = 0; i < 100; i++)
        linear_return(l, linear_invoke(l, 1, LINEAR_PUT, 3, i, i), LINEAR_DONE, 0, i);
    linear_check(l, 50, &v);
    assert_int_equal(v.outcome, LINEAR_GAVE_UP);
    assert_int_equal(v.key, 3);
    assert_string_equal(v.text, "key 3: gave up on its 100 operations: more than 50 states\n");
    linear_check(l, 200, &v);
    assert_int_equal(v.outcome, LINEAR_OK);

    /* A broken key counts more than one given up. */
    linear_return(l, linear_invoke(l, 1, LINEAR_GET, 9, 0, 200), LINEAR_FOUND, 5, 200);
    linear_return(l, linear_invoke(l, 1, LINEAR_GET, 11, 0, 200), LINEAR_FOUND, 5, 200);
    linear_check(l, 50, &v);
    assert_int_equal(v.outcome, LINEAR_BROKEN);
    assert_int_equal(v.key, 9); /* the first broken one */
    linear_free(l);
}

static void test_recording_goes_on(void **state)
{
    (void)state;
    struct linear_verdict v;
    struct linear *l = linear_new();
    linear_check(l, LINEAR_STATES_MAX, &v);
    assert_int_equal(v.outcome, LINEAR_OK);
    size_t put = linear_invoke(l, 1, LINEAR_PUT, 0, 5, 10);
    linear_unknown(l, put);
    linear_return(l, linear_invoke(l, 2, LINEAR_GET, 0, 0, 20), LINEAR_ABSENT, 0, 30);
    linear_check(l, LINEAR_STATES_MAX, &v);
    assert_int_equal(v.outcome, LINEAR_OK);
    linear_return(l, put, LINEAR_DONE, 0, 15); /* a late answer; but the get saw nothing */
    linear_check(l, LINEAR_STATES_MAX, &v);
    assert_int_equal(v.outcome, LINEAR_BROKEN);
    linear_free(l);
    linear_free(NULL);
}

/* At equal times, what was called first was first. */
static void test_equal_times(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        struct linear *l = linear_new();
        size_t put = linear_invoke(l, 1, LINEAR_PUT, 0, 5, 10), get;
        if (order == 0) { /* overlapping */
            get = linear_invoke(l, 2, LINEAR_GET, 0, 0, 10);
            linear_return(l, put, LINEAR_DONE, 0, 10);
        } else {
            linear_return(l, put, LINEAR_DONE, 0, 10);
            get = linear_invoke(l, 2, LINEAR_GET, 0, 0, 10);
        }
        linear_return(l, get, LINEAR_ABSENT, 0, 10);
        assert_int_equal(judge(l).outcome, order == 0 ? LINEAR_OK : LINEAR_BROKEN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_explanations_are_short),
        cmocka_unit_test(test_long_explanations_are_cut),
        cmocka_unit_test(test_same_verdict_as_all_orders),
        cmocka_unit_test(test_what_a_store_did_is_accepted),
        cmocka_unit_test(test_no_part_of_what_a_store_did_is_refused),
        cmocka_unit_test(test_long_histories_are_cheap),
        cmocka_unit_test(test_one_wrong_answer_in_a_long_history_is_found),
        cmocka_unit_test(test_one_wrong_answer_among_many_clients_is_found),
        cmocka_unit_test(test_gives_up_at_the_limit),
        cmocka_unit_test(test_recording_goes_on),
        cmocka_unit_test(test_equal_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
