/* commands_world.c: see commands_world.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/rcu.h"
#include "raftd/serve/cursors.h"
#include "raftd/state/kv.h"
#include "tests/lib/commands_world.h"

static void wake(void *ctx)
{
    (void)ctx;
}

static const char *auth(struct talker *t, const struct resp_arg *user,
                        const struct resp_arg *password)
{
    if (!resp_is(user, "default") || !resp_is(password, "secret"))
        return "WRONGPASS no";
    t->authenticated = true;
    return NULL;
}

static void reset(struct talker *t)
{
    t->authenticated = true;
}

static void unwatch(struct talker *t)
{
    (void)t;
}

static const struct talker_calls calls = {auth, unwatch, reset};

void commands_begin(struct commands_world *w)
{
    memset(w, 0, sizeof *w);
    w->shared = shared_new(COMMANDS_VALUE_BYTES, 1, wake, NULL);
    struct status_box *box = calloc(1, sizeof *box);
    assert(w->shared != NULL && box != NULL);
    box->status.id = box->status.leader = 1;
    box->status.max_data_bytes = 1000000;
    shared_publish(w->shared, box);
    w->machine = machine_new(w->shared->kv);
    w->cursors = cursors_new(0);
    assert(w->machine != NULL && w->cursors != NULL);
    w->out = (struct resp_out){.version = 2, .most = 1 << 20};
    w->talker = (struct talker){
        .calls = &calls, .shared = w->shared, .id = 7, .authenticated = true};
    w->cluster_ms = 1000000;
}

void commands_end(struct commands_world *w)
{
    results_free(&w->results);
    free(w->out.buf);
    machine_free(w->machine);
    cursors_free(w->cursors);
    shared_free(w->shared);
}

static void hear(void *ctx, const struct applied *a, const struct told *told, unsigned n)
{
    struct commands_world *w = ctx;
    w->results.outcome = a->outcome;
    results_keep(&w->results, told, n);
}

static void tell_failure(const struct results *r, struct resp_out *out)
{
    resp_error(out, "%s",
               r->outcome == MACHINE_NOT_NUMBER ? "NOT_NUMBER"
               : r->outcome == MACHINE_OVERFLOW ? "OVERFLOW"
                                                : "FAILED");
}

/* Has the state machine do what the call builds, and tells what it did. */
static void write_it(struct commands_world *w, const struct call *call)
{
    static struct cmd_build b;
    static struct cmd_item items[CMD_CONDITIONS_MAX + CMD_OPERATIONS_MAX];
    b = (struct cmd_build){.max_value_bytes = COMMANDS_VALUE_BYTES};
    const char *error = call->command->build(call, &b);
    if (error != NULL) {
        resp_error(&w->out, "%s", error);
        return;
    }
    memcpy(items, b.condition, b.conditions * sizeof *items);
    memcpy(items + b.conditions, b.operation, b.operations * sizeof *items);
    struct cmd c = {.conditions = (uint8_t)b.conditions,
                    .operations = (uint8_t)b.operations,
                    .origin = 1,
                    .process = 1,
                    .number = machine_applied(w->machine) + 1};
    size_t len = cmd_size(&c, items);
    uint8_t *bytes = malloc(len);
    assert(bytes != NULL);
    size_t encoded = cmd_encode(bytes, &c, items);
    assert(encoded == len);
    results_free(&w->results);
    struct applied applied;
    struct machine_listener listener = {hear, w};
    assert(machine_apply(w->machine, c.number, w->cluster_ms, bytes, len, &listener, &applied));
    assert(machine_publish(w->machine));
    w->results.outcome = applied.outcome;
    if (outcome_is_done(applied.outcome) ||
        (applied.outcome == MACHINE_CONDITION && b.conditions > 0))
        call->command->tell(&(struct tale){.shape = b.shape,
                                           .outcome = applied.outcome,
                                           .at = applied.at,
                                           .revision = c.number,
                                           .cluster_ms = w->cluster_ms,
                                           .told = w->results.told,
                                           .n = w->results.n,
                                           .transaction = bytes,
                                           .transaction_len = (uint32_t)len},
                            &w->out);
    else
        tell_failure(&w->results, &w->out);
    free(bytes);
}

static void show(struct commands_world *w, const struct call *call)
{
    rcu_enter();
    call->command->show(&(struct sight){.view = kv_view(w->shared->kv),
                                        .cluster_ms = w->cluster_ms,
                                        .cursors = w->cursors,
                                        .whole = true},
                        call, &w->out);
    rcu_leave();
}

/* What is written, with each line's end as a comma. */
static const char *text_of(struct commands_world *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->out.len; i++)
        if (w->out.buf[i] != '\r')
            w->text[n++] = w->out.buf[i] == '\n' ? ',' : (char)w->out.buf[i];
    w->text[n] = '\0';
    return w->text;
}

const char *commands_ask(struct commands_world *w, const struct resp_arg *argv, unsigned argc)
{
    static char alone[COMMANDS_TEXT_BYTES], why[COMMAND_WHY_BYTES];
    struct call call = {.command = command_find(&argv[0]), .argc = argc, .argv = argv};
    w->out.len = 0;
    const char *error = call.command == NULL ? "ERR unknown" : command_check(&call, why);
    if (error != NULL) {
        resp_error(&w->out, "%s", error);
        return text_of(w);
    }
    switch (call.command->kind) {
    case COMMAND_LOCAL: call.command->run(&w->talker, &call, &w->out); break;
    case COMMAND_WRITE: write_it(w, &call); break;
    case COMMAND_READ:
        show(w, &call);
        if (call.command->build == NULL || argc > CMD_OPERATIONS_MAX)
            break;
        strcpy(alone, text_of(w));
        w->out.len = 0;
        write_it(w, &call);
        int same = strcmp(text_of(w), alone);
        assert(same == 0);
        break;
    case COMMAND_ENGINE: return "";
    }
    assert(w->out.lost == 0);
    return text_of(w);
}
