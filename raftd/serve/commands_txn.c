/* commands_txn.c: RAFT.TXN: conditions and operations as they are in the state machine (cmd.h).
 *
 *   RAFT.TXN [IF ABSENT k | IF PRESENT k | IF VALUE k v | IF REV k n | IF HELD lock fence]...
 *            [PUT k v [PX ms] | DEL k | INCRBY k n | PEXPIRE k ms | PERSIST k | GET k]...
 *
 * PX makes an operation of its own, which is not told. So that it can be told from PEXPIRE, that does not
 * stand right behind a PUT of its key.
 */
#include <assert.h>
#include <string.h>

#include "raftd/serve/commands_impl.h"

/* Where a call is read. */
struct txn {
    const struct resp_arg *at, *end;
    struct cmd_build *b;
};

/* The next argument. What is missing is an error, and reads as an empty one. */
static const struct resp_arg *next(struct txn *t)
{
    static const struct resp_arg none = {(const uint8_t *)"", 0};
    if (t->at < t->end)
        return t->at++;
    build_fail(t->b, "ERR syntax error: an argument is missing at the end");
    return &none;
}

static const struct resp_arg *next_key(struct txn *t)
{
    const struct resp_arg *key = next(t);
    const char *error = key_error(key);
    if (error != NULL)
        build_fail(t->b, error);
    return key;
}

static int64_t next_number(struct txn *t, int64_t min)
{
    int64_t n = 0;
    if (!resp_number(next(t), &n) || n < min)
        build_fail(t->b, "ERR value is not an integer or out of range");
    return n;
}

static bool next_is(struct txn *t, const char *word)
{
    if (t->at == t->end || !resp_is(t->at, word))
        return false;
    t->at++;
    return true;
}

static void condition(struct txn *t)
{
    if (next_is(t, "absent")) {
        build_condition(t->b, CMD_IF_ABSENT, next_key(t), NULL);
    } else if (next_is(t, "present")) {
        build_condition(t->b, CMD_IF_PRESENT, next_key(t), NULL);
    } else if (next_is(t, "value")) {
        const struct resp_arg *key = next_key(t);
        build_condition(t->b, CMD_IF_VALUE, key, next(t));
    } else if (next_is(t, "rev")) {
        const struct resp_arg *key = next_key(t);
        build_condition_number(t->b, CMD_IF_REVISION, key, (uint64_t)next_number(t, 1));
    } else if (next_is(t, "held")) {
        const struct resp_arg *lock = next_key(t);
        build_condition_number(t->b, CMD_IF_HELD, lock, (uint64_t)next_number(t, 1));
    } else {
        build_fail(t->b, "ERR syntax error: IF is followed by ABSENT, PRESENT, VALUE, REV or HELD");
    }
}

/* That operation is a put of this key. */
static bool is_put(const struct cmd_item *item, const struct cmd_item *of)
{
    return item->kind == CMD_PUT && item->key_len == of->key_len &&
           memcmp(item->key, of->key, of->key_len) == 0;
}

static void expire(struct txn *t)
{
    const struct resp_arg *key = next_key(t);
    struct cmd_build *b = t->b;
    build_number(b, CMD_EXPIRE, key, build_ttl(b, next(t), 1));
    if (b->operations > 1 &&
        is_put(&b->operation[b->operations - 2], &b->operation[b->operations - 1]))
        build_fail(b, "ERR syntax error: that is PUT key value PX ms");
}

static void operation(struct txn *t)
{
    if (next_is(t, "put")) {
        const struct resp_arg *key = next_key(t);
        build_operation(t->b, CMD_PUT, key, next(t));
        if (next_is(t, "px"))
            build_number(t->b, CMD_EXPIRE, key, build_ttl(t->b, next(t), 1));
    } else if (next_is(t, "del")) {
        build_operation(t->b, CMD_DELETE, next_key(t), NULL);
    } else if (next_is(t, "incrby")) {
        const struct resp_arg *key = next_key(t);
        build_number(t->b, CMD_ADD, key, (uint64_t)next_number(t, INT64_MIN));
    } else if (next_is(t, "pexpire")) {
        expire(t);
    } else if (next_is(t, "persist")) {
        build_number(t->b, CMD_EXPIRE, next_key(t), 0);
    } else if (next_is(t, "get")) {
        build_operation(t->b, CMD_READ, next_key(t), NULL);
    } else {
        build_fail(t->b, "ERR syntax error: no such operation (IF stands before all operations)");
    }
}

const char *build_txn(const struct call *call, struct cmd_build *b)
{
    struct txn t = {.at = call->argv + 1, .end = call->argv + call->argc, .b = b};
    while (b->error == NULL && next_is(&t, "if"))
        condition(&t);
    while (b->error == NULL && t.at < t.end)
        operation(&t);
    if (b->operations == 0)
        build_fail(b, "ERR syntax error: there is no operation");
    return b->error;
}

static void tell_operation(const struct cmd_item *item, const struct told *told,
                           struct resp_out *out)
{
    bool found = told->outcome == MACHINE_DONE;
    int64_t n = 0;
    switch (item->kind) {
    case CMD_READ:
        if (found)
            resp_bulk(out, told->value, told->value_len);
        else
            resp_null(out);
        break;
    case CMD_ADD:
        (void)resp_number(&(struct resp_arg){told->value, told->value_len}, &n);
        resp_int(out, n);
        break;
    case CMD_EXPIRE:
        resp_int(out, found && (cmd_number(item) != 0 || told->expiry_before_ms != 0));
        break;
    case CMD_DELETE: resp_int(out, found); break;
    default: resp_simple(out, "OK");
    }
}

void tell_txn(const struct tale *t, struct resp_out *out)
{
    resp_array(out, 2);
    if (t->outcome == MACHINE_CONDITION) {
        resp_int(out, 0);
        resp_int(out, t->at);
        return;
    }
    struct cmd c;
    struct cmd_item item[CMD_OPERATIONS_MAX];
    bool hidden[CMD_OPERATIONS_MAX] = {false};
    unsigned n = 0;
    int bad = cmd_decode(t->transaction, t->transaction_len, &c);
    assert(bad == 0 && c.operations == t->n);
    const uint8_t *at = c.items;
    for (unsigned i = 0; i < c.conditions; i++)
        (void)cmd_next(&at);
    for (unsigned i = 0; i < t->n; i++) {
        item[i] = cmd_next(&at);
        hidden[i] = item[i].kind == CMD_EXPIRE && i > 0 && is_put(&item[i - 1], &item[i]);
        n += !hidden[i];
    }
    resp_int(out, (int64_t)t->revision);
    resp_array(out, n);
    for (unsigned i = 0; i < t->n; i++)
        if (!hidden[i])
            tell_operation(&item[i], &t->told[i], out);
}
