/* commands.c: see commands.h. */
#include <stdio.h>
#include <string.h>

#include "raftd/serve/commands_impl.h"
#include "raftd/serve/token.h"

static void run_command(struct talker *t, const struct call *call, struct resp_out *out);

/* A lock's name is as a key's. */
static const char *check_lock(const struct call *call)
{
    return key_error(&call->argv[1]);
}

/* In order of their names. What is ENGINE has no function here. */
static const struct command commands[] = {
    {"auth", "[user] password", "Shows that the client may come in.", "connection", COMMAND_LOCAL,
     -2, COMMAND_FAST | COMMAND_GUEST | COMMAND_NO_AUTH | COMMAND_NO_MULTI, 0, 0, 0,
     .run = run_auth},
    {"client",
     "ID | INFO | GETNAME | SETNAME name | SETINFO LIB-NAME | LIB-VER text | LIST [TYPE type] "
     "[ID id ...] | KILL address | KILL [ID id] [ADDR address] [LADDR address] [TYPE type] "
     "[USER user] [MAXAGE s] [SKIPME yes | no]",
     "What is known of connections, and ends some.", "connection", COMMAND_LOCAL, -2,
     COMMAND_NO_MULTI, 0, 0, 0, .run = run_client},
    {"command", "[COUNT | LIST | INFO [name ...] | DOCS [name ...] | GETKEYS command ...]",
     "What can be asked for.", "server", COMMAND_LOCAL, -1, COMMAND_NO_MULTI, 0, 0, 0,
     .run = run_command},
    {"config", "GET pattern ...", "Some settings, under the names that clients know.", "server",
     COMMAND_LOCAL, -2, COMMAND_NO_MULTI, 0, 0, 0, .run = run_config},
    {"dbsize", "", "How many keys there are.", "generic", COMMAND_READ, 1,
     COMMAND_FAST | COMMAND_NO_MULTI, 0, 0, 0, .show = show_dbsize},
    {"decr", "key", "Takes 1 from the number in a key.", "string", COMMAND_WRITE, 2, COMMAND_FAST,
     1, 1, 1, .build = build_decr, .tell = tell_number},
    {"decrby", "key number", "Takes from the number in a key.", "string", COMMAND_WRITE, 3,
     COMMAND_FAST, 1, 1, 1, .build = build_decrby, .tell = tell_number},
    {"del", "key ...", "Deletes keys; tells how many there were.", "generic", COMMAND_WRITE, -2, 0,
     1, -1, 1, .build = build_del, .tell = tell_count},
    {"delex", "key [IFEQ value]", "Deletes a key, if it has this value.", "string", COMMAND_WRITE,
     -2, COMMAND_FAST, 1, 1, 1, .build = build_delex, .tell = tell_guarded},
    {"delifeq", "key value", "Deletes a key that has this value.", "string", COMMAND_WRITE, 3,
     COMMAND_FAST, 1, 1, 1, .build = build_delifeq, .tell = tell_guarded},
    {"discard", "", "Forgets what waits for EXEC.", "transactions", COMMAND_ENGINE, 1,
     COMMAND_FAST | COMMAND_NOT_QUEUED, 0, 0, 0, .run = NULL},
    {"echo", "text", "Answers the text.", "connection", COMMAND_LOCAL, 2, COMMAND_FAST, 0, 0, 0,
     .run = run_echo},
    {"evalsha", "digest 1 key token [argument ...]",
     "Serves the locks of libraries that name their scripts.", "scripting", COMMAND_WRITE, -3, 0, 0,
     0, 0, .build = build_evalsha, .tell = tell_guarded},
    {"exec", "", "Does all that waits, or nothing of it.", "transactions", COMMAND_ENGINE, 1,
     COMMAND_NOT_QUEUED, 0, 0, 0, .run = NULL},
    {"exists", "key ...", "How many of the keys there are.", "generic", COMMAND_READ, -2,
     COMMAND_FAST, 1, -1, 1, .show = show_exists, .build = build_read, .tell = tell_count},
    {"expire", "key seconds", "Has a key end after that time.", "generic", COMMAND_WRITE, -3,
     COMMAND_FAST, 1, 1, 1, .build = build_expire, .tell = tell_guarded},
    {"get", "key", "The value of a key.", "string", COMMAND_READ, 2, COMMAND_FAST, 1, 1, 1,
     .show = show_get, .build = build_read, .tell = tell_get},
    {"getdel", "key", "Deletes a key, and tells its value.", "string", COMMAND_WRITE, 2,
     COMMAND_FAST, 1, 1, 1, .build = build_getdel, .tell = tell_get},
    {"getset", "key value", "Sets the value of a key, and tells the one before.", "string",
     COMMAND_WRITE, 3, COMMAND_FAST, 1, 1, 1, .build = build_getset, .tell = tell_get},
    {"hello", "[2 | 3 [AUTH user password] [SETNAME name]]",
     "Chooses RESP2 or RESP3; tells who serves.", "connection", COMMAND_LOCAL, -1,
     COMMAND_FAST | COMMAND_GUEST | COMMAND_NO_AUTH | COMMAND_NO_MULTI, 0, 0, 0, .run = run_hello},
    {"incr", "key", "Adds 1 to the number in a key.", "string", COMMAND_WRITE, 2, COMMAND_FAST, 1,
     1, 1, .build = build_incr, .tell = tell_number},
    {"incrby", "key number", "Adds to the number in a key.", "string", COMMAND_WRITE, 3,
     COMMAND_FAST, 1, 1, 1, .build = build_incrby, .tell = tell_number},
    {"info", "[section ...]", "What this node says about itself.", "server", COMMAND_LOCAL, -1,
     COMMAND_NO_MULTI, 0, 0, 0, .run = run_info},
    {"keys", "pattern", "All keys that match.", "generic", COMMAND_READ, 2,
     COMMAND_SCANS | COMMAND_NO_MULTI, 0, 0, 0, .show = show_keys, .check = check_keys},
    {"mget", "key ...", "The values of keys, all of one moment.", "string", COMMAND_READ, -2,
     COMMAND_FAST, 1, -1, 1, .show = show_mget, .build = build_read, .tell = tell_mget},
    {"mset", "key value ...", "Sets the values of keys, all or none.", "string", COMMAND_WRITE, -3,
     0, 1, -1, 2, .build = build_mset, .tell = tell_ok},
    {"msetnx", "key value ...", "Sets the values of keys if none of them is there.", "string",
     COMMAND_WRITE, -3, 0, 1, -1, 2, .build = build_msetnx, .tell = tell_guarded},
    {"multi", "", "Begins a transaction: what follows waits for EXEC.", "transactions",
     COMMAND_ENGINE, 1, COMMAND_FAST | COMMAND_NOT_QUEUED, 0, 0, 0, .run = NULL},
    {"persist", "key", "Has a key not end by itself.", "generic", COMMAND_WRITE, 2, COMMAND_FAST, 1,
     1, 1, .build = build_persist, .tell = tell_persist},
    {"pexpire", "key milliseconds", "Has a key end after that time.", "generic", COMMAND_WRITE, -3,
     COMMAND_FAST, 1, 1, 1, .build = build_pexpire, .tell = tell_guarded},
    {"ping", "[text]", "Answers PONG, or the text.", "connection", COMMAND_LOCAL, -1,
     COMMAND_FAST | COMMAND_GUEST | COMMAND_SUBSCRIBED, 0, 0, 0, .run = run_ping},
    {"psetex", "key milliseconds value", "Sets the value of a key, which ends after that time.",
     "string", COMMAND_WRITE, 4, 0, 1, 1, 1, .build = build_psetex, .tell = tell_ok},
    {"psubscribe", "pattern ...", "The same for all channels that match.", "pubsub", COMMAND_ENGINE,
     -2, COMMAND_NO_MULTI | COMMAND_SUBSCRIBED, 0, 0, 0, .run = NULL},
    {"pttl", "key", "The same as TTL in milliseconds.", "generic", COMMAND_READ, 2, COMMAND_FAST, 1,
     1, 1, .show = show_pttl, .build = build_read, .tell = tell_pttl},
    {"punsubscribe", "[pattern ...]", "Ends PSUBSCRIBE.", "pubsub", COMMAND_ENGINE, -1,
     COMMAND_NO_MULTI | COMMAND_SUBSCRIBED, 0, 0, 0, .run = NULL},
    {"quit", "", "Ends the connection.", "connection", COMMAND_LOCAL, -1,
     COMMAND_FAST | COMMAND_GUEST | COMMAND_NO_AUTH | COMMAND_NOT_QUEUED | COMMAND_SUBSCRIBED, 0, 0,
     0, .run = run_quit},
    {"raft.drain", "", "This node will lead no more.", "raft", COMMAND_ENGINE, 1,
     COMMAND_ADMIN | COMMAND_NO_MULTI, 0, 0, 0, .run = NULL},
    {"raft.events", "[SINCE number|OLDEST]",
     "Tells how this node is, and then each event, in order.", "raft", COMMAND_ENGINE, -1,
     COMMAND_ADMIN | COMMAND_NO_MULTI | COMMAND_EARLY, 0, 0, 0, .run = NULL},
    {"raft.fetch", "index offset", "A part of a snapshot.", "raft", COMMAND_ENGINE, 3,
     COMMAND_ADMIN | COMMAND_NO_MULTI, 0, 0, 0, .run = NULL},
    {"raft.get", "key", "Value, create and modify revision, time to live.", "raft", COMMAND_READ, 2,
     COMMAND_FAST | COMMAND_NO_MULTI | COMMAND_MARKS, 1, 1, 1, .show = show_raft_get},
    {"raft.held", "name", "Whether this connection holds the lock, and for how long at least.",
     "raft", COMMAND_ENGINE, 2, COMMAND_FAST | COMMAND_NO_MULTI, 0, 0, 0, .check = check_lock},
    {"raft.holder", "name", "Who holds a lock.", "raft", COMMAND_ENGINE, 2,
     COMMAND_FAST | COMMAND_NO_MULTI, 0, 0, 0, .check = check_lock},
    {"raft.links", "", "Who hears whom.", "raft", COMMAND_ENGINE, 1,
     COMMAND_ADMIN | COMMAND_NO_MULTI | COMMAND_GUEST, 0, 0, 0, .run = NULL},
    {"raft.list", "prefix [AFTER key] [KEYS]",
     "A page of keys with all that is known of them, and its revision.", "raft", COMMAND_READ, -2,
     COMMAND_SCANS | COMMAND_NO_MULTI | COMMAND_MARKS, 0, 0, 0, .show = show_raft_list,
     .check = check_raft_list},
    {"raft.lock", "name [VALUE value] [TRY | WAIT ms]",
     "Takes a lock, which this connection then holds.", "raft", COMMAND_ENGINE, -2,
     COMMAND_NO_MULTI, 0, 0, 0, .check = check_lock},
    {"raft.member", "ADD | REMOVE | REPLACE | SET id ...", "Changes the members.", "raft",
     COMMAND_ENGINE, -3, COMMAND_ADMIN | COMMAND_NO_MULTI, 0, 0, 0, .run = NULL},
    {"raft.once", "token command ...", "Does a write once, however often it is sent.", "raft",
     COMMAND_ENGINE, -3, COMMAND_NO_MULTI, 0, 0, 0, .run = NULL},
    {"raft.outcome", "token", "What became of a write.", "raft", COMMAND_READ, 2,
     COMMAND_FAST | COMMAND_NO_MULTI, 0, 0, 0, .show = show_raft_outcome, .check = check_token},
    {"raft.publish", "key value", "Sets a key that ends with this connection.", "raft",
     COMMAND_ENGINE, 3, COMMAND_NO_MULTI, 1, 1, 1, .tell = tell_ok},
    {"raft.snapshot", "", "A snapshot will be written.", "raft", COMMAND_ENGINE, 1,
     COMMAND_ADMIN | COMMAND_NO_MULTI, 0, 0, 0, .run = NULL},
    {"raft.status", "[JSON] [MEMBERS|ALL]", "What this node sees.", "raft", COMMAND_ENGINE, -1,
     COMMAND_ADMIN | COMMAND_NO_MULTI | COMMAND_GUEST, 0, 0, 0, .run = NULL},
    {"raft.timeout", "milliseconds", "Bounds every later command of this connection.", "raft",
     COMMAND_ENGINE, 2, COMMAND_FAST | COMMAND_NO_MULTI, 0, 0, 0, .run = NULL},
    {"raft.token", "", "A new token for RAFT.ONCE.", "raft", COMMAND_LOCAL, 1,
     COMMAND_FAST | COMMAND_NO_MULTI, 0, 0, 0, .run = run_raft_token},
    {"raft.transfer", "leader heir", "Asks the leader to hand over.", "raft", COMMAND_ENGINE, 3,
     COMMAND_ADMIN | COMMAND_NO_MULTI, 0, 0, 0, .run = NULL},
    {"raft.txn", "[IF condition ...] operation ...", "Does all operations if all conditions hold.",
     "raft", COMMAND_WRITE, -2, COMMAND_NO_MULTI, 0, 0, 0, .build = build_txn, .tell = tell_txn},
    {"raft.unlock", "name fence", "Gives a lock back.", "raft", COMMAND_ENGINE, 3, COMMAND_NO_MULTI,
     0, 0, 0, .check = check_lock, .tell = tell_ok},
    {"raft.watch", "prefix [FROM revision]", "Tells of every change, in order.", "raft",
     COMMAND_ENGINE, -2, COMMAND_NO_MULTI, 0, 0, 0, .run = NULL},
    {"readonly", "", "Reads of this connection are this node's own, and may be old.", "connection",
     COMMAND_LOCAL, 1, COMMAND_FAST | COMMAND_NO_MULTI, 0, 0, 0, .run = run_readonly},
    {"readwrite", "", "Reads of this connection are linearizable, as at its beginning.",
     "connection", COMMAND_LOCAL, 1, COMMAND_FAST | COMMAND_NO_MULTI, 0, 0, 0,
     .run = run_readwrite},
    {"reset", "", "Makes the connection as a new one.", "connection", COMMAND_LOCAL, 1,
     COMMAND_FAST | COMMAND_NO_AUTH | COMMAND_NOT_QUEUED | COMMAND_SUBSCRIBED, 0, 0, 0,
     .run = run_reset},
    {"scan", "cursor [MATCH pattern] [COUNT n] [TYPE type]",
     "A page of keys, and the cursor of the next page.", "generic", COMMAND_READ, -2,
     COMMAND_SCANS | COMMAND_NO_MULTI, 0, 0, 0, .show = show_scan, .check = check_scan},
    {"select", "0", "There is one database.", "connection", COMMAND_LOCAL, 2, COMMAND_FAST, 0, 0, 0,
     .run = run_select},
    {"set", "key value [NX | XX | IFEQ value] [IFHELD lock fence] [GET] [EX s | PX ms | KEEPTTL]",
     "Sets the value of a key.", "string", COMMAND_WRITE, -3, 0, 1, 1, 1, .build = build_set,
     .tell = tell_set},
    {"setex", "key seconds value", "Sets the value of a key, which ends after that time.", "string",
     COMMAND_WRITE, 4, 0, 1, 1, 1, .build = build_setex, .tell = tell_ok},
    {"setnx", "key value", "Sets the value of a key that is not there.", "string", COMMAND_WRITE, 3,
     COMMAND_FAST, 1, 1, 1, .build = build_setnx, .tell = tell_guarded},
    {"strlen", "key", "How many bytes the value of a key has.", "string", COMMAND_READ, 2,
     COMMAND_FAST, 1, 1, 1, .show = show_strlen, .build = build_read, .tell = tell_strlen},
    {"subscribe", "channel ...",
     "Tells of changes of keys, by __keyspace@0__: and __keyevent@0__: channels.", "pubsub",
     COMMAND_ENGINE, -2, COMMAND_NO_MULTI | COMMAND_SUBSCRIBED, 0, 0, 0, .run = NULL},
    {"time", "", "Cluster time: one clock for all nodes, and no date.", "server", COMMAND_READ, 1,
     COMMAND_FAST | COMMAND_NO_MULTI, 0, 0, 0, .show = show_time},
    {"ttl", "key", "In how many seconds a key ends; -1: never; -2: there is none.", "generic",
     COMMAND_READ, 2, COMMAND_FAST, 1, 1, 1, .show = show_ttl, .build = build_read,
     .tell = tell_ttl},
    {"type", "key", "Whether the key is there: string or none.", "generic", COMMAND_READ, 2,
     COMMAND_FAST, 1, 1, 1, .show = show_type, .build = build_read, .tell = tell_type},
    {"unlink", "key ...", "The same as DEL.", "generic", COMMAND_WRITE, -2, 0, 1, -1, 1,
     .build = build_del, .tell = tell_count},
    {"unsubscribe", "[channel ...]", "Ends SUBSCRIBE.", "pubsub", COMMAND_ENGINE, -1,
     COMMAND_NO_MULTI | COMMAND_SUBSCRIBED, 0, 0, 0, .run = NULL},
    {"unwatch", "", "Forgets all that is watched.", "transactions", COMMAND_LOCAL, 1, COMMAND_FAST,
     0, 0, 0, .run = run_unwatch},
    {"watch", "key ...", "Has EXEC do nothing if one of the keys is written before.",
     "transactions", COMMAND_ENGINE, -2, COMMAND_FAST | COMMAND_NOT_QUEUED, 1, -1, 1, .run = NULL},
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

/* Below, at or above 0 as the argument's letters, small or capital, sort before, at or behind the name. */
static int compare(const struct resp_arg *arg, const char *name)
{
    uint32_t i = 0;
    for (; i < arg->len && name[i] != '\0'; i++) {
        uint8_t c = arg->p[i];
        if (c >= 'A' && c <= 'Z')
            c = (uint8_t)(c - 'A' + 'a');
        if (c != (uint8_t)name[i])
            return c < (uint8_t)name[i] ? -1 : 1;
    }
    return i < arg->len ? 1 : name[i] != '\0' ? -1 : 0;
}

const struct command *command_find(const struct resp_arg *name)
{
    size_t from = 0, to = COMMANDS;
    while (from < to) {
        size_t middle = (from + to) / 2;
        int order = compare(name, commands[middle].name);
        if (order == 0)
            return &commands[middle];
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return NULL;
}

unsigned command_number(const struct command *command)
{
    return (unsigned)(command - commands);
}

const char *command_check(const struct call *call, char *why)
{
    const struct command *c = call->command;
    if (c->arity < 0 ? call->argc < (unsigned)-c->arity : call->argc != (unsigned)c->arity) {
        (void)snprintf(why, COMMAND_WHY_BYTES, "ERR wrong number of arguments for '%s' command",
                       c->name); /* some libraries look for these words */
        return why;
    }
    if (c->step > 0) {
        unsigned last = c->last_key < 0 ? call->argc - 1 : (unsigned)c->last_key;
        for (unsigned i = (unsigned)c->first_key; i <= last; i += (unsigned)c->step) {
            const char *error = key_error(&call->argv[i]);
            if (error != NULL)
                return error;
        }
    }
    return c->check != NULL ? c->check(call) : NULL;
}

const char *command_once(const struct call *call, struct call *inner, struct cmd_token *token,
                         char *why)
{
    if (!token_read(&call->argv[1], token))
        return "ERR this is no token: RAFT.TOKEN makes them";
    *inner = (struct call){
        .command = command_find(&call->argv[2]), .argc = call->argc - 2, .argv = call->argv + 2};
    if (inner->command == NULL || inner->command->kind != COMMAND_WRITE)
        return "ERR RAFT.ONCE is for commands that write";
    return command_check(inner, why);
}

/* --- COMMAND ------------------------------------------------------------------------------------ */

/* What is known of a command under names that clients know. */
static void tell_flags(const struct command *c, struct resp_out *out)
{
    const char *flags[8];
    size_t n = 0;
    if (c->kind == COMMAND_WRITE)
        flags[n++] = "write";
    if (c->kind == COMMAND_READ)
        flags[n++] = "readonly";
    if ((c->flags & COMMAND_FAST) != 0)
        flags[n++] = "fast";
    if ((c->flags & COMMAND_ADMIN) != 0)
        flags[n++] = "admin";
    if ((c->flags & COMMAND_NO_AUTH) != 0)
        flags[n++] = "no_auth";
    if ((c->flags & COMMAND_NO_MULTI) != 0)
        flags[n++] = "no_multi";
    if (c->kind == COMMAND_LOCAL || (c->flags & (COMMAND_GUEST | COMMAND_EARLY)) != 0)
        flags[n++] = "loading";
    resp_set(out, n);
    for (size_t i = 0; i < n; i++)
        resp_simple(out, flags[i]);
}

static void tell_info(const struct command *c, struct resp_out *out)
{
    resp_array(out, 10);
    resp_text(out, c->name);
    resp_int(out, c->arity);
    tell_flags(c, out);
    resp_int(out, c->first_key);
    resp_int(out, c->last_key);
    resp_int(out, c->step);
    resp_set(out, 0);   /* categories of access */
    resp_array(out, 0); /* hints */
    resp_array(out, 0); /* where else keys are */
    resp_array(out, 0); /* subcommands */
}

/* All arguments are told as one, for people. */
static void tell_docs(const struct command *c, struct resp_out *out)
{
    bool arguments = c->syntax[0] != '\0';
    resp_text(out, c->name);
    resp_map(out, arguments ? 4 : 3);
    resp_text(out, "summary");
    resp_text(out, c->summary);
    resp_text(out, "since");
    resp_text(out, "0.1.0");
    resp_text(out, "group");
    resp_text(out, c->group);
    if (!arguments)
        return;
    resp_text(out, "arguments");
    resp_array(out, 1);
    resp_map(out, 3);
    resp_text(out, "name");
    resp_text(out, c->syntax);
    resp_text(out, "type");
    resp_text(out, "string");
    resp_text(out, "display_text");
    resp_text(out, c->syntax);
}

/* COMMAND INFO of the named ones, with a null for each that is not there; or of all. */
static void all_info(const struct call *call, struct resp_out *out)
{
    bool all = call->argc <= 2;
    resp_array(out, all ? COMMANDS : call->argc - 2);
    for (unsigned i = 0; all && i < COMMANDS; i++)
        tell_info(&commands[i], out);
    for (unsigned i = 2; i < call->argc; i++) {
        const struct command *c = command_find(&call->argv[i]);
        if (c != NULL)
            tell_info(c, out);
        else
            resp_null(out);
    }
}

/* COMMAND DOCS of those of the named ones that are there; or of all. */
static void all_docs(const struct call *call, struct resp_out *out)
{
    bool all = call->argc == 2;
    size_t n = 0;
    for (unsigned i = 2; i < call->argc; i++)
        n += command_find(&call->argv[i]) != NULL;
    resp_map(out, all ? COMMANDS : n);
    for (unsigned i = 0; all && i < COMMANDS; i++)
        tell_docs(&commands[i], out);
    for (unsigned i = 2; i < call->argc; i++) {
        const struct command *c = command_find(&call->argv[i]);
        if (c != NULL)
            tell_docs(c, out);
    }
}

/* COMMAND GETKEYS command ...: the keys that it names. */
static void keys_of(const struct call *call, struct resp_out *out)
{
    char why[COMMAND_WHY_BYTES];
    const struct call of = {
        .command = command_find(&call->argv[2]), .argc = call->argc - 2, .argv = call->argv + 2};
    const char *error = of.command != NULL ? command_check(&of, why)
                                           : "ERR Invalid command specified";
    if (error == NULL && of.command->step == 0)
        error = "ERR The command has no key arguments";
    if (error != NULL) {
        resp_error(out, "%s", error);
        return;
    }
    unsigned first = (unsigned)of.command->first_key, step = (unsigned)of.command->step;
    unsigned last = of.command->last_key < 0 ? of.argc - 1 : (unsigned)of.command->last_key;
    resp_array(out, (last - first) / step + 1);
    for (unsigned i = first; i <= last; i += step)
        resp_bulk(out, of.argv[i].p, of.argv[i].len);
}

static void run_command(struct talker *t, const struct call *call, struct resp_out *out)
{
    (void)t;
    const struct resp_arg *what = &call->argv[1];
    if (call->argc == 1 || resp_is(what, "info")) {
        all_info(call, out);
    } else if (resp_is(what, "docs")) {
        all_docs(call, out);
    } else if (resp_is(what, "count") && call->argc == 2) {
        resp_int(out, COMMANDS);
    } else if (resp_is(what, "list") && call->argc == 2) {
        resp_array(out, COMMANDS);
        for (unsigned i = 0; i < COMMANDS; i++)
            resp_text(out, commands[i].name);
    } else if (resp_is(what, "getkeys") && call->argc > 2) {
        keys_of(call, out);
    } else {
        resp_error(out, "ERR COMMAND takes COUNT, LIST, INFO [name ...], DOCS [name ...] "
                        "or GETKEYS command ...");
    }
}
