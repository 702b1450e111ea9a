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

/* From cacophony's vectors/cacophony.txt, Noise_NNpsk0_25519_ChaChaPoly_SHA256 (the set that snow
 * and noise-c are tested with too). */
static const char V_PROLOGUE[] = "4a6f686e2047616c74";
static const char V_PSK[] = "54686973206973206d7920417573747269616e20706572737065637469766521";
static const char V_INIT_E[] = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a";
static const char V_RESP_E[] = "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b";
static const struct {
    const char *payload;
    const char *ciphertext;
} VECTORS[] = {
    {"4c756477696720766f6e204d69736573",
     "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944"
     "79b962b8aff8485742ac32f905ba45369e2465fb59e138a93d67a0d1266b6a54"},
    {"4d757272617920526f746862617264",
     "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843"
     "d6062704d5a9c422a8e834423f8c1feada7e8d0d910a1a2cd030fb584221e3"},
    {"462e20412e20486179656b", "e632c3763d7669067383433197a3baddf146e9e70ad4b4e9e59e0f"},
    {"4361726c204d656e676572", "64c6bee32ea91c8474bb4c21d7a700109ad45af77b29764ba5eb1e"},
    {"4a65616e2d426170746973746520536179",
     "e2fa0bed0603b62d3ccac2ecabbf3fe33f3e86514909b323361626266cb2471cc8"},
    {"457567656e2042f6686d20766f6e2042617765726b",
     "0c01dc9cec1fe4ddd692e8dd32188aa351088dc91183639a53b57aa4692b5ebdef8b8ca111"},
};

/* Transport messages of the vectors: directions alternate, nonces count in each from 0. */
static void expect_transport(const uint8_t from_initiator[NOISE_KEY_BYTES],
                             const uint8_t from_responder[NOISE_KEY_BYTES])
{
    for (size_t i = 2; i < sizeof VECTORS / sizeof VECTORS[0]; i++) {
        uint8_t plain[HEX_MAX];
        uint8_t out[HEX_MAX];
        uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = {0};
        nonce[4] = (uint8_t)((i - 2) / 2);
        size_t n = unhex(VECTORS[i].payload, plain, sizeof plain);
        unsigned long long len = 0;
        assert_int_equal(
            crypto_aead_chacha20poly1305_ietf_encrypt(out, &len, plain, n, NULL, 0, NULL, nonce,
                                                      i % 2 == 0 ? from_initiator : from_responder),
            0);
        expect_bytes(out, (size_t)len, VECTORS[i].ciphertext);
    }
}

static void test_vectors(void **state)
{
    (void)state;
    uint8_t psk[NOISE_KEY_BYTES];
    uint8_t init_e[NOISE_KEY_BYTES];
    uint8_t resp_e[NOISE_KEY_BYTES];
    uint8_t prologue[16];
    first(psk, V_PSK);
    first(init_e, V_INIT_E);
    first(resp_e, V_RESP_E);
    size_t prologue_len = unhex(V_PROLOGUE, prologue, sizeof prologue);

    struct noise a;
    struct noise b;
    uint8_t plain[HEX_MAX];
    uint8_t read[HEX_MAX];
    uint8_t message[HEX_MAX];
    noise_start(&a, psk, prologue, prologue_len);
    noise_start(&b, psk, prologue, prologue_len);
    size_t n = unhex(VECTORS[0].payload, plain, sizeof plain);
    noise_write_first(&a, init_e, plain, n, message);
    expect_bytes(message, NOISE_EXTRA_BYTES + n, VECTORS[0].ciphertext);
    assert_int_equal(noise_read_first(&b, message, read, n), 0);
    assert_memory_equal(read, plain, n);

    n = unhex(VECTORS[1].payload, plain, sizeof plain);
    assert_int_equal(noise_write_second(&b, resp_e, plain, n, message), 0);
    expect_bytes(message, NOISE_EXTRA_BYTES + n, VECTORS[1].ciphertext);
    assert_int_equal(noise_read_second(&a, init_e, message, read, n), 0);
    assert_memory_equal(read, plain, n);
    assert_memory_equal(a.h, b.h, sizeof a.h);

    uint8_t keys[2][2][NOISE_KEY_BYTES];
    noise_split(&a, keys[0][0], keys[0][1]);
    noise_split(&b, keys[1][0], keys[1][1]);
    assert_memory_equal(keys[0], keys[1], sizeof keys[0]);
    expect_transport(keys[0][0], keys[0][1]);
}

/* Another psk, prologue or any bit: the message means nothing. */
static void test_refuses(void **state)
{
    (void)state;
    uint8_t psk[NOISE_KEY_BYTES] = {1};
    uint8_t other[NOISE_KEY_BYTES] = {2};
    const uint8_t e[NOISE_KEY_BYTES] = {3};
    const uint8_t e2[NOISE_KEY_BYTES] = {4};
    const uint8_t prologue[] = {5, 6};
    const uint8_t payload[4] = "abcd";
    uint8_t got[sizeof payload];
    uint8_t m1[NOISE_EXTRA_BYTES + sizeof payload];
    uint8_t m2[NOISE_EXTRA_BYTES + sizeof payload];
    struct noise a;
    struct noise b;
    noise_start(&a, psk, prologue, sizeof prologue);
    noise_write_first(&a, e, payload, sizeof payload, m1);

    noise_start(&b, other, prologue, sizeof prologue);
    assert_int_equal(noise_read_first(&b, m1, got, sizeof got), -1);
    noise_start(&b, psk, prologue, sizeof prologue - 1);
    assert_int_equal(noise_read_first(&b, m1, got, sizeof got), -1);
    for (size_t bit = 0; bit < 8 * sizeof m1; bit++) {
        m1[bit / 8] ^= (uint8_t)(1 << bit % 8);
        noise_start(&b, psk, prologue, sizeof prologue);
        assert_int_equal(noise_read_first(&b, m1, got, sizeof got), -1);
        m1[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    noise_start(&b, psk, prologue, sizeof prologue);
    assert_int_equal(noise_read_first(&b, m1, got, sizeof got), 0);
    assert_int_equal(noise_write_second(&b, e2, payload, sizeof payload, m2), 0);
    for (size_t bit = 0; bit < 8 * sizeof m2; bit++) {
        struct noise again = a;
        m2[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(noise_read_second(&again, e, m2, got, sizeof got), -1);
        m2[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(noise_read_second(&a, e, m2, got, sizeof got), 0);
}

/* Points of low order give an all-zero secret, which a member of the cluster alone could send. */
static void test_low_order(void **state)
{
    (void)state;
    const uint8_t e[NOISE_KEY_BYTES] = {3};
    const uint8_t psk[NOISE_KEY_BYTES] = {1};
    uint8_t message[NOISE_EXTRA_BYTES] = {0};
    uint8_t out[NOISE_EXTRA_BYTES];
    struct noise n;
    noise_start(&n, psk, NULL, 0);
    memset(n.re, 0, sizeof n.re);
    memset(out, 0x5A, sizeof out);
    assert_int_equal(noise_write_second(&n, e, NULL, 0, out), -1);
    for (size_t i = 0; i < sizeof out; i++)
        assert_int_equal(out[i], 0x5A);
    n.re[0] = 1;
    assert_int_equal(noise_write_second(&n, e, NULL, 0, out), -1);
    noise_start(&n, psk, NULL, 0);
    noise_write_first(&n, e, NULL, 0, out);
    assert_int_equal(noise_read_second(&n, e, message, NULL, 0), -1);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_x25519),    cmocka_unit_test(test_aead),
        cmocka_unit_test(test_xaead),     cmocka_unit_test(test_keyed_hash),
        cmocka_unit_test(test_vectors),   cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_low_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
