/* commands.h: what clients can ask for: one table, from which come dispatch, COMMAND and the help.
 *
 * A command is served in one of four ways (kind). What is LOCAL is answered from the connection and from this
 * node. A READ is a pure function of one view of the state, however many keys it names. A WRITE builds a
 * transaction (state/cmd.h), and its answer is told from what the state made of that. What is ENGINE belongs
 * to the engine that serves connections, or to a room of its own.
 *
 * Several commands may be built one behind the other into one transaction: that is what EXEC does. So what a
 * command builds stands among the operations, with guards before those that are not always to be done
 * (cmd.h); the conditions are the caller's.
 */
#ifndef RAFTD_COMMANDS_H
#define RAFTD_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftd/serve/resp.h"
#include "raftd/state/cmd.h"

struct command;
struct cursors;
struct kv_view;
struct results;
struct shared;

enum {
    /* What a connection may say about itself. */
    TALKER_NAME_BYTES = 64,
    TALKER_LIB_BYTES = 32,
};

/* One command of a client. */
struct call {
    const struct command *command;
    unsigned argc;
    const struct resp_arg *argv; /* argv[0] is the name */
};

/* What a READ looks at. */
struct sight {
    const struct kv_view *view;
    uint64_t cluster_ms;     /* as this node knows it now: not before that of the view */
    struct cursors *cursors; /* of SCAN */
    uint16_t leader;         /* as far as known, 0 = none */
    bool whole; /* false: it may be older than what the node knew before it started, or lost */
};

/* A transaction that is being built. Zero it, or go on with it for another command. */
struct cmd_build {
    unsigned conditions, operations;
    struct cmd_item condition[CMD_CONDITIONS_MAX]; /* items borrow from argv and from `number` */
    struct cmd_item operation[CMD_OPERATIONS_MAX];
    unsigned numbers;
    uint8_t number[CMD_CONDITIONS_MAX + CMD_OPERATIONS_MAX][CMD_NUMBER_BYTES];
    uint32_t max_value_bytes; /* set by the caller: values over it are refused */
    uint32_t shape; /* build: what `tell` has to know beside the results, as the command likes */
};

/* What the state made of one command. */
struct tale {
    uint32_t shape;      /* as build left it */
    unsigned first;      /* its first operation among those of the transaction ... */
    unsigned operations; /* ... and how many are its own */
    const struct results *results;
};

/* What a connection is to the LOCAL commands; the engine's struct conn has one inside. */
struct talker {
    const struct talker_calls *calls;
    struct shared *shared;
    uint64_t id; /* of the connection, never used again in this process */
    char name[TALKER_NAME_BYTES];
    char lib_name[TALKER_LIB_BYTES], lib_version[TALKER_LIB_BYTES];
    bool authenticated; /* or nothing is asked for */
    bool local_reads;   /* READONLY */
    bool leaves;        /* the connection ends after this answer */
};

/* What LOCAL commands ask of the engine; one table for all connections. */
struct talker_calls {
    /* True if these are right; then t->authenticated is set. */
    bool (*auth)(struct talker *t, const struct resp_arg *user, const struct resp_arg *password);
    bool (*needs_auth)(const struct talker *t); /* a password is set for this way in */
    /* One line for each connection, as CLIENT LIST has them, as one bulk or verbatim text. */
    void (*list)(struct talker *t, struct resp_out *out);
    /* Ends MULTI, WATCH and subscriptions: as a new connection, but authenticated as it was not yet. */
    void (*reset)(struct talker *t);
};

enum command_kind { COMMAND_LOCAL, COMMAND_READ, COMMAND_WRITE, COMMAND_ENGINE };

/* What the engine serves itself; it has a function for each. */
enum engine_command {
    ENGINE_NONE,
    ENGINE_MULTI,
    ENGINE_EXEC,
    ENGINE_DISCARD,
    ENGINE_WATCH,
    ENGINE_UNWATCH,
    ENGINE_SUBSCRIBE,
    ENGINE_PSUBSCRIBE,
    ENGINE_UNSUBSCRIBE,
    ENGINE_PUNSUBSCRIBE,
    ENGINE_RAFT_STATUS,
    ENGINE_RAFT_LINKS,
    ENGINE_RAFT_MEMBER,
    ENGINE_RAFT_TRANSFER,
    ENGINE_RAFT_DRAIN,
    ENGINE_RAFT_SNAPSHOT,
    ENGINE_RAFT_FETCH,
    ENGINE_RAFT_TIMEOUT,
    ENGINE_RAFT_TOKEN,
    ENGINE_RAFT_ONCE,
    ENGINE_RAFT_OUTCOME,
    ENGINE_RAFT_TXN,
    ENGINE_RAFT_WATCH,
    ENGINE_RAFT_LOCK,
    ENGINE_RAFT_UNLOCK,
    ENGINE_RAFT_HELD,
    ENGINE_RAFT_HOLDER,
    ENGINE_RAFT_PUBLISH,
    ENGINE_COMMANDS,
};

enum command_flags {
    COMMAND_FAST = 1,        /* costs little, whatever the state holds */
    COMMAND_ALWAYS = 2,      /* served to guests, and while the node starts */
    COMMAND_NO_AUTH = 4,     /* served before AUTH */
    COMMAND_NO_MULTI = 8,    /* refused after MULTI */
    COMMAND_NOT_QUEUED = 16, /* after MULTI done at once: EXEC, DISCARD ... */
    COMMAND_SUBSCRIBED = 32, /* served in RESP2 while something is subscribed */
    COMMAND_SCANS = 64,      /* may look at many keys: waits for the turn of those */
    COMMAND_ADMIN = 128,     /* changes the cluster or tells of it: for COMMAND's categories */
};

struct command {
    const char *name; /* in small letters, as "raft.get" */
    int arity;        /* arguments with the name; below 0: at least so many */
    unsigned flags;   /* enum command_flags */
    int first_key, last_key,
        step; /* places in argv; last_key < 0 counts from the end; 0, 0, 0: no keys */
    enum command_kind kind;
    const char
        *group; /* "string", "generic", "connection", "transactions", "pubsub", "server", "raft" */
    const char *syntax;  /* of the arguments, "key value [NX | XX]" */
    const char *summary; /* one sentence */

    /* Looks at a call before anything else is done with it. NULL: it is good; else an error, as resp_error()
     * takes it. The pointer may be NULL. */
    const char *(*check)(const struct call *call);
    /* LOCAL. */
    void (*run)(struct talker *t, const struct call *call, struct resp_out *out);
    /* READ; the call has passed `check`. */
    void (*show)(const struct sight *sight, const struct call *call, struct resp_out *out);
    /* WRITE; and of a READ, if it can stand in a transaction beside writes. `build` finds all errors of
     * arguments. After one, `b` is of no use any more. */
    const char *(*build)(const struct call *call, struct cmd_build *b);
    void (*tell)(const struct tale *tale, struct resp_out *out);
    enum engine_command engine; /* ENGINE */
};

/* The command of that name, in whatever letters. NULL: there is none. */
const struct command *command_find(const struct resp_arg *name);

/* NULL: the call has as many arguments as its command takes, and passes its check. */
const char *command_check(const struct call *call);

/* Keys of at most CMD_KEY_MAX_BYTES and not empty, where the command's row says that keys are. False: one is
 * not. */
bool command_keys_fit(const struct call *call);

#endif
