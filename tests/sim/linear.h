/* linear.h: is this history of a key-value store linearizable?
 *
 * A history is what the clients saw: when they asked, when they were answered, and what. It is
 * linearizable if every operation can be given one moment between its invocation and its return
 * such that a plain sequential store, doing them in the order of these moments, gives the same
 * answers (Herlihy and Wing 1990). Every key begins absent. The verdict is exact both ways; the
 * only other outcome is LINEAR_GAVE_UP, at a stated limit.
 *
 * An operation ends in one of three ways:
 *   returned   took effect once between invocation and return
 *   failed     definitely refused: never takes effect
 *   unknown    nobody knows: takes effect once at any moment after its invocation, even long after
 *              the client gave up, or never. So does one that was invoked and never ended.
 *
 * Keys are independent (locality, Herlihy and Wing 3.2), so each is judged alone. A listing of keys
 * is recorded as one get for each key: it promises nothing across keys then.
 *
 * linear.c says how it works. Not thread-safe; memory that cannot be had ends the process.
 */
#ifndef TESTS_LINEAR_H
#define TESTS_LINEAR_H

#include <stddef.h>
#include <stdint.h>

enum {
    /* States of one key, 24 bytes each in a table at most half full. A right history needs less
     * than one for each operation if its values are different, so whoever comes here has most
     * likely a wrong history of very many clients at once, and has spent a second or two. */
    LINEAR_STATES_MAX = 1 << 20,
    /* States spent on showing that a part of a history is broken by itself: as many as take no
     * longer than a blink. */
    LINEAR_PART_STATES = 1 << 16,
    LINEAR_EXPLAIN_STATES_MAX = 1 << 21, /* spent on making one explanation short */
    LINEAR_EXPLAIN_LINES = 24, /* of operations in the explanation; more are only counted */
    LINEAR_TEXT_BYTES = 6144,  /* for that many of the longest lines */
};

enum linear_kind {
    LINEAR_PUT,
    LINEAR_GET,
    LINEAR_DELETE,
};

enum linear_result {
    LINEAR_DONE,   /* put; delete that did not say whether there was something */
    LINEAR_FOUND,  /* get: the value; delete: there was one */
    LINEAR_ABSENT, /* get, delete: there was none */
};

enum linear_outcome {
    LINEAR_OK,
    LINEAR_BROKEN,
    LINEAR_GAVE_UP, /* no key is broken, but at least one needed more states than allowed */
};

struct linear_verdict {
    enum linear_outcome outcome;
    uint32_t key;    /* of the broken key, or of the first that was given up */
    uint64_t states; /* visited in all, without those for the explanation */
    /* BROKEN: a smallest set of operations of that key that no order explains: leave any one of
     * them out of account and the rest can be explained (or the search for that was too long). A
     * put marked "end not needed" is shown only because a get found its value: when it returned
     * plays no part. "whatever the key held at T": operations over before T play no part either.
     * GAVE_UP: what was too much. OK: empty. Lines end in '\n'. */
    char text[LINEAR_TEXT_BYTES];
};

struct linear;

struct linear *linear_new(void);
void linear_free(struct linear *l);

/* An operation begins. client: any number, only told back in explanations. value: of a put, else 0.
 * Values of one key should be different from put to put: then the check is fast and sees most.
 * Where they are not it is exact all the same, but with tens of clients on one key it may give up
 * on a right history, too. time: any unit; at equal times the order of the calls is the order of
 * events, so who merges recordings of several clients puts, at equal times, the invocations first.
 * Returns the handle of the operation: 0, 1, 2 ... */
size_t linear_invoke(struct linear *l, uint32_t client, enum linear_kind kind, uint32_t key,
                     uint64_t value, uint64_t time);

/* The operation returned, at a time not before its invocation. value: of a get that found one, else
 * 0. An operation ends once; only unknown may be followed by a late answer. */
void linear_return(struct linear *l, size_t op, enum linear_result result, uint64_t value,
                   uint64_t time);
void linear_failed(struct linear *l, size_t op);
void linear_unknown(struct linear *l, size_t op);

/* Judge all that was recorded so far; recording may go on after it. states_max: for each key,
 * usually LINEAR_STATES_MAX. */
void linear_check(const struct linear *l, uint64_t states_max, struct linear_verdict *verdict);

#endif
