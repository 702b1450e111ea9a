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
#include "raftd/state/machine.h"

struct command;
struct cursors;
struct kv_view;
struct shared;

enum {
    /* What a connection may say about itself. */
    TALKER_NAME_BYTES = 64,
    TALKER_LIB_BYTES = 32,
    COMMAND_WHY_BYTES = 80, /* an error with a command's name in it */
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
    bool whole; /* false: it may be older than what the node knew before it started, or lost */
};

/* A transaction that is being built. Zero it, or go on with it for another command. */
struct cmd_build {
    unsigned conditions, operations;
    struct cmd_item condition[CMD_CONDITIONS_MAX]; /* items borrow from argv and from `number` */
    struct cmd_item operation[CMD_OPERATIONS_MAX];
    unsigned numbers;
    uint8_t number[CMD_CONDITIONS_MAX + CMD_OPERATIONS_MAX][CMD_NUMBER_BYTES];
    const struct cmd_token *token; /* the caller's: the transaction has it; NULL: none */
    uint32_t max_value_bytes;      /* set by the caller: values over it are refused */
    const char *error;             /* why the first item that could not be added was not */
    uint64_t connection;           /* whose claims it is about; 0: nobody's */
    char error_text[96];
    uint32_t shape; /* build: what `tell` has to know beside what was told, as the command likes */
};

/* What the state made of one command: of one that was done, or of one with conditions of its own that did not
 * hold. */
struct tale {
    uint32_t shape; /* as build left it */
    enum outcome outcome;
    unsigned at;                /* which condition did not hold */
    uint64_t revision;          /* index of the entry */
    uint64_t cluster_ms;        /* as of the entry */
    const struct told *told;    /* of the command's own operations, guards included */
    unsigned n;                 /* how many these are */
    const uint8_t *transaction; /* all of it, as it was sent (cmd.h) */
    uint32_t transaction_len;
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
    bool watches;       /* it is told of changes, so RESP2's PING is answered as a message is */
    bool leaves;        /* the connection ends after this answer */
};

/* What LOCAL commands ask of the engine; one table for all connections. */
struct talker_calls {
    /* NULL: these are right, and t->authenticated is set; else an error. */
    const char *(*auth)(struct talker *t, const struct resp_arg *user,
                        const struct resp_arg *password);
    /* Ends WATCH. */
    void (*unwatch)(struct talker *t);
    /* Ends MULTI, WATCH and subscriptions, and forgets who was authenticated: as on a new connection. */
    void (*reset)(struct talker *t);
};

enum command_kind { COMMAND_LOCAL, COMMAND_READ, COMMAND_WRITE, COMMAND_ENGINE };

enum command_flags {
    COMMAND_FAST = 1,  /* costs little, whatever the state holds */
    COMMAND_GUEST = 2, /* served to guests, too; and, as all that is LOCAL, while the node starts */
    COMMAND_NO_AUTH = 4,     /* served before AUTH */
    COMMAND_NO_MULTI = 8,    /* refused after MULTI */
    COMMAND_NOT_QUEUED = 16, /* after MULTI done at once: EXEC, DISCARD ...; taken while the node
                                starts, too */
    COMMAND_SUBSCRIBED = 32, /* served in RESP2 while something is subscribed */
    COMMAND_SCANS = 64,      /* may look at many keys: waits for the turn of those */
    COMMAND_ADMIN = 128,     /* changes the cluster or tells of it: for COMMAND's categories */
    COMMAND_MARKS = 256,     /* its answer says whether it may be old, see struct sight */
    COMMAND_EARLY = 512,     /* served while the node starts */
};

struct command {
    const char *name;    /* in small letters, as "raft.get" */
    const char *syntax;  /* of the arguments, "key value [NX | XX]" */
    const char *summary; /* one sentence */
    const char *group;   /* "string", "generic", "connection", "server", "raft" ... */
    enum command_kind kind;
    int arity;      /* arguments with the name; below 0: at least so many */
    unsigned flags; /* enum command_flags */
    /* Places in argv, every `step`th of them from the first to the last one, which counts from the end if it
     * is below 0; all 0: there are none. */
    int first_key, last_key, step;

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
};

/* The command of that name, in whatever letters. NULL: there is none. */
const struct command *command_find(const struct resp_arg *name);

/* Its place in the order of names, from 0. */
unsigned command_number(const struct command *command);

/* NULL: the call has as many arguments as its command takes, keys where keys are, and passes its check; else
 * an error, which may be written to `why` (COMMAND_WHY_BYTES). */
const char *command_check(const struct call *call, char *why);

/* Of RAFT.ONCE: fills in which write it is about, and its token. NULL: both are good; else an error, as of
 * command_check(). */
const char *command_once(const struct call *call, struct call *inner, struct cmd_token *token,
                         char *why);

#endif
