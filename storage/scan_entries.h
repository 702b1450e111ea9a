/* scan_entries.h: the entries of a batch as recovery takes them: do they continue the log, what are their
 * terms, and which configurations are among them? Internal to storage. */
#ifndef STORAGE_SCAN_ENTRIES_H
#define STORAGE_SCAN_ENTRIES_H

#include <stdint.h>

#include "storage/batch.h"
#include "storage/scan.h"

/* Takes the entries of the batch with this head at offset `at` of s->buf, whose checksums are right, into
 * s->r->runs and s->members. 0 or an error, and then nothing of the batch was taken. */
int scan_entries(struct scan *s, const struct batch_head *h, uint32_t at);

#endif
