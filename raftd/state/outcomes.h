/* outcomes.h: what became of the newest requests that had a token, so that none is done twice.
 *
 * A token (cmd.h) names a request of a client. The client may send it as often as it likes, through any node,
 * also after it or a daemon was restarted. The state remembers what became of the first command with the
 * token for the newest OUTCOMES_MAX of them. It depends on the log alone; a snapshot carries it.
 *
 * No request is done twice, whatever copies of it are under way. Let i be the index of an entry with a
 * token that was made when b was the last entry known to be committed.
 *   Each entry with this token has an index above b: when the token was made, the entries up to b were in
 *   their final places, and the token in none of them.
 *   Outcomes are forgotten in the order of their entries. So as long as b is not below the newest one that
 *   was forgotten, none of this token's is, and the token is known if and only if an entry before i had it.
 *   Else, if it is not known, an entry before may have had it. Then nothing is done.
 * The index of the newest one that was forgotten is not kept. It is below that of the oldest one that is
 * remembered, so that one less stands in for it: this may refuse a token without need, but the state is
 * smaller.
 *
 * Whoever makes up a token that is too new (b >= i) could have its request done twice once it is forgotten.
 * So that is refused as well.
 *
 * Rows stand in blocks, one after the other. A row never changes once it is written, so readers and images
 * look at them while the writer adds more. A block is freed when its last row is forgotten and no reader and
 * no image needs it.
 */
#ifndef RAFTD_OUTCOMES_H
#define RAFTD_OUTCOMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftd/state/cmd.h"
#include "raftd/state/kept.h"

enum {
    /* At 10 000 writes a second a client has 6 s to ask again; at 100 a second eleven minutes. 3 MiB. */
    OUTCOMES_MAX = 65536,
    OUTCOME_BYTES = CMD_TOKEN_BYTES + 8 + 8 + 1, /* of a row in a snapshot */
};

struct outcome_block;

/* The rows as of one log index, for readers; part of struct kv_view. */
struct outcomes_view {
    const struct outcome_block *newest; /* NULL: there is no row */
    uint64_t begin, end;                /* numbers of the rows: begin .. end - 1 */
    uint64_t forgotten;                 /* no row of an entry above this index was forgotten */
};

enum outcomes_say {
    OUTCOME_NEW,     /* no entry before had the token */
    OUTCOME_KNOWN,   /* one had */
    OUTCOME_TOO_OLD, /* one may have had it */
};

/* ---- readers --------------------------------------------------------------------------------- */

/* For a token, in a read-side section of the view. OUTCOME_KNOWN: *first is what was kept. `index`: of the
 * entry that comes after the view. Looks at the rows that are newer than the token: at most at all of them,
 * which takes some 100 us. */
enum outcomes_say outcomes_find(const struct outcomes_view *v, const struct cmd_token *token,
                                uint64_t index, struct kept *first);

/* Writes the rows from number `from` on as they are in a snapshot, as many as fit. Returns how many. */
size_t outcomes_encode(const struct outcomes_view *v, uint64_t from, uint8_t *buf, size_t len);

/* ---- the writer ------------------------------------------------------------------------------ */

struct outcomes;

/* Without rows. NULL: memory is short. */
struct outcomes *outcomes_new(void);

/* At once: nobody looks at any of it any more, and no image is open. */
void outcomes_free(struct outcomes *o);

/* What is to be done with a command of entry `index` that has this token. As outcomes_find(), but in less
 * than a microsecond. */
enum outcomes_say outcomes_look(const struct outcomes *o, const struct cmd_token *token,
                                uint64_t index, struct kept *first);

/* A command whose token is OUTCOME_NEW has had this outcome. The oldest row may be forgotten. False: memory
 * is short, nothing changed. */
bool outcomes_keep(struct outcomes *o, const struct cmd_token *token, struct kept kept);

/* What is to be published. Valid until the next outcomes_keep(). */
struct outcomes_view outcomes_view(const struct outcomes *o);

/* Everything that was kept is published. */
void outcomes_published(struct outcomes *o);

/* Between these, all rows stay that are published at the first. At both, all that was kept is published. */
void outcomes_freeze(struct outcomes *o);
void outcomes_thaw(struct outcomes *o);

/* Takes over what is in `by`, which nobody has seen, in place of all that is in o. Frees `by`. */
void outcomes_replace(struct outcomes *o, struct outcomes *by);

/* Adds a row of a snapshot, OUTCOME_BYTES. *bad: it is none, or does not follow the row before it. */
bool outcomes_decode(struct outcomes *o, const uint8_t *row, bool *bad);

/* Two numbers that follow every change, and depend on all rows. */
const uint64_t *outcomes_digest(const struct outcomes *o);

#endif
