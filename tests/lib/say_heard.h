/* say_heard.h: in place of raftd/base/say.h's messages, for tests of what is said: they are counted, and the
 * last one is kept. */
#ifndef TESTS_SAY_HEARD_H
#define TESTS_SAY_HEARD_H

extern struct heard {
    unsigned errors, warned, good; /* good: of level info; debug is not counted */
    char line[600];
} heard;

/* So many of each until now, and the last one has these words (NULL: any). */
void heard_is(unsigned errors, unsigned warned, unsigned good, const char *words);

void heard_forget(void);

#endif
