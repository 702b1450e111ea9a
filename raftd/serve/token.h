/* token.h: the token of a request (state/cmd.h) as text: 32 hex digits, a dash, the index. */
#ifndef RAFTD_TOKEN_H
#define RAFTD_TOKEN_H

#include <stdbool.h>

#include "raftd/serve/resp.h"
#include "raftd/state/cmd.h"

enum { TOKEN_TEXT_BYTES = 2 * CMD_TOKEN_BYTES + 1 + 20 + 1 }; /* with its end */

void token_print(const struct cmd_token *token, char *text);

/* False: it is no token. */
bool token_read(const struct resp_arg *arg, struct cmd_token *token);

#endif
