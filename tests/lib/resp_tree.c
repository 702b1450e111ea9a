/* resp_tree.c: see resp_tree.h. */
#include "tests/lib/resp_tree.h"

#include <stdlib.h>
#include <string.h>

/* How many parts follow as its own. */
static int64_t inner(const struct part *p)
{
    if (p->n < 0 || p->type == '\0' || strchr("*~>%", p->type) == NULL)
        return 0;
    return p->type == '%' ? 2 * p->n : p->n;
}

int64_t resp_tree_read(struct resp_tree *t, const char *in, size_t len, int64_t at)
{
    const char *line = in + at;
    const char *end = memchr(line, '\n', len - (size_t)at);
    if (end == NULL)
        return 0;
    if (t->n == RESP_TREE_PARTS)
        t->n--;
    struct part *p = &t->part[t->n++];
    int64_t next = end - in + 1;
    *p = (struct part){.type = *line};
    if (line[1] != '\r') /* else strtoll() would look for a number behind the line */
        p->n = strtoll(line + 1, NULL, 10);
    if (*line == '+' || *line == '-') {
        p->p = line + 1;
        p->n = end - p->p - 1;
        return next;
    }
    if ((*line == '$' || *line == '=') && p->n >= 0) {
        p->p = in + next;
        next += p->n + 2;
        if (next > (int64_t)len)
            return 0;
        return memcmp(in + next - 2, "\r\n", 2) == 0 ? next : -1;
    }
    if (*line == '\0' || strchr("$=:_*~>%", *line) == NULL)
        return -1;
    for (int64_t i = inner(p); i > 0 && next > 0; i--)
        next = (size_t)next < len ? resp_tree_read(t, in, len, next) : 0;
    return next;
}

unsigned resp_tree_behind(const struct resp_tree *t, unsigned at)
{
    unsigned next = at + 1;
    for (int64_t i = inner(&t->part[at]); i > 0; i--)
        next = resp_tree_behind(t, next);
    return next;
}

bool part_is(const struct part *p, const char *text)
{
    return p->p != NULL && (size_t)p->n == strlen(text) && memcmp(p->p, text, strlen(text)) == 0;
}

bool part_begins(const struct part *p, const char *word)
{
    size_t len = strlen(word);
    return p->p != NULL && (size_t)p->n > len && memcmp(p->p, word, len) == 0 && p->p[len] == ' ';
}

bool part_is_nil(const struct part *p)
{
    return p->type == '_' || ((p->type == '$' || p->type == '*') && p->n < 0);
}

int64_t part_number(const struct part *p)
{
    char text[32] = "";
    if (p->type == ':')
        return p->n;
    if (p->p != NULL && p->n < 30)
        memcpy(text, p->p, (size_t)p->n);
    return strtoll(text, NULL, 10);
}
