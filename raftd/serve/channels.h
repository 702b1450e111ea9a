/* channels.h: what one connection has subscribed to: SUBSCRIBE and PSUBSCRIBE.
 *
 * There are channels for changes of keys only, and nobody can publish. An event of a key goes to two:
 *
 *   __keyspace@0__:KEY      the message is the event
 *   __keyevent@0__:EVENT    the message is the key
 *
 *   set       the key was given a value; after that, of the same entry:
 *   incrby    a number was added to it
 *   expire    it was given an expiry; persist: its expiry was taken away
 *   del       the key was deleted
 *   expired   the key has gone because its time had come
 *
 * An entry of the log tells what it did to a key all in all: nothing of a key that it made and deleted, and
 * nothing but `set` of one that it deleted and made.
 */
#ifndef RAFTD_CHANNELS_H
#define RAFTD_CHANNELS_H

#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>

#include "raftd/serve/resp.h"
#include "raftd/state/history.h"

enum {
    CHANNELS_MAX = 64, /* each is compared with every change */
    /* Of all patterns together. Each byte of them may be compared with each byte of a channel's name, some
     * hundred thousand comparisons for one change. */
    CHANNELS_PATTERNS_MAX_BYTES = 2048,
};

/* Of one connection; only channels.c looks inside. */
struct channels {
    struct cds_list_head all; /* struct channel, in the order of subscription */
    unsigned n;
    size_t bytes;         /* of memory that they take */
    size_t pattern_bytes; /* of CHANNELS_PATTERNS_MAX_BYTES */
};

void channels_init(struct channels *c);

/* Whether there can be such a channel, or one of that pattern. NULL: yes; else an error, as resp_error()
 * takes it. */
const char *channels_check(const struct resp_arg *name, bool pattern);

/* Subscribes to what channels_check() found good, from the change with that number on. What is subscribed to
 * stays as it is. False: it would be more than the limits allow (channels_full()), or there is no memory. */
bool channels_add(struct channels *c, const struct resp_arg *name, bool pattern, uint64_t number);

/* One more, this one, would be more than the limits allow. */
bool channels_full(const struct channels *c, const struct resp_arg *name, bool pattern);

/* Ends one subscription, if there is such a one. */
void channels_remove(struct channels *c, const struct resp_arg *name, bool pattern);

/* How many are subscribed to by name, and how many by pattern. */
unsigned channels_count(const struct channels *c, unsigned *patterns);

/* Ends all. */
void channels_clear(struct channels *c);

/* The oldest subscription to a name, or to a pattern. False: there is none. Valid until it ends. */
bool channels_first(const struct channels *c, bool pattern, struct resp_arg *name);

/* Writes all messages that a change, which has this number, is to its subscriptions; `out` NULL: none.
 * Returns how many these are, and adds to *steps how many bytes were compared. */
unsigned channels_tell(const struct channels *c, const struct history_change *h, uint64_t number,
                       struct resp_out *out, unsigned *steps);

#endif
