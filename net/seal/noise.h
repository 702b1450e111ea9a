/* noise.h: handshakes of the Noise Protocol Framework, revision 34, of two messages and with a pre-shared
 * key: X25519, ChaCha20-Poly1305, SHA-256. Sections of its text are in brackets.
 *
 * A pattern is data, so that one code is tested with the vectors of published patterns and used with ours:
 *
 *   noise_ixpsk0   Noise_IXpsk0_25519_ChaChaPoly_SHA256
 *      -> psk, e, s
 *      <- e, ee, se, s, es
 *
 *   - Whoever does not know the pre-shared key can neither write nor read a message. Message 1 is judged
 *     without a Diffie-Hellman operation: the keys of its `s` and its payload come from psk and e alone.
 *   - Message 1 only claims the initiator's static key. Message 2 cannot be read without the secret of
 *     that key, and proves the responder's to whoever reads it. So the first datagram under the
 *     session's keys proves the initiator's, and nothing may count before.
 *   - A secret that leaks later opens nothing of the past: the session's keys depend on `ee`.
 *   - Neither side has to know the other's key beforehand: a node that lost its disk is told apart by the
 *     key that it shows, instead of being unreadable.
 *
 *      initiator                          responder
 *      noise_start                        noise_start       same pattern, psk and prologue
 *      noise_write            ->          noise_read
 *      noise_read             <-          noise_write
 *      noise_split                        noise_split
 *
 * Pure but for the memory given: random bytes are an argument. A state holds secrets: the caller
 * wipes it (sodium_memzero).
 */
#ifndef NOISE_H
#define NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NOISE_KEY_BYTES = 32, /* psk, secrets and public keys, hash, cipher keys */
    NOISE_TAG_BYTES = 16,
    NOISE_TOKENS_MAX = 6,
    /* Of each message of noise_ixpsk0 beyond its payload: e, then s and payload with their tags. */
    NOISE_EXTRA_BYTES = NOISE_KEY_BYTES + NOISE_KEY_BYTES + 2 * NOISE_TAG_BYTES,
};

enum noise_token { NOISE_END, NOISE_PSK, NOISE_E, NOISE_S, NOISE_EE, NOISE_ES, NOISE_SE };

struct noise_pattern {
    const char
        *name; /* of the protocol: longer than NOISE_KEY_BYTES, or it would be padded (5.2) */
    enum noise_token messages[2][NOISE_TOKENS_MAX + 1]; /* each up to NOISE_END */
};

extern const struct noise_pattern noise_ixpsk0;

/* A static key pair. */
struct noise_pair {
    uint8_t secret[NOISE_KEY_BYTES];
    uint8_t key[NOISE_KEY_BYTES]; /* the public one */
};

/* HandshakeState (5.3), SymmetricState (5.2) and CipherState (5.1) in one. */
struct noise {
    const struct noise_pattern *pattern;
    const struct noise_pair *own; /* the caller's, as long as the state is used; so is: */
    const uint8_t *psk;
    bool initiator;
    unsigned message;            /* the next one, 0 or 1 */
    uint8_t nonce;               /* of the next that is sealed under k */
    uint8_t ck[NOISE_KEY_BYTES]; /* chaining key */
    uint8_t h[NOISE_KEY_BYTES];  /* hash of all that both sides have seen */
    uint8_t k[NOISE_KEY_BYTES];
    uint8_t e[NOISE_KEY_BYTES];  /* our ephemeral secret */
    uint8_t re[NOISE_KEY_BYTES]; /* the other's ephemeral public key */
    uint8_t rs[NOISE_KEY_BYTES]; /* the other's static public key, as it was shown */
};

/* Initialize (5.3) with the prologue. */
void noise_start(struct noise *n, const struct noise_pattern *pattern, bool initiator,
                 const uint8_t psk[NOISE_KEY_BYTES], const struct noise_pair *own,
                 const uint8_t *prologue, size_t len);

/* WriteMessage (5.3): the pattern's keys and the payload, to `out`. `e` is the ephemeral secret: 32
 * random bytes that were never used before. Using one e for two payloads would use one nonce twice. 0; or
 * -1 if a public key of the other gives an all-zero secret (a point of low order; RFC 7748, 6.1): state
 * and message are of no use then. */
int noise_write(struct noise *n, const uint8_t e[NOISE_KEY_BYTES], const uint8_t *payload,
                size_t len, uint8_t *out);

/* ReadMessage (5.3), of a message with a payload of `len` bytes. 0, or -1 if it was not written under this
 * psk and prologue, for this state; which is of no use then. */
int noise_read(struct noise *n, const uint8_t *message, uint8_t *payload, size_t len);

/* Split (5.2): the keys of the two directions. The state is of no use afterwards. */
void noise_split(const struct noise *n, uint8_t from_initiator[NOISE_KEY_BYTES],
                 uint8_t from_responder[NOISE_KEY_BYTES]);

#endif
