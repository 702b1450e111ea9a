/* commands_write.c: see commands_impl.h. */
#include "raftd/serve/commands_impl.h"

/* --- what is told of operations ----------------------------------------------------------------- */

/* It was done, and found its key. */
static bool was_done(const struct told *t)
{
    return t->outcome == MACHINE_DONE;
}

static void value(struct resp_out *out, const struct told *t)
{
    if (was_done(t) && t->value != NULL)
        resp_bulk(out, t->value, t->value_len);
    else
        resp_null(out);
}

void tell_get(const struct tale *t, struct resp_out *out)
{
    value(out, &t->told[0]);
}

void tell_mget(const struct tale *t, struct resp_out *out)
{
    resp_array(out, t->n);
    for (unsigned i = 0; i < t->n; i++)
        value(out, &t->told[i]);
}

void tell_count(const struct tale *t, struct resp_out *out)
{
    unsigned n = 0;
    for (unsigned i = 0; i < t->n; i++)
        n += was_done(&t->told[i]);
    resp_int(out, n);
}

void tell_strlen(const struct tale *t, struct resp_out *out)
{
    resp_int(out, was_done(&t->told[0]) ? t->told[0].value_len : 0);
}

void tell_type(const struct tale *t, struct resp_out *out)
{
    resp_simple(out, was_done(&t->told[0]) ? "string" : "none");
}

static int64_t ttl_ms(const struct tale *t)
{
    uint64_t expiry_ms = t->told[0].expiry_before_ms;
    if (!was_done(&t->told[0]))
        return -2;
    if (expiry_ms == 0)
        return -1;
    return expiry_ms > t->cluster_ms ? (int64_t)(expiry_ms - t->cluster_ms) : 0;
}

void tell_ttl(const struct tale *t, struct resp_out *out)
{
    int64_t ms = ttl_ms(t);
    resp_int(out, ms < 0 ? ms : (ms + 500) / 1000);
}

void tell_pttl(const struct tale *t, struct resp_out *out)
{
    resp_int(out, ttl_ms(t));
}

void tell_ok(const struct tale *t, struct resp_out *out)
{
    (void)t;
    resp_simple(out, "OK");
}

void tell_guarded(const struct tale *t, struct resp_out *out)
{
    resp_int(out, was_done(&t->told[t->n - 1]));
}

void tell_number(const struct tale *t, struct resp_out *out)
{
    int64_t n = 0;
    (void)resp_number(&(struct resp_arg){t->told[0].value, t->told[0].value_len}, &n);
    resp_int(out, n);
}

/* That there was a key is not enough. */
void tell_persist(const struct tale *t, struct resp_out *out)
{
    resp_int(out, was_done(&t->told[0]) && t->told[0].expiry_before_ms != 0);
}

/* --- reads, in a transaction with writes ------------------------------------------------------------ */

static void each_key(const struct call *call, struct cmd_build *b, enum cmd_kind kind)
{
    for (unsigned i = 1; i < call->argc; i++)
        build_operation(b, kind, &call->argv[i], NULL);
}

const char *build_read(const struct call *call, struct cmd_build *b)
{
    each_key(call, b, CMD_READ);
    return b->error;
}

/* --- SET ---------------------------------------------------------------------------------------- */

/* Its shape. */
enum {
    SET_GET = 1,  /* the value before is told */
    SET_HELD = 2, /* a guard is that a lock is held */
};

struct set {
    bool get, keep;
    enum cmd_kind guard; /* 0: none */
    const struct resp_arg *guard_value;
    const struct resp_arg *lock; /* NULL: it does not matter who holds which */
    int64_t fence;
    uint64_t ttl_ms;  /* 0: none; ... */
    unsigned unit_ms; /* ... in which unit it was given */
};

/* IFHELD lock fence */
static void set_held(struct set *set, const struct resp_arg *arg, struct cmd_build *b)
{
    set->lock = arg + 1;
    if (key_error(set->lock) != NULL)
        build_fail(b, key_error(set->lock));
    else if (!resp_number(arg + 2, &set->fence) || set->fence < 1)
        build_fail(b, "ERR a fence is a number from 1 on");
}

/* What is said twice counts once, as in Redis. `more`: how many arguments follow. */
static bool set_option(struct set *set, const struct resp_arg *arg, unsigned more,
                       struct cmd_build *b)
{
    unsigned unit_ms = resp_is(arg, "ex") ? 1000 : resp_is(arg, "px") ? 1 : 0;
    if (resp_is(arg, "get")) {
        set->get = true;
    } else if (resp_is(arg, "keepttl") && set->ttl_ms == 0) {
        set->keep = true;
    } else if (resp_is(arg, "nx") && (set->guard == 0 || set->guard == CMD_IF_ABSENT)) {
        set->guard = CMD_IF_ABSENT;
    } else if (resp_is(arg, "xx") && (set->guard == 0 || set->guard == CMD_IF_PRESENT)) {
        set->guard = CMD_IF_PRESENT;
    } else if (resp_is(arg, "ifeq") && set->guard == 0 && more > 0) {
        set->guard = CMD_IF_VALUE;
        set->guard_value = arg + 1;
    } else if (unit_ms > 0 && more > 0 && !set->keep &&
               (set->ttl_ms == 0 || set->unit_ms == unit_ms)) {
        set->ttl_ms = build_ttl(b, arg + 1, unit_ms);
        set->unit_ms = unit_ms;
    } else if (resp_is(arg, "ifheld") && set->lock == NULL && more > 1) {
        set_held(set, arg, b);
    } else if (resp_is(arg, "exat") || resp_is(arg, "pxat")) {
        build_fail(b, "ERR no wall clock has a say here: give EX or PX");
    } else {
        build_fail(b, "ERR syntax error");
    }
    return b->error == NULL;
}

const char *build_set(const struct call *call, struct cmd_build *b)
{
    struct set set = {0};
    const struct resp_arg *key = &call->argv[1];
    for (unsigned i = 3; i < call->argc; i++) {
        const struct resp_arg *arg = &call->argv[i];
        if (!set_option(&set, arg, call->argc - i - 1, b))
            return b->error;
        i += resp_is(arg, "ifeq") || resp_is(arg, "ex") || resp_is(arg, "px")
                 ? 1
                 : 2 * (unsigned)resp_is(arg, "ifheld");
    }
    unsigned last = set.ttl_ms != 0 ? 2 : 1; /* operations that put */
    if (set.get)
        build_operation(b, CMD_READ, key, NULL);
    if (set.lock != NULL)
        build_guard_number(b, CMD_IF_HELD, last + (set.guard != 0), set.lock, (uint64_t)set.fence);
    if (set.guard != 0)
        build_guard(b, set.guard, last, key, set.guard_value);
    build_operation(b, set.keep ? CMD_PUT_KEEP : CMD_PUT, key, &call->argv[2]);
    if (set.ttl_ms != 0)
        build_number(b, CMD_EXPIRE, key, set.ttl_ms);
    b->shape = (set.get ? SET_GET : 0) | (set.lock != NULL ? SET_HELD : 0);
    return b->error;
}

void tell_set(const struct tale *t, struct resp_out *out)
{
    bool get = (t->shape & SET_GET) != 0;
    if ((t->shape & SET_HELD) != 0 && !was_done(&t->told[get ? 1 : 0]))
        resp_error(out, "NOTHELD the lock is not held with that fence");
    else if (get)
        value(out, &t->told[0]);
    else if (was_done(&t->told[t->n - 1]))
        resp_simple(out, "OK");
    else
        resp_null(out);
}

/* --- the others --------------------------------------------------------------------------------- */

const char *build_setnx(const struct call *call, struct cmd_build *b)
{
    build_guard(b, CMD_IF_ABSENT, 1, &call->argv[1], NULL);
    build_operation(b, CMD_PUT, &call->argv[1], &call->argv[2]);
    return b->error;
}

static const char *put_for(const struct call *call, struct cmd_build *b, unsigned unit_ms)
{
    build_operation(b, CMD_PUT, &call->argv[1], &call->argv[3]);
    build_number(b, CMD_EXPIRE, &call->argv[1], build_ttl(b, &call->argv[2], unit_ms));
    return b->error;
}

const char *build_setex(const struct call *call, struct cmd_build *b)
{
    return put_for(call, b, 1000);
}

const char *build_psetex(const struct call *call, struct cmd_build *b)
{
    return put_for(call, b, 1);
}

const char *build_getset(const struct call *call, struct cmd_build *b)
{
    build_operation(b, CMD_READ, &call->argv[1], NULL);
    build_operation(b, CMD_PUT, &call->argv[1], &call->argv[2]);
    return b->error;
}

const char *build_getdel(const struct call *call, struct cmd_build *b)
{
    build_operation(b, CMD_READ, &call->argv[1], NULL);
    build_operation(b, CMD_DELETE, &call->argv[1], NULL);
    return b->error;
}

const char *build_mset(const struct call *call, struct cmd_build *b)
{
    if (call->argc % 2 == 0)
        return "ERR each key needs a value";
    for (unsigned i = 1; i < call->argc; i += 2)
        build_operation(b, CMD_PUT, &call->argv[i], &call->argv[i + 1]);
    return b->error;
}

/* One guard for each key, over all that comes after it: so either all are put, or none. */
const char *build_msetnx(const struct call *call, struct cmd_build *b)
{
    unsigned keys = (call->argc - 1) / 2;
    if (2 * keys > CMD_OPERATIONS_MAX)
        return "TOOBIG MSETNX takes at most 64 keys";
    for (unsigned i = 0; i < keys; i++)
        build_guard(b, CMD_IF_ABSENT, 2 * keys - 1 - i, &call->argv[1 + 2 * i], NULL);
    return build_mset(call, b);
}

static const char *add(const struct call *call, struct cmd_build *b, int64_t n)
{
    build_number(b, CMD_ADD, &call->argv[1], (uint64_t)n);
    return b->error;
}

const char *build_incr(const struct call *call, struct cmd_build *b)
{
    return add(call, b, 1);
}

const char *build_decr(const struct call *call, struct cmd_build *b)
{
    return add(call, b, -1);
}

static const char not_a_number[] = "ERR value is not an integer or out of range";

const char *build_incrby(const struct call *call, struct cmd_build *b)
{
    int64_t n;
    return resp_number(&call->argv[2], &n) ? add(call, b, n) : not_a_number;
}

const char *build_decrby(const struct call *call, struct cmd_build *b)
{
    int64_t n;
    return resp_number(&call->argv[2], &n) && n != INT64_MIN ? add(call, b, -n) : not_a_number;
}

const char *build_del(const struct call *call, struct cmd_build *b)
{
    each_key(call, b, CMD_DELETE);
    return b->error;
}

/* Does that only while the key has the value. */
static void if_value(struct cmd_build *b, const struct resp_arg *key, const struct resp_arg *value)
{
    build_guard(b, CMD_IF_VALUE, 1, key, value);
}

const char *build_delifeq(const struct call *call, struct cmd_build *b)
{
    if_value(b, &call->argv[1], &call->argv[2]);
    build_operation(b, CMD_DELETE, &call->argv[1], NULL);
    return b->error;
}

const char *build_delex(const struct call *call, struct cmd_build *b)
{
    if (call->argc == 4 && resp_is(&call->argv[2], "ifeq"))
        if_value(b, &call->argv[1], &call->argv[3]);
    else if (call->argc != 2)
        return "ERR syntax error: of the conditions, DELEX takes IFEQ here";
    build_operation(b, CMD_DELETE, &call->argv[1], NULL);
    return b->error;
}

static const char *expire(const struct call *call, struct cmd_build *b, unsigned unit_ms)
{
    if (call->argc > 3)
        return "ERR NX, XX, GT and LT are not served here";
    build_number(b, CMD_EXPIRE, &call->argv[1], build_ttl(b, &call->argv[2], unit_ms));
    return b->error;
}

const char *build_expire(const struct call *call, struct cmd_build *b)
{
    return expire(call, b, 1000);
}

const char *build_pexpire(const struct call *call, struct cmd_build *b)
{
    return expire(call, b, 1);
}

const char *build_persist(const struct call *call, struct cmd_build *b)
{
    build_number(b, CMD_EXPIRE, &call->argv[1], 0);
    return b->error;
}

/* --- scripts ------------------------------------------------------------------------------------ */

/* No scripts run here. But libraries send their lock's steps as scripts that they name by a digest; each of
 * these is one guarded operation here. */
enum script { SCRIPT_RELEASE, SCRIPT_EXTEND, SCRIPT_RENEW };

static const struct {
    const char *digest; /* SHA-1, by which clients name it */
    enum script script;
} scripts[] = {
    /* of redis-py's Lock */
    {"c3f8721cbb97f72bc19e972846bd7aaf91901658", SCRIPT_RELEASE}, /* token */
    {"a4e8783852e6b949f9ef3a97212805108459a890", SCRIPT_EXTEND},  /* token, ms, "1": from now on */
    {"1cac51482acf5858da00f6d685d68f886cd6b6b2", SCRIPT_RENEW},   /* token, ms */
};

/* EVALSHA digest 1 key token ... */
const char *build_evalsha(const struct call *call, struct cmd_build *b)
{
    size_t i = 0;
    while (i < sizeof scripts / sizeof scripts[0] && !resp_is(&call->argv[1], scripts[i].digest))
        i++;
    if (i == sizeof scripts / sizeof scripts[0])
        return "NOSCRIPT no scripts run here, but for the locks of some libraries";
    enum script script = scripts[i].script;
    unsigned argc = script == SCRIPT_RELEASE ? 5 : script == SCRIPT_RENEW ? 6 : 7;
    if (call->argc != argc || !resp_is(&call->argv[2], "1"))
        return "ERR wrong number of keys or arguments for that script";
    const struct resp_arg *key = &call->argv[3], *token = &call->argv[4];
    if (script == SCRIPT_EXTEND && !resp_is(&call->argv[6], "1"))
        return "ERR a time to live can only be replaced here, not extended: "
               "give replace_ttl=True";
    if (key_error(key) != NULL)
        return key_error(key);
    if_value(b, key, token);
    if (script == SCRIPT_RELEASE)
        build_operation(b, CMD_DELETE, key, NULL);
    else
        build_number(b, CMD_EXPIRE, key, build_ttl(b, &call->argv[5], 1));
    return b->error;
}
