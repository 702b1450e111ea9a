/* session_hello.c: HELLO, HELLO_ACK and CHALLENGE: how they are made and judged. See session.h. */
#include "net/session_impl.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "raftd/core/bytes.h"

enum {
    PAYLOAD = 32, /* boot, index, 0, HELLO's challenge */
    /* To read a HELLO of our key costs some 10 us, ten times what data does: 500 a second, far more
     * than a peer sends, leave the processor to those that have a session. */
    JUDGE_MAX = 50,
    JUDGE_US = 100000,
    AT_E = SESSION_HEAD_BYTES,
    AT_CHALLENGE = 16, /* in the payload */
    AT_MAC = SESSION_HEAD_BYTES + NOISE_EXTRA_BYTES + PAYLOAD,
    MAC_BYTES = 16,
    AT_SEALED = SESSION_HEAD_BYTES + crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    CHALLENGE_PLAIN = SESSION_HELLO_BYTES - AT_SEALED - SESSION_TAG_BYTES,
    CHALLENGE_AD = SESSION_HEAD_BYTES + NOISE_KEY_BYTES,
};

_Static_assert(AT_MAC + MAC_BYTES == SESSION_HELLO_BYTES, "HELLO and HELLO_ACK, see session.h");
_Static_assert((int)CHALLENGE_PLAIN >= (int)SESSION_CHALLENGE_BYTES, "CHALLENGE has room");

static const char PROLOGUE[] = "raftd1";

void session_head(const struct sessions *s, const struct session_peer *p, enum session_kind kind,
                  uint8_t *buf)
{
    buf[0] = (uint8_t)(SESSION_VERSION_NOW << 4 | kind);
    buf[1] = 0;
    put_u16(buf + 2, s->cfg.self);
    put_u16(buf + 4, p->id);
    put_u16(buf + 6, 0);
    put_u64(buf + 8, s->cfg.cluster);
}

/* HELLO's head holds version, cluster and both ids: all of it is authenticated. */
static void start(struct noise *n, const struct session_key *key, const uint8_t *head)
{
    uint8_t prologue[sizeof PROLOGUE - 1 + SESSION_HEAD_BYTES];
    memcpy(prologue, PROLOGUE, sizeof PROLOGUE - 1);
    memcpy(prologue + sizeof PROLOGUE - 1, head, SESSION_HEAD_BYTES);
    noise_start(n, key->psk, prologue, sizeof prologue);
}

/* Keyed hash of a HELLO (hello_e: NULL) or of the HELLO_ACK to it. Judges it before anything dear is
 * done for it. */
static void make_mac(const uint8_t key[SESSION_KEY_BYTES], const uint8_t *hello_e,
                     const uint8_t *message, uint8_t mac[MAC_BYTES])
{
    crypto_generichash_state h;
    int rc = crypto_generichash_init(&h, key, SESSION_KEY_BYTES, MAC_BYTES);
    if (hello_e != NULL)
        rc |= crypto_generichash_update(&h, hello_e, NOISE_KEY_BYTES);
    rc |= crypto_generichash_update(&h, message, AT_MAC);
    rc |= crypto_generichash_final(&h, mac, MAC_BYTES);
    assert(rc == 0);
    sodium_memzero(&h, sizeof h);
}

static bool mac_is(const uint8_t key[SESSION_KEY_BYTES], const uint8_t *hello_e,
                   const uint8_t *message)
{
    uint8_t mac[MAC_BYTES];
    make_mac(key, hello_e, message, mac);
    return sodium_memcmp(mac, message + AT_MAC, sizeof mac) == 0;
}

/* A number that none of the peer's sessions and handshakes uses. */
static uint32_t new_index(struct sessions *s, const struct session_peer *p)
{
    uint8_t raw[4];
    s->cfg.random(s->cfg.random_ctx, raw, sizeof raw);
    uint32_t index = get_u32(raw);
    while (index == p->current.index || index == p->prev.index || index == p->next.index ||
           index == p->attempts[0].index || index == p->attempts[1].index)
        index++;
    return index;
}

void session_make_attempt(struct sessions *s, struct session_peer *p, unsigned key, uint64_t now_us)
{
    assert(key < SESSION_KEYS && s->keys[key].live);
    struct session_attempt *a = &p->attempts[key];
    uint32_t index = new_index(s, p);
    sodium_memzero(a, sizeof *a);
    a->live = true;
    a->made_us = now_us;
    a->peer_boot = p->boot;
    a->index = index;
    s->cfg.random(s->cfg.random_ctx, a->e, sizeof a->e);

    uint8_t payload[PAYLOAD];
    put_u64(payload, s->cfg.boot);
    put_u32(payload + 8, a->index);
    put_u32(payload + 12, 0);
    memcpy(payload + AT_CHALLENGE, p->known, SESSION_CHALLENGE_BYTES);
    session_head(s, p, SESSION_KIND_HELLO, a->hello);
    start(&a->noise, &s->keys[key], a->hello);
    noise_write_first(&a->noise, a->e, payload, sizeof payload, a->hello + AT_E);
    make_mac(s->keys[key].hello, NULL, a->hello, a->hello + AT_MAC);
    sodium_memzero(payload, sizeof payload);
}

/* Moves the keys out of a finished handshake. */
static void make_session(struct session *x, const struct noise *n, bool initiator, unsigned key,
                         uint64_t now_us)
{
    memset(x, 0, sizeof *x);
    x->live = true;
    x->initiator = initiator;
    x->key = key;
    x->born_us = now_us;
    if (initiator)
        noise_split(n, x->send, x->receive);
    else
        noise_split(n, x->receive, x->send);
}

static void make_challenge(struct sessions *s, struct session_peer *p, const uint8_t *hello_e,
                           const struct session_key *key)
{
    uint8_t ad[CHALLENGE_AD];
    uint8_t plain[CHALLENGE_PLAIN] = {0};
    memcpy(plain, p->challenge, sizeof p->challenge);
    session_head(s, p, SESSION_KIND_CHALLENGE, p->answer);
    memcpy(ad, p->answer, SESSION_HEAD_BYTES);
    memcpy(ad + SESSION_HEAD_BYTES, hello_e, NOISE_KEY_BYTES);
    uint8_t *nonce = p->answer + SESSION_HEAD_BYTES;
    s->cfg.random(s->cfg.random_ctx, nonce, crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
    int rc = crypto_aead_xchacha20poly1305_ietf_encrypt(p->answer + AT_SEALED, NULL, plain,
                                                        sizeof plain, ad, sizeof ad, NULL, nonce,
                                                        key->challenge);
    assert(rc == 0);
    p->answer_due = true;
    sodium_memzero(plain, sizeof plain);
}

/* Answers a HELLO that is fresh; *n is as noise_read_first() left it. */
static enum session_result accept(struct sessions *s, struct session_peer *p, uint64_t now_us,
                                  const uint8_t *hello, struct noise *n, unsigned key,
                                  const uint8_t *payload)
{
    uint8_t ack[SESSION_HELLO_BYTES];
    uint8_t own[PAYLOAD] = {0};
    uint8_t e[NOISE_KEY_BYTES];
    struct session x;
    uint32_t index = new_index(s, p);
    put_u64(own, s->cfg.boot);
    put_u32(own + 8, index);
    session_head(s, p, SESSION_KIND_HELLO_ACK, ack);
    s->cfg.random(s->cfg.random_ctx, e, sizeof e);
    p->exchanges++;
    int rc = noise_write_second(n, e, own, sizeof own, ack + AT_E);
    sodium_memzero(e, sizeof e);
    uint64_t boot = get_u64(payload);
    if (rc != 0 || boot == 0) /* no process of ours has boot id 0 */
        return SESSION_UNAUTHENTIC;
    make_mac(s->keys[key].ack, hello + AT_E, ack, ack + AT_MAC);

    session_boot_seen(p, boot);
    make_session(&x, n, false, key, now_us);
    x.index = index;
    x.peer_index = get_u32(payload + 8);
    session_accepted(s, p, now_us, &x);
    memcpy(p->taken, hello, sizeof p->taken);
    memcpy(p->ack, ack, sizeof p->ack);
    p->has_taken = true;
    p->ack_due = true;
    return SESSION_DONE;
}

/* Answers a HELLO of our key. */
static enum session_result answer(struct sessions *s, struct session_peer *p, uint64_t now_us,
                                  const uint8_t *hello, struct noise *n, unsigned key,
                                  const uint8_t *payload)
{
    const uint8_t *challenge = payload + AT_CHALLENGE;
    if (sodium_memcmp(challenge, p->challenge, sizeof p->challenge) == 0) {
        session_not_strange(p);
        return accept(s, p, now_us, hello, n, key, payload);
    }
    make_challenge(s, p, hello + AT_E, &s->keys[key]);
    return sodium_is_zero(challenge, SESSION_CHALLENGE_BYTES) ? SESSION_DONE : SESSION_STALE;
}

/* Which of our keys a HELLO was made with; SESSION_KEYS = none. */
static unsigned key_of_hello(const struct sessions *s, const uint8_t *buf)
{
    unsigned key = 0;
    while (key < SESSION_KEYS && !(s->keys[key].live && mac_is(s->keys[key].hello, NULL, buf)))
        key++;
    return key;
}

/* May one more HELLO be read now? */
static bool within_budget(struct session_peer *p, uint64_t now_us)
{
    if (now_us - p->judged_since >= JUDGE_US) {
        p->judged_since = now_us;
        p->judged = 0;
    }
    return p->judged++ < JUDGE_MAX;
}

enum session_result session_take_hello(struct sessions *s, struct session_peer *p, uint64_t now_us,
                                       const uint8_t *buf)
{
    uint8_t payload[PAYLOAD];
    struct noise n;
    if (p->has_taken && memcmp(p->taken, buf, sizeof p->taken) == 0) {
        p->ack_due = true; /* it was lost, or this is a copy: nothing new either way */
        return SESSION_DONE;
    }
    unsigned key = key_of_hello(s, buf);
    if (key == SESSION_KEYS) {
        session_strange(p, now_us);
        return SESSION_UNAUTHENTIC;
    }
    if (!within_budget(p, now_us))
        return SESSION_UNAUTHENTIC;
    enum session_result result = SESSION_UNAUTHENTIC; /* of a member that does not know it all */
    start(&n, &s->keys[key], buf);
    if (noise_read_first(&n, buf + AT_E, payload, sizeof payload) == 0)
        result = answer(s, p, now_us, buf, &n, key, payload);
    sodium_memzero(&n, sizeof n);
    sodium_memzero(payload, sizeof payload);
    return result;
}

/* The HELLO of ours that this HELLO_ACK answers; SESSION_KEYS = none. */
static unsigned answered_by_ack(const struct sessions *s, const struct session_peer *p,
                                const uint8_t *buf)
{
    unsigned key = 0;
    while (key < SESSION_KEYS &&
           !(p->attempts[key].live && mac_is(s->keys[key].ack, p->attempts[key].hello + AT_E, buf)))
        key++;
    return key;
}

enum session_result session_take_ack(struct sessions *s, struct session_peer *p, uint64_t now_us,
                                     const uint8_t *buf)
{
    unsigned key = answered_by_ack(s, p, buf);
    if (key == SESSION_KEYS)
        return SESSION_STALE;
    struct session_attempt *a = &p->attempts[key];
    uint8_t payload[PAYLOAD];
    p->exchanges++;
    int rc = noise_read_second(&a->noise, a->e, buf + AT_E, payload, sizeof payload);
    uint64_t boot = rc == 0 ? get_u64(payload) : 0;
    enum session_result result = SESSION_DONE;
    if (boot == 0) {
        result = SESSION_UNAUTHENTIC; /* of a member that does not know the protocol */
    } else if (boot != p->boot && a->peer_boot != p->boot) {
        /* The peer proved another boot after this HELLO was made: this is of an older one. */
        result = SESSION_STALE;
    } else {
        struct session x;
        make_session(&x, &a->noise, true, key, now_us);
        x.index = a->index;
        x.peer_index = get_u32(payload + 8);
        session_not_strange(p);
        session_boot_seen(p, boot);
        session_answered(s, p, now_us, &x);
    }
    sodium_memzero(a, sizeof *a); /* one answer is all it is good for */
    sodium_memzero(payload, sizeof payload);
    return result;
}

enum session_result session_take_challenge(struct sessions *s, struct session_peer *p,
                                           uint64_t now_us, const uint8_t *buf)
{
    uint8_t ad[CHALLENGE_AD];
    uint8_t plain[CHALLENGE_PLAIN];
    memcpy(ad, buf, SESSION_HEAD_BYTES);
    for (unsigned key = 0; key < SESSION_KEYS; key++) {
        if (!p->attempts[key].live)
            continue;
        memcpy(ad + SESSION_HEAD_BYTES, p->attempts[key].hello + AT_E, NOISE_KEY_BYTES);
        if (crypto_aead_xchacha20poly1305_ietf_decrypt(
                plain, NULL, NULL, buf + AT_SEALED, CHALLENGE_PLAIN + SESSION_TAG_BYTES, ad,
                sizeof ad, buf + SESSION_HEAD_BYTES, s->keys[key].challenge) != 0)
            continue;
        memcpy(p->known, plain, sizeof p->known);
        sodium_memzero(plain, sizeof plain);
        session_not_strange(p);
        session_challenged(p, key, now_us);
        return SESSION_DONE;
    }
    return SESSION_STALE;
}
