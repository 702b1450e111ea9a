/* cmd.h: a command of the state machine as bytes: the data of a RECORD_COMMAND entry.
 *
 * A command is a transaction: conditions, then operations, all of them or none. Among the operations may
 * stand guards: conditions that decide only whether the operations right after them are done.
 *
 *   0 u8  flags         CMD_HAS_TOKEN, CMD_HAS_CONNECTION
 *   1 u8  conditions    how many, 0..CMD_CONDITIONS_MAX
 *   2 u8  operations    how many, 1..CMD_OPERATIONS_MAX
 *   3 u8  0
 *   4 u16 origin        node whose client asked
 *   6 u16 limit         of all data, in units of CMD_LIMIT_BYTES: that of the leader who takes the
 *                       command into its log; 0: none, or the command is on its way to a leader
 *   8 u64 process       random name of the origin's process
 *  16 u64 predecessor   process of this origin that the state knew when the command was sent (origins.h);
 *                       0: none
 *  24 u64 number        of the command in its process, from 1
 *  32     with CMD_HAS_TOKEN: 16 random bytes, u64 log index when it was made. They name a client's
 *         request, so that the client can repeat it through any node
 *         with CMD_HAS_CONNECTION: u64 connection. With origin and process it names the holder of a key
 *         the conditions, then the operations, each:
 *           0 u8  kind          enum cmd_kind
 *           1 u8  of a guard: how many operations after it it guards, other guards included,
 *                 1..; else 0
 *           2 u16 key length    1..CMD_KEY_MAX_BYTES; 0: of CMD_END_DUE, and only of that
 *           4 u32 value length  as the kind says
 *           8 key, then value
 *
 * Some kinds stand for themselves: the command has one operation. Housekeeping is what a leader does by
 * itself: one operation, without conditions, flags or a sender (origin, process, predecessor, number are 0).
 * It may be repeated, so it needs no number.
 *
 * Little-endian. A command has one encoding only: a decoded command encodes to the same bytes.
 */
#ifndef RAFTD_CMD_H
#define RAFTD_CMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CMD_HEAD_BYTES = 32,
    CMD_ITEM_BYTES = 8,            /* of a condition or operation, before its key */
    CMD_KEY_MAX_BYTES = 256,       /* keys are names, and each sits in memory on every node */
    CMD_LIMIT_BYTES = 16384,       /* a u16 of them is 1 GiB */
    CMD_VALUE_MAX_BYTES = 1 << 20, /* upper limit of max_value_bytes: one value is one log entry */
    CMD_BESIDE_BYTES = 1024, /* beside one largest value: the head, its key, a condition on it */
    CMD_MAX_BYTES = CMD_VALUE_MAX_BYTES + CMD_BESIDE_BYTES,
    CMD_CONDITIONS_MAX = 128, /* each costs every node a look-up, and its loop waits for that */
    CMD_OPERATIONS_MAX =
        128,              /* likewise; each is compared with those before it: 8128 comparisons */
    CMD_TOKEN_BYTES = 16, /* random: nobody guesses another client's */
    /* Bytes before the key of a command of one operation. */
    CMD_ONE_BYTES = CMD_HEAD_BYTES + CMD_ITEM_BYTES,
    CMD_NUMBER_BYTES = 8,     /* value of a kind that takes a number */
    CMD_PROCESS_BYTES = 10,   /* key that names a process: u16 origin, u64 process */
    CMD_CONNECTION_BYTES = 8, /* key that names a connection of the command's process */
    CMD_WORD_MAX_BYTES = 256, /* of what a holder says about itself, as its address; as a key */
};

/* No time to live is longer, in milliseconds: the range of cluster time, 8900 years. */
#define CMD_TTL_MAX_MS ((UINT64_C(1) << 48) - 1)

enum cmd_flags {
    CMD_HAS_TOKEN = 1,
    CMD_HAS_CONNECTION = 2,
    CMD_FLAGS_KNOWN = 3,
};

enum cmd_kind {
    /* Conditions and guards. */
    CMD_IF_ABSENT = 1,   /* no value: there is no such key */
    CMD_IF_PRESENT = 2,  /* no value: there is such a key */
    CMD_IF_VALUE = 3,    /* the key has exactly this value */
    CMD_IF_REVISION = 4, /* a number: the key's modify revision */
    CMD_IF_HELD = 5,     /* a number: the fence of who holds the lock; the key is its name */
    /* Operations. */
    CMD_PUT = 16,      /* the new value; the key then has no expiry */
    CMD_DELETE = 17,   /* no value */
    CMD_ADD = 18,      /* a signed number, added to the decimal number in the value; no key: to 0 */
    CMD_EXPIRE = 19,   /* a number: milliseconds from the entry's cluster time on; 0: never */
    CMD_READ = 20,     /* no value */
    CMD_PUT_KEEP = 21, /* the new value; the key keeps its expiry */
    /* For these three the command has a connection, which is the holder (holders.h). The first two stand for
     * themselves; their key is the name of a lock. */
    CMD_LOCK = 24,   /* u8 CMD_LOCK_TRIES or 0, then the holder's word, up to CMD_WORD_MAX_BYTES */
    CMD_UNLOCK = 25, /* a number: the fence; 0: gives up whatever it has, or waits for */
    CMD_PUT_HELD = 26, /* as CMD_PUT; the key ends with its holder */
    /* Stands for itself, too. The key is CMD_CONNECTION_BYTES, no value: all ends that this connection of the
     * command's process has. */
    CMD_FREE_CONNECTION = 34,
    /* Housekeeping. */
    CMD_END_DUE =
        32,        /* no key, no value: the keys end whose expiry is not after the cluster time */
    CMD_FREE = 33, /* the key is CMD_PROCESS_BYTES, no value: all ends that this process has */
};

enum { CMD_LOCK_TRIES = 1 }; /* who does not get the lock at once wants no place in its queue */

/* Names a request of a client. */
struct cmd_token {
    uint8_t random[CMD_TOKEN_BYTES];
    uint64_t index; /* of the log, when it was made: no entry up to it is of this request */
};

/* A condition, a guard or an operation. Key and value are borrowed. */
struct cmd_item {
    uint8_t kind;   /* enum cmd_kind */
    uint8_t guards; /* of a guard: how many operations; else 0 */
    uint16_t key_len;
    uint32_t value_len;
    const uint8_t *key;
    const uint8_t
        *value; /* NULL in cmd_encode(): room is left for it, and the caller fills it in */
};

struct cmd {
    uint8_t flags; /* enum cmd_flags */
    uint8_t conditions, operations;
    uint16_t origin, limit;
    uint64_t process, predecessor, number;
    struct cmd_token token; /* with CMD_HAS_TOKEN */
    uint64_t connection;    /* with CMD_HAS_CONNECTION */
    const uint8_t *items;   /* of a decoded command: for cmd_next() */
};

/* Bytes of a command with these items (conditions, then operations). */
size_t cmd_size(const struct cmd *c, const struct cmd_item *items);

/* Writes c with its items (c->items is not looked at) to buf, which holds cmd_size() bytes; returns that
 * size. The command must be one that cmd_decode() takes: asserted. */
size_t cmd_encode(uint8_t *buf, const struct cmd *c, const struct cmd_item *items);

/* The same for one operation without a sender: CMD_ONE_BYTES, key and value. */
size_t cmd_encode_one(uint8_t *buf, const struct cmd_item *operation);

/* 0, or -1 when buf is not exactly one well-formed command. `c` points into buf. */
int cmd_decode(const uint8_t *buf, size_t len, struct cmd *c);

/* A decoded command is housekeeping. */
bool cmd_is_housekeeping(const struct cmd *c);

/* Returns the item at *at in a decoded command, and moves *at to the next one. Begin at c->items. */
struct cmd_item cmd_next(const uint8_t **at);

/* The value of an item that is a number. */
uint64_t cmd_number(const struct cmd_item *item);

/* These write the sender, its predecessor, or the limit into an encoded command. */
void cmd_stamp(uint8_t *buf, uint16_t origin, uint64_t process, uint64_t number);
void cmd_stamp_predecessor(uint8_t *buf, uint64_t predecessor);
void cmd_stamp_limit(uint8_t *buf, uint16_t limit);

#endif
