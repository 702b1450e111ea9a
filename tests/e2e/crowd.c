// LINK: raftd/tool/client.c -lhiredis
/* crowd.c: local clients as nobody wants them.
 *
 *     crowd SOCKET hold N           N connections that say nothing, until killed
 *     crowd SOCKET half OP KEY [VALUE]
 *                                   one command (get, put, del, list, status), then
 *                                   shutdown(SHUT_WR): exit code 0: done, 1: no such key, 2: an
 *                                   error, 100: no answer came
 *     crowd SOCKET lists N [PREFIX] N lists of this node's state on one connection, whose answers are
 *                                   not read, until killed
 *     crowd SOCKET mute N KEY       N connections that ask for KEY and read nothing, until killed
 *     crowd SOCKET begin N BYTES    N connections that begin to put a value and stop, until killed
 *
 * What stays until killed prints "ready" first.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "raftd/tool/client.h"

enum { TIMEOUT_MS = 5000, CONNS_MAX = 4096, GETS = 64, NO_ANSWER = 100 };

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
    exit(99);
}

static int dial(const char *path)
{
    int fd;
    while ((fd = ctl_connect(path)) < 0) {
        if (errno != EAGAIN)
            die("connect");
        usleep(1000);
    }
    return fd;
}

/* What the socket does not take at once is not sent. */
static void send_some(int fd, const char *bytes, size_t len)
{
    if (send(fd, bytes, len, MSG_NOSIGNAL) < 0 && errno != EAGAIN && errno != EPIPE)
        die("send");
}

static _Noreturn void stay(void)
{
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}

static void print_reply(const redisReply *r)
{
    if (r->str != NULL)
        printf("%.*s\n", (int)r->len, r->str);
    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements; i++)
        print_reply(r->element[i]);
}

static int half(const char *path, const char *what, const char *key, const char *value)
{
    static const struct {
        const char *name, *command;
        int words;
    } ops[] = {{"get", "GET", 2},
               {"put", "SET", 3},
               {"del", "DEL", 2},
               {"list", "RAFT.LIST", 2},
               {"status", "RAFT.STATUS", 1}};
    uint64_t deadline_ns = ctl_now_ns() + TIMEOUT_MS * 1000000ULL;
    struct ctl c;
    redisReply *r;
    size_t op = 0;
    while (op + 1 < sizeof ops / sizeof ops[0] && strcmp(ops[op].name, what) != 0)
        op++;
    const struct ctl_words w = {ops[op].words,
                                {ops[op].command, key, value},
                                {strlen(ops[op].command), strlen(key), strlen(value)}};
    if (ctl_open(&c, path, deadline_ns) != CTL_ANSWERED)
        die("connect");
    (void)ctl_send(&c, &w, deadline_ns);
    shutdown(c.fd, SHUT_WR);
    if (ctl_receive(&c, &r, deadline_ns) != CTL_ANSWERED) {
        ctl_close(&c);
        return NO_ANSWER;
    }
    print_reply(r);
    bool none = r->type == REDIS_REPLY_NIL || (r->type == REDIS_REPLY_INTEGER && r->integer == 0);
    int code = r->type == REDIS_REPLY_ERROR ? 2 : none ? 1 : 0;
    freeReplyObject(r);
    ctl_close(&c);
    return code;
}

/* `n` times the same of this node's own state on one connection. */
static void ask_many(int fd, const char *command, const char *key, unsigned n)
{
    const struct ctl_words w = {2, {command, key}, {strlen(command), strlen(key)}};
    char *text;
    size_t len = ctl_format(&w, &text);
    char *all = malloc(n * len + 1);
    if (len == 0 || all == NULL)
        die("memory");
    for (unsigned i = 0; i < n; i++)
        memcpy(all + i * len, text, len);
    send_some(fd, "READONLY\r\n", strlen("READONLY\r\n"));
    send_some(fd, all, n * len);
    free(all);
    redisFreeCommand(text);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: see crowd.c\n");
        return 99;
    }
    const char *path = argv[1], *what = argv[2], *arg = argc > 4 ? argv[4] : "";
    if (strcmp(what, "half") == 0)
        return half(path, argv[3], arg, argc > 5 ? argv[5] : "");
    unsigned n = (unsigned)atoi(argv[3]);
    if (strcmp(what, "lists") == 0) {
        ask_many(dial(path), "RAFT.LIST", arg, n);
        stay();
    }
    for (unsigned i = 0; i < n && i < CONNS_MAX; i++) {
        char begun[64];
        int fd = dial(path);
        if (strcmp(what, "mute") == 0) {
            ask_many(fd, "GET", arg, GETS);
        } else if (strcmp(what, "begin") == 0) {
            (void)snprintf(begun, sizeof begun, "*3\r\n$3\r\nSET\r\n$5\r\nbegun\r\n$%d\r\nx",
                           atoi(arg));
            send_some(fd, begun, strlen(begun));
        }
    }
    stay();
}
