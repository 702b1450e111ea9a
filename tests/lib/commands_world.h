/* commands_world.h: one node's state machine, and commands of clients that are done by it at once: for the
 * unit test and the fuzz target of commands. */
#ifndef TESTS_COMMANDS_WORLD_H
#define TESTS_COMMANDS_WORLD_H

#include "raftd/serve/commands.h"
#include "raftd/serve/shared.h"
#include "raftd/state/results.h"

enum {
    COMMANDS_VALUE_BYTES = 40, /* the most of a value */
    COMMANDS_TEXT_BYTES = 1 << 16,
};

struct commands_world {
    struct shared *shared;
    struct machine *machine;
    struct cursors *cursors;
    struct talker talker;
    struct resp_out out;
    uint64_t cluster_ms;
    struct results results;         /* of the newest write */
    char text[COMMANDS_TEXT_BYTES]; /* its answer, each line's end as a comma */
};

/* The password is "secret", the connection has the id 7, cluster time is 1000000. */
void commands_begin(struct commands_world *w);
void commands_end(struct commands_world *w);

/* Does what the command says. A read is done a second time as in a transaction with writes, and must tell the
 * same. Returns w->text. */
const char *commands_ask(struct commands_world *w, const struct resp_arg *argv, unsigned argc);

#endif
