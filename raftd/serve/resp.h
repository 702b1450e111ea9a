/* resp.h: RESP, the protocol of local clients, as bytes: commands as they come in, answers as they go out.
 *
 * A command is an array of byte strings, "*2\r\n$3\r\nGET\r\n$6\r\ncolour\r\n", or a line of words, "GET
 * colour\n" (inline), whose words may stand in quotes: 'a b' or "a b". Answers are those of RESP2, or of
 * RESP3 after HELLO 3.
 *
 * Nothing is copied: arguments are borrowed from the buffer of the connection. Counts and lengths are
 * checked as soon as their digits are there, before anything is stored. Arrays in arrays are no commands.
 */
#ifndef RAFTD_RESP_H
#define RAFTD_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /* Answers have at most so much memory that they do not need, or as much as they need. */
    RESP_STEP_BYTES = 1 << 16,
    RESP_ARGS_MAX = 1024,        /* of a command that is served: 1023 keys of MGET */
    RESP_LINE_MAX_BYTES = 16384, /* of an inline command, which people type */
    RESP_HEAD_MAX_BYTES = 32,    /* of a line that has a count or a length */
    /* A command with more, or with a longer one, is not skipped but ends the connection: no client means
     * that. */
    RESP_SKIP_ARGS_MAX = 1 << 20,
    RESP_SKIP_ARG_MAX_BYTES = 512 << 20,
};

/* ---- commands come in -------------------------------------------------------------------------- */

/* Borrowed bytes. `p` is not NULL. */
struct resp_arg {
    const uint8_t *p;
    uint32_t len;
};

enum resp_came {
    RESP_MORE, /* no whole command is there yet */
    RESP_CALL, /* argv has the argc arguments of one; 0 of them: an empty line, which has no answer */
    RESP_TOO_BIG, /* a command went by that was over a limit, of which nothing was kept */
    RESP_BAD,     /* this is no RESP: the connection ends, after in->error was told */
};

/* What is known of the command that is coming in. Set the limits, and zero the rest. Whatever resp_take()
 * returned, the caller drops the first `used` bytes of its buffer before it asks again. */
struct resp_in {
    uint32_t arg_max_bytes;  /* of one argument */
    uint32_t args_max_bytes; /* of all arguments of a command together */

    unsigned argc; /* RESP_CALL: arguments */
    size_t used;   /* bytes at the buffer's front that were taken */
    size_t
        want; /* RESP_MORE: bytes that the buffer has to hold before there can be news, at least */
    const char *error; /* RESP_BAD: for the client, as resp_error() takes it */

    /* resp.c's own. */
    uint32_t
        left; /* arguments that are still to come of an array; 0: at the beginning of a command */
    uint32_t bytes; /* of the arguments before */
    size_t at;      /* bytes of the command that need not be looked at again */
    uint64_t skip;  /* bytes of an argument that are to be passed over */
    bool skips;     /* of this command nothing is kept */
};

/* Takes the first command in buf[0..len). argv has RESP_ARGS_MAX places; what it gets is valid as long as
 * the buffer is. Between two calls for one command, bytes may be added to the buffer, and it may move. */
enum resp_came resp_take(struct resp_in *in, const uint8_t *buf, size_t len, struct resp_arg *argv);

/* True if the argument is this word, in small letters; those of the argument may be capital ones. */
bool resp_is(const struct resp_arg *arg, const char *word);

/* Reads a decimal number of 64 bits as Redis writes them: no blank, no plus, no leading zero. */
bool resp_number(const struct resp_arg *arg, int64_t *out);

/* ---- answers go out ---------------------------------------------------------------------------- */

/* Bytes that wait for the client. They grow by themselves up to `most`. When that is too little, or there is
 * no memory, nothing more is written, and what is lost is counted: the owner goes back to the length that it
 * remembers and finds more room, answers something short, or gives up. */
struct resp_out {
    uint8_t *buf;    /* of malloc(); the owner frees it */
    size_t len, cap; /* bytes that are written, and that there is room for */
    size_t most;     /* `len` never is larger */
    unsigned looked; /* keys that were looked at, as far as that is not plain from the command */
    uint8_t version; /* 2 or 3 */
    size_t lost;     /* bytes that were not written; the owner sets it back to 0 */
    bool no_memory;
};

/* Each writes one value, or the head of one that holds `n` others (of a map: n pairs). In RESP2 a map is an
 * array of keys and values, and a push or a set is an array. */
void resp_simple(struct resp_out *out, const char *text); /* "OK": one word or a few */
void resp_int(struct resp_out *out, int64_t n);
void resp_bulk(struct resp_out *out, const void *p, size_t len);
void resp_text(struct resp_out *out, const char *text);                 /* a bulk */
void resp_verbatim(struct resp_out *out, const char *text, size_t len); /* a text for people */
void resp_null(struct resp_out *out);       /* of a value that is not there */
void resp_null_array(struct resp_out *out); /* of an array that is not there: EXEC's */
void resp_array(struct resp_out *out, size_t n);
void resp_set(struct resp_out *out, size_t n);
void resp_map(struct resp_out *out, size_t n);
void resp_push(struct resp_out *out, size_t n);

/* An error; its first word is what programs look at. Longer ones than fits a line of some hundred bytes are
 * cut off, and line ends in it become blanks. */
void resp_error(struct resp_out *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
