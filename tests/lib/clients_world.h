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
    _Atomic unsigned
        held;  /* how many                                                                  */
    bool mute; /* does writes, but knows no more than their outcome: as by a snapshot       */
    uint64_t index;
    struct machine *machine;
    struct status status;
};

/* An answer as text: of an array "[a b [c d]]", "nil" for what is not there, and an error with its minus. */
struct reply {
    char *text; /* malloc, with a zero byte behind it */
    size_t len, cap;
};

/* What clients share, a listening socket among it, and no thread. */
void world_share(struct fake *f, unsigned n_readers);
void world_unshare(struct fake *f);
void world_set(struct fake *f, bool *what, bool value);
/* The main loop does what is asked, and answers it. */
void world_answer(struct fake *f, struct request *q);
/* As cmocka calls them; *state becomes the struct fake. */
int world_setup(void **state);
int world_teardown(void **state);
/* All tests, in a process that may have FDS files. */
int world_run(const struct CMUnitTest *tests, size_t n);
/* The next world has clients by TCP, too; the password is 7777... */
extern bool world_tcp;
int dial(const struct fake *f);
int dial_tcp(const struct fake *f);
void send_bytes(int fd, const void *bytes, size_t len);
void send_text(int fd, const char *text);
/* Sends a line of words. */
void ask(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same; -1 when the daemon takes none. */
int try_ask(int fd, const char *line);
/* SET with a value of any bytes. */
void put_long(int fd, const char *key, const uint8_t *value, uint32_t len);
/* The next answer: 0, or -1 when the connection is closed. */
int hear(int fd, struct reply *r);
/* The same if it is there by now; `r` may be NULL. */
bool heard(int fd, struct reply *r);
void expect(int fd, const char *text);
/* The answer has this in it. */
void expect_part(int fd, const char *part);
/* No answer comes any more, but the end; closes. */
void expect_closed(int fd);
void sleep_ms(unsigned ms);

#endif
