/* noise.h: the handshake Noise_NNpsk0_25519_ChaChaPoly_SHA256, two messages.
 *
 * Rules and names are those of the Noise Protocol Framework, revision 34; sections in brackets.
 *
 *      -> psk, e          32 bytes of e.public, then the sealed payload
 *      <- e, ee           the same
 *
 * Whoever does not know the pre-shared key can neither write nor read a message, and message 1 is
 * judged without a Diffie-Hellman operation (psk0: its payload's key comes from psk and e alone).
 * The keys of the session depend on `ee`, so a key that leaks later opens nothing of the past.
 *
 *      initiator                          responder
 *      noise_start                        noise_start       same psk and prologue
 *      noise_write_first      ->          noise_read_first
 *      noise_read_second      <-          noise_write_second
 *      noise_split                        noise_split
 *
 * Pure but for the memory given: random bytes are an argument. A state holds secrets: the caller
 * wipes it (sodium_memzero).
 */
#ifndef NOISE_H
#define NOISE_H

#include <stddef.h>
#include <stdint.h>

enum {
    NOISE_KEY_BYTES = 32, /* psk, ephemeral keys, hash, cipher keys */
    NOISE_TAG_BYTES = 16,
    NOISE_EXTRA_BYTES = NOISE_KEY_BYTES + NOISE_TAG_BYTES, /* of a message beyond its payload */
};

/* SymmetricState (5.2) and its CipherState (5.1); its nonce is always 0 here, as every key seals
 * one payload. */
struct noise {
    uint8_t ck[NOISE_KEY_BYTES]; /* chaining key */
    uint8_t h[NOISE_KEY_BYTES];  /* hash of all that both sides have seen */
    uint8_t k[NOISE_KEY_BYTES];  /* of the payload of the message at hand */
    uint8_t re[NOISE_KEY_BYTES]; /* responder: the initiator's ephemeral public key */
};

/* Initialize (5.3) with the prologue, and the token psk (9.2). */
void noise_start(struct noise *n, const uint8_t psk[NOISE_KEY_BYTES], const uint8_t *prologue,
                 size_t len);

/* Writes NOISE_EXTRA_BYTES + len bytes to `out`. `e` is the ephemeral secret: 32 random bytes
 * that were never used before, kept by the caller for noise_read_second(). Using one e for two
 * payloads would use one nonce twice. */
void noise_write_first(struct noise *n, const uint8_t e[NOISE_KEY_BYTES], const uint8_t *payload,
                       size_t len, uint8_t *out);

/* Reads a message with a payload of `len` bytes (NOISE_EXTRA_BYTES + len in all).
 * 0, or -1 if it was not written under this psk and prologue; the state is of no use then. */
int noise_read_first(struct noise *n, const uint8_t *message, uint8_t *payload, size_t len);

/* The responder's answer, with arguments as for the first message. 0, or -1 if the initiator's public key
 * gives an all-zero secret (a point of low order; RFC 7748, 6.1); then nothing was written. */
int noise_write_second(struct noise *n, const uint8_t e[NOISE_KEY_BYTES], const uint8_t *payload,
                       size_t len, uint8_t *out);

/* Reads the answer; `e` is that of noise_write_first(). 0, or -1: it answers another message. */
int noise_read_second(struct noise *n, const uint8_t e[NOISE_KEY_BYTES], const uint8_t *message,
                      uint8_t *payload, size_t len);

/* Split (5.2): the keys of the two directions. The state is of no use afterwards. */
void noise_split(const struct noise *n, uint8_t from_initiator[NOISE_KEY_BYTES],
                 uint8_t from_responder[NOISE_KEY_BYTES]);

#endif
