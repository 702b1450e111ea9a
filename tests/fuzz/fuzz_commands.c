// LINK: @clients tests/lib/commands_world.c @rcu_alone
/* fuzz_commands.c: any commands against a state machine: each is answered or refused, what it builds is a
 * command of the state machine, and a read tells the same alone and in a transaction. */
#include <stdint.h>
#include <stdlib.h>

#include "raftd/base/rcu.h"
#include "tests/lib/commands_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct commands_world w;
    static struct resp_arg argv[RESP_ARGS_MAX];
    static bool registered;
    if (!registered)
        rcu_thread_begin();
    registered = true;
    commands_begin(&w);
    struct resp_in in = {.arg_max_bytes = 1000, .args_max_bytes = 10000};
    enum resp_came came = RESP_CALL;
    for (size_t at = 0; at < size && (came == RESP_CALL || came == RESP_TOO_BIG); at += in.used) {
        came = resp_take(&in, data + at, size - at, argv);
        if (came == RESP_CALL && in.argc > 0 && *commands_ask(&w, argv, in.argc) == '\0' &&
            command_find(&argv[0])->kind != COMMAND_ENGINE)
            abort();
        w.cluster_ms += 7;
    }
    commands_end(&w);
    return 0;
}
