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

static const char PROTOCOL[] = "Noise_NNpsk0_25519_ChaChaPoly_SHA256";

static const uint8_t NONCE[crypto_aead_chacha20poly1305_ietf_NPUBBYTES]; /* 0 */

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
    sodium_memzero(out, sizeof out);
}

/* Token e (5.3); with a psk the public key is also mixed into the key (9.2). */
static void mix_e(struct noise *n, const uint8_t public_key[NOISE_KEY_BYTES])
{
    mix_hash(n, public_key, NOISE_KEY_BYTES);
    mix_key(n, public_key);
}

/* Token ee. -1: the secret would be all zero (crypto_scalarmult refuses). */
static int mix_ee(struct noise *n, const uint8_t e[NOISE_KEY_BYTES],
                  const uint8_t re[NOISE_KEY_BYTES])
{
    uint8_t secret[NOISE_KEY_BYTES];
    int rc = crypto_scalarmult(secret, e, re);
    if (rc == 0)
        mix_key(n, secret);
    sodium_memzero(secret, sizeof secret);
    return rc == 0 ? 0 : -1;
}

static void encrypt_and_hash(struct noise *n, const uint8_t *payload, size_t len, uint8_t *out)
{
    int rc = crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, payload, len, n->h, sizeof n->h,
                                                       NULL, NONCE, n->k);
    assert(rc == 0);
    mix_hash(n, out, len + NOISE_TAG_BYTES);
}

static int decrypt_and_hash(struct noise *n, const uint8_t *sealed, uint8_t *payload, size_t len)
{
    if (crypto_aead_chacha20poly1305_ietf_decrypt(payload, NULL, NULL, sealed,
                                                  len + NOISE_TAG_BYTES, n->h, sizeof n->h, NONCE,
                                                  n->k) != 0)
        return -1;
    mix_hash(n, sealed, len + NOISE_TAG_BYTES);
    return 0;
}

static void put_e(struct noise *n, const uint8_t e[NOISE_KEY_BYTES], uint8_t *out)
{
    int rc = crypto_scalarmult_base(out, e);
    assert(rc == 0);
    mix_e(n, out);
}

void noise_start(struct noise *n, const uint8_t psk[NOISE_KEY_BYTES], const uint8_t *prologue,
                 size_t len)
{
    _Static_assert(sizeof PROTOCOL - 1 > NOISE_KEY_BYTES, "else it is padded, not hashed (5.2)");
    memset(n, 0, sizeof *n);
    int rc = crypto_hash_sha256(n->h, (const uint8_t *)PROTOCOL, sizeof PROTOCOL - 1);
    assert(rc == 0);
    memcpy(n->ck, n->h, sizeof n->ck);
    mix_hash(n, prologue, len);
    mix_key_and_hash(n, psk);
}

void noise_write_first(struct noise *n, const uint8_t e[NOISE_KEY_BYTES], const uint8_t *payload,
                       size_t len, uint8_t *out)
{
    put_e(n, e, out);
    encrypt_and_hash(n, payload, len, out + NOISE_KEY_BYTES);
}

int noise_read_first(struct noise *n, const uint8_t *message, uint8_t *payload, size_t len)
{
    memcpy(n->re, message, NOISE_KEY_BYTES);
    mix_e(n, n->re);
    return decrypt_and_hash(n, message + NOISE_KEY_BYTES, payload, len);
}

int noise_write_second(struct noise *n, const uint8_t e[NOISE_KEY_BYTES], const uint8_t *payload,
                       size_t len, uint8_t *out)
{
    uint8_t public_key[NOISE_KEY_BYTES];
    put_e(n, e, public_key);
    if (mix_ee(n, e, n->re) != 0)
        return -1;
    memcpy(out, public_key, sizeof public_key);
    encrypt_and_hash(n, payload, len, out + NOISE_KEY_BYTES);
    return 0;
}

int noise_read_second(struct noise *n, const uint8_t e[NOISE_KEY_BYTES], const uint8_t *message,
                      uint8_t *payload, size_t len)
{
    mix_e(n, message);
    if (mix_ee(n, e, message) != 0)
        return -1;
    return decrypt_and_hash(n, message + NOISE_KEY_BYTES, payload, len);
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
