/* image.c: see image.h. */
#include "raftd/state/image.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/num.h"
#include "raftd/state/cmd.h"
#include "raftd/state/holders.h"
#include "raftd/state/kv.h"
#include "raftd/state/origins.h"
#include "raftd/state/outcomes.h"

enum {
    SECTION_ORIGINS = 1,
    SECTION_KEYS = 2,
    SECTION_OUTCOMES = 3,
    SECTION_CLAIMS = 4,
    OBJECT_HEAD_BYTES = 40,
    OBJECT_MAX_BYTES = OBJECT_HEAD_BYTES + CMD_KEY_MAX_BYTES + CMD_VALUE_MAX_BYTES,
};

_Static_assert((int)OBJECT_MAX_BYTES <= (int)ORIGINS_BYTES_MAX, "one buffer takes either");
_Static_assert((int)HOLDERS_ROW_MAX_BYTES >= (int)CMD_KEY_MAX_BYTES, "one buffer takes either");

/* The halves of the claims' digest change places, so that no claim counts as a key. */
void image_digest_of(const struct state_parts *parts, uint8_t out[IMAGE_DIGEST_BYTES])
{
    const struct kv_view keys = kv_draft(parts->keys), claims = kv_draft(parts->claims);
    const uint64_t *origins = origins_digest(parts->origins);
    const uint64_t *outcomes = outcomes_digest(parts->outcomes);
    put_u64(out, keys.digest[0] + claims.digest[1] + origins[0] + outcomes[0]);
    put_u64(out + 8, keys.digest[1] + claims.digest[0] + origins[1] + outcomes[1]);
}

/* ---- from a state ------------------------------------------------------------------------ */

struct image {
    struct kv_image *keys, *claims;
    struct origins *copy;           /* of them, until they are encoded */
    size_t origins_at, origins_len; /* bytes of them: given so far, all */
    uint16_t section;               /* present one; 0: not begun */
    struct kv_cursor cursor;
    const struct kv_object *object; /* of the section that comes next, NULL at the end ... */
    size_t object_at;               /* ... and how many bytes of it were given */
    uint64_t outcome;               /* number of the row that comes next */
    uint8_t digest[IMAGE_DIGEST_BYTES];
    uint8_t chunk[IMAGE_CHUNK_MAX_BYTES];
    uint8_t origins[];
};

struct image *image_new(const struct state_parts *parts)
{
    size_t len = origins_size(parts->origins);
    struct image *image = malloc(sizeof *image + len);
    if (image == NULL)
        return NULL;
    image->copy = origins_copy(parts->origins);
    image->keys = image->copy != NULL ? kv_freeze(parts->keys) : NULL;
    image->claims = image->keys != NULL ? kv_freeze(parts->claims) : NULL;
    if (image->claims == NULL) {
        if (image->keys != NULL)
            kv_thaw(parts->keys, image->keys);
        origins_free(image->copy);
        free(image);
        return NULL;
    }
    image->origins_at = 0;
    image->origins_len = len;
    image->section = 0;
    outcomes_freeze(parts->outcomes);
    image->outcome = kv_image_view(image->keys)->outcomes.begin;
    image_digest_of(parts, image->digest);
    return image;
}

void image_free(struct image *image, const struct state_parts *parts)
{
    outcomes_thaw(parts->outcomes);
    kv_thaw(parts->keys, image->keys);
    kv_thaw(parts->claims, image->claims);
    origins_free(image->copy);
    free(image);
}

/* By who reads the image: the writer has less time. */
static void encode(struct image *image)
{
    if (image->copy != NULL)
        origins_encode(image->copy, image->origins);
    origins_free(image->copy);
    image->copy = NULL;
}

uint64_t image_index(const struct image *image)
{
    return kv_image_view(image->keys)->index;
}

uint64_t image_cluster_ms(const struct image *image)
{
    return kv_image_view(image->keys)->cluster_ms;
}

const uint8_t *image_digest(const struct image *image)
{
    return image->digest;
}

static void object_head(uint8_t p[OBJECT_HEAD_BYTES], const struct kv_object *o)
{
    put_u64(p, o->create_revision);
    put_u64(p + 8, o->modify_revision);
    put_u64(p + 16, kv_expiry_ms(o));
    put_u64(p + 24, kv_holder(o));
    put_u32(p + 32, o->value_len);
    put_u16(p + 36, o->key_len);
    put_u16(p + 38, 0);
}

/* The object that comes next, `o`, unless it is not for images: those are the last ones. */
static void step_to(struct image *image, const struct kv_object *o)
{
    bool in = image->section != SECTION_CLAIMS || o == NULL ||
              holders_in_image(kv_key(o), o->key_len);
    image->object = in ? o : NULL;
    image->object_at = 0;
}

static void begin_section(struct image *image, uint16_t section, const struct kv_image *objects)
{
    const struct kv_range all = {0};
    image->section = section;
    step_to(image, kv_first(kv_image_view(objects), &all, &image->cursor));
}

/* Puts what comes next of the present object, as much as fits; a head is not cut. Returns how much. */
static size_t put_object(struct image *image, uint8_t *to, size_t room)
{
    const struct kv_object *o = image->object;
    size_t head = image->object_at == 0 ? OBJECT_HEAD_BYTES : 0;
    if (room <= head)
        return 0;
    if (head > 0)
        object_head(to, o);
    size_t body = (size_t)o->key_len + o->value_len;
    size_t n = (size_t)min_u64(body - image->object_at, room - head);
    memcpy(to + head, kv_key(o) + image->object_at, n);
    image->object_at += n;
    if (image->object_at == body)
        step_to(image, kv_next(&image->cursor));
    return head + n;
}

/* Puts what comes next of the rows of tokens. Returns how many bytes. */
static size_t put_outcomes(struct image *image, uint8_t *to, size_t room)
{
    size_t n = outcomes_encode(&kv_image_view(image->keys)->outcomes, image->outcome, to, room);
    image->outcome += n;
    return n * OUTCOME_BYTES;
}

int image_next(struct image *image, uint16_t *section, const uint8_t **bytes, size_t *len)
{
    size_t left = image->origins_len - image->origins_at;
    *bytes = image->chunk;
    encode(image);
    if (left > 0) {
        *section = SECTION_ORIGINS;
        *bytes = image->origins + image->origins_at;
        *len = (size_t)min_u64(left, IMAGE_CHUNK_MAX_BYTES);
        image->origins_at += *len;
        return 1;
    }
    if (image->section == 0)
        begin_section(image, SECTION_KEYS, image->keys);
    if (image->section == SECTION_KEYS && image->object == NULL)
        image->section = SECTION_OUTCOMES;
    *section = image->section;
    *len = 0;
    if (image->section == SECTION_OUTCOMES) {
        *len = put_outcomes(image, image->chunk, sizeof image->chunk);
        if (*len > 0)
            return 1;
        begin_section(image, SECTION_CLAIMS, image->claims);
        *section = image->section;
    }
    for (size_t n = 1; image->object != NULL && n > 0; *len += n)
        n = put_object(image, image->chunk + *len, sizeof image->chunk - *len);
    return *len > 0;
}

/* ---- to a state -------------------------------------------------------------------------- */

struct image_load {
    struct state_parts parts;
    uint64_t held;             /* keys that go with a holder, and whose claim has not come yet */
    uint16_t section, key_len; /* present section; length of its last key */
    uint8_t key[HOLDERS_ROW_MAX_BYTES];
    size_t have;                    /* bytes of the section, or of an object, in buf */
    uint8_t buf[ORIGINS_BYTES_MAX]; /* what is not used is never touched: it costs nothing */
};

struct image_load *image_load_new(void)
{
    struct image_load *l = malloc(sizeof *l);
    if (l == NULL)
        return NULL;
    l->parts = (struct state_parts){
        .keys = kv_new(), .claims = kv_new(), .outcomes = outcomes_new()};
    l->held = 0;
    l->section = l->key_len = 0;
    l->have = 0;
    if (l->parts.keys != NULL && l->parts.claims != NULL && l->parts.outcomes != NULL)
        return l;
    image_load_free(l);
    return NULL;
}

void image_load_free(struct image_load *l)
{
    if (l == NULL)
        return;
    kv_free(l->parts.keys);
    kv_free(l->parts.claims);
    origins_free(l->parts.origins);
    outcomes_free(l->parts.outcomes);
    free(l);
}

/* Bytes of the object that begins in buf, as far as is known from what is there; 0: it is none. */
static size_t object_size(const struct image_load *l)
{
    if (l->have < OBJECT_HEAD_BYTES)
        return OBJECT_HEAD_BYTES;
    uint64_t create = get_u64(l->buf), modify = get_u64(l->buf + 8);
    uint32_t value_len = get_u32(l->buf + 32);
    uint16_t key_len = get_u16(l->buf + 36);
    size_t key_max = l->section == SECTION_KEYS ? CMD_KEY_MAX_BYTES : sizeof l->key;
    bool ok = create >= 1 && modify >= create && key_len >= 1 && key_len <= key_max &&
              value_len <= CMD_VALUE_MAX_BYTES && get_u16(l->buf + 38) == 0;
    return ok ? OBJECT_HEAD_BYTES + (size_t)key_len + value_len : 0;
}

static int load_key(struct image_load *l, const struct kv_content *o)
{
    if (o->holder > UINT16_MAX)
        return -EBADMSG;
    l->held += o->holder != 0;
    return kv_put(l->parts.keys, o) == KV_DONE ? 0 : -ENOMEM;
}

static int load_claim(struct image_load *l, const struct kv_content *o)
{
    struct claim c;
    int rc = holders_load(l->parts.claims, o, &c);
    if (rc != 0 || c.kind != CLAIM_KEY)
        return rc;
    const struct kv_object *key = kv_find(l->parts.keys, c.name, c.name_len);
    if (key == NULL || kv_holder(key) != c.holder.origin)
        return -EBADMSG;
    l->held--;
    return 0;
}

static int load_object(struct image_load *l)
{
    const uint8_t *key = l->buf + OBJECT_HEAD_BYTES;
    const struct kv_content c = {
        .key = key,
        .key_len = get_u16(l->buf + 36),
        .value = key + get_u16(l->buf + 36),
        .value_len = get_u32(l->buf + 32),
        .create_revision = get_u64(l->buf),
        .modify_revision = get_u64(l->buf + 8),
        .expiry_ms = get_u64(l->buf + 16),
        .holder = get_u64(l->buf + 24),
    };
    if (tree_compare(key, c.key_len, l->key, l->key_len) <= 0)
        return -EBADMSG;
    memcpy(l->key, key, c.key_len);
    l->key_len = c.key_len;
    l->have = 0;
    return l->section == SECTION_KEYS ? load_key(l, &c) : load_claim(l, &c);
}

static int load_objects(struct image_load *l, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        size_t size = object_size(l);
        if (size == 0)
            return -EBADMSG;
        size_t n = (size_t)min_u64(size - l->have, len);
        memcpy(l->buf + l->have, bytes, n);
        l->have += n;
        bytes += n;
        len -= n;
        if (l->have == size && size > OBJECT_HEAD_BYTES) {
            int rc = load_object(l);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

static int load_origins(struct image_load *l)
{
    bool bad;
    l->parts.origins = origins_decode(l->buf, l->have, &bad);
    l->have = 0;
    if (l->parts.origins == NULL)
        return bad ? -EBADMSG : -ENOMEM;
    return 0;
}

static int load_outcomes(struct image_load *l, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        size_t n = (size_t)min_u64(OUTCOME_BYTES - l->have, len);
        memcpy(l->buf + l->have, bytes, n);
        l->have += n;
        bytes += n;
        len -= n;
        bool bad;
        if (l->have < OUTCOME_BYTES)
            return 0;
        if (!outcomes_decode(l->parts.outcomes, l->buf, &bad))
            return bad ? -EBADMSG : -ENOMEM;
        l->have = 0;
    }
    return 0;
}

/* There is no more of the present section. */
static int end_section(struct image_load *l)
{
    if (l->section == SECTION_ORIGINS)
        return load_origins(l);
    return l->have == 0 ? 0 : -EBADMSG; /* an object or a row is cut */
}

int image_load_chunk(struct image_load *l, uint16_t section, const uint8_t *bytes, size_t len)
{
    if (section < l->section)
        return -EBADMSG;
    if (section > l->section) {
        int rc = end_section(l);
        if (rc != 0)
            return rc;
        l->section = section;
        l->key_len = 0;
    }
    switch (section) {
    case SECTION_ORIGINS:
        if (len > sizeof l->buf - l->have)
            return -EBADMSG;
        memcpy(l->buf + l->have, bytes, len);
        l->have += len;
        return 0;
    case SECTION_OUTCOMES: return load_outcomes(l, bytes, len);
    case SECTION_KEYS:
    case SECTION_CLAIMS: return load_objects(l, bytes, len);
    default: return (section & IMAGE_OPTIONAL) != 0 ? 0 : -ENOTSUP;
    }
}

int image_load_done(struct image_load *l, const uint8_t digest[IMAGE_DIGEST_BYTES])
{
    uint8_t got[IMAGE_DIGEST_BYTES];
    int rc = end_section(l);
    if (rc != 0)
        return rc;
    if (l->parts.origins == NULL || l->held != 0)
        return -EBADMSG;
    image_digest_of(&l->parts, got);
    return memcmp(got, digest, sizeof got) == 0 ? 0 : -EBADMSG;
}

struct state_parts image_load_take(struct image_load *l)
{
    struct state_parts parts = l->parts;
    free(l);
    return parts;
}
