/* machine_world.h: a state machine, and commands that are made for it item by item. */
#ifndef TESTS_MACHINE_WORLD_H
#define TESTS_MACHINE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "raftd/state/cmd.h"
#include "raftd/state/kv.h"
#include "raftd/state/machine.h"

enum { ORIGIN = 3, PROCESS = 70, ITEMS = CMD_CONDITIONS_MAX + CMD_OPERATIONS_MAX };

/* A machine, the command that is being made for it, and what it told. */
struct world {
    struct kv *kv;
    struct machine *m;
    uint64_t index, ms, number;
    struct cmd c;
    struct cmd_item items[ITEMS];
    uint8_t numbers[ITEMS][CMD_NUMBER_BYTES];
    unsigned n_told;
    struct told told[CMD_OPERATIONS_MAX];
    char values[CMD_OPERATIONS_MAX][32]; /* NUL-terminated */
};

struct world *world_new(void);
void world_free(struct world *w);

/* A command of the next number, without items; then its items, in order. */
void start(struct world *w);
struct cmd_item *next_item(struct world *w, uint8_t kind, const char *key);
void with(struct world *w, uint8_t kind, const char *key);
void with_value(struct world *w, uint8_t kind, const char *key, const char *value);
void with_number(struct world *w, uint8_t kind, const char *key, uint64_t number);

/* The item that was added last is a guard of the next n operations. */
void guards(struct world *w, uint8_t n);

/* Applies it (again), as the next entry. */
struct applied apply(struct world *w);

/* Applies it; this is its outcome. */
void done(struct world *w, enum outcome outcome);

/* Nothing was done: this condition or operation is why. */
void fails(struct world *w, enum outcome outcome, unsigned at);
void put(struct world *w, const char *key, const char *value);

/* Puts a value that long. */
void put_long(struct world *w, const char *key, uint8_t *value, uint32_t len);

/* The key as it is; value NULL: there is none. */
void expect(struct world *w, const char *key, const char *value, uint64_t create, uint64_t modify,
            uint64_t expiry_ms);

/* What the operation told last. */
void told(const struct world *w, unsigned i, enum outcome outcome, uint64_t revision,
          const char *value);

#endif
