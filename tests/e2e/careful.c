// LINK: tests/lib/resp_tree.c
/* careful.c: local clients that know what each answer must be. Hundreds of connections send commands of all
 * kinds in long pipelines, read late, close one half or all in the middle, and come again.
 *
 *     careful SECONDS SEED FAULTS SOCKET...
 *
 * FAULTS 1: the daemons are killed and stopped meanwhile, so connections may break, and answers be lost. What
 * is checked: each command has one answer, of its kind, in the order of the commands; what a connection
 * alone writes it reads again; a write with a token is done once, however often it is sent; two connections
 * never hold a lock at the same time, and its fence grows; nothing waits for longer than it should.
 *
 * Prints how much was asked. Exit 0; 1: an answer was wrong; 99: it can't go on.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/resp_tree.h"

enum {
    CONNS = 240,
    LOCKERS = 24,       /* of them seldom ask for anything but locks */
    WANTS = 512,        /* answers that a connection waits for */
    OUT_BYTES = 400000, /* of commands that the socket has no room for yet */
    LONG_BYTES = 150000,
    LOCKS = 4,
    /* A command waits for 5 s, or as long as RAFT.TIMEOUT says; the rest is for a busy machine. */
    LATE_MS = 5000 + 30000,
    STALL_MS = 9000, /* who takes nothing for longer may be cut off */
};

/* What an answer has to be. */
enum want_kind {
    WANT_OK,     /* a simple string, or an error that says why nothing was done */
    WANT_TEXT,   /* this text, and no error */
    WANT_PONG,   /* no error */
    WANT_QUEUED, /* or an error, and then EXEC is refused */
    WANT_ERROR,
    WANT_ANY,   /* one answer of whatever kind */
    WANT_ARRAY, /* of `n` parts */
    WANT_SET,   /* of our own key: it has the number then */
    WANT_GET,   /* that number */
    WANT_INCR,  /* one more */
    WANT_DEL,   /* 1 if the key was there */
    WANT_EXEC,  /* an array of `n` answers, whose wants stand behind this one; or nil */
    WANT_LOCK,  /* fence and time, or nil */
    WANT_UNLOCK,
    WANT_TOKEN,
    WANT_ONCE,  /* a write with our token */
    WANT_COUNT, /* how many of those were done */
    WANT_SUBSCRIBED,
};

struct want {
    enum want_kind kind;
    unsigned key;   /* of which our own key is about, see struct conn */
    uint64_t n;     /* number or parts */
    uint64_t at_ms; /* sent */
    unsigned wait_ms;
    bool stale, exec; /* a read that may be old; it is told within an answer to EXEC */
    char text[24];
};

/* What is known of a value that nobody else writes. */
struct known {
    bool sure, there;
    uint64_t n;
};

struct conn {
    int fd;
    const char *path;
    struct want want[WANTS];
    unsigned first, n;
    uint8_t *in, *out;
    size_t in_len, in_cap, out_len;
    uint64_t came_ms, mute_until_ms;
    bool half, leaves, stale, subscribed, claims, refused;
    bool holder;  /* it has asked for a lock, so it ends at once when it closes one half */
    unsigned key; /* our key is named by this number; another one when it is not known what it is */
    struct known own;
    char token[64]; /* of the write that goes on until it is answered, or of the next one */
    bool token_used, token_asked;
    uint64_t count_key, count; /* done by tokens */
    uint64_t holds_until_ms;
    unsigned holds; /* which lock */
};

static uint64_t seed, fences[LOCKS];
static bool faults;
static char **paths;
static unsigned n_paths, next_key;
static struct conn conns[CONNS];
static struct resp_tree tree;
static unsigned long asked, answered, errors, connections, broken, locks, tokens, execs;
static char run[12];

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "careful: %s: %s\n", what, strerror(errno));
    exit(99);
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static unsigned below(unsigned n)
{
    seed ^= seed << 13; /* xorshift64 */
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 11) % n;
}

static _Noreturn void wrong(const struct conn *c, const struct want *w, const char *what)
{
    const struct part *a = &tree.part[0];
    fprintf(stderr, "careful: %s: %s (connection %d, want %d, key %u of %u, n %" PRIu64 " '%s')\n",
            c->path, what, (int)(c - conns), w != NULL ? (int)w->kind : -1, w != NULL ? w->key : 0,
            c->key, w != NULL ? w->n : 0, w != NULL ? w->text : "");
    if (tree.n > 0)
        fprintf(stderr, "the answer: %c %" PRId64 " %.*s\n", a->type, a->n,
                a->p != NULL && a->n > 0 ? (int)(a->n < 200 ? a->n : 200) : 0,
                a->p != NULL ? a->p : "");
    fprintf(stderr, "half %d leaves %d holder %d subscribed %d waits %u out %zu\n", c->half,
            c->leaves, c->holder, c->subscribed, c->n, c->out_len);
    fprintf(stderr, "known: sure %d there %d n %" PRIu64 ", count %" PRIu64 " token %s\n",
            c->own.sure, c->own.there, c->own.n, c->count, c->token);
    exit(1);
}

/* --- sending -------------------------------------------------------------------------------------- */

static void put(struct conn *c, const void *p, size_t len)
{
    memcpy(c->out + c->out_len, p, len);
    c->out_len += len;
}

/* A command of words with single blanks between them. */
__attribute__((format(printf, 2, 3))) static void say(struct conn *c, const char *format, ...)
{
    char text[400], line[40];
    unsigned n = 1;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    asked++;
    for (char *p = text; *p != '\0'; p++)
        n += *p == ' ';
    if (below(8) == 0) {
        bool cr = below(2) == 0;
        put(c, text, strlen(text));
        put(c, cr ? "\r\n" : "\n", cr ? 2 : 1);
        return;
    }
    put(c, line, (size_t)sprintf(line, "*%u\r\n", n));
    for (char *p = text, *end; p != NULL; p = end) {
        end = strchr(p, ' ');
        size_t len = end != NULL ? (size_t)(end++ - p) : strlen(p);
        put(c, line, (size_t)sprintf(line, "$%zu\r\n", len));
        put(c, p, len);
        put(c, "\r\n", 2);
    }
}

static struct want *expect(struct conn *c, enum want_kind kind)
{
    struct want *w = &c->want[(c->first + c->n++) % WANTS];
    *w = (struct want){.kind = kind, .key = c->key, .at_ms = now_ms(), .stale = c->stale};
    return w;
}

/* One command about our own key, or of those that change nothing; in a transaction, too. */
static struct want *say_simple(struct conn *c)
{
    struct want *w;
    switch (below(9)) {
    case 0:
    case 1:
        w = expect(c, WANT_SET);
        w->n = below(1000000);
        say(c, "SET m%s%u %" PRIu64, run, c->key, w->n);
        return w;
    case 2: say(c, "GET m%s%u", run, c->key); return expect(c, WANT_GET);
    case 3: say(c, "INCR m%s%u", run, c->key); return expect(c, WANT_INCR);
    case 4: say(c, "DEL m%s%u", run, c->key); return expect(c, WANT_DEL);
    case 5:
        say(c, "MGET m%s%u shared none", run, c->key);
        w = expect(c, WANT_ARRAY);
        w->n = 3;
        return w;
    case 6: say(c, "PING"); return expect(c, WANT_PONG);
    case 7: say(c, below(2) ? "EXISTS shared a b" : "PTTL shared"); return expect(c, WANT_ANY);
    default:
        w = expect(c, WANT_TEXT);
        sprintf(w->text, "t%u", below(1000000));
        say(c, "ECHO %s", w->text);
        return w;
    }
}

/* Says one of the commands that are separated by commas, whose answer is of that kind. */
static void say_one_of(struct conn *c, const char *commands, enum want_kind kind)
{
    unsigned n = 1, at;
    for (const char *p = commands; *p != '\0'; p++)
        n += *p == ',';
    for (at = below(n); at > 0; at--)
        commands = strchr(commands, ',') + 1;
    say(c, "%.*s", (int)strcspn(commands, ","), commands);
    expect(c, kind);
}

static const char bad_inside[] = "GET,NONE,SCAN 0,SET a b c,WATCH a,MULTI";
static const char bad[] =
    "NONE,GET,SET a b XX NX,EXEC,DISCARD,RAFT.TXN X,HELLO 4,SELECT 1,RAFT.ONCE x SET a b,WATCH,"
    "RAFT.LOCK l0 X,SUBSCRIBE x,RAFT.TIMEOUT 0,COMMAND GETKEYS PING";
static const char plain[] =
    "COMMAND COUNT,CLIENT ID,CLIENT LIST,INFO,DBSIZE,SCAN 0 COUNT 50,KEYS m*1,TTL shared,"
    "RAFT.STATUS,RAFT.GET shared,RAFT.LIST m,CONFIG GET *,TIME,RAFT.HOLDER l0,RAFT.LIST m KEYS,"
    "RAFT.LINKS,COMMAND DOCS,PEXPIRE e 50,SET e 1 PX 20,RAFT.HELD l1,GETDEL e,GET shared,"
    "RAFT.TXN GET w DEL w PUT w 1,RAFT.TIMEOUT 6000,RAFT.OUTCOME "
    "0123456789abcdef0123456789abcdef-1";

/* The wants of what EXEC tells stand behind that of EXEC. */
static void say_transaction(struct conn *c)
{
    struct want *queued[16], *exec;
    unsigned n = below(7), ends = below(8);
    bool spoils = below(10) == 0;
    if (below(4) == 0) {
        say(c, "WATCH m%s%u w", run, c->key);
        expect(c, WANT_OK);
    }
    say(c, "MULTI");
    expect(c, WANT_OK);
    struct want inner[16];
    for (unsigned i = 0; i < n; i++) {
        queued[i] = say_simple(c);
        inner[i] = *queued[i];
        queued[i]->kind = WANT_QUEUED;
    }
    if (spoils)
        say_one_of(c, bad_inside, WANT_ERROR);
    if (ends == 0) {
        say(c, "DISCARD");
        expect(c, WANT_OK);
        return;
    }
    say(c, "EXEC");
    exec = expect(c, WANT_EXEC);
    exec->n = n;
    execs++;
    for (unsigned i = 0; i < n; i++) {
        struct want *w = expect(c, inner[i].kind);
        *w = inner[i];
        w->exec = true;
    }
}

static void say_long(struct conn *c)
{
    size_t len = below(4) == 0 ? below(LONG_BYTES) : below(9000);
    char head[80];
    put(c, head, (size_t)sprintf(head, "*3\r\n$3\r\nSET\r\n$6\r\nshared\r\n$%zu\r\n", len));
    memset(c->out + c->out_len, 'x', len);
    c->out_len += len;
    put(c, "\r\n", 2);
    asked++;
    expect(c, WANT_OK);
}

static void say_lock(struct conn *c)
{
    struct want *w;
    unsigned lock = below(LOCKS);
    if (c->n > 0) /* so an answer of before is not taken for one of now */
        return;
    if (c->claims && below(3) != 0) {
        lock = c->holds;
        say(c, "RAFT.UNLOCK l%u %s", lock, "0");
        expect(c, WANT_UNLOCK)->n = lock;
        c->holds_until_ms = 0; /* it believes no longer */
        c->claims = false;
        return;
    }
    if (c->claims)
        return;
    unsigned wait = below(3) == 0 ? 0 : 1 + below(1500);
    if (wait == 0)
        say(c, "RAFT.LOCK l%u TRY", lock);
    else
        say(c, "RAFT.LOCK l%u VALUE w WAIT %u", lock, wait);
    w = expect(c, WANT_LOCK);
    w->n = lock;
    w->wait_ms = wait;
    c->claims = c->holder = true;
    c->holds = lock;
    c->holds_until_ms = 0;
}

static void say_once(struct conn *c)
{
    if (c->token[0] == '\0') {
        if (!c->token_asked) {
            say(c, "RAFT.TOKEN");
            expect(c, WANT_TOKEN);
            c->token_asked = true;
        }
        return;
    }
    if (c->token_used)
        return;
    c->token_used = true;
    for (unsigned n = 1 + below(2); n > 0; n--) {
        say(c, "RAFT.ONCE %s INCR c%s%" PRIu64, c->token, run, c->count_key);
        expect(c, WANT_ONCE);
    }
    tokens++;
}

static void say_other(struct conn *c)
{
    switch (below(14)) {
    case 0: say_one_of(c, bad, WANT_ERROR); break;
    case 1:
        if (below(2)) {
            say(c, "HELLO %u", 2 + below(2));
            expect(c, WANT_ANY);
        } else if (!c->claims) {
            say(c, "RESET");
            expect(c, WANT_OK);
            c->stale = false;
        }
        break;
    case 2:
        c->stale = below(3) == 0;
        say(c, c->stale ? "READONLY" : "READWRITE");
        expect(c, WANT_OK);
        break;
    case 3: say_long(c); break;
    case 4:
        say(c, "UNWATCH");
        expect(c, WANT_OK);
        break;
    default: say_one_of(c, plain, WANT_ANY);
    }
}

/* From now on it is told of changes, and asks for nothing more. */
static void subscribe(struct conn *c)
{
    say(c, below(2) ? "SUBSCRIBE __keyspace@0__:shared" : "PSUBSCRIBE __keyevent@0__:*");
    expect(c, WANT_SUBSCRIBED);
    c->subscribed = true;
}

static void say_some(struct conn *c)
{
    unsigned most = below(8) == 0 ? 60 : 5;
    if (c < conns + LOCKERS && below(20) != 0) {
        say_lock(c);
        return;
    }
    if (below(20) == 0)
        say_lock(c);
    for (unsigned i = below(most); c->n < WANTS - 40 && c->out_len < OUT_BYTES / 2; i--) {
        switch (below(12)) {
        case 0: say_transaction(c); break;
        case 1:
        case 2: say_other(c); break;
        case 3: say_once(c); break;
        case 4:
            if (c->token[0] == '\0' && !c->token_asked) {
                say(c, "GET c%s%" PRIu64, run, c->count_key);
                expect(c, WANT_COUNT);
            }
            break;
        default: (void)say_simple(c);
        }
        if (i == 0)
            break;
    }
    if (below(400) == 0 && !c->claims)
        subscribe(c);
    if (below(300) == 0) {
        say(c, "QUIT");
        expect(c, WANT_OK);
        c->leaves = true;
        c->holds_until_ms = 0;
    }
}

/* --- answers -------------------------------------------------------------------------------------- */

/* Our own key is another one from now on: nobody knows what became of this one. */
static void forget_own(struct conn *c)
{
    c->key = next_key++;
    c->own = (struct known){.sure = true};
}

/* An error that says what became of the command. True: nothing was done. */
static bool takes_error(struct conn *c, const struct want *w, const struct part *p)
{
    static const char *const words[] = {"NOLEADER", "BUSY",   "FULL",   "TOOBIG",
                                        "LOADING",  "NOTYET", "REFUSED"};
    errors++;
    if (part_begins(p, "UNKNOWN"))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (part_begins(p, words[i]))
            return true;
    wrong(c, w, "an error that can't be");
}

/* A command about our own key. */
static void take_own(struct conn *c, const struct want *w, const struct part *p)
{
    struct known *k = &c->own;
    bool ours = w->key == c->key && k->sure;
    if (p->type == '-') {
        if (!w->exec && !takes_error(c, w, p) && ours && w->kind != WANT_GET)
            forget_own(c);
        return;
    }
    if (!ours)
        return;
    switch (w->kind) {
    case WANT_SET:
        if (!part_is(p, "OK"))
            wrong(c, w, "no OK");
        *k = (struct known){true, true, w->n};
        break;
    case WANT_INCR:
        if (p->type != ':' || p->n != (int64_t)(k->there ? k->n : 0) + 1)
            wrong(c, w, "not one more");
        *k = (struct known){true, true, (uint64_t)p->n};
        break;
    case WANT_DEL:
        if (p->type != ':' || p->n != k->there)
            wrong(c, w, "deleted, or not");
        k->there = false;
        break;
    default:
        if (w->stale && !w->exec)
            break;
        if (k->there ? part_number(p) != (int64_t)k->n : !part_is_nil(p))
            wrong(c, w, "another value");
    }
}

static void take_lock(struct conn *c, const struct want *w, const struct part *p)
{
    uint64_t now = now_ms();
    c->claims = false;
    if (p->type == '-') {
        c->claims = !takes_error(c, w, p);
        return;
    }
    if (part_is_nil(p))
        return;
    if (p->type != '*' || p->n != 2 || p[1].type != ':' || p[2].type != ':')
        wrong(c, w, "no fence and time");
    uint64_t fence = (uint64_t)p[1].n;
    c->claims = true;
    /* It waited for the lock for so long that the time may be over, and another one has it. */
    c->holds_until_ms = c->leaves ? 0 : w->at_ms + (uint64_t)p[2].n;
    for (unsigned i = 0; i < CONNS && c->holds_until_ms > now; i++) {
        struct conn *o = &conns[i];
        struct pollfd f = {.fd = o->fd, .events = POLLRDHUP};
        if (o != c && o->fd >= 0 && o->claims && o->holds == w->n && o->holds_until_ms > now &&
            poll(&f, 1, 0) == 0 && now_ms() < o->holds_until_ms)
            wrong(c, w, "two hold a lock");
    }
    /* The answer to an earlier holder may be read later than this one. */
    if (fence == fences[w->n])
        wrong(c, w, "a fence twice");
    if (fence > fences[w->n])
        fences[w->n] = fence;
    locks++;
}

static void take_once(struct conn *c, const struct want *w, const struct part *p)
{
    bool open = c->token[0] != '\0';
    if (p->type == '-') {
        errors++;
        if (part_begins(p, "CANTTELL")) {
            c->count_key = next_key++;
            c->count = 0;
            c->token[0] = '\0';
        } else {
            (void)takes_error(c, w, p);
        }
        c->token_used = false;
        return;
    }
    if (p->type != '*' || p->n != 3 || p[2].type != ':')
        wrong(c, w, "no answer to RAFT.ONCE");
    c->token_used = false;
    if (!open)
        return; /* it is a copy of the one before */
    c->count++;
    c->token[0] = '\0';
    if (p[2].n == 0 && part_number(&p[3]) != (int64_t)c->count)
        wrong(c, w, "not one more than was done");
}

static void take(struct conn *c, const struct want *w, unsigned at)
{
    const struct part *p = &tree.part[at];
    switch (w->kind) {
    case WANT_OK:
        if (p->type == '-')
            (void)takes_error(c, w, p);
        else if (p->type != '+')
            wrong(c, w, "no OK");
        break;
    case WANT_TEXT:
        if (!part_is(p, w->text))
            wrong(c, w, "another text");
        break;
    case WANT_PONG:
        if (!part_is(p, "PONG"))
            wrong(c, w, "no PONG");
        break;
    case WANT_QUEUED:
        if (p->type == '-' ? !takes_error(c, w, p) : !part_is(p, "QUEUED"))
            wrong(c, w, "not queued");
        break;
    case WANT_ERROR:
        if (p->type != '-')
            wrong(c, w, "no error");
        break;
    case WANT_ARRAY:
        if (p->type == '-' ? w->exec : p->type != '*' || p->n != (int64_t)w->n)
            wrong(c, w, "no such array");
        if (p->type == '-')
            (void)takes_error(c, w, p);
        break;
    case WANT_SET:
    case WANT_GET:
    case WANT_INCR:
    case WANT_DEL: take_own(c, w, p); break;
    case WANT_LOCK: take_lock(c, w, p); break;
    case WANT_UNLOCK:
        if (p->type == '-' && !part_begins(p, "NOTHELD"))
            (void)takes_error(c, w, p);
        break;
    case WANT_TOKEN:
        if (p->p == NULL || (size_t)p->n >= sizeof c->token || p->type == '-')
            wrong(c, w, "no token");
        memcpy(c->token, p->p, (size_t)p->n);
        c->token[p->n] = '\0';
        c->token_asked = c->token_used = false;
        break;
    case WANT_ONCE: take_once(c, w, p); break;
    case WANT_COUNT:
        if (p->type == '-')
            (void)takes_error(c, w, p);
        else if (!w->stale && part_number(p) != (int64_t)c->count)
            wrong(c, w, "done another number of times");
        break;
    case WANT_SUBSCRIBED:
        if (p->type == '-' ? !takes_error(c, w, p) : p->n != 3 || p[3].n != 1)
            wrong(c, w, "not subscribed");
        break;
    case WANT_ANY:
    case WANT_EXEC: break;
    }
}

static struct want take_want(struct conn *c)
{
    struct want w = c->want[c->first];
    c->first = (c->first + 1) % WANTS;
    c->n--;
    return w;
}

static void take_exec(struct conn *c, const struct want *w)
{
    const struct part *p = &tree.part[0];
    unsigned at = 1;
    bool wrote = false, nothing = part_is_nil(p), array = p->type == '*' && p->n == (int64_t)w->n;
    if (p->type == '-')
        nothing = part_begins(p, "EXECABORT") || part_begins(p, "ERR") || takes_error(c, w, p);
    else if (!nothing && !array)
        wrong(c, w, "EXEC has another number of answers");
    bool forgets = p->type == '-' && !nothing;
    for (uint64_t i = 0; i < w->n; i++) {
        struct want inner = take_want(c);
        wrote |= inner.kind != WANT_GET && inner.key == c->key;
        if (!array)
            continue;
        take(c, &inner, at);
        at = resp_tree_behind(&tree, at);
    }
    if (forgets && wrote)
        forget_own(c);
}

static bool is_message(const struct conn *c)
{
    static const char *const all[] = {"message", "pmessage", "change", "lock"};
    if (tree.part[0].type != '>' && (!c->subscribed || tree.part[0].type != '*'))
        return false;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (tree.n > 1 && part_is(&tree.part[1], all[i]))
            return true;
    return false;
}

static void take_answers(struct conn *c)
{
    int64_t at = 0, next;
    while (tree.n = 0, (next = resp_tree_read(&tree, (char *)c->in, c->in_len, at)) > 0) {
        at = next;
        answered++;
        if (is_message(c))
            continue;
        bool last = tree.part[0].type == '-' &&
                    (part_begins(&tree.part[0], "LAGGED") || part_begins(&tree.part[0], "BUSY"));
        c->refused |= last;
        if (c->n == 0 && last)
            continue; /* its end */
        if (c->n == 0)
            wrong(c, NULL, "an answer that nobody asked for");
        struct want w = take_want(c);
        if (w.kind == WANT_EXEC)
            take_exec(c, &w);
        else
            take(c, &w, 0);
    }
    if (next < 0)
        wrong(c, NULL, "no RESP");
    memmove(c->in, c->in + at, c->in_len - (size_t)at);
    c->in_len -= (size_t)at;
}

/* --- connections ---------------------------------------------------------------------------------- */

static void dial(struct conn *c)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    c->path = paths[below(n_paths)];
    if (strlen(c->path) >= sizeof addr.sun_path)
        die("path");
    memcpy(addr.sun_path, c->path, strlen(c->path) + 1);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        die("socket");
    if (connect(c->fd, (const struct sockaddr *)&addr, sizeof addr) != 0) {
        if (!faults && errno != EAGAIN)
            die("connect");
        close(c->fd);
        c->fd = -1;
        return;
    }
    connections++;
    c->came_ms = now_ms();
}

/* What was under way may have been done; a token goes on with the next connection. */
static void drop(struct conn *c)
{
    close(c->fd);
    c->fd = -1;
    c->first = c->n = 0;
    c->in_len = c->out_len = 0;
    c->half = c->leaves = c->stale = c->subscribed = c->claims = c->refused = c->holder = false;
    c->token_used = c->token_asked = false;
    c->mute_until_ms = c->holds_until_ms = 0;
    forget_own(c);
}

static void on_end(struct conn *c)
{
    bool may = faults || c->refused || c->subscribed;
    if (!may && (c->n > 0 || (!c->half && !c->leaves)))
        wrong(c, c->n > 0 ? &c->want[c->first] : NULL, "the connection ended");
    broken++;
    drop(c);
}

static void hear(struct conn *c, uint64_t now)
{
    uint64_t silent_ms = now - c->came_ms;
    if (now < c->mute_until_ms)
        return;
    c->refused |= silent_ms > STALL_MS;
    for (;;) {
        if (c->in_cap - c->in_len < 65536) {
            c->in_cap = c->in_cap * 2 + 65536;
            c->in = realloc(c->in, c->in_cap);
            if (c->in == NULL)
                die("memory");
        }
        ssize_t n = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len, 0);
        if (n > 0) {
            c->in_len += (size_t)n;
            take_answers(c);
            c->came_ms = now;
            if (below(20) == 0)
                return;
        } else if (n < 0 && errno == EAGAIN) {
            c->came_ms = now;
            break;
        } else {
            on_end(c);
            return;
        }
    }
    const struct want *w = &c->want[c->first];
    if (c->n > 0 && c->out_len == 0 && now > w->at_ms + w->wait_ms + LATE_MS)
        wrong(c, w, "no answer in time");
}

static void flush(struct conn *c)
{
    ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
    if (n <= 0)
        return; /* hear() sees its end */
    memmove(c->out, c->out + n, c->out_len - (size_t)n);
    c->out_len -= (size_t)n;
}

static void step(struct conn *c)
{
    uint64_t now = now_ms();
    unsigned what = below(1000);
    if (c->fd < 0) {
        dial(c);
        return;
    }
    hear(c, now);
    if (c->fd < 0)
        return;
    if (!c->half && !c->leaves && !c->subscribed && c->out_len < 1000 && c->n < WANTS / 2 &&
        what < 400)
        say_some(c);
    if (c->out_len > 0 && !c->half)
        flush(c);
    if (what == 999)
        drop(c); /* in the middle of whatever it is */
    else if (what == 998 && c->out_len == 0 && !c->holder && !c->half) {
        shutdown(c->fd, SHUT_WR);
        c->half = true;
    } else if (what >= 995)
        c->mute_until_ms = now + below(what == 995 ? 12000 : 600);
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: careful SECONDS SEED FAULTS SOCKET...\n");
        return 99;
    }
    uint64_t end = now_ms() + strtoull(argv[1], NULL, 10) * 1000, pause = 0;
    seed = strtoull(argv[2], NULL, 10) * 2 + 1;
    faults = argv[3][0] == '1';
    paths = argv + 4;
    n_paths = (unsigned)argc - 4;
    sprintf(run, "%u.", below(100000));
    for (unsigned i = 0; i < CONNS; i++) {
        struct conn *c = &conns[i];
        c->fd = -1;
        c->out = malloc(OUT_BYTES);
        if (c->out == NULL)
            die("memory");
        c->count_key = next_key++;
        forget_own(c);
    }
    for (; now_ms() < end; pause++) {
        step(&conns[below(CONNS)]);
        if (pause % 16 == 0)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    printf("connections=%lu asked=%lu answered=%lu errors=%lu broken=%lu locks=%lu tokens=%lu "
           "transactions=%lu\n",
           connections, asked, answered, errors, broken, locks, tokens, execs);
    return 0;
}
