/* say_heard.c: see say_heard.h. */
#include "tests/lib/say_heard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "raftd/base/say.h"

struct heard heard;

#define HEAR(counter)                                                                              \
    va_list args;                                                                                  \
    va_start(args, fmt);                                                                           \
    (void)vsnprintf(heard.line, sizeof heard.line, fmt, args);                                     \
    va_end(args);                                                                                  \
    (counter)++

void say_error(const char *fmt, ...)
{
    HEAR(heard.errors);
}

void say_warn(const char *fmt, ...)
{
    HEAR(heard.warned);
}

void say_info(const char *fmt, ...)
{
    HEAR(heard.good);
}

void say_debug(const char *fmt, ...)
{
    (void)fmt;
}

void heard_is(unsigned errors, unsigned warned, unsigned good, const char *words)
{
    assert_int_equal(heard.errors, errors);
    assert_int_equal(heard.warned, warned);
    assert_int_equal(heard.good, good);
    if (words != NULL && strstr(heard.line, words) == NULL)
        fail_msg("no \"%s\" in: %s", words, heard.line);
}

void heard_forget(void)
{
    memset(&heard, 0, sizeof heard);
}
