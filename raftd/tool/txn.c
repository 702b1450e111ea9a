/* txn.c: a transaction, from lines on standard input: conditions first, then what is to be done if all of
 * them hold. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "raftd/base/exits.h"
#include "raftd/base/json.h"
#include "raftd/base/num.h"
#include "raftd/base/say.h"
#include "raftd/state/cmd.h"
#include "raftd/tool/raftctl.h"

enum {
    /* Four characters stand for a byte at most, and what is around keys and values is short. */
    INPUT_MAX_BYTES = 4 * CMD_MAX_BYTES,
    STEPS_MAX = CMD_CONDITIONS_MAX + CMD_OPERATIONS_MAX,
    STEP_WORDS_MAX = 5, /* of the command */
    BEFORE_WORDS = 2,   /* that the command itself stands behind */
    NUMBER_SIZE = sizeof "18446744073709551615",
};

const char txn_what[] = "do what standard input says, all of it or nothing; lines:\n"
                        "            if absent KEY    if present KEY    if value KEY VALUE\n"
                        "            if rev KEY REVISION                if held LOCK FENCE\n"
                        "            put KEY VALUE    del KEY    get KEY    incr KEY [N]\n"
                        "            expire KEY SECONDS|never\n"
                        "          VALUE is the rest of its line; \\xHH stands for a byte";

/* One kind of line: what it is for the daemon. */
struct form {
    const char *name, *condition; /* its first word; of "if" its second one, else NULL */
    const char *command;
    enum { NOTHING, VALUE, NUMBER, ADDEND, SECONDS } more; /* what stands behind the key */
    bool tells;                                            /* a value */
};

static const struct form forms[] = {
    {"if", "absent", "ABSENT", NOTHING, false}, {"if", "present", "PRESENT", NOTHING, false},
    {"if", "value", "VALUE", VALUE, false},     {"if", "rev", "REV", NUMBER, false},
    {"if", "held", "HELD", NUMBER, false},      {"put", NULL, "PUT", VALUE, false},
    {"del", NULL, "DEL", NOTHING, false},       {"get", NULL, "GET", NOTHING, true},
    {"incr", NULL, "INCRBY", ADDEND, true},     {"expire", NULL, "PEXPIRE", SECONDS, false},
};

/* A line that was taken. */
struct step {
    const struct form *form;
    unsigned line; /* from 1 */
    struct word key;
    char number[NUMBER_SIZE]; /* milliseconds */
    bool in_put;              /* it has become a part of the step before */
};

struct txn {
    struct ctl_words words;
    struct step steps[STEPS_MAX];
    unsigned n, conditions; /* steps; those of them that are conditions */
    unsigned line;          /* that is being read */
};

static _Noreturn void refuse_line(const struct txn *x, const char *why)
{
    say_fatal(RAFTCTL_EXIT_USAGE, "line %u: %s: nothing was done", x->line, why);
}

/* The next word of a line, which ends it there. Empty: there is none. */
static char *next_word(char **rest)
{
    *rest += strspn(*rest, " \t");
    char *word = *rest;
    *rest += strcspn(*rest, " \t");
    if (**rest != '\0')
        *(*rest)++ = '\0';
    return word;
}

static struct word undone(const struct txn *x, char *text, size_t len)
{
    struct word word = {text, len};
    if (!undo_escapes(word.at, &word.len))
        refuse_line(x, "a backslash is written \\x5c, and other bytes likewise");
    return word;
}

static const struct form *form_of(const struct txn *x, char **rest)
{
    const char *name = next_word(rest),
               *condition = strcmp(name, "if") == 0 ? next_word(rest) : NULL;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (strcmp(forms[i].name, name) == 0 &&
            (condition == NULL || strcmp(forms[i].condition, condition) == 0))
            return &forms[i];
    say_fatal(
        RAFTCTL_EXIT_USAGE,
        "line %u: no line begins with '%s%s%s' (raftctl txn --help shows what it can be): nothing "
        "was done",
        x->line, name, condition != NULL ? " " : "", condition != NULL ? condition : "");
}

bool is_addend(const char *text)
{
    uint64_t n;
    return num_parse(text + (*text == '-'), 0, INT64_MAX, &n);
}

/* The step before is a put of the same key. */
static bool behind_its_put(const struct txn *x)
{
    const struct step *s = &x->steps[x->n - 1];
    return x->n - x->conditions > 1 && strcmp(s[-1].form->name, "put") == 0 &&
           s[-1].key.len == s->key.len && memcmp(s[-1].key.at, s->key.at, s->key.len) == 0;
}

/* Adds how long the key is to stay. Right behind its put that is a part of the put, without which a key
 * stays. */
static void add_time(struct txn *x, struct step *s, const char *word)
{
    uint64_t ms;
    bool never = strcmp(word, "never") == 0;
    if (!never && !num_parse_thousandths(word, 1, CMD_TTL_MAX_MS, &ms))
        refuse_line(x, "seconds, 0.001 or more, or never");
    if (!never)
        (void)snprintf(s->number, sizeof s->number, "%" PRIu64, ms);
    s->in_put = behind_its_put(x);
    if (s->in_put) {
        x->words.n -= 2; /* the command and the key */
        if (!never)
            ctl_add_text(&x->words, "PX");
    } else if (never) {
        x->words.at[x->words.n - 2] = "PERSIST";
        x->words.len[x->words.n - 2] = strlen("PERSIST");
    }
    if (!never)
        ctl_add_text(&x->words, s->number);
}

/* Adds what stands behind the key. */
static void add_more(struct txn *x, struct step *s, char *rest, const char *end)
{
    if (s->form->more == VALUE) {
        struct word value = undone(x, rest, (size_t)(end - rest));
        ctl_add(&x->words, value.at, value.len);
        return;
    }
    const char *word = next_word(&rest);
    bool none = *word == '\0';
    if (*next_word(&rest) != '\0' || (s->form->more == NOTHING && !none))
        refuse_line(x, "too many words");
    if (none && s->form->more != NOTHING && s->form->more != ADDEND)
        refuse_line(x, "too few words");
    if (s->form->more == ADDEND && !none && !is_addend(word))
        refuse_line(x, "what is added is a whole number");
    if (s->form->more == SECONDS)
        add_time(x, s, word);
    else if (s->form->more != NOTHING)
        ctl_add_text(&x->words, none ? "1" : word);
}

/* `line` is followed by a zero, at `end`. */
static void take_line(struct txn *x, char *line, const char *end)
{
    char *rest = line;
    if (memchr(line, '\0', (size_t)(end - line)) != NULL)
        refuse_line(x, "a byte of zero is written \\x00");
    if (line[strspn(line, " \t")] == '\0' || line[0] == '#')
        return;
    const struct form *form = form_of(x, &rest);
    bool condition = form->condition != NULL;
    if (condition && x->n > x->conditions)
        refuse_line(x, "conditions stand before what is to be done");
    unsigned n = condition ? x->conditions : x->n - x->conditions;
    if (n == (condition ? CMD_CONDITIONS_MAX : CMD_OPERATIONS_MAX) ||
        x->words.n + STEP_WORDS_MAX > CTL_WORDS_MAX - BEFORE_WORDS)
        refuse_line(x, "a transaction takes no more");
    struct step *s = &x->steps[x->n++];
    x->conditions += condition;
    char *key = next_word(&rest);
    if (form->more == VALUE && key + strlen(key) == end)
        refuse_line(x, "too few words");
    *s = (struct step){.form = form, .line = x->line, .key = undone(x, key, strlen(key))};
    if (condition)
        ctl_add_text(&x->words, "IF");
    ctl_add_text(&x->words, form->command);
    add_key(&x->words, s->key.at, s->key.len);
    add_more(x, s, rest, end);
}

static void take_input(struct txn *x, char *text, size_t len)
{
    ctl_add_text(&x->words, "RAFT.TXN");
    for (char *line = text, *end; line < text + len; line = end + 1) {
        end = memchr(line, '\n', (size_t)(text + len - line));
        end = end != NULL ? end : text + len;
        *end = '\0';
        x->line++;
        take_line(x, line, end);
    }
    if (x->n == x->conditions)
        say_fatal(RAFTCTL_EXIT_USAGE, "standard input names nothing to do: nothing was done");
}

/* --- what became of it ------------------------------------------------------------------------- */

/* A value that a step told; a number is written to `number`. False: there is none. */
static bool told_value(const redisReply *a, char number[NUMBER_SIZE], struct item *item)
{
    item->value = NULL;
    if (a->type == REDIS_REPLY_INTEGER) {
        (void)snprintf(number, NUMBER_SIZE, "%lld", a->integer);
        item->value = (const uint8_t *)number;
        item->value_len = strlen(number);
    } else if (a->type == REDIS_REPLY_STRING) {
        item->value = (const uint8_t *)a->str;
        item->value_len = a->len;
    }
    return item->value != NULL;
}

static void print_told(FILE *out, struct json *j, const struct step *s, const redisReply *a)
{
    char number[NUMBER_SIZE];
    struct item item = {.key = (const uint8_t *)s->key.at, .key_len = s->key.len};
    bool there = told_value(a, number, &item);
    if (j != NULL) {
        json_open(j, NULL, '{');
        json_key(j, &item);
        json_close(j, '}');
    } else if (there) {
        print_escaped(out, item.key, item.key_len, '=');
        fputc('=', out);
        print_escaped(out, item.value, item.value_len, '\0');
        fputc('\n', out);
    }
}

static void print_done(struct tool *t, const struct txn *x, const redisReply *a, bool as_json)
{
    struct json json = {.out = t->out.file}, *j = as_json ? &json : NULL;
    uint64_t revision = (uint64_t)a->element[0]->integer;
    if (as_json) {
        json_open(j, NULL, '{');
        json_u64(j, "revision", revision);
        json_open(j, "told", '[');
    } else {
        fprintf(t->out.file, "revision=%" PRIu64 "\n", revision);
    }
    size_t results = 0;
    for (unsigned i = x->conditions; i < x->n; i++) {
        if (x->steps[i].in_put)
            continue;
        const redisReply *told = txn_result(a, results++);
        if (told == NULL && x->steps[i].form->tells)
            say_warn("what line %u told is not known any more; it was done once", x->steps[i].line);
        else if (told != NULL && x->steps[i].form->tells)
            print_told(t->out.file, j, &x->steps[i], told);
    }
    if (as_json) {
        json_close(j, ']');
        json_close(j, '}');
        fputc('\n', t->out.file);
    }
}

void run_txn(struct tool *t, const struct args *args)
{
    struct txn *x = calloc(1, sizeof *x);
    char *text = malloc(INPUT_MAX_BYTES + 1);
    if (x == NULL || text == NULL)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "out of memory");
    ssize_t len = patient_read(STDIN_FILENO, text, INPUT_MAX_BYTES + 1);
    if (len < 0)
        say_fatal(RAFTCTL_EXIT_USAGE, "standard input: %s; nothing was done", strerror(errno));
    if (len > INPUT_MAX_BYTES)
        say_fatal(RAFTCTL_EXIT_TOO_LARGE, "a transaction is smaller than that: nothing was done");
    take_input(x, text, (size_t)len);
    redisReply *a = write_call(t, &x->words);
    bool done = txn_done(a);
    if (done)
        print_done(t, x, a, (args->flags & ARG_JSON) != 0);
    else if (txn_unmet(a) >= 0 && txn_unmet(a) < x->conditions)
        say_error("line %u: this condition does not hold: nothing was done",
                  x->steps[txn_unmet(a)].line);
    else
        say_error("a condition does not hold: nothing was done");
    freeReplyObject(a);
    free(text);
    free(x);
    tool_end(t, done ? RAFTCTL_EXIT_OK : RAFTCTL_EXIT_NOT_MET);
}
