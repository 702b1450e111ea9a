// LINK:
/* hostile.c: local clients that do whatever comes: commands of all kinds, cut, damaged and in pieces, noise,
 * half-closed connections, answers that are read late or never.
 *
 *     hostile SOCKET SECONDS SEED
 *
 * Prints how much was sent. Exit 0; 99: it can't go on.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { CONNS = 48, TEXT_BYTES = 300000, SOME = 4096 };

static uint64_t seed;
static int fds[CONNS];
static uint8_t text[TEXT_BYTES];
static unsigned long commands, bytes, connections;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "hostile: %s: %s\n", what, strerror(errno));
    exit(99);
}

static unsigned below(unsigned n)
{
    seed ^= seed << 13; /* xorshift64 */
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 11) % n;
}

static int dial(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(addr.sun_path))
        die("path");
    memcpy(addr.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0)
        die("socket");
    if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0) {
        connections++;
        return fd;
    }
    if (errno != EAGAIN)
        die("connect");
    close(fd);
    return -1;
}

/* A word that commands know, a key, a number, or anything. */
static size_t word(uint8_t *to)
{
    static const char *const words[] = {
        "get",         "set",
        "del",         "mget",
        "mset",        "incr",
        "incrby",      "exists",
        "setnx",       "getset",
        "getdel",      "expire",
        "pexpire",     "ttl",
        "persist",     "scan",
        "keys",        "dbsize",
        "multi",       "exec",
        "discard",     "watch",
        "unwatch",     "hello",
        "ping",        "echo",
        "select",      "client",
        "command",     "config",
        "info",        "time",
        "reset",       "quit",
        "readonly",    "readwrite",
        "auth",        "subscribe",
        "psubscribe",  "unsubscribe",
        "raft.get",    "raft.list",
        "raft.status", "raft.links",
        "raft.txn",    "raft.token",
        "raft.once",   "raft.outcome",
        "raft.watch",  "raft.lock",
        "raft.unlock", "raft.held",
        "raft.fetch",  "raft.timeout",
        "raft.member", "raft.publish",
        "raft.holder", "list",
        "setname",     "nx",
        "xx",          "px",
        "ex",          "match",
        "count",       "after",
        "if",          "absent",
        "value",       "put",
        "3",           "2",
        "0",           "1",
        "-1",          "10",
        "99999999999", "*",
        "a*",          "a",
        "b",           "c",
        "d",           "",
    };
    if (below(20) == 0) {
        size_t n = below(8) == 0 ? below(70000) : below(300);
        for (size_t i = 0; i < n; i++)
            to[i] = (uint8_t)below(256);
        return n;
    }
    const char *w = words[below(sizeof(words) / sizeof(words[0]))];
    memcpy(to, w, strlen(w));
    return strlen(w);
}

/* Writes a command as a client does; returns its length. */
static size_t command(uint8_t *to)
{
    static uint8_t arg[70000];
    unsigned argc = 1 + below(below(10) == 0 ? 40 : 5);
    size_t len = 0;
    bool line = below(6) == 0;
    if (!line)
        len += (size_t)sprintf((char *)to, "*%u\r\n", argc);
    for (unsigned i = 0; i < argc && len < TEXT_BYTES / 2; i++) {
        size_t n = word(arg);
        if (line) {
            n = n > 200 ? 200 : n;
            to[len++] = ' ';
        } else {
            len += (size_t)sprintf((char *)to + len, "$%zu\r\n", n);
        }
        memcpy(to + len, arg, n);
        len += n;
        if (!line) {
            to[len++] = '\r';
            to[len++] = '\n';
        }
    }
    if (line)
        to[len++] = '\n';
    commands++;
    return len;
}

/* Something to send, in `text`; returns its length. */
static size_t compose(void)
{
    size_t len = 0;
    unsigned n = 1 + below(below(4) == 0 ? 50 : 3);
    while (n-- > 0 && len < TEXT_BYTES / 4)
        len += command(text + len);
    if (below(12) == 0) /* damaged */
        text[below((unsigned)len)] = (uint8_t)below(256);
    if (below(12) == 0) /* cut off */
        len = below((unsigned)len) + 1;
    if (below(60) == 0) /* noise */
        for (len = 0; len < SOME; len++)
            text[len] = (uint8_t)below(256);
    return len;
}

static void drop(unsigned i)
{
    close(fds[i]);
    fds[i] = -1;
}

static void step(const char *path)
{
    static uint8_t answers[65536];
    unsigned i = below(CONNS), what = below(100);
    if (fds[i] < 0) {
        fds[i] = dial(path);
    } else if (what < 55) {
        ssize_t n = send(fds[i], text, compose(), MSG_NOSIGNAL);
        bytes += n > 0 ? (unsigned long)n : 0;
        if (n < 0 && errno != EAGAIN)
            drop(i);
    } else if (what < 95) {
        ssize_t n = recv(fds[i], answers, what < 60 ? 3 : sizeof(answers), 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            drop(i);
    } else if (what < 97) {
        shutdown(fds[i], SHUT_WR);
    } else {
        drop(i);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: hostile SOCKET SECONDS SEED\n");
        return 99;
    }
    time_t end = time(NULL) + atoi(argv[2]);
    seed = strtoull(argv[3], NULL, 10) * 2 + 1;
    for (unsigned i = 0; i < CONNS; i++)
        fds[i] = -1;
    while (time(NULL) < end)
        step(argv[1]);
    printf("connections=%lu commands=%lu bytes=%lu\n", connections, commands, bytes);
}
