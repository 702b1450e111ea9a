#include "raftd/node/io.h"

#include <stdlib.h>

_Noreturn void node_out_of_memory(const struct node_io *io, const char *what)
{
    if (io->out_of_memory != NULL)
        io->out_of_memory(io->ctx, what);
    abort();
}
