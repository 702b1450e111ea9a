/* seal_world.h: up to three nodes with sealed sessions between them, and the links, in virtual
 * time. Deterministic: all random bytes come from seeds. */
#ifndef SEAL_WORLD_H
#define SEAL_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/seal/session.h"

enum {
    SEAL_NODES = 3,
    SEAL_QUEUE = 4096,
    SEAL_RECORD = 8192,
    SEAL_NUMBERS = 65536, /* payloads per direction that are followed */
    SEAL_BYTES = 256,     /* longest datagram of these tests */
    SEAL_SHORT = 12,      /* payload of seal_say(): shorter than a HELLO when sealed */
    SEAL_ALL = 99,
    SEAL_LONG = SESSION_HELLO_BYTES - SESSION_EXTRA_BYTES, /* and at least as long */
};

struct seal_datagram {
    uint64_t at; /* delivered */
    unsigned from;
    unsigned to;
    size_t len;
    uint8_t buf[SEAL_BYTES];
};

struct seal_world {
    unsigned n;
    uint64_t now;
    uint64_t seed;
    struct sessions *s[SEAL_NODES]; /* NULL = not running */
    struct session_config cfg[SEAL_NODES];
    struct session_keys keys[SEAL_NODES];
    struct noise_pair own[SEAL_NODES]; /* pair_of(id) */
    uint64_t random[SEAL_NODES];       /* states of their generators */
    uint64_t boots;

    uint64_t delay_us;                          /* of every datagram, one way */
    uint64_t jitter_us;                         /* more, at random */
    unsigned loss;                              /* percent, at random */
    uint64_t lose_mask;                         /* bit i: the datagram sent as number i is lost */
    bool cut[SEAL_NODES][SEAL_NODES];           /* from, to */
    unsigned lose_kind[SEAL_NODES][SEAL_NODES]; /* enum session_kind, 0 = none */
    unsigned hold[SEAL_NODES][SEAL_NODES];      /* this kind is kept in `held` instead; SEAL_ALL */
    unsigned n_queue;
    struct seal_datagram held[16]; /* the newest ones */
    unsigned n_held;
    unsigned n_record;
    bool recording;

    uint64_t sent;                         /* datagrams */
    uint64_t said[SEAL_NODES][SEAL_NODES]; /* payloads, from, to */
    uint64_t got[SEAL_NODES][SEAL_NODES];
    uint64_t drops[SEAL_NODES][DATAGRAM_STEP + 1]; /* what became of datagrams, by receiver */

    /* Megabytes: only what is in use of them is ever cleared. */
    struct seal_datagram queue[SEAL_QUEUE];
    struct seal_datagram record[SEAL_RECORD];           /* all that arrived, and lost handshakes */
    uint8_t seen[SEAL_NODES][SEAL_NODES][SEAL_NUMBERS]; /* how often each was got */
};

uint64_t seal_rnd(uint64_t *seed);

/* Nodes 0..n-1 have ids 1..n and one key (bytes 1); nothing runs yet. rekey_us: 0 = default. */
struct seal_world *seal_world_new(unsigned n, uint64_t seed, uint64_t rekey_us);
/* Another such world in the memory of one that is over: cheap. */
void seal_world_renew(struct seal_world *w, unsigned n, uint64_t seed, uint64_t rekey_us);
void seal_world_free(struct seal_world *w);

struct session_keys seal_keys(unsigned first, unsigned second); /* bytes; second 0 = none */
void seal_start(struct seal_world *w, unsigned node);           /* with a new boot id */
void seal_stop(struct seal_world *w, unsigned node);
uint16_t seal_id(unsigned node);
unsigned seal_slot(unsigned node, unsigned peer);

/* Runs until `until`; sends what is due all the while. */
void seal_run(struct seal_world *w, uint64_t until);
/* The same, but at most until done() says so. When that was; `until` + 1 = never. */
uint64_t seal_run_until(struct seal_world *w, uint64_t until, bool (*done)(struct seal_world *));

/* Sends what is due at this moment. */
void seal_pump(struct seal_world *w);
/* Hands a datagram over as if it came from `from`. */
enum drop seal_deliver(struct seal_world *w, unsigned from, unsigned to, const uint8_t *buf,
                       size_t len);
/* Seals and sends the next payload of `len` bytes; false: not ready. */
bool seal_say(struct seal_world *w, unsigned from, unsigned to, size_t len);

struct session_info seal_info(const struct seal_world *w, unsigned node, unsigned peer);
bool seal_ready(const struct seal_world *w, unsigned node, unsigned peer);
/* Nodes 0 and 1 may both seal. */
bool seal_both_ready(struct seal_world *w);
/* And each seals for the very session that the other seals for. */
bool seal_settled(struct seal_world *w);
/* The session that the node seals for now, by a number; 0 = none. */
uint64_t seal_current(const struct seal_world *w, unsigned node, unsigned peer);

#endif
