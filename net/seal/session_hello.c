/* session_hello.c: HELLO, HELLO_ACK and CHALLENGE: how they are made and judged. See session.h. */
#include "net/seal/session_impl.h"

#include <assert.h>
#include <limits.h>
#include <sodium.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/num.h"

enum {
    RESEND_US = 50000, /* a lost HELLO costs little more than a round trip on the links we know */
    RESEND_EVEN = 3,   /* intervals before they double */
    RESEND_MAX_US = 1000000,
    JITTER_PERCENT = 20, /* so that nodes that start together don't stay together */
    FORWARD_US = 100000, /* least time between two HELLOs that datagrams make us send */
    /* The challenge in a HELLO may be void if there was no answer for so long, or for twice the time that the
     * challenge took to come. */
    CHALLENGE_US = 1000000,
    FIRST_KEY_TRIES = 2, /* HELLOs under key[0] before key[1] is tried in turn */
    /* The same while there is a working session: 6 s. Loss must not bring back a key that is about to be
     * removed. */
    FIRST_KEY_WISHES = 12,
    PAYLOAD = 40, /* boot, index, cloned, about */
    /* HELLOs of a peer that are answered with a CHALLENGE within JUDGE_US. At some 3 us each they take 3 % of
     * the processor at most; and 10 Mbit/s bring no more of them, so an honest one is not missed. */
    JUDGE_MAX = 1000,
    JUDGE_US = 100000,
    /* After so long a HELLO is answered once more; honest nodes repeat it after twice that. */
    REPEAT_US = 20000,
    AT_E = SESSION_HEAD_BYTES,
    AT_ABOUT = 16, /* in the payload */
    AT_MAC = SESSION_HEAD_BYTES + NOISE_EXTRA_BYTES + PAYLOAD,
    MAC_BYTES = 16,
    AT_SEALED = SESSION_HEAD_BYTES + crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    CHALLENGE_PLAIN = SESSION_HELLO_BYTES - AT_SEALED - SESSION_TAG_BYTES,
    CHALLENGE_AD = SESSION_HEAD_BYTES + NOISE_KEY_BYTES,
};

_Static_assert(AT_MAC + MAC_BYTES == SESSION_HELLO_BYTES, "HELLO and HELLO_ACK, see session.h");
_Static_assert((int)CHALLENGE_PLAIN >= (int)SESSION_CHALLENGE_BYTES, "CHALLENGE has room");

_Static_assert(AT_ABOUT + ABOUT_BYTES == PAYLOAD, "about ends the payload");

static const char PROLOGUE[] = "raftd3";
static const uint8_t UNKNOWN[SESSION_CHALLENGE_BYTES] = {0};

void session_head(const struct sessions *s, const struct session_peer *p, enum session_kind kind,
                  uint8_t *buf)
{
    buf[0] = (uint8_t)(WIRE_VERSION_NOW << 4 | kind);
    buf[1] = 0;
    put_u16(buf + 2, s->cfg.self);
    put_u16(buf + 4, p->id);
    put_u16(buf + 6, 0);
    put_u64(buf + 8, s->cfg.cluster);
}

/* HELLO's head holds version, cluster and both ids: all of it is authenticated. */
static void start(struct noise *n, const struct sessions *s, bool initiator,
                  const struct session_key *key, const uint8_t *head)
{
    uint8_t prologue[sizeof PROLOGUE - 1 + SESSION_HEAD_BYTES];
    memcpy(prologue, PROLOGUE, sizeof PROLOGUE - 1);
    memcpy(prologue + sizeof PROLOGUE - 1, head, SESSION_HEAD_BYTES);
    noise_start(n, &noise_ixpsk0, initiator, key->psk, &s->own, prologue, sizeof prologue);
}

/* A keyed hash: of the challenge and the HELLO that answers it, or of a HELLO's e and the HELLO_ACK to it.
 * It is checked before anything is done that costs more. */
static void make_mac(const uint8_t key[SESSION_KEY_BYTES], const uint8_t *to, size_t to_len,
                     const uint8_t *message, uint8_t mac[MAC_BYTES])
{
    crypto_generichash_state h;
    int rc = crypto_generichash_init(&h, key, SESSION_KEY_BYTES, MAC_BYTES);
    rc |= crypto_generichash_update(&h, to, to_len);
    rc |= crypto_generichash_update(&h, message, AT_MAC);
    rc |= crypto_generichash_final(&h, mac, MAC_BYTES);
    assert(rc == 0);
    sodium_memzero(&h, sizeof h);
}

static bool mac_is(const uint8_t key[SESSION_KEY_BYTES], const uint8_t *to, size_t to_len,
                   const uint8_t *message)
{
    uint8_t mac[MAC_BYTES];
    make_mac(key, to, to_len, message, mac);
    return sodium_memcmp(mac, message + AT_MAC, sizeof mac) == 0;
}

static bool uses(const struct session_peer *p, uint32_t index)
{
    return index == p->current.index || index == p->prev.index || index == p->next.index ||
           index == p->attempts[0].index || index == p->attempts[1].index;
}

/* A number that no session and no handshake uses: it tells whose datagram this is. */
static uint32_t new_index(struct sessions *s)
{
    uint8_t raw[4];
    s->cfg.random(s->cfg.random_ctx, raw, sizeof raw);
    uint32_t index = get_u32(raw);
    for (unsigned i = 0; i < s->n_peers; i++) {
        if (!uses(s->peers[i], index))
            continue;
        index++;
        i = UINT_MAX; /* look at all of them once more */
    }
    return index;
}

/* What we tell of ourselves in HELLO and HELLO_ACK. */
static void make_payload(const struct sessions *s, const struct session_peer *p, uint32_t index,
                         uint8_t payload[PAYLOAD])
{
    const struct about about = {s->cfg.members, about_handle(p->key), s->cfg.voters};
    put_u64(payload, s->cfg.boot);
    put_u32(payload + 8, index);
    put_u32(payload + 12, p->cloned);
    put_about(payload + AT_ABOUT, &about);
}

/* Reads who wrote this payload. False: no raftd can have written it. */
static bool read_who(const struct noise *n, const uint8_t payload[PAYLOAD], struct session_who *who)
{
    *who = (struct session_who){.boot = get_u64(payload),
                                .about = get_about(payload + AT_ABOUT),
                                .cloned = get_u32(payload + 12) != 0};
    memcpy(who->key, n->rs, sizeof who->key);
    return who->boot != 0 && about_handle(who->key) != 0;
}

static void make_attempt(struct sessions *s, struct session_peer *p, unsigned key, uint64_t now_us)
{
    assert(key < SESSION_KEYS && s->keys[key].live);
    struct session_attempt *a = &p->attempts[key];
    uint32_t index = new_index(s);
    sodium_memzero(a, sizeof *a);
    a->live = true;
    a->made_us = now_us;
    a->peer_boot = p->who.boot;
    a->index = index;
    a->challenged = !sodium_is_zero(p->known, sizeof p->known);

    uint8_t e[NOISE_KEY_BYTES];
    uint8_t payload[PAYLOAD];
    s->cfg.random(s->cfg.random_ctx, e, sizeof e);
    make_payload(s, p, index, payload);
    session_head(s, p, SESSION_KIND_HELLO, a->hello);
    start(&a->noise, s, true, &s->keys[key], a->hello);
    int rc = noise_write(&a->noise, e, payload, sizeof payload, a->hello + AT_E);
    assert(rc == 0); /* the other's keys have no part in it */
    make_mac(s->keys[key].hello, p->known, sizeof p->known, a->hello, a->hello + AT_MAC);
    sodium_memzero(e, sizeof e);
    sodium_memzero(payload, sizeof payload);
}

/* 50 ms, 50, 50, then doubling up to a second, each by +-20 %. */
static uint64_t resend_us(struct sessions *s, const struct session_peer *p)
{
    uint64_t us = RESEND_US;
    for (unsigned i = RESEND_EVEN; i < p->tries && us < RESEND_MAX_US; i++)
        us *= 2;
    if (us > RESEND_MAX_US)
        us = RESEND_MAX_US;
    uint8_t raw[4];
    s->cfg.random(s->cfg.random_ctx, raw, sizeof raw);
    return us * (100 - JITTER_PERCENT + get_u32(raw) % (2 * JITTER_PERCENT + 1)) / 100;
}

void session_send_hello(struct sessions *s, struct session_peer *p, uint64_t now_us, uint8_t *buf)
{
    assert(p->pending);
    unsigned key = p->prefer;
    unsigned first = p->current.live && !p->doubt ? FIRST_KEY_WISHES : FIRST_KEY_TRIES;
    if (key == SESSION_KEYS)
        key = s->keys[1].live && p->tries >= first && p->tries % 2 == 0 ? 1 : 0;
    const struct session_attempt *a = &p->attempts[key];
    if (a->challenged && now_us - a->made_us >= max_u64(CHALLENGE_US, p->patience_us)) {
        sodium_memzero(p->known, sizeof p->known);
        sodium_memzero(p->attempts, sizeof p->attempts);
    }
    if (!p->attempts[key].live)
        make_attempt(s, p, key, now_us);
    memcpy(buf, p->attempts[key].hello, SESSION_HELLO_BYTES);
    p->hellos++;
    p->tries++;
    p->hello_free_at = now_us + FORWARD_US;
    p->hello_at = now_us + resend_us(s, p);
}

/* Moves the keys out of a finished handshake. */
static void make_session(struct session *x, const struct noise *n, const struct session_who *who,
                         unsigned key, uint64_t now_us)
{
    bool initiator = n->initiator;
    memset(x, 0, sizeof *x);
    x->live = true;
    x->who = *who;
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

/* Answers a fresh HELLO; *n is as noise_read() left it. */
static enum drop accept(struct sessions *s, struct session_peer *p, uint64_t now_us,
                        const uint8_t *hello, struct noise *n, unsigned key, const uint8_t *payload)
{
    uint8_t ack[SESSION_HELLO_BYTES];
    uint8_t own[PAYLOAD];
    struct session_who who;
    uint8_t e[NOISE_KEY_BYTES];
    struct session x;
    if (!read_who(n, payload, &who))
        return DROP_UNAUTHENTIC;
    if (session_stranger(p, who.key, now_us))
        return DROP_DISK;
    uint32_t index = new_index(s);
    make_payload(s, p, index, own);
    session_head(s, p, SESSION_KIND_HELLO_ACK, ack);
    s->cfg.random(s->cfg.random_ctx, e, sizeof e);
    p->exchanges++;
    int rc = noise_write(n, e, own, sizeof own, ack + AT_E);
    sodium_memzero(e, sizeof e);
    if (rc != 0)
        return DROP_UNAUTHENTIC;
    make_mac(s->keys[key].ack, hello + AT_E, NOISE_KEY_BYTES, ack, ack + AT_MAC);

    session_not_strange(p, now_us);
    make_session(&x, n, &who, key, now_us);
    x.index = index;
    x.peer_index = get_u32(payload + 8);
    session_accepted(s, p, now_us, &x);
    memcpy(p->taken, hello, sizeof p->taken);
    memcpy(p->ack, ack, sizeof p->ack);
    p->has_taken = true;
    p->ack_due = true;
    p->ack_free_at = now_us + REPEAT_US;
    return DATAGRAM_STEP;
}

/* The key under which a HELLO with this challenge was made; SESSION_KEYS = none. */
static unsigned key_of_hello(const struct sessions *s, const uint8_t *challenge, const uint8_t *buf)
{
    unsigned key = 0;
    while (key < SESSION_KEYS && !(s->keys[key].live && mac_is(s->keys[key].hello, challenge,
                                                               SESSION_CHALLENGE_BYTES, buf)))
        key++;
    return key;
}

bool session_hello_is_ours(const struct sessions *s, const uint8_t *buf)
{
    return key_of_hello(s, UNKNOWN, buf) != SESSION_KEYS;
}

/* A HELLO with our challenge. */
static enum drop take_fresh(struct sessions *s, struct session_peer *p, uint64_t now_us,
                            const uint8_t *buf, unsigned key)
{
    uint8_t payload[PAYLOAD];
    struct noise n;
    enum drop result = DROP_UNAUTHENTIC; /* its mac is right and its contents are not */
    start(&n, s, false, &s->keys[key], buf);
    if (noise_read(&n, buf + AT_E, payload, sizeof payload) == 0)
        result = accept(s, p, now_us, buf, &n, key, payload);
    sodium_memzero(&n, sizeof n);
    sodium_memzero(payload, sizeof payload);
    return result;
}

/* Was the HELLO made under one of our keys, whatever challenge it has? */
static bool of_our_keys(const struct sessions *s, const uint8_t *buf)
{
    uint8_t payload[PAYLOAD];
    struct noise n;
    bool ours = false;
    for (unsigned key = 0; key < SESSION_KEYS && !ours; key++) {
        if (!s->keys[key].live)
            continue;
        start(&n, s, false, &s->keys[key], buf);
        ours = noise_read(&n, buf + AT_E, payload, sizeof payload) == 0;
    }
    sodium_memzero(&n, sizeof n);
    sodium_memzero(payload, sizeof payload);
    return ours;
}

/* May one more HELLO be met with a CHALLENGE now? */
static bool within_budget(struct session_peer *p, uint64_t now_us)
{
    if (now_us - p->judged_since >= JUDGE_US) {
        p->judged_since = now_us;
        p->judged = 0;
    }
    return p->judged++ < JUDGE_MAX;
}

enum drop session_take_hello(struct sessions *s, struct session_peer *p, uint64_t now_us,
                             const uint8_t *buf)
{
    if (p->has_taken && memcmp(p->taken, buf, sizeof p->taken) == 0) {
        if (now_us < p->ack_free_at)
            return DROP_STALE;
        p->ack_due = true; /* our answer was lost, or somebody repeats the HELLO: nothing is new */
        p->ack_free_at = now_us + REPEAT_US;
        return DATAGRAM_STEP;
    }
    struct session_recent *recent = &p->recent[buf[AT_E] % SESSION_RECENT];
    uint64_t e = get_u64(buf + AT_E);
    if (recent->e == e && now_us < recent->free_at)
        return DROP_STALE;
    unsigned key = key_of_hello(s, p->challenge, buf);
    if (key < SESSION_KEYS) {
        enum drop result = take_fresh(s, p, now_us, buf, key);
        if (result == DROP_DISK) /* the challenge stays, and so a copy could be judged once more */
            *recent = (struct session_recent){e, now_us + REPEAT_US};
        return result;
    }
    key = key_of_hello(s, UNKNOWN, buf);
    if (key == SESSION_KEYS) {
        if (session_suspect(p, now_us) && !of_our_keys(s, buf))
            session_strange(p, now_us);
        return DROP_UNAUTHENTIC;
    }
    if (!within_budget(p, now_us))
        return DROP_UNAUTHENTIC;
    *recent = (struct session_recent){e, now_us + REPEAT_US};
    make_challenge(s, p, buf + AT_E, &s->keys[key]);
    return DATAGRAM_STEP;
}

/* The key of our HELLO that this HELLO_ACK answers; SESSION_KEYS = none. */
static unsigned answered_by_ack(const struct sessions *s, const struct session_peer *p,
                                const uint8_t *buf)
{
    unsigned key = 0;
    while (key < SESSION_KEYS &&
           !(p->attempts[key].live &&
             mac_is(s->keys[key].ack, p->attempts[key].hello + AT_E, NOISE_KEY_BYTES, buf)))
        key++;
    return key;
}

enum drop session_take_ack(struct sessions *s, struct session_peer *p, uint64_t now_us,
                           const uint8_t *buf)
{
    unsigned key = answered_by_ack(s, p, buf);
    if (key == SESSION_KEYS)
        return DROP_STALE;
    struct session_attempt *a = &p->attempts[key];
    uint8_t payload[PAYLOAD];
    p->exchanges++;
    int rc = noise_read(&a->noise, buf + AT_E, payload, sizeof payload);
    struct session_who who;
    enum drop result = DATAGRAM_STEP;
    if (rc != 0 || !read_who(&a->noise, payload, &who)) {
        result = DROP_UNAUTHENTIC; /* its mac is right and its contents are not */
    } else if (session_stranger(p, who.key, now_us)) {
        result = DROP_DISK;
    } else if (who.boot != p->who.boot && a->peer_boot != p->who.boot) {
        /* The peer showed another boot id after this HELLO was made: the answer is of an older process. */
        result = DROP_STALE;
    } else {
        struct session x;
        make_session(&x, &a->noise, &who, key, now_us);
        x.index = a->index;
        x.peer_index = get_u32(payload + 8);
        session_not_strange(p, now_us);
        session_proved(p, &who);
        session_answered(s, p, now_us, &x);
    }
    sodium_memzero(a, sizeof *a); /* a HELLO takes one answer */
    sodium_memzero(payload, sizeof payload);
    return result;
}

enum drop session_take_challenge(struct sessions *s, struct session_peer *p, uint64_t now_us,
                                 const uint8_t *buf)
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
        session_not_strange(p, now_us);
        session_challenged(p, key, now_us);
        return DATAGRAM_STEP;
    }
    return DROP_STALE;
}
