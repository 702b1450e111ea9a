/* linear_search.h: the search inside linear.c; nothing for other callers. */
#ifndef TESTS_LINEAR_SEARCH_H
#define TESTS_LINEAR_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/linear.h"

enum linear_fate { LINEAR_OPEN, LINEAR_RETURNED, LINEAR_FAILED };

/* How far the search takes an operation into account. Each step down allows more orders, so what
 * has no order then has none at all. */
enum linear_mark {
    LINEAR_COUNTED,
    LINEAR_RELAXED, /* the answer does not count; a write is of unknown outcome */
    LINEAR_BEFORE,  /* over before the window: at most the value that the window begins with */
    LINEAR_AFTER,   /* not invoked yet */
};

struct linear_op {
    uint64_t value; /* of a put, or found by a get */
    uint64_t invoke_time, return_time;
    uint64_t invoke_call, return_call; /* number of the call, to order equal times */
    uint32_t key, client;
    uint32_t invoke, ret; /* positions among the events of the key, from 1; ret: if returned */
    enum linear_kind kind;
    enum linear_result result;
    enum linear_fate fate;
    enum linear_mark mark;
};

/* The operations of one key. */
struct linear_ops {
    struct linear_op **op; /* by invocation */
    uint32_t n;
    uint32_t n_events; /* positions go from 1 to this */
    /* 0: the key begins absent. Else the position where a window begins: the key may hold absent,
     * or any value whose put was invoked before. */
    uint32_t from;
};

struct linear_found {
    enum linear_outcome outcome;
    uint64_t states;  /* visited */
    uint32_t deepest; /* the latest return for which no place was found, if not LINEAR_OK */
};

/* Does the answer of this operation count? */
bool linear_counts(const struct linear_op *o);

struct linear_found linear_search(const struct linear_ops *ops, uint64_t states_max);

/* calloc of at least one element, or the end of the process. */
void *linear_array(size_t n, size_t size);

#endif
