/* record_make.h: a whole record from its parts. */
#ifndef RECORD_MAKE_H
#define RECORD_MAKE_H

#include <string.h>

#include "storage/record.h"

/* Writes `r` to `buf`, which holds record_size(r->data_len) bytes; returns that size. */
static inline size_t record_make(uint8_t *buf, const struct record *r)
{
    if (r->data_len > 0)
        memmove(buf + RECORD_HEAD_BYTES, r->data, r->data_len);
    return record_seal(buf, r->index, r->term, r->cluster_ms, r->type, r->prev, r->data_len);
}

#endif
