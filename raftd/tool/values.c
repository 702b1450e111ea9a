/* values.c: keys and their values: put, get, del, list, export. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "raftd/base/exits.h"
#include "raftd/base/say.h"
#include "raftd/state/cmd.h"
#include "raftd/tool/raftctl.h"

/* Reads all of standard input, but no more than one byte above the limit of values, which is enough to refuse
 * it. An empty input is refused here: it is seldom meant, and often all that a failed command has put into a
 * pipe. */
static uint8_t *read_stdin(size_t *len)
{
    uint8_t *buf = malloc(CMD_VALUE_MAX_BYTES + 1);
    if (buf == NULL)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "out of memory");
    ssize_t n = patient_read(STDIN_FILENO, buf, CMD_VALUE_MAX_BYTES + 1);
    if (n < 0)
        say_fatal(RAFTCTL_EXIT_USAGE, "standard input: %s; nothing was done", strerror(errno));
    if (n == 0)
        say_fatal(RAFTCTL_EXIT_USAGE,
                  "standard input is empty: nothing was done (an empty value is "
                  "stored by put KEY '')");
    *len = (size_t)n;
    return buf;
}

void run_put(struct tool *t, const struct args *args)
{
    struct question q = {.asked = WRITES};
    const char *value = args->words[1];
    size_t len = strlen(value);
    ctl_add_text(&q.words, "SET");
    add_key(&q.words, args->words[0]);
    uint8_t *input = strcmp(value, "-") == 0 ? read_stdin(&len) : NULL;
    if (len > CMD_VALUE_MAX_BYTES)
        say_fatal(RAFTCTL_EXIT_TOO_LARGE, "no value may have more than %d bytes; nothing was done",
                  CMD_VALUE_MAX_BYTES);
    ctl_add(&q.words, input != NULL ? input : (const uint8_t *)value, len);
    freeReplyObject(tool_call(t, &q));
    free(input);
}

static _Noreturn void end_without_key(struct tool *t)
{
    say_error("no such key");
    tool_end(t, RAFTCTL_EXIT_NO_KEY);
}

void run_del(struct tool *t, const struct args *args)
{
    struct question q = {.asked = WRITES};
    ctl_add_text(&q.words, "DEL");
    add_key(&q.words, args->words[0]);
    redisReply *a = tool_call(t, &q);
    must_be(a, REDIS_REPLY_INTEGER, 0);
    if (a->integer == 0)
        end_without_key(t);
    freeReplyObject(a);
}

/* Says it if what is shown is old. */
static void heed_mark(const redisReply *mark)
{
    if (mark->str != NULL && strcmp(mark->str, "recovering") == 0)
        say_warn("this node is recovering: what it shows may be older than what it knew before");
}

/* An element of an answer that is a number. */
static uint64_t number_of(const redisReply *a)
{
    must_be(a, REDIS_REPLY_INTEGER, 0);
    return (uint64_t)a->integer;
}

void run_get(struct tool *t, const struct args *args)
{
    FILE *out = t->out.file;
    struct question q = {.asked = args->flags & ARG_STALE ? PEEKS : READS};
    ctl_add_text(&q.words, "RAFT.GET");
    add_key(&q.words, args->words[0]);
    redisReply *a = tool_call(t, &q);
    if (a->type == REDIS_REPLY_NIL)
        end_without_key(t);
    must_be(a, REDIS_REPLY_ARRAY, 5);
    must_be(a->element[0], REDIS_REPLY_STRING, 0);
    heed_mark(a->element[4]);
    const struct item item = {.key = (const uint8_t *)q.words.at[1],
                              .key_len = q.words.len[1],
                              .value = (const uint8_t *)a->element[0]->str,
                              .value_len = a->element[0]->len,
                              .create_revision = number_of(a->element[1]),
                              .modify_revision = number_of(a->element[2])};
    if (args->flags & ARG_JSON)
        print_item_json(out, &item);
    else if (item.value_len > 0)
        fwrite(item.value, 1, item.value_len, out);
    if (!(args->flags & ARG_RAW))
        fputc('\n', out);
    freeReplyObject(a);
}

static void take_item(const redisReply *a, struct item *item)
{
    must_be(a, REDIS_REPLY_ARRAY, 5);
    must_be(a->element[0], REDIS_REPLY_STRING, 0);
    *item = (struct item){.key = (const uint8_t *)a->element[0]->str,
                          .key_len = a->element[0]->len,
                          .create_revision = number_of(a->element[2]),
                          .modify_revision = number_of(a->element[3])};
    if (a->element[1]->type == REDIS_REPLY_NIL)
        return;
    must_be(a->element[1], REDIS_REPLY_STRING, 0);
    item->value = (const uint8_t *)a->element[1]->str;
    item->value_len = a->element[1]->len;
}

static void print_item(FILE *out, const struct item *item, const struct args *f, bool first)
{
    if (f->flags & ARG_JSON) {
        const char *before = first ? "\n" : ",\n";
        fputs(f->flags & ARG_LINES ? "" : before, out);
        print_item_json(out, item);
        fputs(f->flags & ARG_LINES ? "\n" : "", out);
        return;
    }
    print_escaped(out, item->key, item->key_len, f->flags & ARG_KEYS ? '\0' : '=');
    if (!(f->flags & ARG_KEYS)) {
        fputc('=', out);
        print_escaped(out, item->value, item->value_len, '\0');
    }
    fputc('\n', out);
}

/* A list that comes in pages. */
struct pages {
    struct question q;
    redisReply *page; /* the last one that came */
    uint64_t first_index, last_index;
    bool keys; /* without their values */
    bool more;
};

static void pages_begin(struct pages *p, const struct args *args)
{
    const char *prefix = args->n_words > 0 ? args->words[0] : "";
    *p = (struct pages){.q = {.asked = args->flags & ARG_STALE ? PEEKS : READS}, .more = true};
    ctl_add_text(&p->q.words, "RAFT.LIST");
    if (prefix[0] != '\0')
        add_key(&p->q.words, prefix);
    else
        ctl_add_text(&p->q.words, "");
    p->keys = (args->flags & ARG_KEYS) != 0;
}

/* Asks for the next page; the keys go on after the last one of the page before. Returns its items. */
static const redisReply *pages_next(struct tool *t, struct pages *p)
{
    struct question q = p->q;
    if (p->page != NULL) {
        const redisReply *items = p->page->element[3], *last = items->element[items->elements - 1];
        ctl_add_text(&q.words, "AFTER");
        ctl_add(&q.words, last->element[0]->str, last->element[0]->len);
    }
    if (p->keys)
        ctl_add_text(&q.words, "KEYS");
    redisReply *page = tool_call(t, &q);
    must_be(page, REDIS_REPLY_ARRAY, 4);
    must_be(page->element[3], REDIS_REPLY_ARRAY, 0);
    heed_mark(page->element[2]);
    p->last_index = number_of(page->element[0]);
    if (p->page == NULL)
        p->first_index = p->last_index;
    p->more = number_of(page->element[1]) != 0 && page->element[3]->elements > 0;
    freeReplyObject(p->page);
    p->page = page;
    return page->element[3];
}

void run_list(struct tool *t, const struct args *args)
{
    FILE *out = t->out.file;
    struct pages p;
    bool array = (args->flags & (ARG_JSON | ARG_LINES)) == ARG_JSON, first = true;
    pages_begin(&p, args);
    while (p.more) {
        const redisReply *items = pages_next(t, &p);
        if (array && first)
            fputc('[', out);
        for (size_t i = 0; i < items->elements; i++, first = false) {
            struct item item;
            take_item(items->element[i], &item);
            print_item(out, &item, args, first);
        }
    }
    freeReplyObject(p.page);
    if (args->flags & ARG_LINES && p.last_index != p.first_index)
        say_warn("something was written meanwhile: what is printed is as of indexes %" PRIu64
                 " to %" PRIu64,
                 p.first_index, p.last_index);
    if (array)
        fputs("\n]\n", out);
}

void run_export(struct tool *t, const struct args *args)
{
    struct args lines = *args;
    lines.flags |= ARG_JSON | ARG_LINES;
    run_list(t, &lines);
}
