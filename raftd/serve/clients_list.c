/* clients_list.c: see clients_impl.h. CLIENT LIST, INFO and KILL: what is known of connections, of those of
 * all threads (round.h). */
#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "raftd/base/clock.h"
#include "raftd/serve/clients_impl.h"
#include "raftd/serve/commands_impl.h"
#include "raftd/serve/round.h"

enum {
    LINE_BYTES =
        1536, /* of any line of CLIENT LIST: its texts have 512 at most, its numbers as many */
    STEP_BYTES = 4096, /* the memory of a list grows by so much and a quarter */
};

/* --- one connection ----------------------------------------------------------------------------- */

/* Its text as Redis has it: "PATH:0", "127.0.0.1:1234", "[::1]:1234". */
static void print_address(char *text, const struct sockaddr_storage *a)
{
    char host[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
    const struct sockaddr_un *un = (const struct sockaddr_un *)a;
    if (a->ss_family == AF_UNIX) {
        (void)snprintf(text, ROUND_ADDRESS_BYTES, "%.*s:0", (int)sizeof un->sun_path, un->sun_path);
    } else if (a->ss_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        (void)snprintf(text, ROUND_ADDRESS_BYTES, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        (void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        (void)snprintf(text, ROUND_ADDRESS_BYTES, "%s:%u", host, ntohs(v4->sin_port));
    }
}

/* The one that the client has connected to: or by TCP, if `peer`, its own. Clients of the Unix socket have no
 * address of their own, so both are that one. */
static void address_of(const struct conn *conn, bool peer, char *text)
{
    struct sockaddr_storage a = {.ss_family = AF_UNIX};
    socklen_t len = sizeof a;
    if (peer && conn->tcp)
        (void)getpeername(conn->in.fd, (struct sockaddr *)&a, &len);
    else
        (void)getsockname(conn->in.fd, (struct sockaddr *)&a, &len);
    print_address(text, &a);
}

static bool is_pubsub(const struct conn *conn)
{
    unsigned patterns, channels = watch_channels(conn, &patterns);
    return channels + patterns > 0;
}

/* In the letters of CLIENT LIST. */
static void print_flags(char *text, size_t size, const struct conn *conn)
{
    const struct pending *p = conn->ops > 0 ? queue_last(conn) : NULL;
    bool blocked = p != NULL && p->lock != NULL, pubsub = is_pubsub(conn);
    bool ends = conn->ended || conn->hangup;
    (void)snprintf(text, size, "%s%s%s%s%s%s", pubsub ? "P" : "", conn->multi ? "x" : "",
                   blocked ? "b" : "", ends ? "c" : "", conn->tcp ? "" : "U",
                   !pubsub && !conn->multi && !blocked && !ends && conn->tcp ? "N" : "");
}

/* The line of CLIENT LIST with all that Redis has in it, for libraries look for it; what raftd does not know
 * of is 0. Then who is at the other end. Returns its length, which is less than LINE_BYTES. */
static size_t print_line(char line[LINE_BYTES], const struct conn *conn, uint64_t now)
{
    char address[ROUND_ADDRESS_BYTES], own[ROUND_ADDRESS_BYTES], flags[8], user[48] = "";
    unsigned patterns, channels = watch_channels(conn, &patterns);
    size_t rest = conn->rest_len - conn->rest_at;
    struct ucred peer = {.pid = 0, .uid = 0};
    socklen_t len = sizeof peer;
    address_of(conn, true, address);
    address_of(conn, false, own);
    print_flags(flags, sizeof flags, conn);
    if (!conn->tcp && getsockopt(conn->in.fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
        (void)snprintf(user, sizeof user, " uid=%u pid=%d", (unsigned)peer.uid, (int)peer.pid);
    int n = snprintf(
        line, LINE_BYTES,
        "id=%" PRIu64 " addr=%s laddr=%s fd=%d name=%s age=%" PRIu64 " idle=%" PRIu64
        " flags=%s db=0 sub=%u psub=%u ssub=0 multi=%d watch=%u qbuf=%zu qbuf-free=%zu argv-mem=0 "
        "multi-mem=0 obl=%zu oll=0 omem=%zu tot-mem=%zu events=%s cmd=%s user=default redir=-1 "
        "resp=%u lib-name=%s lib-ver=%s%s\n",
        conn->talker.id, address, own, conn->in.fd, conn->talker.name,
        (now - conn->since_us) / 1000000,
        (now > conn->heard_us ? now - conn->heard_us : 0) / 1000000, flags, channels, patterns,
        conn->multi ? (int)conn->n_calls : -1, conn->n_watched, rest, conn->rest_cap - rest,
        output_pending(conn), conn->answers.cap, sizeof *conn + conn->rest_cap + conn->answers.cap,
        output_pending(conn) > 0 ? "rw" : "r", conn->last != NULL ? conn->last->name : "NULL",
        conn->answers.version, conn->talker.lib_name, conn->talker.lib_version, user);
    assert(n > 0 && n < LINE_BYTES);
    return (size_t)n;
}

/* --- which are meant ---------------------------------------------------------------------------- */

static bool has_address(const struct conn *conn, bool peer, const char *wanted)
{
    char text[ROUND_ADDRESS_BYTES];
    address_of(conn, peer, text);
    return strcmp(text, wanted) == 0;
}

static bool has_id(const struct round *r, uint64_t id)
{
    unsigned i = 0;
    while (i < r->n_ids && r->ids[i] != id)
        i++;
    return i < r->n_ids;
}

static bool is_meant(const struct round *r, const struct conn *conn, uint64_t now)
{
    const struct round_filter *f = &r->filter;
    if (f->type != ROUND_ANY && f->type != (is_pubsub(conn) ? ROUND_PUBSUB : ROUND_NORMAL))
        return false;
    if (f->but == conn->talker.id || now - conn->since_us < f->age_us)
        return false;
    return (!f->by_id || has_id(r, conn->talker.id)) &&
           (!f->by_address || has_address(conn, true, f->address)) &&
           (!f->by_own_address || has_address(conn, false, f->own_address));
}

/* Who is at the other end; by TCP the same for all. Users may share a struct user. */
static uid_t user_of(const struct conn *conn)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t len = sizeof peer;
    (void)getsockopt(conn->in.fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
    return peer.uid;
}

/* Whoever may be reached through the socket is served; but nobody can throw out the administrator. */
static bool may_kill(const struct round *r, const struct conn *conn)
{
    return r->trusted || user_of(conn) == r->uid;
}

/* What is no text, or longer than any address, is the address of no connection: none has an empty one. */
static void take_address(char *address, const struct resp_arg *value)
{
    memset(address, 0, ROUND_ADDRESS_BYTES);
    if (value->len < ROUND_ADDRESS_BYTES && memchr(value->p, '\0', value->len) == NULL)
        memcpy(address, value->p, value->len);
}

/* NULL: the word was taken, with its value. */
static const char *take_word(struct round *r, const struct resp_arg *word,
                             const struct resp_arg *value)
{
    struct round_filter *f = &r->filter;
    int64_t n;
    if (resp_is(word, "type")) {
        if (resp_is(value, "normal"))
            f->type = ROUND_NORMAL;
        else if (resp_is(value, "pubsub"))
            f->type = ROUND_PUBSUB;
        else if (resp_is(value, "master") || resp_is(value, "replica") || resp_is(value, "slave"))
            f->type = ROUND_NONE; /* nodes do not come as clients */
        else
            return "ERR Unknown client type: normal, pubsub, master, replica";
    } else if (resp_is(word, "id")) {
        if (!resp_number(value, &n) || n < 1)
            return "ERR client-id should be greater than 0";
        f->by_id = true;
        r->ids[r->n_ids++] = (uint64_t)n;
    } else if (r->kills && resp_is(word, "addr")) {
        f->by_address = true;
        take_address(f->address, value);
    } else if (r->kills && resp_is(word, "laddr")) {
        f->by_own_address = true;
        take_address(f->own_address, value);
    } else if (r->kills && resp_is(word, "user")) {
        if (!resp_is(value, "default"))
            return "ERR No such user: all clients are the user default";
    } else if (r->kills && resp_is(word, "maxage")) {
        if (!resp_number(value, &n) || n < 1 || n > INT32_MAX)
            return "ERR maxage is not a number of seconds, or out of range";
        f->age_us = (uint64_t)n * 1000000;
    } else if (r->kills && resp_is(word, "skipme")) {
        if (!resp_is(value, "yes") && !resp_is(value, "no"))
            return "ERR syntax error: SKIPME yes or no";
        f->but = resp_is(value, "yes") ? r->asker : 0;
    } else {
        return r->kills ? "ERR syntax error: CLIENT KILL takes ID, ADDR, LADDR, TYPE, USER, MAXAGE "
                          "and SKIPME, each with a value"
                        : "ERR syntax error: CLIENT LIST takes TYPE type and ID id ...";
    }
    return NULL;
}

/* NULL: the arguments are good. */
static const char *take_filter(struct round *r, const struct call *call)
{
    r->filter.but = r->kills ? r->asker : 0;
    if (r->kills && call->argc == 3) { /* the old form */
        r->plain = true;
        r->filter.but = 0;
        r->filter.by_address = true;
        take_address(r->filter.address, &call->argv[2]);
        return NULL;
    }
    if (r->kills && call->argc < 4)
        return "ERR wrong number of arguments for 'client|kill' command";
    for (unsigned i = 2; i < call->argc; i += 2) {
        const struct resp_arg *word = &call->argv[i];
        static const struct resp_arg none = {(const uint8_t *)"", 0};
        const char *error = take_word(r, word, i + 1 < call->argc ? word + 1 : &none);
        while (error == NULL && !r->kills && resp_is(word, "id") && i + 2 < call->argc &&
               !resp_is(&call->argv[i + 2], "type")) /* more of them */
            error = take_word(r, word, &call->argv[++i + 1]);
        if (error != NULL)
            return error;
    }
    return NULL;
}

/* --- rounds ------------------------------------------------------------------------------------- */

static void kill_one(struct round *r, struct conn *conn)
{
    r->killed++;
    if (conn->talker.id == r->asker)
        r->ends_asker = true; /* when it has its answer */
    else
        conn_hang_up(conn);
}

/* Adds a line, for which the asker's user has to have room. */
static void add_line(struct shared *s, struct request *req, const char *line, size_t len)
{
    struct round *r = req->round;
    if (req->result == RESULT_OK && r->cap - r->len < len) {
        size_t cap = r->cap + r->cap / 4 + STEP_BYTES;
        char *text = NULL;
        if (users_take(&s->users, req->user, USERS_TOLD_BYTES, cap - r->cap)) {
            req->told_bytes += cap - r->cap;
            text = realloc(r->text, cap);
        }
        if (text != NULL) {
            r->text = text;
            r->cap = cap;
        } else {
            req->result = RESULT_BUSY;
        }
    }
    if (req->result != RESULT_OK)
        return;
    memcpy(r->text + r->len, line, len);
    r->len += len;
}

/* Does what the round wants with the connections of this thread. */
static void visit(struct clients *c, struct request *req)
{
    struct round *r = req->round;
    uint64_t now = clock_us();
    char line[LINE_BYTES];
    for (unsigned i = 0; i < CLIENTS_SLOTS; i++) {
        struct conn *conn = c->conns[i];
        if (conn == NULL || !is_meant(r, conn, now))
            continue;
        if (!r->kills)
            add_line(c->shared, req, line, print_line(line, conn, now));
        else if (!conn->hangup && may_kill(r, conn))
            kill_one(r, conn);
    }
}

void rounds_visit(struct clients *c)
{
    if (cds_list_empty(&c->rounds))
        return;
    struct round *r = rcu_container(c->rounds.next, struct round, link);
    cds_list_del(&r->link);
    visit(c, r->req);
    shared_pass_on(c->shared, r->req);
}

void rounds_free(struct clients *c)
{
    struct cds_list_head *at, *next;
    cds_list_for_each_safe(at, next, &c->rounds)
        request_free(c->shared, rcu_container(at, struct round, link)->req);
}

static void say_line(const void *what, struct resp_out *out)
{
    char line[LINE_BYTES];
    resp_verbatim(out, line, print_line(line, what, clock_us()));
}

static enum blocked refuse(struct conn *conn, struct request *req, const char *error)
{
    if (req != NULL)
        request_free(conn->clients->shared, req);
    answer_error(conn, error);
    return BLOCKED_NOT;
}

bool list_asked(const struct call *call)
{
    static const char *const words[] = {"list", "kill", "info"};
    bool asked = false;
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++)
        asked |= call->command->run == run_client && resp_is(&call->argv[1], words[i]);
    return asked;
}

enum blocked list_begin(struct conn *conn, const struct call *call)
{
    struct clients *c = conn->clients;
    if (resp_is(&call->argv[1], "info"))
        return call->argc == 2 ? answer(conn, say_line, conn)
                               : refuse(conn, NULL, "ERR CLIENT INFO takes nothing more");
    struct request *req = request_new(conn, REQUEST_ROUND, 0);
    struct round *r = req != NULL ? round_new(call->argc) : NULL;
    if (r == NULL)
        return refuse(conn, req, result_text(c, RESULT_BUSY, false));
    req->round = r;
    r->req = req;
    r->asker = conn->talker.id;
    r->kills = resp_is(&call->argv[1], "kill");
    r->trusted = conn->user->trusted;
    r->uid = user_of(conn);
    const char *error = take_filter(r, call);
    if (error != NULL)
        return refuse(conn, req, error);
    if (queue_request(conn, req, NULL, NULL) != RESULT_OK)
        answer_error(conn, result_text(c, RESULT_BUSY, false));
    return BLOCKED_NOT;
}
