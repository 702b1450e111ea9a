/* token.c: see token.h. */
#include <inttypes.h>
#include <stdio.h>

#include "raftd/serve/token.h"

void token_print(const struct cmd_token *token, char *text)
{
    for (unsigned i = 0; i < CMD_TOKEN_BYTES; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", token->random[i]);
    (void)snprintf(text + 2 * CMD_TOKEN_BYTES, 22, "-%" PRIu64, token->index);
}

static int hex(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool token_read(const struct resp_arg *arg, struct cmd_token *token)
{
    enum { DIGITS = 2 * CMD_TOKEN_BYTES };
    int64_t index;
    if (arg->len < DIGITS + 2 || arg->p[DIGITS] != '-')
        return false;
    for (unsigned i = 0; i < CMD_TOKEN_BYTES; i++) {
        int high = hex(arg->p[2 * i]), low = hex(arg->p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        token->random[i] = (uint8_t)(high << 4 | low);
    }
    if (!resp_number(&(struct resp_arg){arg->p + DIGITS + 1, arg->len - DIGITS - 1}, &index) ||
        index < 0)
        return false;
    token->index = (uint64_t)index;
    return true;
}
