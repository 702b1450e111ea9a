/* values.c: keys and their values, one at a time or as lists. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "raftd/base/exits.h"
#include "raftd/base/num.h"
#include "raftd/base/say.h"
#include "raftd/state/cmd.h"
#include "raftd/tool/raftctl.h"

static _Noreturn void end_without_key(struct tool *t)
{
    say_error("no such key");
    tool_end(t, RAFTCTL_EXIT_NO_KEY);
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

static void print_times(FILE *out, const struct item *item)
{
    fprintf(out, "create_revision=%" PRIu64 "\nmodify_revision=%" PRIu64 "\nttl_ms=%" PRId64 "\n",
            item->create_revision, item->modify_revision, item->ttl_ms);
}

/* Asks for a key; *a, to be freed, is the answer that *item borrows from. */
static void get(struct tool *t, const struct args *args, struct item *item, redisReply **a)
{
    struct question q = {.asked = args->flags & ARG_STALE ? PEEKS : READS};
    ctl_add_text(&q.words, "RAFT.GET");
    add_key(&q.words, args->words[0].at, args->words[0].len);
    *a = tool_call(t, &q);
    if ((*a)->type == REDIS_REPLY_NIL)
        end_without_key(t);
    must_be(*a, REDIS_REPLY_ARRAY, 5);
    must_be((*a)->element[0], REDIS_REPLY_STRING, 0);
    heed_mark((*a)->element[4]);
    *item = (struct item){.key = (const uint8_t *)args->words[0].at,
                          .key_len = args->words[0].len,
                          .value = (const uint8_t *)(*a)->element[0]->str,
                          .value_len = (*a)->element[0]->len,
                          .create_revision = number_of((*a)->element[1]),
                          .modify_revision = number_of((*a)->element[2]),
                          .ttl_ms = (int64_t)number_of((*a)->element[3])};
}

void run_get(struct tool *t, const struct args *args)
{
    FILE *out = t->out.file;
    struct item item;
    redisReply *a;
    get(t, args, &item, &a);
    if (args->flags & ARG_JSON) {
        print_item_json(out, &item);
    } else if (args->flags & ARG_META) {
        print_times(out, &item);
        fputs("value=", out);
        print_escaped(out, item.value, item.value_len, '\0');
    } else if (item.value_len > 0) {
        fwrite(item.value, 1, item.value_len, out);
    }
    if (!(args->flags & ARG_RAW))
        fputc('\n', out);
    freeReplyObject(a);
}

void run_ttl(struct tool *t, const struct args *args)
{
    struct item item;
    redisReply *a;
    get(t, args, &item, &a);
    item.value = NULL;
    if (args->flags & ARG_JSON)
        print_item_json(t->out.file, &item);
    else if (item.ttl_ms < 0)
        fputs("never", t->out.file);
    else
        fprintf(t->out.file, "%" PRId64 ".%03" PRId64, item.ttl_ms / 1000, item.ttl_ms % 1000);
    fputc('\n', t->out.file);
    freeReplyObject(a);
}

static void take_item(const redisReply *a, struct item *item)
{
    must_be(a, REDIS_REPLY_ARRAY, 5);
    must_be(a->element[0], REDIS_REPLY_STRING, 0);
    *item = (struct item){.key = (const uint8_t *)a->element[0]->str,
                          .key_len = a->element[0]->len,
                          .create_revision = number_of(a->element[2]),
                          .modify_revision = number_of(a->element[3]),
                          .ttl_ms = (int64_t)number_of(a->element[4])};
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
    if (f->flags & ARG_LONG)
        fprintf(out, "%" PRIu64 " %" PRIu64 " %" PRId64 " ", item->create_revision,
                item->modify_revision, item->ttl_ms);
    if (!(f->flags & ARG_VALUES))
        print_escaped(out, item->key, item->key_len, f->flags & ARG_KEYS ? '\0' : '=');
    if (!(f->flags & (ARG_KEYS | ARG_VALUES)))
        fputc('=', out);
    if (!(f->flags & ARG_KEYS))
        print_escaped(out, item->value, item->value_len, '\0');
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
    const struct word *prefix = &args->words[0]; /* without a word, of no bytes */
    *p = (struct pages){.q = {.asked = args->flags & ARG_STALE ? PEEKS : READS}, .more = true};
    ctl_add_text(&p->q.words, "RAFT.LIST");
    if (prefix->len > 0)
        add_key(&p->q.words, prefix->at, prefix->len);
    else
        ctl_add_text(&p->q.words, ""); /* all keys */
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

/* --- writes --- */

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

static void add_word(struct ctl_words *w, const struct word *word)
{
    ctl_add(w, word->at, word->len);
}

static void add_condition(struct ctl_words *w, const char *condition, const struct word *key)
{
    ctl_add_text(w, "IF");
    ctl_add_text(w, condition);
    add_key(w, key->at, key->len);
}

/* Adds the condition of a put, if it has one. */
static void add_conditions(struct ctl_words *w, const struct args *args)
{
    unsigned asked = args->flags & (ARG_IF_ABSENT | ARG_IF_VALUE | ARG_IF_REV);
    uint64_t revision;
    if ((asked & (asked - 1)) != 0)
        say_fatal(RAFTCTL_EXIT_USAGE, "put takes one condition; raftctl txn takes many");
    if (asked & ARG_IF_ABSENT)
        add_condition(w, "ABSENT", &args->words[0]);
    if (asked & ARG_IF_VALUE) {
        add_condition(w, "VALUE", &args->words[0]);
        add_word(w, &args->values[VALUE_IF_VALUE]);
    }
    if (asked & ARG_IF_REV) {
        const struct word *word = &args->values[VALUE_IF_REV];
        if (!num_parse(word->at, 1, INT64_MAX, &revision))
            say_fatal(RAFTCTL_EXIT_USAGE, "--if-rev %s: a revision is 1 or more", word->at);
        add_condition(w, "REV", &args->words[0]);
        add_word(w, word);
    }
}

void run_put(struct tool *t, const struct args *args)
{
    struct ctl_words w = {0};
    struct word value = args->words[1];
    uint8_t *input = strcmp(value.at, "-") == 0 ? read_stdin(&value.len) : NULL;
    if (value.len > CMD_VALUE_MAX_BYTES)
        say_fatal(RAFTCTL_EXIT_TOO_LARGE, "no value may have more than %d bytes; nothing was done",
                  CMD_VALUE_MAX_BYTES);
    ctl_add_text(&w, "RAFT.TXN");
    add_conditions(&w, args);
    ctl_add_text(&w, "PUT");
    add_key(&w, args->words[0].at, args->words[0].len);
    ctl_add(&w, input != NULL ? input : (const uint8_t *)value.at, value.len);
    redisReply *a = write_call(t, &w);
    free(input);
    bool done = txn_done(a);
    if (done && args->flags & ARG_JSON)
        print_done_json(t->out.file, NULL, NULL, number_of(a->element[0]));
    freeReplyObject(a);
    if (done)
        return;
    say_error("the key is not as the condition says: nothing was done");
    tool_end(t, RAFTCTL_EXIT_NOT_MET);
}

/* The answer to a write that is done if there was such a key. */
static void end_done(struct tool *t, const struct args *args, redisReply *a)
{
    if (!txn_done(a))
        end_without_key(t);
    if (args->flags & ARG_JSON)
        print_done_json(t->out.file, NULL, NULL, number_of(a->element[0]));
    freeReplyObject(a);
}

/* Deletes keys of which a page told, so many at a time as a transaction takes. Returns how many there
 * were. */
static uint64_t delete_page(struct tool *t, const redisReply *items)
{
    for (size_t i = 0; i < items->elements;) {
        struct ctl_words w = {0};
        ctl_add_text(&w, "RAFT.TXN");
        for (unsigned n = 0; n < CMD_OPERATIONS_MAX && i < items->elements; n++, i++) {
            struct item item;
            take_item(items->element[i], &item);
            ctl_add_text(&w, "DEL");
            ctl_add(&w, item.key, item.key_len);
        }
        freeReplyObject(write_call(t, &w));
    }
    return items->elements;
}

static void delete_all(struct tool *t, const struct args *args)
{
    struct pages p;
    uint64_t keys = 0;
    struct args list = *args;
    list.flags |= ARG_KEYS;
    if (args->words[0].len == 0)
        say_fatal(RAFTCTL_EXIT_USAGE, "del --prefix '' would delete all keys: name a prefix");
    pages_begin(&p, &list);
    while (p.more)
        keys += delete_page(t, pages_next(t, &p));
    freeReplyObject(p.page);
    fprintf(t->out.file, args->flags & ARG_JSON ? "{\"keys\":%" PRIu64 "}\n" : "keys=%" PRIu64 "\n",
            keys);
}

void run_del(struct tool *t, const struct args *args)
{
    struct ctl_words w = {0};
    if (args->flags & ARG_PREFIX) {
        delete_all(t, args);
        return;
    }
    ctl_add_text(&w, "RAFT.TXN");
    add_condition(&w, "PRESENT", &args->words[0]);
    ctl_add_text(&w, "DEL");
    add_word(&w, &args->words[0]);
    redisReply *a = write_call(t, &w);
    end_done(t, args, a);
}

/* What is told once is not told again, but the sum is still there if nobody has written the key since. */
static bool sum_is_there(const struct tool *t, const struct word *key, uint64_t revision, char *sum,
                         size_t size)
{
    struct ctl_words ask = {0};
    const struct ctl_call call = {.path = t->socket, .timeout_ms = t->timeout_ms};
    redisReply *a = NULL;
    ctl_add_text(&ask, "RAFT.GET");
    add_word(&ask, key);
    bool there = ctl_call(&call, &ask, &a) == CTL_ANSWERED && a->type == REDIS_REPLY_ARRAY &&
                 a->elements == 5 && number_of(a->element[2]) == revision &&
                 a->element[0]->len < size;
    if (there)
        (void)snprintf(sum, size, "%s", a->element[0]->str);
    freeReplyObject(a);
    return there;
}

void run_incr(struct tool *t, const struct args *args)
{
    struct ctl_words w = {0};
    const char *n = args->n_words > 1 ? args->words[1].at : "1";
    if (!is_addend(n))
        say_fatal(RAFTCTL_EXIT_USAGE, "incr %s: what is added is a whole number", n);
    ctl_add_text(&w, "RAFT.TXN");
    ctl_add_text(&w, "INCRBY");
    add_key(&w, args->words[0].at, args->words[0].len);
    ctl_add_text(&w, n);
    redisReply *a = write_call(t, &w);
    const redisReply *told = txn_result(a, 0);
    uint64_t revision = number_of(a->element[0]);
    char sum[sizeof "-9223372036854775808"] = "";
    bool known = told != NULL;
    if (known)
        (void)snprintf(sum, sizeof sum, "%lld", told->integer);
    else
        known = sum_is_there(t, &args->words[0], revision, sum, sizeof sum);
    if (!known)
        say_warn("the number was added once, as revision %" PRIu64
                 "; what came of it is not known any more",
                 revision);
    if (args->flags & ARG_JSON)
        print_done_json(t->out.file, "value", known ? sum : NULL, revision);
    else if (known)
        fprintf(t->out.file, "%s\n", sum);
    freeReplyObject(a);
}

void run_expire(struct tool *t, const struct args *args)
{
    struct ctl_words w = {0};
    char ms[sizeof "18446744073709551615"];
    uint64_t ttl_ms;
    const char *seconds = args->words[1].at;
    bool never = strcmp(seconds, "never") == 0;
    if (!never && !num_parse_thousandths(seconds, 1, CMD_TTL_MAX_MS, &ttl_ms))
        say_fatal(RAFTCTL_EXIT_USAGE, "expire %s: seconds, 0.001 or more, or never", seconds);
    ctl_add_text(&w, "RAFT.TXN");
    add_condition(&w, "PRESENT", &args->words[0]);
    ctl_add_text(&w, never ? "PERSIST" : "PEXPIRE");
    add_word(&w, &args->words[0]);
    if (!never) {
        (void)snprintf(ms, sizeof ms, "%" PRIu64, ttl_ms);
        ctl_add_text(&w, ms);
    }
    redisReply *a = write_call(t, &w);
    end_done(t, args, a);
}
