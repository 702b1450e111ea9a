/* watch.h: what one connection is told of changes: RAFT.WATCH, or the channels of channels.h.
 *
 * A watch is a place in the history (history.h), and a filter. Nothing waits for a client but the changes
 * themselves, of which there is one copy for all: a client that reads slowly costs no memory. If the changes
 * that it has not been told are forgotten, it is told that, and its watch ends. So none is left out unseen.
 *
 * A change that RAFT.WATCH tells is a push (in RESP2 an array) of six values:
 *
 *   "change"   revision   "put", "del" or "expire"   key   value, or nil   1 or 0
 *
 * The last one is 1 if more changes of the same revision follow: an entry of the log may change several keys.
 *
 * Nothing here knows of sockets. The views that are passed become later and later ones.
 */
#ifndef RAFTD_WATCH_H
#define RAFTD_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "raftd/serve/channels.h"
#include "raftd/serve/resp.h"
#include "raftd/state/cmd.h"
#include "raftd/state/kv.h"

/* Changes that can be compared with a prefix in a unit of a turn's work. */
enum { WATCH_LOOKS = 16 };

struct watch {
    struct history_cursor at;
    uint64_t from; /* index: changes of entries before it are not wanted, or were told */
    bool half;     /* of that entry, some changes were told and some were not */
    bool streams;  /* it is RAFT.WATCH, else the channels */
    uint16_t prefix_len;
    uint8_t prefix[CMD_KEY_MAX_BYTES];
    struct channels channels;
};

/* Begins RAFT.WATCH at the entry `from`, which may be one that is still to come; 0: the next one. The prefix
 * has at most CMD_KEY_MAX_BYTES. False: some changes of entries from there on are forgotten. */
bool watch_begin(struct watch *w, const struct kv_view *view, const struct resp_arg *prefix,
                 uint64_t from);

/* Begins a watch of channels, none of which is subscribed to, at the next entry. */
void watch_begin_channels(struct watch *w, const struct kv_view *view);

enum watch_look {
    WATCH_TELL,    /* there is news */
    WATCH_DONE,    /* there is none up to the view's index */
    WATCH_GOES_ON, /* the work is used up */
    WATCH_MISSED,  /* the next ones are forgotten */
};

/* A change that the client is to be told. It lasts as long as the view. */
struct watch_news {
    const struct watch *watch;
    const struct history_change *change;
    uint64_t number;
    bool more; /* of the same entry */
    struct history_cursor after;
};

/* Looks for the next change that is to be told, and passes over the others. Takes from *work what it was. */
enum watch_look watch_look(struct watch *w, const struct kv_view *view, int *work,
                           struct watch_news *news);

/* Writes it. `what`: a struct watch_news. */
void watch_say(const void *what, struct resp_out *out);

/* It has been told. */
void watch_pass(struct watch *w, const struct watch_news *news);

#endif
