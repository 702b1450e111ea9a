/* page.h: what report prints: a page of HTML that needs nothing but itself. It has no script and names
 * nothing outside, and a rule in it forbids both. No key and no value of the cluster is in it.
 */
#ifndef RAFTCTL_PAGE_H
#define RAFTCTL_PAGE_H

#include <stdio.h>

#include "raftd/tool/glance.h"

/* `text`: the status of which g->s was read, as it came. ferror(out) tells whether all was written. */
void page_print(const struct glance *g, const char *text, FILE *out);

#endif
