// LINK: net/seal/noise.c -lsodium
/* The handshake, and what else of libsodium we use, against published vectors; and what it must
 * refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "net/seal/noise.h"

enum { HEX_MAX = 256 };

static size_t unhex(const char *hex, uint8_t *out, size_t cap)
{
    size_t n = 0;
    assert_int_equal(sodium_hex2bin(out, cap, hex, strlen(hex), " ", &n, NULL), 0);
    return n;
}

static void expect_bytes(const uint8_t *got, size_t len, const char *hex)
{
    uint8_t want[HEX_MAX];
    assert_int_equal(unhex(hex, want, sizeof want), len);
    assert_memory_equal(got, want, len);
}

static void first(uint8_t *out, const char *hex)
{
    assert_int_equal(unhex(hex, out, NOISE_KEY_BYTES), NOISE_KEY_BYTES);
}

/* RFC 7748, section 6.1. */
static void test_x25519(void **state)
{
    (void)state;
    uint8_t a[NOISE_KEY_BYTES];
    uint8_t b[NOISE_KEY_BYTES];
    uint8_t public_key[NOISE_KEY_BYTES];
    uint8_t secret[NOISE_KEY_BYTES];
    first(a, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    first(b, "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    assert_int_equal(crypto_scalarmult_base(public_key, a), 0);
    expect_bytes(public_key, sizeof public_key,
                 "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    assert_int_equal(crypto_scalarmult(secret, b, public_key), 0);
    expect_bytes(secret, sizeof secret,
                 "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_int_equal(crypto_scalarmult_base(public_key, b), 0);
    expect_bytes(public_key, sizeof public_key,
                 "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    assert_int_equal(crypto_scalarmult(secret, a, public_key), 0);
    expect_bytes(secret, sizeof secret,
                 "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
}

/* RFC 8439, section 2.8.2. */
static void test_aead(void **state)
{
    (void)state;
    static const char TEXT[] =
        "Ladies and Gentlemen of the class of '99: If I could offer you only "
        "one tip for the future, sunscreen would be it.";
    uint8_t key[crypto_aead_chacha20poly1305_ietf_KEYBYTES];
    uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    uint8_t ad[16];
    uint8_t out[HEX_MAX];
    unhex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", key, sizeof key);
    unhex("070000004041424344454647", nonce, sizeof nonce);
    size_t ad_len = unhex("50515253c0c1c2c3c4c5c6c7", ad, sizeof ad);
    unsigned long long len = 0;
    assert_int_equal(crypto_aead_chacha20poly1305_ietf_encrypt(out, &len, (const uint8_t *)TEXT,
                                                               sizeof TEXT - 1, ad, ad_len, NULL,
                                                               nonce, key),
                     0);
    expect_bytes(out, (size_t)len,
                 "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
                 "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
                 "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
                 "3ff4def08e4b7a9de576d26586cec64b6116"
                 "1ae10b594f09e26a7e902ecbd0600691");
}

/* draft-irtf-cfrg-xchacha-03, appendix A: what seals CHALLENGE. */
static void test_xaead(void **state)
{
    (void)state;
    static const char TEXT[] =
        "Ladies and Gentlemen of the class of '99: If I could offer you only "
        "one tip for the future, sunscreen would be it.";
    uint8_t key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
    uint8_t nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];
    uint8_t ad[16];
    uint8_t out[HEX_MAX];
    unhex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", key, sizeof key);
    unhex("404142434445464748494a4b4c4d4e4f5051525354555657", nonce, sizeof nonce);
    size_t ad_len = unhex("50515253c0c1c2c3c4c5c6c7", ad, sizeof ad);
    unsigned long long len = 0;
    assert_int_equal(crypto_aead_xchacha20poly1305_ietf_encrypt(out, &len, (const uint8_t *)TEXT,
                                                                sizeof TEXT - 1, ad, ad_len, NULL,
                                                                nonce, key),
                     0);
    expect_bytes(out, (size_t)len,
                 "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
                 "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
                 "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
                 "21f9664c97637da9768812f615c68b13b52e"
                 "c0875924c1c7987947deafd8780acf49");
}

/* The designers' blake2b-kat.txt: the key is the bytes 0, 1, 2, ..., and so is the input. What derives
 * keys from the cluster's and makes macs, all at once or in parts. */
static void test_keyed_hash(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        const char *hash;
    } KAT[] = {
        {0, "10ebb67700b1868efb4417987acf4690ae9d972fb7a590c2f02871799aaa4786"
            "b5e996e8f0f4eb981fc214b005f42d2ff4233499391653df7aefcbc13fc51568"},
        {1, "961f6dd1e4dd30f63901690c512e78e4b45e4742ed197c3c5e45c549fd25f2e4"
            "187b0bc9fe30492b16b0d0bc4ef9b0f34c7003fac09a5ef1532e69430234cebd"},
        {255, "142709d62e28fcccd0af97fad0f8465b971e82201dc51070faa0372aa43e9248"
              "4be1c1e73ba10906d5d1853db6a4106e0a7bf9800d373d6dee2d46d62ef2a461"},
    };
    uint8_t key[crypto_generichash_KEYBYTES_MAX];
    uint8_t in[255];
    uint8_t out[crypto_generichash_BYTES_MAX];
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)i;
    memcpy(key, in, sizeof key);
    for (size_t i = 0; i < sizeof KAT / sizeof KAT[0]; i++) {
        crypto_generichash_state h;
        size_t part = KAT[i].len / 3;
        assert_int_equal(crypto_generichash(out, sizeof out, in, KAT[i].len, key, sizeof key), 0);
        expect_bytes(out, sizeof out, KAT[i].hash);
        assert_int_equal(crypto_generichash_init(&h, key, sizeof key, sizeof out), 0);
        assert_int_equal(crypto_generichash_update(&h, in, part), 0);
        assert_int_equal(crypto_generichash_update(&h, in + part, KAT[i].len - part), 0);
        assert_int_equal(crypto_generichash_final(&h, out, sizeof out), 0);
        expect_bytes(out, sizeof out, KAT[i].hash);
    }
}

/* From cacophony's vectors/cacophony.txt (the set that snow and noise-c are tested with too). No published
 * set has the pattern that the sessions use: these three have its tokens, in the same and in other places. */
static const struct noise_pattern NNPSK0 = {
    "Noise_NNpsk0_25519_ChaChaPoly_SHA256",
    {{NOISE_PSK, NOISE_E}, {NOISE_E, NOISE_EE}},
};
static const struct noise_pattern NXPSK2 = {
    "Noise_NXpsk2_25519_ChaChaPoly_SHA256",
    {{NOISE_E}, {NOISE_E, NOISE_EE, NOISE_S, NOISE_ES, NOISE_PSK}},
};
static const struct noise_pattern IXPSK2 = {
    "Noise_IXpsk2_25519_ChaChaPoly_SHA256",
    {{NOISE_E, NOISE_S}, {NOISE_E, NOISE_EE, NOISE_SE, NOISE_S, NOISE_ES, NOISE_PSK}},
};
static const char V_PROLOGUE[] = "4a6f686e2047616c74";
static const char V_PSK[] = "54686973206973206d7920417573747269616e20706572737065637469766521";
static const char V_E[][65] = {"893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
                               "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b"};
static const char V_S[][65] = {"e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
                               "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893"};
enum { V_MESSAGES = 6 };
static const char *const V_PAYLOADS[V_MESSAGES] = {
    "4c756477696720766f6e204d69736573",
    "4d757272617920526f746862617264",
    "462e20412e20486179656b",
    "4361726c204d656e676572",
    "4a65616e2d426170746973746520536179",
    "457567656e2042f6686d20766f6e2042617765726b",
};
static const struct vector {
    const struct noise_pattern *pattern;
    const char *ciphertexts[V_MESSAGES];
} VECTORS[] = {
    {&NNPSK0,
     {"ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944"
      "79b962b8aff8485742ac32f905ba45369e2465fb59e138a93d67a0d1266b6a54",
      "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843"
      "d6062704d5a9c422a8e834423f8c1feada7e8d0d910a1a2cd030fb584221e3",
      "e632c3763d7669067383433197a3baddf146e9e70ad4b4e9e59e0f",
      "64c6bee32ea91c8474bb4c21d7a700109ad45af77b29764ba5eb1e",
      "e2fa0bed0603b62d3ccac2ecabbf3fe33f3e86514909b323361626266cb2471cc8",
      "0c01dc9cec1fe4ddd692e8dd32188aa351088dc91183639a53b57aa4692b5ebdef8b8ca111"}},
    {&NXPSK2,
     {"ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944"
      "9daccd40f021d183f55574b7364ad1ec21faac580e7a0e7f58830bda9a535e2b",
      "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843"
      "67f70ca9c7b9f8932e5bea3c0045eb5e7c07f7df99d17398d999a7534f758eb2"
      "257fab4a67e1107a920c8e1db68848a65dca03dc1394c3d628ecd878f9f4587e"
      "4b42de41503920796c49e0f9a98746",
      "12ec11786c81de7c0ac89d0860ef3c88f6aca3627d812a999cee2e",
      "f28557a86f324038904815ceb3cbeeb2cb752f862dfe4449471b81",
      "e5fe9abd622e0339f7f41eb62478f2cd1989773bbef2199ecf7d5a0f4263a92b1d",
      "7f0118d55118991a6e04acfe0c1ac80ecef5b1701da4402d281e614fa2e850646323037afe"}},
    {&IXPSK2,
     {"ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944"
      "1f5e7765c87ace8e3e408eb3cf0eb2fd8fe8fef320d74709ac2144d4928e3997"
      "caaafd89c8d1bf97f5c8853081d41af00563b2e3a88df0cee64f7d56d8a24f0c"
      "60f6c9f420dd1750922414f96d73ebe4",
      "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843"
      "ec9687d83c88833a95e2957ff59e2e1df84c371586107413966a41f4f8329d64"
      "3bc5c6512ba657a0208e43069a6eb4ef41523c7d6f1825c9f7f739e709472451"
      "3dc602bd17a6d7b0923c19253baa77",
      "4a8805b86409bd0ee270e2af1f51a00a511715db63029f0ad83c8a",
      "011564d8382ab8cd2a497ec9c7fe278b32d7c3d45dbfe9fe5d9486",
      "5af44f82521305190715288ff0412379d8cb0230e2f259e329ef6ad6fdcf2e0240",
      "26b4c1c52fd4ab7329f4b48366cfeabeff1fdc32f756a2c00f3748675786974f155ae08c2d"}},
};

static struct noise_pair pair_of_hex(const char *secret)
{
    struct noise_pair pair;
    first(pair.secret, secret);
    assert_int_equal(crypto_scalarmult_base(pair.key, pair.secret), 0);
    return pair;
}

/* Transport messages of the vectors: directions alternate, nonces count in each from 0. */
static void expect_transport(const struct vector *v, uint8_t keys[2][NOISE_KEY_BYTES])
{
    for (unsigned i = 2; i < V_MESSAGES; i++) {
        uint8_t plain[HEX_MAX];
        uint8_t out[HEX_MAX];
        uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = {0};
        nonce[4] = (uint8_t)((i - 2) / 2);
        size_t n = unhex(V_PAYLOADS[i], plain, sizeof plain);
        unsigned long long len = 0;
        assert_int_equal(crypto_aead_chacha20poly1305_ietf_encrypt(out, &len, plain, n, NULL, 0,
                                                                   NULL, nonce, keys[i % 2]),
                         0);
        expect_bytes(out, (size_t)len, v->ciphertexts[i]);
    }
}

static void expect_vector(const struct vector *v)
{
    uint8_t psk[NOISE_KEY_BYTES];
    uint8_t prologue[16];
    struct noise n[2];
    const struct noise_pair pairs[2] = {pair_of_hex(V_S[0]), pair_of_hex(V_S[1])};
    first(psk, V_PSK);
    size_t prologue_len = unhex(V_PROLOGUE, prologue, sizeof prologue);
    for (unsigned i = 0; i < 2; i++)
        noise_start(&n[i], v->pattern, i == 0, psk, &pairs[i], prologue, prologue_len);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t e[NOISE_KEY_BYTES];
        uint8_t plain[HEX_MAX];
        uint8_t read[HEX_MAX];
        uint8_t message[HEX_MAX];
        first(e, V_E[i]);
        size_t len = unhex(V_PAYLOADS[i], plain, sizeof plain);
        assert_int_equal(noise_write(&n[i], e, plain, len, message), 0);
        expect_bytes(message, strlen(v->ciphertexts[i]) / 2, v->ciphertexts[i]);
        assert_int_equal(noise_read(&n[1 - i], message, read, len), 0);
        assert_memory_equal(read, plain, len);
    }
    assert_memory_equal(n[0].h, n[1].h, sizeof n[0].h);
    uint8_t keys[2][2][NOISE_KEY_BYTES];
    for (unsigned i = 0; i < 2; i++)
        noise_split(&n[i], keys[i][0], keys[i][1]);
    assert_memory_equal(keys[0], keys[1], sizeof keys[0]);
    expect_transport(v, keys[0]);
}

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof VECTORS / sizeof VECTORS[0]; i++)
        expect_vector(&VECTORS[i]);
}

/* --- the pattern of the sessions -------------------------------------------------------------- */

static const uint8_t PSK[NOISE_KEY_BYTES] = {1};
static const uint8_t E[2][NOISE_KEY_BYTES] = {{3}, {4}};
static const uint8_t PROLOGUE[] = {5, 6};

enum { PAYLOAD = 4, MESSAGE = NOISE_EXTRA_BYTES + PAYLOAD };

static struct noise_pair pair_of_byte(uint8_t secret)
{
    struct noise_pair pair = {.secret = {secret}};
    assert_int_equal(crypto_scalarmult_base(pair.key, pair.secret), 0);
    return pair;
}

static void begin(struct noise *n, bool initiator, const struct noise_pair *own)
{
    noise_start(n, &noise_ixpsk0, initiator, PSK, own, PROLOGUE, sizeof PROLOGUE);
}

/* Another psk, prologue or any bit: the message means nothing. */
static void test_refuses(void **state)
{
    (void)state;
    uint8_t other[NOISE_KEY_BYTES] = {2};
    const uint8_t payload[PAYLOAD] = "abcd";
    const struct noise_pair pa = pair_of_byte(7), pb = pair_of_byte(8);
    uint8_t got[PAYLOAD];
    uint8_t m1[MESSAGE];
    uint8_t m2[MESSAGE];
    struct noise a;
    struct noise b;
    begin(&a, true, &pa);
    assert_int_equal(noise_write(&a, E[0], payload, PAYLOAD, m1), 0);

    noise_start(&b, &noise_ixpsk0, false, other, &pb, PROLOGUE, sizeof PROLOGUE);
    assert_int_equal(noise_read(&b, m1, got, PAYLOAD), -1);
    noise_start(&b, &noise_ixpsk0, false, PSK, &pb, PROLOGUE, sizeof PROLOGUE - 1);
    assert_int_equal(noise_read(&b, m1, got, PAYLOAD), -1);
    for (size_t bit = 0; bit < 8 * sizeof m1; bit++) {
        m1[bit / 8] ^= (uint8_t)(1 << bit % 8);
        begin(&b, false, &pb);
        assert_int_equal(noise_read(&b, m1, got, PAYLOAD), -1);
        m1[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    begin(&b, false, &pb);
    assert_int_equal(noise_read(&b, m1, got, PAYLOAD), 0);
    assert_memory_equal(b.rs, pa.key, sizeof b.rs);
    assert_int_equal(noise_write(&b, E[1], payload, PAYLOAD, m2), 0);
    for (size_t bit = 0; bit < 8 * sizeof m2; bit++) {
        struct noise again = a;
        m2[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(noise_read(&again, m2, got, PAYLOAD), -1);
        m2[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(noise_read(&a, m2, got, PAYLOAD), 0);
    assert_memory_equal(a.rs, pb.key, sizeof a.rs);
}

/* Whoever shows another's key, without its secret: as initiator it cannot read the answer, as responder
 * it cannot write one that is taken. */
static void test_claims(void **state)
{
    (void)state;
    const uint8_t payload[PAYLOAD] = "abcd";
    const struct noise_pair pa = pair_of_byte(7), pb = pair_of_byte(8);
    for (unsigned liar = 0; liar < 3; liar++) { /* 0: the initiator, 1: the responder, 2: nobody */
        struct noise_pair own[2] = {pa, pb};
        uint8_t got[PAYLOAD];
        uint8_t m[MESSAGE];
        struct noise a;
        struct noise b;
        if (liar < 2)
            own[liar].secret[1] ^= 1;
        begin(&a, true, &own[0]);
        begin(&b, false, &own[1]);
        assert_int_equal(noise_write(&a, E[0], payload, PAYLOAD, m), 0);
        assert_int_equal(noise_read(&b, m, got, PAYLOAD), 0);
        assert_memory_equal(b.rs, pa.key, sizeof b.rs);
        assert_int_equal(noise_write(&b, E[1], payload, PAYLOAD, m), 0);
        assert_int_equal(noise_read(&a, m, got, PAYLOAD), liar == 2 ? 0 : -1);
    }
}

/* Points of low order give an all-zero secret, which a member of the cluster alone could send: as
 * ephemeral key of either side, or as static key. */
static void test_low_order(void **state)
{
    (void)state;
    const struct noise_pair own = pair_of_byte(7);
    uint8_t m1[MESSAGE];
    uint8_t out[MESSAGE];
    struct noise n;
    for (unsigned point = 0; point < 4; point++) { /* 0 and 1, ephemeral and static */
        struct noise_pair low = own;
        memset(low.key, 0, sizeof low.key);
        low.key[0] = point & 1;
        begin(&n, true, point & 2 ? &low : &own);
        assert_int_equal(noise_write(&n, E[0], NULL, 0, m1), 0);
        begin(&n, false, &own);
        assert_int_equal(noise_read(&n, m1, NULL, 0), 0);
        if (!(point & 2))
            memcpy(n.re, low.key, sizeof n.re);
        assert_int_equal(noise_write(&n, E[1], NULL, 0, out), -1);
    }
    begin(&n, true, &own);
    assert_int_equal(noise_write(&n, E[0], NULL, 0, m1), 0);
    memset(out, 0, sizeof out);
    assert_int_equal(noise_read(&n, out, NULL, 0), -1);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_x25519),  cmocka_unit_test(test_aead),
        cmocka_unit_test(test_xaead),   cmocka_unit_test(test_keyed_hash),
        cmocka_unit_test(test_vectors), cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_claims),  cmocka_unit_test(test_low_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
