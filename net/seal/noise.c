/* noise.c: see noise.h. Each function names the one of the specification that it is. */
#include "net/seal/noise.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

_Static_assert(NOISE_KEY_BYTES == crypto_scalarmult_BYTES, "X25519");
_Static_assert(NOISE_KEY_BYTES == crypto_hash_sha256_BYTES, "SHA-256");
_Static_assert(NOISE_KEY_BYTES == crypto_aead_chacha20poly1305_ietf_KEYBYTES, "ChaCha20");
_Static_assert(NOISE_TAG_BYTES == crypto_aead_chacha20poly1305_ietf_ABYTES, "Poly1305");

enum { HKDF_MAX = 3, INPUT_MAX = NOISE_KEY_BYTES + 1 };

const struct noise_pattern noise_ixpsk0 = {
    "Noise_IXpsk0_25519_ChaChaPoly_SHA256",
    {
        {NOISE_PSK, NOISE_E, NOISE_S},
        {NOISE_E, NOISE_EE, NOISE_SE, NOISE_S, NOISE_ES},
    },
};

static void hmac(const uint8_t key[NOISE_KEY_BYTES], const uint8_t *in, size_t len,
                 uint8_t out[NOISE_KEY_BYTES])
{
    int rc = crypto_auth_hmacsha256(out, in, len, key);
    assert(rc == 0);
}

/* HKDF (4.3), with n = 2 or 3 outputs. */
static void hkdf(const uint8_t ck[NOISE_KEY_BYTES], const uint8_t *in, size_t len, unsigned n,
                 uint8_t out[HKDF_MAX][NOISE_KEY_BYTES])
{
    uint8_t temp[NOISE_KEY_BYTES];
    uint8_t chain[INPUT_MAX];
    hmac(ck, in, len, temp);
    chain[0] = 1;
    hmac(temp, chain, 1, out[0]);
    for (unsigned i = 1; i < n; i++) {
        memcpy(chain, out[i - 1], NOISE_KEY_BYTES);
        chain[NOISE_KEY_BYTES] = (uint8_t)(i + 1);
        hmac(temp, chain, sizeof chain, out[i]);
    }
    sodium_memzero(temp, sizeof temp);
    sodium_memzero(chain, sizeof chain);
}

static void mix_hash(struct noise *n, const uint8_t *data, size_t len)
{
    crypto_hash_sha256_state s;
    int rc = crypto_hash_sha256_init(&s);
    rc |= crypto_hash_sha256_update(&s, n->h, sizeof n->h);
    rc |= crypto_hash_sha256_update(&s, data, len);
    rc |= crypto_hash_sha256_final(&s, n->h);
    assert(rc == 0);
}

static void mix_key(struct noise *n, const uint8_t in[NOISE_KEY_BYTES])
{
    uint8_t out[HKDF_MAX][NOISE_KEY_BYTES];
    hkdf(n->ck, in, NOISE_KEY_BYTES, 2, out);
    memcpy(n->ck, out[0], NOISE_KEY_BYTES);
    memcpy(n->k, out[1], NOISE_KEY_BYTES);
    n->nonce = 0;
    sodium_memzero(out, sizeof out);
}

/* MixKeyAndHash (5.2): a pre-shared key. */
static void mix_key_and_hash(struct noise *n, const uint8_t psk[NOISE_KEY_BYTES])
{
    uint8_t out[HKDF_MAX][NOISE_KEY_BYTES];
    hkdf(n->ck, psk, NOISE_KEY_BYTES, 3, out);
    memcpy(n->ck, out[0], NOISE_KEY_BYTES);
    mix_hash(n, out[1], NOISE_KEY_BYTES);
    memcpy(n->k, out[2], NOISE_KEY_BYTES);
    n->nonce = 0;
    sodium_memzero(out, sizeof out);
}

/* Token e (5.3); with a psk the public key is also mixed into the key (9.2). */
static void mix_e(struct noise *n, const uint8_t public_key[NOISE_KEY_BYTES])
{
    mix_hash(n, public_key, NOISE_KEY_BYTES);
    mix_key(n, public_key);
}

/* Tokens ee, es and se: the first letter is the initiator's key. -1: the secret would be all zero
 * (crypto_scalarmult refuses). */
static int mix_dh(struct noise *n, enum noise_token token)
{
    bool own_s = token == (n->initiator ? NOISE_SE : NOISE_ES);
    bool their_s = token == (n->initiator ? NOISE_ES : NOISE_SE);
    uint8_t secret[NOISE_KEY_BYTES];
    int rc = crypto_scalarmult(secret, own_s ? n->own->secret : n->e, their_s ? n->rs : n->re);
    if (rc == 0)
        mix_key(n, secret);
    sodium_memzero(secret, sizeof secret);
    return rc == 0 ? 0 : -1;
}

static void next_nonce(struct noise *n, uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES])
{
    memset(nonce, 0, crypto_aead_chacha20poly1305_ietf_NPUBBYTES);
    nonce[4] = n->nonce++; /* 32 bits of zeros, then a little-endian counter (12.3) */
}

static void encrypt_and_hash(struct noise *n, const uint8_t *plain, size_t len, uint8_t *out)
{
    uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    next_nonce(n, nonce);
    int rc = crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain, len, n->h, sizeof n->h,
                                                       NULL, nonce, n->k);
    assert(rc == 0);
    mix_hash(n, out, len + NOISE_TAG_BYTES);
}

static int decrypt_and_hash(struct noise *n, const uint8_t *sealed, uint8_t *plain, size_t len)
{
    uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    next_nonce(n, nonce);
    if (crypto_aead_chacha20poly1305_ietf_decrypt(plain, NULL, NULL, sealed, len + NOISE_TAG_BYTES,
                                                  n->h, sizeof n->h, nonce, n->k) != 0)
        return -1;
    mix_hash(n, sealed, len + NOISE_TAG_BYTES);
    return 0;
}

void noise_start(struct noise *n, const struct noise_pattern *pattern, bool initiator,
                 const uint8_t psk[NOISE_KEY_BYTES], const struct noise_pair *own,
                 const uint8_t *prologue, size_t len)
{
    assert(strlen(pattern->name) > NOISE_KEY_BYTES);
    *n = (struct noise){.pattern = pattern, .initiator = initiator, .psk = psk, .own = own};
    int rc = crypto_hash_sha256(n->h, (const uint8_t *)pattern->name, strlen(pattern->name));
    assert(rc == 0);
    memcpy(n->ck, n->h, sizeof n->ck);
    mix_hash(n, prologue, len);
}

int noise_write(struct noise *n, const uint8_t e[NOISE_KEY_BYTES], const uint8_t *payload,
                size_t len, uint8_t *out)
{
    assert(n->message == (n->initiator ? 0 : 1));
    memcpy(n->e, e, sizeof n->e);
    for (const enum noise_token *t = n->pattern->messages[n->message++]; *t != NOISE_END; t++) {
        if (*t == NOISE_PSK) {
            mix_key_and_hash(n, n->psk);
        } else if (*t == NOISE_E) {
            int rc = crypto_scalarmult_base(out, e);
            assert(rc == 0);
            mix_e(n, out);
            out += NOISE_KEY_BYTES;
        } else if (*t == NOISE_S) {
            encrypt_and_hash(n, n->own->key, NOISE_KEY_BYTES, out);
            out += NOISE_KEY_BYTES + NOISE_TAG_BYTES;
        } else if (mix_dh(n, *t) != 0) {
            return -1;
        }
    }
    encrypt_and_hash(n, payload, len, out);
    return 0;
}

int noise_read(struct noise *n, const uint8_t *message, uint8_t *payload, size_t len)
{
    assert(n->message == (n->initiator ? 1 : 0));
    for (const enum noise_token *t = n->pattern->messages[n->message++]; *t != NOISE_END; t++) {
        if (*t == NOISE_PSK) {
            mix_key_and_hash(n, n->psk);
        } else if (*t == NOISE_E) {
            memcpy(n->re, message, sizeof n->re);
            mix_e(n, n->re);
            message += NOISE_KEY_BYTES;
        } else if (*t == NOISE_S) {
            if (decrypt_and_hash(n, message, n->rs, NOISE_KEY_BYTES) != 0)
                return -1;
            message += NOISE_KEY_BYTES + NOISE_TAG_BYTES;
        } else if (mix_dh(n, *t) != 0) {
            return -1;
        }
    }
    return decrypt_and_hash(n, message, payload, len);
}

void noise_split(const struct noise *n, uint8_t from_initiator[NOISE_KEY_BYTES],
                 uint8_t from_responder[NOISE_KEY_BYTES])
{
    uint8_t out[HKDF_MAX][NOISE_KEY_BYTES];
    hkdf(n->ck, NULL, 0, 2, out);
    memcpy(from_initiator, out[0], NOISE_KEY_BYTES);
    memcpy(from_responder, out[1], NOISE_KEY_BYTES);
    sodium_memzero(out, sizeof out);
}
