/* brief.h: whether a test shall take a part of its cases only, as make check wants it (LONG=0). A test that
 * somebody runs by hand, make check-long and the known bugs take all. */
#ifndef TESTS_LIB_BRIEF_H
#define TESTS_LIB_BRIEF_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static inline bool brief(void)
{
    const char *text = getenv("LONG");
    return text != NULL && strcmp(text, "0") == 0;
}

#endif
