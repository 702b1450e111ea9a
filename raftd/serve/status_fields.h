/* status_fields.h: what of a status is shown, under which name and how: one table for text, for JSON, and for
 * whoever reads the text. A new field is one row of it. Only status_*.c include this. */
#ifndef RAFTD_STATUS_FIELDS_H
#define RAFTD_STATUS_FIELDS_H

#include <stddef.h>
#include <stdint.h>

#include "raftd/node/status.h"

/* How a field is shown. In JSON only an id is a number: many readers of JSON round 64 bits. */
enum show {
    NUMBER,  /* of 1, 2, 4 or 8 bytes */
    ID,      /* of a node: a number in JSON */
    SIGNED,  /* int32_t */
    FLAG,    /* 1: the field is not 0 */
    MS,      /* microseconds, as milliseconds */
    SECONDS, /* microseconds, as seconds; not read back */
    AGE_MS,  /* a moment: how long ago it was, in milliseconds; -1 = never */
    AGE_S,   /* a moment, in seconds likewise */
    KEY,     /* an id of a key, as 8 hexadecimal digits */
    HANDLE,  /* the first bytes of a key, as 16 of them */
    VERSION, /* as 1.2.3 */
    TEXT,    /* an array of char, up to a zero or its end */
    WORDS,   /* a pointer to a text; nothing is shown if it is NULL */
    ROLE,    /* this and what follows: the name of an enumerator */
    WHY,
    TRANSFER,
    STAND,
    WAITS,
    STATE,
    SESSION,
    DOUBT,
    STANDING,
    HEALTH,
    LEADS,
    SHOWS,
};

/* When a field is shown, ored. */
enum when { ALWAYS, UNLESS_0 = 1, ON_LEADER = 2 };

struct field {
    const char *name;
    size_t at, size; /* in the struct */
    enum show show;
    unsigned when; /* enum when */
};

struct fields {
    const struct field *at;
    size_t n;
};

/* Of struct status, status_peer and status_member; and what a status says of all members. */
extern const struct fields status_node_fields, status_peer_fields, status_member_fields,
    status_told_fields;

/* The name of an enumerator; NULL: there is none, or the field is no enumerator. */
const char *status_value_name(enum show show, uint64_t value);

/* The field as a number: of a text whether it is not empty. */
uint64_t status_value(const struct field *f, const void *base);

#endif
