/* hooks.h: runs scripts for events, one script at a time, and the events in order.
 *
 * While a script runs, events go on coming; those that a later one overtakes are not told (fold.h). A script
 * that ends with 1 is run again for the same event, unless that is overtaken; with another code, or when it
 * takes too long, its event is given up for this script. Nothing is given up without a message. */
#ifndef RAFTCTL_HOOKS_H
#define RAFTCTL_HOOKS_H

#include "raftd/tool/events.h"

/* `path`: a script, or a directory, of which all scripts are run in the order of their names. timeout_ms: for
 * so long a script may run. Returns an exit code (exits.h) when there can be no events any more, or when we
 * are told to end, and no script runs. */
int hooks_run(struct events *e, const char *path, uint64_t timeout_ms);

#endif
