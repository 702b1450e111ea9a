// LINK: @seal tests/lib/seal_world.c @recall -lcmocka
/* Two nodes, and all that may happen between them by instruction of the fuzzer: time, data,
 * restarts, other keys, datagrams that are invented, changed, lost, repeated, swapped; and messages
 * of a handshake by somebody who knows the key. Nothing arrives twice or changed
 * (seal_world.c watches), and when it is over both nodes soon talk again. */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "net/seal/session_impl.h"
#include "raftd/base/bytes.h"
#include "tests/lib/pair.h"
#include "tests/lib/seal_world.h"

enum { MS = 1000, OPS_MAX = 200, RECORD_MAX = 2000, HEAL_STEPS = 300, REKEY_US = 3000000 };
enum { AFTER_STEPS = 4, AFTER_US = 3000000 }; /* a former session lasts 10 s */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct series { /* states of generators */
    uint64_t keys, others;
};

struct input {
    const uint8_t *data;
    size_t size;
};

static unsigned take(struct input *in)
{
    if (in->size == 0)
        return 0;
    in->size--;
    return *in->data++;
}

static void demand(bool ok)
{
    if (!ok)
        abort();
}

/* Bytes of the fuzzer as a datagram, or behind the head of one. */
static void invent(struct seal_world *w, struct input *in, unsigned from)
{
    uint8_t buf[SEAL_BYTES] = {0};
    unsigned how = take(in);
    size_t len = take(in);
    session_head(w->s[from], w->s[from]->peers[0], how & 7, buf);
    if (how & 0x10) /* data of a session that exists */
        put_u32(buf + 4, w->s[1 - from]->peers[0]->current.index);
    for (size_t i = how & 8 ? SESSION_HEAD_BYTES : 0; i < len; i++)
        buf[i] = (uint8_t)take(in);
    demand(seal_deliver(w, from, 1 - from, buf, len) != DATAGRAM_DATA);
}

/* A datagram on its way: changed, lost, doubled, delivered now, reflected. */
static void meddle(struct seal_world *w, struct input *in)
{
    unsigned how = take(in);
    unsigned which = take(in);
    if (w->n_queue == 0)
        return;
    struct seal_datagram *d = &w->queue[which % w->n_queue];
    struct seal_datagram copy = *d;
    switch (how % 4) {
    case 0: d->buf[take(in) % d->len] ^= (uint8_t)take(in); break;
    case 1: *d = w->queue[--w->n_queue]; break;
    case 2: (void)seal_deliver(w, copy.from, copy.to, copy.buf, copy.len); break;
    default:
        demand(seal_deliver(w, copy.to, copy.from, copy.buf, copy.len) != DATAGRAM_DATA);
        break;
    }
}

static void replay(struct seal_world *w, struct input *in)
{
    unsigned which = take(in) << 8;
    which |= take(in);
    if (w->n_record == 0)
        return;
    const struct seal_datagram *d = &w->record[which % w->n_record];
    (void)seal_deliver(w, d->from, d->to, d->buf, d->len);
}

/* --- by one who has the key ------------------------------------------------------------------- */

enum { AT_E = SESSION_HEAD_BYTES, AT_MAC = SESSION_HELLO_BYTES - 16, PAYLOAD = 40, CLAIMED = 99 };

static void begin(struct noise *n, bool initiator, const struct session_key *key,
                  const struct noise_pair *own, const uint8_t *hello)
{
    uint8_t prologue[6 + SESSION_HEAD_BYTES] = "raftd3";
    memcpy(prologue + 6, hello, SESSION_HEAD_BYTES);
    noise_start(n, &noise_ixpsk0, initiator, key->psk, own, prologue, sizeof prologue);
}

static void seal_hello(const struct session_key *key, const struct noise_pair *own,
                       const uint8_t *e, const uint8_t *payload, const uint8_t *challenge,
                       uint8_t *buf)
{
    struct noise n;
    uint8_t hashed[SESSION_CHALLENGE_BYTES + AT_MAC];
    begin(&n, true, key, own, buf);
    demand(noise_write(&n, e, payload, PAYLOAD, buf + AT_E) == 0);
    memcpy(hashed, challenge, SESSION_CHALLENGE_BYTES);
    memcpy(hashed + SESSION_CHALLENGE_BYTES, buf, AT_MAC);
    demand(crypto_generichash(buf + AT_MAC, 16, hashed, sizeof hashed, key->hello,
                              sizeof key->hello) == 0);
}

/* The answer to a HELLO of the node; without one its hash alone is right. */
static void seal_ack(const struct session_key *key, const struct session_attempt *a,
                     const struct noise_pair *own, const uint8_t *e, const uint8_t *payload,
                     uint8_t *buf)
{
    struct noise n;
    uint8_t ignored[PAYLOAD];
    uint8_t hashed[NOISE_KEY_BYTES + AT_MAC];
    begin(&n, false, key, own, a->hello);
    if (!a->live || noise_read(&n, a->hello + AT_E, ignored, PAYLOAD) != 0 ||
        noise_write(&n, e, payload, PAYLOAD, buf + AT_E) != 0)
        memset(buf + AT_E, e[0], AT_MAC - AT_E);
    memcpy(hashed, a->hello + AT_E, NOISE_KEY_BYTES);
    memcpy(hashed + NOISE_KEY_BYTES, buf, AT_MAC);
    demand(crypto_generichash(buf + AT_MAC, 16, hashed, sizeof hashed, key->ack, sizeof key->ack) ==
           0);
}

static void seal_challenge(const struct session_key *key, const struct session_attempt *a,
                           const uint8_t *e, const uint8_t *payload, uint8_t *buf)
{
    enum { AT_SEALED = SESSION_HEAD_BYTES + crypto_aead_xchacha20poly1305_ietf_NPUBBYTES };
    uint8_t plain[SESSION_HELLO_BYTES - AT_SEALED - SESSION_TAG_BYTES];
    uint8_t ad[SESSION_HEAD_BYTES + NOISE_KEY_BYTES];
    memset(plain, payload[PAYLOAD - 1], sizeof plain);
    memcpy(ad, buf, SESSION_HEAD_BYTES);
    memcpy(ad + SESSION_HEAD_BYTES, a->hello + AT_E, NOISE_KEY_BYTES);
    memcpy(buf + SESSION_HEAD_BYTES, e, AT_SEALED - SESSION_HEAD_BYTES);
    demand(crypto_aead_xchacha20poly1305_ietf_encrypt(buf + AT_SEALED, NULL, plain, sizeof plain,
                                                      ad, sizeof ad, NULL, e, key->challenge) == 0);
}

/* A HELLO, HELLO_ACK or CHALLENGE with any payload, fresh or stale. */
static void forge(struct seal_world *w, struct input *in, unsigned from)
{
    static const unsigned KINDS[] = {SESSION_KIND_HELLO, SESSION_KIND_HELLO_ACK,
                                     SESSION_KIND_CHALLENGE, SESSION_KIND_HELLO};
    static const uint8_t unknown[SESSION_CHALLENGE_BYTES] = {0};
    uint8_t payload[PAYLOAD];
    uint8_t e[NOISE_KEY_BYTES];
    uint8_t buf[SESSION_HELLO_BYTES];
    unsigned how = take(in);
    unsigned kind = KINDS[how >> 2 & 3];
    struct session_peer *to = w->s[1 - from]->peers[0];
    unsigned slot = how >> 4 & 1;
    const struct session_key *key = &w->s[1 - from]->keys[slot];
    struct noise_pair own = how & 32 ? pair_of(CLAIMED) : w->own[from];
    own.secret[1] ^= how >> 5 & 1; /* then it is not that of the key */
    memset(payload, (int)take(in), sizeof payload);
    memset(e, (int)take(in), sizeof e);
    if (how & 2)
        put_u64(payload, w->cfg[from].boot);
    session_head(w->s[from], w->s[from]->peers[0], kind, buf);
    if (kind == SESSION_KIND_HELLO)
        seal_hello(key, &own, e, payload, how & 1 ? to->challenge : unknown, buf);
    else if (kind == SESSION_KIND_HELLO_ACK)
        seal_ack(key, &to->attempts[slot], &own, e, payload, buf);
    else
        seal_challenge(key, &to->attempts[slot], e, payload, buf);
    (void)seal_deliver(w, from, 1 - from, buf, sizeof buf);
    const uint8_t *proved = sessions_peer_key(w->s[1 - from], seal_id(from));
    demand(proved == NULL || about_same_key(proved, w->own[from].key));
}

/* --- all of it -------------------------------------------------------------------------------- */

static void rekey(struct seal_world *w, struct input *in, unsigned node)
{
    unsigned keys = take(in);
    w->keys[node] = seal_keys(1 + keys % 3, keys / 3 % 4);
    sessions_set_keys(w->s[node], &w->keys[node], w->now);
}

static void step(struct seal_world *w, struct input *in)
{
    unsigned op = take(in);
    unsigned node = op >> 7;
    w->recording = w->n_record < RECORD_MAX;
    switch (op % 8) {
    case 0: seal_run(w, w->now + take(in) * 4 * MS); break;
    case 1: seal_run(w, w->now + take(in) * 100); break;
    case 2: invent(w, in, node); break;
    case 3: (void)seal_say(w, node, 1 - node, op & 64 ? SEAL_LONG : SEAL_SHORT); break;
    case 4: meddle(w, in); break;
    case 5: replay(w, in); break;
    case 6:
        if (op & 64) {
            seal_stop(w, node);
            seal_start(w, node);
        } else {
            rekey(w, in, node);
        }
        break;
    default: forge(w, in, node); break;
    }
    seal_pump(w);
}

/* Both seal for one session, and nothing is under way that would lead to another. */
static bool quiet(struct seal_world *w)
{
    bool busy = w->n_queue > 0 || !seal_settled(w);
    for (unsigned i = 0; i < 2; i++)
        for (unsigned slot = 0; slot < SESSION_KEYS; slot++)
            busy = busy || w->s[i]->peers[0]->attempts[slot].live;
    return !busy;
}

/* Left alone, with a key in common, both soon talk, and go on until what was before is forgotten. */
static void heal(struct seal_world *w)
{
    w->recording = false;
    for (unsigned i = 0; i < 2; i++) {
        w->s[i]->cfg.rekey_us = 0; /* none while we look */
        w->keys[i] = seal_keys(1, 0);
        sessions_set_keys(w->s[i], &w->keys[i], w->now);
    }
    for (unsigned i = 0; i < HEAL_STEPS && !quiet(w); i++) {
        (void)seal_say(w, 0, 1, SEAL_SHORT);
        (void)seal_say(w, 1, 0, SEAL_SHORT);
        seal_run(w, w->now + 50 * MS);
    }
    for (unsigned i = 0; i < AFTER_STEPS; i++) {
        seal_run(w, w->now + AFTER_US);
        demand(seal_settled(w));
        uint64_t got = w->got[0][1] + w->got[1][0];
        demand(seal_say(w, 0, 1, SEAL_SHORT) && seal_say(w, 1, 0, SEAL_SHORT));
        seal_run(w, w->now + 50 * MS);
        demand(w->got[0][1] + w->got[1][0] == got + 2);
    }
}

/* Keys have a series of their own, whatever else was drawn before: in each run they are the same few,
 * and seal_recall.c knows them. */
static void draw(void *ctx, void *buf, size_t len)
{
    struct series *x = ctx;
    uint64_t *series = len == NOISE_KEY_BYTES ? &x->keys : &x->others;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = (uint8_t)seal_rnd(series);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct series series[2] = {{1, 2}, {3, 4}};
    static struct seal_world
        *w; /* its megabytes would cost more than all else, if allocated anew */
    struct input in = {data, size};
    demand(sodium_init() >= 0);
    if (w == NULL)
        w = seal_world_new(2, 1, REKEY_US);
    else
        seal_world_renew(w, 2, 1, REKEY_US);
    for (unsigned i = 0; i < 2; i++) {
        w->cfg[i].random = draw;
        w->cfg[i].random_ctx = &series[i];
        seal_start(w, i);
    }
    for (unsigned i = 0; i < OPS_MAX && in.size > 0; i++)
        step(w, &in);
    heal(w);
    seal_stop(w, 0); /* so that what it leaks is seen with this input */
    seal_stop(w, 1);
    return 0;
}
