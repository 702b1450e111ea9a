/* events.h: what one connection is told by RAFT.EVENTS: how things are, and then each event, in order.
 *
 * Whoever goes on behind an event that is forgotten, or of an earlier process, is told that, and how things
 * are now. So none is left out unseen. An event is a push (in RESP2 an array) of ten values:
 *
 *   "event"  seq  boot_us  term  kind  role  leader  node  state  why      (base/event.h says what they are)
 *
 * Nothing here knows of sockets. The events that are passed become later and later ones. */
#ifndef RAFTD_EVENTS_H
#define RAFTD_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "raftd/node/happened.h"
#include "raftd/serve/resp.h"

/* Before all that are remembered. */
#define EVENTS_OLDEST UINT64_MAX

/* A place between two events. {.since = n}: behind that one, or EVENTS_OLDEST; 0: at the beginning. */
struct events_reader {
    uint64_t since;
    /* Lines that tell how things are: the next one, and how many there are. */
    unsigned at, n;
    struct event lines[1 + HAPPENED_LINES];
};

/* The event that is to be told next. False: there is none yet. */
bool events_look(struct events_reader *r, const struct happened *h, struct event *e);

/* Writes it. `what`: a struct event. */
void events_say(const void *what, struct resp_out *out);

/* It has been told. */
void events_pass(struct events_reader *r, const struct event *e);

#endif
