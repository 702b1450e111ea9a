/* clients_world.h: for tests of raftd/clients*.c: reader threads, a thread that plays the main loop,
 * and clients on real sockets. */
#ifndef CLIENTS_WORLD_H
#define CLIENTS_WORLD_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "raftd/serve/clients.h"
#include "raftd/serve/listener.h"
#include "raftd/serve/proto.h"
#include "raftd/serve/readers.h"

enum { VALUE_MAX = 1 << 20, TIMEOUT_MS = 20000, READERS = 2, FDS = 2048 };

struct fake {
    struct shared shared;
    struct readers *readers;
    struct listener listener;
    char path[64];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool woken, stop;
    bool no_leader; /* confirms no reads                                                         */
    bool hold;      /* keeps writes without an answer                                            */
    unsigned held;  /* how many                                                                  */
    uint64_t index;
    struct machine *machine;
    struct status status;
};

/* A whole answer, its body joined. */
struct reply {
    struct proto_reply head;
    uint8_t *body; /* malloc, with a zero byte behind it */
    size_t len;
};

/* What clients share, a listening socket among it, and no thread. */
void world_share(struct fake *f, unsigned n_readers);
void world_unshare(struct fake *f);
void world_set(struct fake *f, bool *what, bool value);
/* As cmocka calls them; *state becomes the struct fake. */
int world_setup(void **state);
int world_teardown(void **state);
/* All tests, in a process that may have FDS files. */
int world_run(const struct CMUnitTest *tests, size_t n);
int dial(const struct fake *f);
void send_packet(int fd, const struct proto_request *r);
/* Timeout TIMEOUT_MS. */
void ask(int fd, uint8_t op, uint8_t flags, uint64_t tag, const char *key, const char *value);
/* 0, or -1 when the connection is closed. */
int hear(int fd, struct reply *r);
void expect(int fd, uint64_t tag, enum result result, const char *body);
/* Hears what comes until the end, and closes. */
void expect_closed(int fd);
/* In parts. */
void put_long(int fd, uint64_t tag, const char *key, const uint8_t *value, uint32_t len);
/* Sends one small request with tag 7; -1 when the daemon takes none. */
int try_ask(int fd, uint8_t op);
void sleep_ms(unsigned ms);

#endif
