// LINK: raftd/serve/proto.c
/* crowd.c: local clients as nobody wants them.
 *
 *     crowd SOCKET hold N           N connections that say nothing, until killed
 *     crowd SOCKET half OP KEY [VALUE]
 *                                   one request, then shutdown(SHUT_WR): exit code is the result of
 *                                   the answer (request.h), 100: none came
 *     crowd SOCKET lists N [PREFIX] N lists of this node's state in as few packets as will hold them,
 *                                   answers are not read, until killed
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
#include <sys/un.h>
#include <unistd.h>

#include "raftd/serve/proto.h"

enum { TIMEOUT_MS = 5000, CONNS_MAX = 4096, GETS = 64, NO_ANSWER = 100 };

static uint8_t packet[PROTO_PACKET_MAX_BYTES];

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
    exit(99);
}

static int dial(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(addr.sun_path))
        die("path");
    memcpy(addr.sun_path, path, strlen(path) + 1);
    for (;;) {
        int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
        if (fd < 0)
            die("socket");
        if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
            return fd;
        if (errno != EAGAIN)
            die("connect");
        close(fd);
        usleep(1000);
    }
}

static struct proto_request request(uint8_t op, const char *key)
{
    return (struct proto_request){.op = op,
                                  .timeout_ms = TIMEOUT_MS,
                                  .tag = 1,
                                  .key = (const uint8_t *)key,
                                  .key_len = (uint16_t)strlen(key)};
}

static void send_all(int fd, size_t len, int flags)
{
    if (send(fd, packet, len, MSG_NOSIGNAL | flags) < 0 && errno != EAGAIN && errno != EPIPE)
        die("send");
}

static _Noreturn void stay(void)
{
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}

static int half(const char *path, const char *op_name, const char *key, const char *value)
{
    static const char *const names[] = {[PROTO_GET] = "get",
                                        [PROTO_PUT] = "put",
                                        [PROTO_DELETE] = "del",
                                        [PROTO_LIST] = "list",
                                        [PROTO_STATUS] = "status"};
    uint8_t op = PROTO_GET;
    while (op < PROTO_STATUS && strcmp(names[op], op_name) != 0)
        op++;
    struct proto_request r = request(op, key);
    r.part = (const uint8_t *)value;
    r.part_len = r.value_len = (uint32_t)strlen(value);
    int fd = dial(path);
    send_all(fd, proto_request_encode(packet, &r), 0);
    shutdown(fd, SHUT_WR);
    ssize_t n = recv(fd, packet, sizeof(packet), 0);
    struct proto_reply reply;
    if (n <= 0 || proto_reply_decode(packet, (size_t)n, &reply) == 0)
        return NO_ANSWER;
    printf("%.*s\n", (int)reply.body_len, (const char *)reply.body);
    return (int)reply.result;
}

/* `n` times the same on one connection. */
static void ask_many(int fd, const struct proto_request *r, unsigned n)
{
    size_t len = 0;
    while (n-- > 0) {
        len += proto_request_encode(packet + len, r);
        if (n == 0 || sizeof(packet) - len < (size_t)PROTO_REQUEST_HEAD_BYTES + r->key_len) {
            send_all(fd, len, MSG_DONTWAIT);
            len = 0;
        }
    }
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
    struct proto_request r = request(PROTO_LIST, arg);
    r.flags = PROTO_STALE;
    if (strcmp(what, "lists") == 0) {
        ask_many(dial(path), &r, n);
        stay();
    }
    for (unsigned i = 0; i < n && i < CONNS_MAX; i++) {
        int fd = dial(path);
        if (strcmp(what, "mute") == 0) {
            r.op = PROTO_GET;
            ask_many(fd, &r, GETS);
        } else if (strcmp(what, "begin") == 0) {
            r = request(PROTO_PUT, "begun");
            r.timeout_ms = PROTO_TIMEOUT_MAX_MS;
            r.value_len = (uint32_t)atoi(arg);
            send_all(fd, proto_request_encode(packet, &r), 0);
        }
    }
    stay();
}
