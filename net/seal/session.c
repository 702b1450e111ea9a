/* session.c: the calls of session.h, and data. */
#include "net/seal/session.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "net/seal/session_impl.h"
#include "raftd/base/bytes.h"

/* No more datagrams than this are sealed under one key: far fewer than the counter and the cipher bear
 * (2^64, RFC 8439, 4), and far more than are sent until a session is replaced. */
#define SENT_MAX (UINT64_C(1) << 40)

enum { AT_INDEX = 4, AT_COUNTER = 8 };

_Static_assert(SESSION_TAG_BYTES == crypto_aead_chacha20poly1305_ietf_ABYTES, "Poly1305");

static void derive(uint8_t *out, size_t len, const uint8_t *key, const char *label)
{
    int rc = crypto_generichash(out, len, (const uint8_t *)label, strlen(label), key,
                                SESSION_KEY_BYTES);
    assert(rc == 0);
}

uint32_t sessions_key_id(const uint8_t key[SESSION_KEY_BYTES])
{
    uint8_t id[crypto_generichash_BYTES_MIN];
    derive(id, sizeof id, key, "raftd key id");
    return get_u32(id);
}

void sessions_key_ids(const struct sessions *s, uint32_t ids[SESSION_KEYS])
{
    for (unsigned i = 0; i < SESSION_KEYS; i++)
        ids[i] = s->keys[i].id;
}

static void load_keys(struct sessions *s, const struct session_keys *keys)
{
    for (unsigned i = 0; i < SESSION_KEYS; i++) {
        struct session_key *k = &s->keys[i];
        sodium_memzero(k, sizeof *k);
        if (!keys->has[i])
            continue;
        k->live = true;
        memcpy(k->psk, keys->key[i], sizeof k->psk);
        derive(k->challenge, sizeof k->challenge, k->psk, "raftd challenge");
        derive(k->hello, sizeof k->hello, k->psk, "raftd hello");
        derive(k->ack, sizeof k->ack, k->psk, "raftd hello ack");
        k->id = sessions_key_id(k->psk);
    }
}

struct sessions *sessions_new(const struct session_config *cfg, const struct session_keys *keys)
{
    assert(cfg->boot != 0 && cfg->random != NULL);
    assert(about_handle(keys->own.key) != 0 && keys->has[0]);
    struct sessions *s = sodium_malloc(sizeof *s);
    if (s == NULL)
        return NULL;
    memset(s, 0, sizeof *s);
    s->cfg = *cfg;
    s->own = keys->own;
    load_keys(s, keys);
    return s;
}

bool sessions_add_peer(struct sessions *s, uint16_t peer, uint64_t now_us)
{
    assert(s->n_peers < SESSION_PEERS_MAX && peer != s->cfg.self);
    struct session_peer *p = sodium_malloc(sizeof *p);
    if (p == NULL)
        return false;
    memset(p, 0, sizeof *p);
    s->peers[s->n_peers++] = p;
    p->id = peer;
    p->proved_us = now_us;
    p->silent_at = NEVER;
    p->retire_at = NEVER;
    session_new_challenge(s, p);
    session_drop_handshake(p);
    session_tick(s, p, now_us);
    return true;
}

static unsigned place_of(const struct sessions *s, uint16_t peer)
{
    unsigned i = 0;
    while (i < s->n_peers && s->peers[i]->id != peer)
        i++;
    assert(i < s->n_peers);
    return i;
}

void sessions_remove_peer(struct sessions *s, uint16_t peer)
{
    unsigned i = place_of(s, peer);
    sodium_free(s->peers[i]); /* which wipes it */
    s->peers[i] = s->peers[--s->n_peers];
}

void sessions_free(struct sessions *s)
{
    for (unsigned i = 0; s != NULL && i < s->n_peers; i++)
        sodium_free(s->peers[i]);
    sodium_free(s);
}

/* The place of an old key among the new ones; SESSION_KEYS = it is gone. */
static unsigned moved_to(const struct session_key *old, const struct session_keys *keys)
{
    unsigned i = 0;
    while (i < SESSION_KEYS && !(old->live && keys->has[i] &&
                                 sodium_memcmp(old->psk, keys->key[i], SESSION_KEY_BYTES) == 0))
        i++;
    return i;
}

static void rekey_session(struct session *x, const unsigned moved[SESSION_KEYS])
{
    if (!x->live)
        return;
    if (moved[x->key] == SESSION_KEYS)
        session_end(x);
    else
        x->key = moved[x->key];
}

void sessions_set_keys(struct sessions *s, const struct session_keys *keys, uint64_t now_us)
{
    assert(keys->has[0]);
    unsigned moved[SESSION_KEYS];
    bool same = true;
    for (unsigned i = 0; i < SESSION_KEYS; i++) {
        moved[i] = moved_to(&s->keys[i], keys);
        same = same && keys->has[i] == s->keys[i].live && (!keys->has[i] || moved[i] == i);
    }
    if (same)
        return;
    load_keys(s, keys);
    for (unsigned i = 0; i < s->n_peers; i++) {
        struct session_peer *p = s->peers[i];
        rekey_session(&p->current, moved);
        rekey_session(&p->prev, moved);
        rekey_session(&p->next, moved);
        session_drop_handshake(p);
        session_not_strange(p, now_us);
        p->has_taken = false; /* the answers kept may be of a key that is gone */
        p->ack_due = false;
        p->answer_due = false;
        if (!p->current.live) {
            p->confirms = 0;
            p->echo_due = false;
        }
        p->want_key = (p->want_key || moved[0] != 0) && !(p->current.live && p->current.key == 0);
        session_tick(s, p, now_us);
    }
}

static void make_nonce(uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES], uint64_t counter)
{
    put_u32(nonce, 0);
    put_u64(nonce + 4, counter);
}

static struct session *find(struct session_peer *p, uint32_t index)
{
    struct session *all[] = {&p->current, &p->prev, &p->next};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i]->live && all[i]->index == index)
            return all[i];
    return NULL;
}

uint16_t sessions_whose(const struct sessions *s, const uint8_t *buf, size_t len)
{
    if (len < SESSION_HEAD_BYTES || buf[0] >> 4 != WIRE_VERSION_NOW)
        return 0;
    unsigned kind = buf[0] & 0x0F, i = 0;
    if (kind == SESSION_KIND_DATA)
        while (i < s->n_peers && find(s->peers[i], get_u32(buf + AT_INDEX)) == NULL)
            i++;
    else
        while (i < s->n_peers &&
               (get_u16(buf + 2) != s->peers[i]->id || get_u16(buf + 4) != s->cfg.self ||
                get_u64(buf + 8) != s->cfg.cluster))
            i++;
    return i < s->n_peers ? s->peers[i]->id : 0;
}

uint16_t sessions_stranger(const struct sessions *s, const uint8_t *buf, size_t len)
{
    uint16_t id = len == SESSION_HELLO_BYTES ? get_u16(buf + 2) : 0;
    bool hello = id != 0 && id != s->cfg.self &&
                 buf[0] == (WIRE_VERSION_NOW << 4 | SESSION_KIND_HELLO) &&
                 get_u16(buf + 4) == s->cfg.self && get_u64(buf + 8) == s->cfg.cluster;
    return hello && session_hello_is_ours(s, buf) ? id : 0;
}

bool sessions_newest(const struct sessions *s, uint16_t peer)
{
    return s->peers[place_of(s, peer)]->newest;
}

/* Data that cannot be opened may be of a session that we forgot by a restart, and a HELLO brings a new
 * one. But whoever invents data must not make us send more than he does. */
static void cannot_open(struct sessions *s, struct session_peer *p, uint64_t now_us, size_t len)
{
    if (len >= SESSION_HELLO_BYTES)
        session_lost(s, p, now_us);
}

static enum drop open_data(struct sessions *s, struct session_peer *p, uint64_t now_us,
                           uint8_t *buf, size_t len, uint8_t **payload, size_t *payload_len)
{
    if (len < SESSION_EXTRA_BYTES)
        return DROP_SHORT;
    struct session *x = find(p, get_u32(buf + AT_INDEX));
    if (x == NULL) {
        cannot_open(s, p, now_us, len);
        return DROP_NO_SESSION;
    }
    uint64_t counter = get_u64(buf + AT_COUNTER);
    if (counter >= SENT_MAX)
        return DROP_UNAUTHENTIC; /* nobody seals so much */
    if (!replay_new(&x->replay, counter))
        return DROP_REPLAY;
    uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    make_nonce(nonce, counter);
    uint8_t *body = buf + SESSION_HEAD_BYTES;
    if (crypto_aead_chacha20poly1305_ietf_decrypt(body, NULL, NULL, body, len - SESSION_HEAD_BYTES,
                                                  buf, SESSION_HEAD_BYTES, nonce,
                                                  x->receive) != 0) {
        cannot_open(s, p, now_us, len);
        return DROP_UNAUTHENTIC;
    }
    p->newest = counter >= x->replay.next && x->number >= p->current.number;
    if (x == &p->next && x->number < p->current.number && x->number > p->who_since &&
        x->who.boot != p->who.boot && about_same_key(x->who.key, p->who.key))
        p->other_boot = x->who.boot;
    replay_mark(&x->replay, counter);
    p->opened++;
    bool empty = len == SESSION_EXTRA_BYTES;
    session_heard(p, x, empty, now_us);
    p->who.cloned = p->who.cloned && (empty || !p->newest);
    if (empty)
        return DATAGRAM_STEP;
    *payload = body;
    *payload_len = len - SESSION_EXTRA_BYTES;
    return DATAGRAM_DATA;
}

static enum drop open_handshake(struct sessions *s, struct session_peer *p, uint64_t now_us,
                                const uint8_t *buf, size_t len)
{
    if (len != SESSION_HELLO_BYTES)
        return len < SESSION_HELLO_BYTES ? DROP_SHORT : DROP_LONG;
    if (get_u64(buf + 8) != s->cfg.cluster)
        return DROP_CLUSTER;
    if (get_u16(buf + 2) != p->id || get_u16(buf + 4) != s->cfg.self)
        return DROP_MISDIRECTED;
    session_expire(p, now_us);
    switch (buf[0] & 0x0F) {
    case SESSION_KIND_HELLO: return session_take_hello(s, p, now_us, buf);
    case SESSION_KIND_HELLO_ACK: return session_take_ack(s, p, now_us, buf);
    default: return session_take_challenge(s, p, now_us, buf);
    }
}

static enum drop judge(struct sessions *s, struct session_peer *p, uint64_t now_us, uint8_t *buf,
                       size_t len, uint8_t **payload, size_t *payload_len)
{
    if (len < SESSION_HEAD_BYTES)
        return DROP_SHORT;
    if (len > WIRE_DATAGRAM_MAX)
        return DROP_LONG;
    if (buf[0] >> 4 != WIRE_VERSION_NOW)
        return DROP_VERSION;
    switch (buf[0] & 0x0F) {
    case SESSION_KIND_DATA: return open_data(s, p, now_us, buf, len, payload, payload_len);
    case SESSION_KIND_HELLO:
    case SESSION_KIND_HELLO_ACK:
    case SESSION_KIND_CHALLENGE: return open_handshake(s, p, now_us, buf, len);
    case SESSION_KIND_PLAIN: return DROP_KIND;
    default: return DROP_VERSION;
    }
}

enum drop sessions_open(struct sessions *s, uint16_t peer, uint64_t now_us, uint8_t *buf,
                        size_t len, uint8_t **payload, size_t *payload_len)
{
    struct session_peer *p = s->peers[place_of(s, peer)];
    p->newest = false;
    p->other_boot = 0;
    return judge(s, p, now_us, buf, len, payload, payload_len);
}

static bool can_seal(const struct session *x)
{
    return x->live && x->sent < SENT_MAX;
}

static size_t seal(struct session_peer *p, uint8_t *buf, size_t payload_len)
{
    struct session *x = &p->current;
    uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    buf[0] = WIRE_VERSION_NOW << 4 | SESSION_KIND_DATA;
    buf[1] = 0;
    put_u16(buf + 2, 0);
    put_u32(buf + AT_INDEX, x->peer_index);
    put_u64(buf + AT_COUNTER, x->sent);
    make_nonce(nonce, x->sent);
    x->sent++;
    uint8_t *body = buf + SESSION_HEAD_BYTES;
    int rc = crypto_aead_chacha20poly1305_ietf_encrypt(body, NULL, body, payload_len, buf,
                                                       SESSION_HEAD_BYTES, NULL, nonce, x->send);
    assert(rc == 0);
    return payload_len + SESSION_EXTRA_BYTES;
}

bool sessions_ready(const struct sessions *s, uint16_t peer)
{
    return can_seal(&s->peers[place_of(s, peer)]->current);
}

size_t sessions_seal(struct sessions *s, uint16_t peer, uint64_t now_us, uint8_t *buf,
                     size_t payload_len)
{
    assert(payload_len > 0);
    struct session_peer *p = s->peers[place_of(s, peer)];
    if (!can_seal(&p->current))
        return 0;
    session_spoke(p, now_us);
    return seal(p, buf, payload_len);
}

bool sessions_is_reply(const uint8_t *buf)
{
    unsigned kind = buf[0] & 0x0F;
    return kind == SESSION_KIND_CHALLENGE || kind == SESSION_KIND_HELLO_ACK;
}

size_t sessions_output(struct sessions *s, uint16_t peer, uint64_t now_us, uint8_t *buf, size_t cap)
{
    assert(cap >= SESSION_HELLO_BYTES);
    struct session_peer *p = s->peers[place_of(s, peer)];
    session_tick(s, p, now_us);
    if (p->ack_due) {
        p->ack_due = false;
        memcpy(buf, p->ack, sizeof p->ack);
        return sizeof p->ack;
    }
    if (p->answer_due) {
        p->answer_due = false;
        memcpy(buf, p->answer, sizeof p->answer);
        return sizeof p->answer;
    }
    if (p->confirms > 0 && now_us >= p->confirm_at) {
        session_confirmed(p, now_us);
        if (can_seal(&p->current))
            return seal(p, buf, 0);
    }
    if (p->echo_due) {
        p->echo_due = false;
        if (can_seal(&p->current))
            return seal(p, buf, 0);
    }
    if (p->pending && now_us >= p->hello_at) {
        session_send_hello(s, p, now_us, buf);
        return SESSION_HELLO_BYTES;
    }
    return 0;
}

uint64_t sessions_deadline(const struct sessions *s)
{
    uint64_t at = NEVER;
    for (unsigned i = 0; i < s->n_peers; i++) {
        uint64_t one = session_peer_deadline(s, s->peers[i]);
        at = one < at ? one : at;
    }
    return at;
}

uint64_t sessions_peer_boot(const struct sessions *s, uint16_t peer)
{
    return s->peers[place_of(s, peer)]->who.boot;
}

uint64_t sessions_other_boot(const struct sessions *s, uint16_t peer)
{
    return s->peers[place_of(s, peer)]->other_boot;
}

struct about sessions_peer_about(const struct sessions *s, uint16_t peer)
{
    return s->peers[place_of(s, peer)]->who.about;
}

const uint8_t *sessions_peer_key(const struct sessions *s, uint16_t peer)
{
    const struct session_who *who = &s->peers[place_of(s, peer)]->who;
    return who->boot != 0 ? who->key : NULL;
}

void sessions_cloned(struct sessions *s, uint16_t peer, bool cloned)
{
    s->peers[place_of(s, peer)]->cloned = cloned;
}

bool sessions_we_are_cloned(const struct sessions *s, uint16_t peer)
{
    return s->peers[place_of(s, peer)]->who.cloned;
}

void sessions_know(struct sessions *s, uint16_t peer, const uint8_t key[NOISE_KEY_BYTES])
{
    struct session_peer *p = s->peers[place_of(s, peer)];
    memcpy(p->key, key, NOISE_KEY_BYTES);
    if (p->current.live && !about_same_key(key, p->current.who.key))
        p->silent_at = 0; /* whoever made that session may be gone */
}

void sessions_members(struct sessions *s, uint64_t cluster, uint64_t voters)
{
    s->cfg.members = cluster;
    s->cfg.voters = voters;
}

void sessions_info(const struct sessions *s, uint16_t peer, struct session_info *out)
{
    const struct session_peer *p = s->peers[place_of(s, peer)];
    const struct session *x = &p->current;
    memset(out, 0, sizeof *out);
    /* A peer that is silent may have another session by now, or none. */
    bool sure = x->live && !(p->pending && p->doubt);
    out->state = p->pending ? SESSION_STATE_HANDSHAKE : SESSION_STATE_NONE;
    out->since_us = p->begun_us;
    out->overdue_us = NEVER;
    if (sure) {
        out->state = SESSION_STATE_ESTABLISHED;
        out->since_us = x->born_us;
        out->overdue_us = x->born_us + 2 * session_rekey_us(s);
    }
    if (p->wrong_key) {
        out->state = SESSION_STATE_WRONG_KEY;
        out->since_us = p->wrong_us;
    }
    out->key_id = x->live ? s->keys[x->key].id : 0;
    out->initiator = x->initiator;
    out->opened = p->opened;
    out->handshakes = p->births;
    out->exchanges = p->exchanges;
    out->hellos = p->hellos;
}
