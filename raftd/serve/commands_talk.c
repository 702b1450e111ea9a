/* commands_talk.c: see commands_impl.h. */
#include <sodium.h>
#include <string.h>

#include "raftd/serve/commands_impl.h"
#include "raftd/base/rcu.h"
#include "raftd/base/version.h"
#include "raftd/serve/shared.h"
#include "raftd/serve/token.h"
#include "raftd/state/kv.h"

static void ok(struct resp_out *out)
{
    resp_simple(out, "OK");
}

/* --- who talks ---------------------------------------------------------------------------------- */

/* NULL: the text may stand in a line of CLIENT LIST, and fits into `size` with its end. */
static const char *name_error(const struct resp_arg *arg, size_t size)
{
    if (arg->len >= size)
        return "TOOBIG a name of a connection has at most 63 bytes, and one of a library 31";
    for (uint32_t i = 0; i < arg->len; i++)
        if (arg->p[i] <= ' ' || arg->p[i] > '~')
            return "ERR a name of a connection or library has no blanks and no special characters";
    return NULL;
}

static const char *set_name(char *name, size_t size, const struct resp_arg *arg)
{
    const char *error = name_error(arg, size);
    if (error == NULL) {
        memcpy(name, arg->p, arg->len);
        name[arg->len] = '\0';
    }
    return error;
}

static void tell_self(const struct talker *t, struct resp_out *out)
{
    resp_map(out, 7);
    resp_text(out, "server");
    resp_text(out, "raftd");
    resp_text(out, "version");
    resp_text(out, RAFTD_VERSION);
    resp_text(out, "proto");
    resp_int(out, out->version);
    resp_text(out, "id");
    resp_int(out, (int64_t)t->id);
    resp_text(out, "mode");
    resp_text(out, "standalone"); /* to clients, which need no other node */
    resp_text(out, "role");
    resp_text(out, "master"); /* every node takes writes */
    resp_text(out, "modules");
    resp_array(out, 0);
}

/* What HELLO has asked for. */
struct hello {
    int64_t version;
    const struct resp_arg *user, *password, *name; /* NULL: not given */
};

static const char *hello_read(const struct call *call, uint8_t version, struct hello *h)
{
    *h = (struct hello){.version = version};
    if (call->argc > 1 &&
        (!resp_number(&call->argv[1], &h->version) || h->version < 2 || h->version > 3))
        return "NOPROTO there are the protocols 2 and 3";
    for (unsigned i = 2; i < call->argc; i++) {
        if (resp_is(&call->argv[i], "auth") && i + 2 < call->argc) {
            h->user = &call->argv[++i];
            h->password = &call->argv[++i];
        } else if (resp_is(&call->argv[i], "setname") && i + 1 < call->argc) {
            h->name = &call->argv[++i];
        } else {
            return "ERR syntax error";
        }
    }
    return NULL;
}

void run_hello(struct talker *t, const struct call *call, struct resp_out *out)
{
    struct hello h;
    const char *error = hello_read(call, out->version, &h);
    if (error == NULL && h.name != NULL)
        error = name_error(h.name, sizeof t->name);
    if (error == NULL && h.user != NULL)
        error = t->calls->auth(t, h.user, h.password);
    if (error == NULL && !t->authenticated)
        error = "NOAUTH a password is needed here: HELLO 3 AUTH default PASSWORD";
    if (error != NULL) {
        resp_error(out, "%s", error);
        return;
    }
    if (h.name != NULL)
        (void)set_name(t->name, sizeof t->name, h.name);
    out->version = (uint8_t)h.version;
    tell_self(t, out);
}

void run_auth(struct talker *t, const struct call *call, struct resp_out *out)
{
    static const struct resp_arg standard = {(const uint8_t *)"default", 7};
    const char *error = call->argc > 3
                            ? "ERR syntax error"
                            : t->calls->auth(t, call->argc == 3 ? &call->argv[1] : &standard,
                                             &call->argv[call->argc - 1]);
    if (error != NULL)
        resp_error(out, "%s", error);
    else
        ok(out);
}

static void tell_name(const char *name, struct resp_out *out)
{
    if (name[0] != '\0')
        resp_text(out, name);
    else
        resp_null(out);
}

static const char *set_info(struct talker *t, const struct call *call)
{
    if (resp_is(&call->argv[2], "lib-name"))
        return set_name(t->lib_name, sizeof t->lib_name, &call->argv[3]);
    if (resp_is(&call->argv[2], "lib-ver"))
        return set_name(t->lib_version, sizeof t->lib_version, &call->argv[3]);
    return "ERR CLIENT SETINFO takes LIB-NAME or LIB-VER";
}

/* What raftd has nothing to do for: what they ask for is always so, or never. */
static const char *set_switch(const struct call *call)
{
    if (resp_is(&call->argv[2], "on") || resp_is(&call->argv[2], "off"))
        return NULL;
    return "ERR syntax error: ON or OFF";
}

/* Why it is not served. */
static const char *client_error(const struct resp_arg *what)
{
    static const struct {
        const char *name, *error;
    } not_served[] = {
        {"reply", "ERR CLIENT REPLY is not served: each command is answered, for a write without "
                  "an answer may be done or not"},
        {"pause", "ERR CLIENT PAUSE is not served: no client stops the others"},
        {"unpause", "ERR CLIENT UNPAUSE is not served: no client stops the others"},
        {"unblock", "ERR CLIENT UNBLOCK is not served: RAFT.LOCK takes WAIT, and CLIENT KILL ends "
                    "who waits"},
        {"tracking", "ERR CLIENT TRACKING is not served: RAFT.WATCH and SUBSCRIBE tell of changes"},
        {"trackinginfo", "ERR CLIENT TRACKINGINFO is not served: there is no CLIENT TRACKING"},
        {"caching", "ERR CLIENT CACHING is not served: there is no CLIENT TRACKING"},
    };
    for (size_t i = 0; i < sizeof not_served / sizeof not_served[0]; i++)
        if (resp_is(what, not_served[i].name))
            return not_served[i].error;
    return "ERR CLIENT takes ID, INFO, LIST, KILL, GETNAME, SETNAME name, SETINFO "
           "LIB-NAME|LIB-VER text, GETREDIR, NO-EVICT and NO-TOUCH ON|OFF";
}

void run_client(struct talker *t, const struct call *call, struct resp_out *out)
{
    const struct resp_arg *what = &call->argv[1];
    const char *error = NULL;
    if (resp_is(what, "id") && call->argc == 2)
        resp_int(out, (int64_t)t->id);
    else if (resp_is(what, "getname") && call->argc == 2)
        tell_name(t->name, out);
    else if (resp_is(what, "getredir") && call->argc == 2)
        resp_int(out, -1); /* to nobody */
    else if (resp_is(what, "setname") && call->argc == 3)
        error = set_name(t->name, sizeof t->name, &call->argv[2]);
    else if (resp_is(what, "setinfo") && call->argc == 4)
        error = set_info(t, call);
    else if ((resp_is(what, "no-evict") || resp_is(what, "no-touch")) && call->argc == 3)
        error = set_switch(call);
    else
        error = client_error(what);
    if (error != NULL)
        resp_error(out, "%s", error);
    else if (call->argc > 2)
        ok(out);
}

/* --- what it wants ------------------------------------------------------------------------------ */

void run_ping(struct talker *t, const struct call *call, struct resp_out *out)
{
    bool message = t->watches && out->version == 2;
    if (call->argc > 2) {
        resp_error(out, "ERR wrong number of arguments for 'ping' command");
        return;
    }
    if (message) {
        resp_array(out, 2);
        resp_text(out, "pong");
    }
    if (call->argc == 2)
        resp_bulk(out, call->argv[1].p, call->argv[1].len);
    else if (message)
        resp_text(out, "");
    else
        resp_simple(out, "PONG");
}

void run_echo(struct talker *t, const struct call *call, struct resp_out *out)
{
    (void)t;
    resp_bulk(out, call->argv[1].p, call->argv[1].len);
}

void run_select(struct talker *t, const struct call *call, struct resp_out *out)
{
    (void)t;
    if (resp_is(&call->argv[1], "0"))
        ok(out);
    else
        resp_error(out, "ERR DB index is out of range: there is one database, 0");
}

void run_readonly(struct talker *t, const struct call *call, struct resp_out *out)
{
    (void)call;
    t->local_reads = true;
    ok(out);
}

void run_readwrite(struct talker *t, const struct call *call, struct resp_out *out)
{
    (void)call;
    t->local_reads = false;
    ok(out);
}

/* Between MULTI and EXEC it has no effect, for EXEC ends WATCH before it tells anything. */
void run_unwatch(struct talker *t, const struct call *call, struct resp_out *out)
{
    (void)call;
    t->calls->unwatch(t);
    ok(out);
}

void run_reset(struct talker *t, const struct call *call, struct resp_out *out)
{
    (void)call;
    t->calls->reset(t);
    t->name[0] = '\0';
    t->local_reads = false;
    out->version = 2;
    resp_simple(out, "RESET");
}

void run_quit(struct talker *t, const struct call *call, struct resp_out *out)
{
    (void)call;
    t->leaves = true;
    ok(out);
}

/* What this node has applied can't be of a request that is not made yet. */
void run_raft_token(struct talker *t, const struct call *call, struct resp_out *out)
{
    (void)call;
    struct cmd_token token;
    char text[TOKEN_TEXT_BYTES];
    randombytes_buf(token.random, sizeof token.random);
    rcu_enter();
    token.index = kv_view(t->shared->kv)->index;
    rcu_leave();
    token_print(&token, text);
    resp_text(out, text);
}
