/* metrics.c: the command that prints metrics, or puts them into a file. */
#include <stdlib.h>
#include <string.h>

#include "raftd/base/exits.h"
#include "raftd/base/replace.h"
#include "raftd/base/say.h"
#include "raftd/tool/raftctl.h"

const char metrics_usage[] = " [--file FILE]";
const char metrics_what[] =
    "print counters and gauges as text for Prometheus (--file: replace FILE\n"
    "          with it in one step, as FILE.prom for node_exporter)";

/* A daemon that does not answer is told as well: numbers of before it would look as if all were well. */
void run_metrics(struct tool *t, const struct args *args)
{
    static const char *const words[] = {"INFO", "cpu", "memory", "commandstats", "raft"};
    struct question q = {.asked = LOOKS};
    const char *path = args->values[VALUE_FILE].at;
    redisReply *a;
    char *text = NULL;
    size_t len = 0;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        ctl_add_text(&q.words, words[i]);
    int code = tool_try(t, &q, &a);
    if (a != NULL)
        must_be(a, REDIS_REPLY_STRING, 0);
    FILE *out = path != NULL ? open_memstream(&text, &len) : t->out.file;
    if (out == NULL)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "out of memory");
    print_metrics(out, a != NULL ? a->str : NULL);
    if (a != NULL)
        freeReplyObject(a);
    if (path != NULL && fclose(out) != 0)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "out of memory");
    int rc = path != NULL ? replace_file(path, 0644, text, len) : 0;
    free(text);
    if (rc != 0)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "%s cannot be written: %s", path, replace_error(rc));
    tool_end(t, code);
}
