#include "net/wire.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/num.h"

enum {
    /* Offsets in the preamble. */
    AT_TERM = 0,
    AT_TS = 8,
    AT_TS_ECHO = 12,
    AT_HOLD = 16,
    AT_TX_CNT = 18,
    AT_BITS = 20,
    AT_LOSS = 21,
    AT_ZERO = 22,

    BIT_ECHO = 1,
    BIT_WAITED = 2,
    BIT_AWAITS = 4,
    RANGE_BYTES = 8,
    ROW_ID_BYTES = 2,
    DIGEST_ROW_BYTES = ROW_ID_BYTES + WIRE_DIGEST_BYTES,
    SETTING_BYTES = 8,
};

/* Every frame: what it is in a struct wire_frame, and its parts: the integers of the body in order, and
 * flags, each with its place in its struct. All reading, writing and every length follows from this
 * table; only what stands behind the integers has code of its own. */
struct layout {
    uint8_t type;       /* enum wire_type */
    uint8_t kind;       /* enum wire_frame_kind */
    uint8_t what;       /* of a message: enum raft_msg_type */
    uint16_t parts[24]; /* 0 = no more */
};

enum { PART_OFFSET = 0xFFF, PART_BYTES_SHIFT = 12 }; /* 0 bytes: a flag, which is the next bit */

#define FLAG(type, member) (uint16_t) offsetof(type, member)
#define PART(type, member)                                                                         \
    (uint16_t)(offsetof(type, member) | sizeof(((type *)NULL)->member) << PART_BYTES_SHIFT)
#define ZERO(bytes)       (uint16_t)(PART_OFFSET | (bytes) << PART_BYTES_SHIFT)
#define MSG(member)       PART(struct raft_msg, member)
#define MSG_FLAG(member)  FLAG(struct raft_msg, member)
#define SACK(member)      PART(struct wire_sack, member)
#define OFFER(member)     PART(struct wire_offer, member)
#define DATA(member)      PART(struct wire_data, member)
#define DATA_FLAG(member) FLAG(struct wire_data, member)
#define LINKS(member)     PART(struct wire_links, member)
#define DIGESTS(member)   PART(struct wire_digests, member)
#define VITALS(member)    PART(struct wire_vitals, member)
#define CHANGED(member)   PART(struct wire_changed, member)
#define LEASE(member)     PART(struct wire_lease, member)
#define FRAME(type, kind, what, ...)                                                               \
    WIRE_##type, WIRE_FRAME_##kind, what,                                                          \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static const struct layout LAYOUTS[] = {
    {FRAME(LEAD, MSG, RAFT_MSG_LEAD, MSG(lead.round), MSG(lead.commit), MSG(lead.cluster_ms),
           MSG(lead.epoch), MSG_FLAG(lead.ack_now), MSG_FLAG(lead.no_room), MSG_FLAG(lead.quiet))},
    {FRAME(ACK, MSG, RAFT_MSG_ACK, MSG(ack.round), MSG(ack.durable), MSG(ack.epoch), MSG(ack.boot),
           MSG_FLAG(ack.need_probe), MSG_FLAG(ack.unfit), MSG_FLAG(ack.damaged))},
    {FRAME(PROBE, MSG, RAFT_MSG_PROBE, MSG(probe.prev_index), MSG(probe.prev_term),
           MSG(probe.acked_index), MSG(probe.acked_term), MSG(probe.probe),
           MSG(probe.damaged_boot))},
    {FRAME(PROBE_ACK, MSG, RAFT_MSG_PROBE_ACK, MSG(probe_ack.prev_index), MSG(probe_ack.hint_index),
           MSG(probe_ack.hint_term), MSG(probe_ack.probe), MSG(probe_ack.boot),
           MSG_FLAG(probe_ack.match), MSG_FLAG(probe_ack.damaged))},
    {FRAME(SACK, SACK, 0, SACK(stream), SACK(n), SACK(spurious), SACK(id), SACK(contig), SACK(rwnd),
           FLAG(struct wire_sack, shut), FLAG(struct wire_sack, log_full))},
    {FRAME(OFFER, OFFER, 0, OFFER(index), OFFER(term), OFFER(size), OFFER(id))},
    {FRAME(DATA, DATA, 0, DATA(off), DATA(id), DATA(stream), ZERO(3), DATA_FLAG(again))},
    {FRAME(VOTE_REQ, MSG, RAFT_MSG_VOTE_REQ, MSG(vote_req.campaign), MSG(vote_req.vote_term),
           MSG(vote_req.last_index), MSG(vote_req.last_term), MSG_FLAG(vote_req.pre),
           MSG_FLAG(vote_req.handed))},
    {FRAME(VOTE_RSP, MSG, RAFT_MSG_VOTE_RSP, MSG(vote_rsp.campaign), MSG(vote_rsp.vote_term),
           MSG(vote_rsp.removed), MSG_FLAG(vote_rsp.pre), MSG_FLAG(vote_rsp.granted))},
    {FRAME(PING, MSG, RAFT_MSG_PING, 0)},
    {FRAME(LINKS, LINKS, 0, LINKS(rows), LINKS(cols), LINKS(members))},
    {FRAME(SETTINGS, SETTINGS, 0, 0)},
    {FRAME(DIGESTS, DIGESTS, 0, DIGESTS(index), DIGESTS(n), ZERO(3),
           FLAG(struct wire_digests, ask))},
    {FRAME(TIMEOUT_NOW, MSG, RAFT_MSG_TIMEOUT_NOW, MSG(timeout_now.round),
           MSG(timeout_now.last_index))},
    {FRAME(TRANSFER, MSG, RAFT_MSG_TRANSFER, MSG(transfer.heir), ZERO(2))},
    {FRAME(VITALS, VITALS, 0, VITALS(match_index), VITALS(lag_bytes), VITALS(lag_most_bytes),
           VITALS(applied_index), VITALS(log_bytes), VITALS(data_bytes), VITALS(keys),
           VITALS(snapshot_index), VITALS(snapshot_age_s), VITALS(age), VITALS(heard),
           VITALS(version), VITALS(fsync_p99_us), VITALS(uptime_s), VITALS(rate), VITALS(rtt_us),
           VITALS(id), VITALS(loss_in), VITALS(loss_out), VITALS(session), VITALS(health),
           FLAG(struct wire_vitals, drained))},
    {FRAME(CHANGE, CHANGE, 0, PART(struct wire_change, number))},
    {FRAME(CHANGED, CHANGED, 0, CHANGED(number), CHANGED(index), CHANGED(term), CHANGED(verdict),
           ZERO(3))},
    {FRAME(LEASE, LEASE, 0, LEASE(process), LEASE(stamp), LEASE(index),
           FLAG(struct wire_lease, renewed))},
    {FRAME(READ_REQ, MSG, RAFT_MSG_READ_REQ, MSG(read_req.req))},
    {FRAME(READ_RSP, MSG, RAFT_MSG_READ_RSP, MSG(read_rsp.req), MSG(read_rsp.index))},
};

_Static_assert(sizeof(struct wire_links) < PART_OFFSET && sizeof(struct wire_sack) < PART_OFFSET &&
                   sizeof(struct raft_msg) < PART_OFFSET,
               "offsets of all parts");

enum { LAYOUT_COUNT = sizeof LAYOUTS / sizeof LAYOUTS[0] };

/* One frame as bytes; the body is within the datagram. */
struct raw_frame {
    const struct layout *layout; /* NULL: a type that is not known here */
    uint8_t flags;
    size_t len;
    const uint8_t *body;
    const uint8_t *rest; /* of the body, behind its fixed part */
    size_t rest_len;
};

static size_t padded(size_t n)
{
    return (n + 3) & ~(size_t)3;
}

static const struct layout *layout_of_type(uint8_t type)
{
    for (size_t i = 0; i < LAYOUT_COUNT; i++)
        if (LAYOUTS[i].type == type)
            return &LAYOUTS[i];
    return NULL;
}

static const struct layout *layout_of(enum wire_frame_kind kind, unsigned what)
{
    for (size_t i = 0; i < LAYOUT_COUNT; i++)
        if (LAYOUTS[i].kind == kind && LAYOUTS[i].what == what)
            return &LAYOUTS[i];
    assert(false && "a frame that can be sent");
    return NULL;
}

static size_t fixed_bytes(const struct layout *l)
{
    size_t n = 0;
    for (const uint16_t *p = l->parts; *p != 0; p++)
        n += *p >> PART_BYTES_SHIFT;
    return n;
}

size_t wire_frame_bytes(enum wire_type type)
{
    return WIRE_FRAME_BYTES + fixed_bytes(layout_of_type((uint8_t)type));
}

/* Reading. */

static void get_header(const uint8_t *buf, struct wire_header *h)
{
    h->term = get_u64(buf + AT_TERM);
    h->ts = get_u32(buf + AT_TS);
    h->ts_echo = get_u32(buf + AT_TS_ECHO);
    h->hold = get_u16(buf + AT_HOLD);
    h->tx_cnt = get_u16(buf + AT_TX_CNT);
    h->loss = buf[AT_LOSS];
    h->echo = (buf[AT_BITS] & BIT_ECHO) != 0;
    h->waited = (buf[AT_BITS] & BIT_WAITED) != 0;
    h->awaits = (buf[AT_BITS] & BIT_AWAITS) != 0;
}

/* Do as many ranges, or rows, stand behind the fixed part as it says? */
static bool adds_up(const struct raw_frame *f)
{
    if (f->layout->kind == WIRE_FRAME_SACK) {
        size_t n = f->body[1];
        return n <= WIRE_SACK_RANGES && f->rest_len >= n * RANGE_BYTES;
    }
    if (f->layout->kind == WIRE_FRAME_LINKS) {
        size_t rows = f->body[0], cols = f->body[1];
        return rows <= RAFT_MEMBERS_MAX && cols <= RAFT_MEMBERS_MAX &&
               f->rest_len >= rows * (ROW_ID_BYTES + cols);
    }
    if (f->layout->kind == WIRE_FRAME_DIGESTS) {
        size_t n = f->body[8];
        return n <= WIRE_DIGESTS_MAX && f->rest_len >= n * DIGEST_ROW_BYTES;
    }
    return f->layout->kind != WIRE_FRAME_OFFER || f->rest_len >= WIRE_HASH_BYTES;
}

/* The only place where lengths off the wire are believed or not. *pos is moved behind the frame. */
static bool get_frame(const uint8_t *buf, size_t len, size_t *pos, struct raw_frame *f)
{
    size_t left = len - *pos;
    if (left < WIRE_FRAME_BYTES)
        return false;
    const uint8_t *head = buf + *pos;
    f->layout = layout_of_type(head[0]);
    f->flags = head[1];
    f->len = get_u16(head + 2);
    f->body = head + WIRE_FRAME_BYTES;
    if (padded(f->len) > left - WIRE_FRAME_BYTES)
        return false;
    *pos += WIRE_FRAME_BYTES + padded(f->len);
    if (f->layout == NULL)
        return (head[0] & WIRE_CRITICAL) == 0;
    size_t fixed = fixed_bytes(f->layout);
    if (f->len < fixed)
        return false;
    f->rest = f->body + fixed;
    f->rest_len = f->len - fixed;
    return adds_up(f);
}

bool wire_check(const uint8_t *buf, size_t len, struct wire_header *h)
{
    if (len < WIRE_PREAMBLE_BYTES)
        return false;
    struct raw_frame f;
    for (size_t pos = WIRE_PREAMBLE_BYTES; pos < len;)
        if (!get_frame(buf, len, &pos, &f))
            return false;
    get_header(buf, h);
    return true;
}

/* The fixed part of a body, and the flags, go into the struct at `to`. */
static void get_parts(const struct raw_frame *f, uint8_t *to)
{
    const uint8_t *b = f->body;
    unsigned flags = f->flags;
    for (const uint16_t *p = f->layout->parts; *p != 0; p++) {
        unsigned bytes = *p >> PART_BYTES_SHIFT, offset = *p & PART_OFFSET;
        uint8_t *at = to + offset;
        if (bytes == 0) {
            *(bool *)at = flags & 1;
            flags >>= 1;
        } else if (offset != PART_OFFSET) {
            switch (bytes) {
            case 1: *at = *b; break;
            case 2: *(uint16_t *)(void *)at = get_u16(b); break;
            case 4: *(uint32_t *)(void *)at = get_u32(b); break;
            case 8: *(uint64_t *)(void *)at = get_u64(b); break;
            }
        }
        b += bytes;
    }
}

static void get_ranges(const struct raw_frame *f, struct wire_sack *s)
{
    const uint8_t *b = f->rest;
    for (unsigned i = 0; i < s->n; i++, b += RANGE_BYTES)
        s->ranges[i] = (struct wire_range){get_u32(b), get_u32(b + 4)};
}

static void get_settings(const struct raw_frame *f, struct wire_settings *s)
{
    for (; s->n < WIRE_SETTING_COUNT && s->n < f->rest_len / SETTING_BYTES; s->n++)
        s->value[s->n] = get_u64(f->rest + (size_t)s->n * SETTING_BYTES);
}

static void get_rows(const struct raw_frame *f, struct wire_links *l)
{
    const uint8_t *b = f->rest;
    for (unsigned i = 0; i < l->rows; i++, b += ROW_ID_BYTES + l->cols) {
        l->id[i] = get_u16(b);
        memcpy(l->heard[i], b + ROW_ID_BYTES, l->cols);
    }
    if (f->rest_len - (size_t)(b - f->rest) >= l->rows)
        memcpy(l->age, b, l->rows);
}

static void get_digests(const struct raw_frame *f, struct wire_digests *d)
{
    const uint8_t *b = f->rest;
    for (unsigned i = 0; i < d->n; i++, b += DIGEST_ROW_BYTES) {
        d->id[i] = get_u16(b);
        memcpy(d->digest[i], b + ROW_ID_BYTES, WIRE_DIGEST_BYTES);
    }
}

void wire_read(struct wire_reader *r, const uint8_t *buf, size_t len, uint16_t from, uint16_t to)
{
    assert(len >= WIRE_PREAMBLE_BYTES);
    *r = (struct wire_reader){.buf = buf,
                              .len = len,
                              .pos = WIRE_PREAMBLE_BYTES,
                              .term = get_u64(buf + AT_TERM),
                              .from = from,
                              .to = to};
}

static void get_body(const struct wire_reader *r, const struct raw_frame *raw, struct wire_frame *f)
{
    memset(f, 0, sizeof *f);
    f->kind = (enum wire_frame_kind)raw->layout->kind;
    get_parts(raw, (uint8_t *)&f->msg); /* where all members of the union begin */
    switch (f->kind) {
    case WIRE_FRAME_MSG:
        f->msg.type = (enum raft_msg_type)raw->layout->what;
        f->msg.from = r->from;
        f->msg.to = r->to;
        f->msg.term = r->term;
        break;
    case WIRE_FRAME_SACK: get_ranges(raw, &f->sack); break;
    case WIRE_FRAME_OFFER: memcpy(f->offer.hash, raw->rest, sizeof f->offer.hash); break;
    case WIRE_FRAME_DATA:
        f->data.bytes = raw->rest;
        f->data.len = raw->rest_len;
        break;
    case WIRE_FRAME_LINKS: get_rows(raw, &f->links); break;
    case WIRE_FRAME_SETTINGS: get_settings(raw, &f->settings); break;
    case WIRE_FRAME_DIGESTS: get_digests(raw, &f->digests); break;
    case WIRE_FRAME_CHANGE:
        f->change.bytes = raw->rest;
        f->change.len = raw->rest_len;
        break;
    case WIRE_FRAME_VITALS:
    case WIRE_FRAME_CHANGED:
    case WIRE_FRAME_LEASE: break;
    }
}

bool wire_next(struct wire_reader *r, struct wire_frame *f)
{
    while (r->pos < r->len) {
        struct raw_frame raw;
        bool whole = get_frame(r->buf, r->len, &r->pos, &raw);
        assert(whole); /* wire_check() saw the same bytes */
        if (raw.layout == NULL)
            continue;
        get_body(r, &raw, f);
        return true;
    }
    return false;
}

/* Writing. */

void wire_begin(struct wire_writer *w, uint8_t *buf, size_t cap, uint64_t term)
{
    assert(cap >= WIRE_PREAMBLE_BYTES && cap <= WIRE_DATAGRAM_MAX);
    *w = (struct wire_writer){
        .buf = buf, .cap = cap & ~(size_t)3, .len = WIRE_PREAMBLE_BYTES, .term = term};
}

/* Writes the fixed part of a body from the struct at `from`. Returns the flags. */
static unsigned put_parts(const struct layout *l, const uint8_t *from, uint8_t *b)
{
    unsigned flags = 0, flag = 1;
    for (const uint16_t *p = l->parts; *p != 0; p++) {
        unsigned bytes = *p >> PART_BYTES_SHIFT, offset = *p & PART_OFFSET;
        const uint8_t *at = from + offset;
        if (bytes == 0) {
            flags |= *(const bool *)at ? flag : 0;
            flag <<= 1;
        } else if (offset == PART_OFFSET) {
            memset(b, 0, bytes);
        } else {
            switch (bytes) {
            case 1: *b = *at; break;
            case 2: put_u16(b, *(const uint16_t *)(const void *)at); break;
            case 4: put_u32(b, *(const uint32_t *)(const void *)at); break;
            case 8: put_u64(b, *(const uint64_t *)(const void *)at); break;
            }
        }
        b += bytes;
    }
    return flags;
}

/* Adds a frame, whose fixed part comes from the struct `from`. Returns where the caller has to write the
 * rest of the body, rest_len bytes; NULL if the whole frame does not fit. */
static uint8_t *put_frame(struct wire_writer *w, const struct layout *l, const void *from,
                          size_t rest_len)
{
    size_t fixed = fixed_bytes(l), len = fixed + rest_len;
    if (w->cap - w->len < WIRE_FRAME_BYTES + padded(len))
        return NULL;
    uint8_t *head = w->buf + w->len, *body = head + WIRE_FRAME_BYTES;
    head[0] = l->type;
    head[1] = (uint8_t)put_parts(l, from, body);
    put_u16(head + 2, (uint16_t)len);
    memset(body + len, 0, padded(len) - len);
    w->len += WIRE_FRAME_BYTES + padded(len);
    return body + fixed;
}

bool wire_put_msg(struct wire_writer *w, const struct raft_msg *m)
{
    return m->term == w->term && put_frame(w, layout_of(WIRE_FRAME_MSG, m->type), m, 0) != NULL;
}

bool wire_put_sack(struct wire_writer *w, const struct wire_sack *s)
{
    assert(s->n <= WIRE_SACK_RANGES);
    uint8_t *b = put_frame(w, layout_of(WIRE_FRAME_SACK, 0), s, (size_t)s->n * RANGE_BYTES);
    if (b == NULL)
        return false;
    for (unsigned i = 0; i < s->n; i++, b += RANGE_BYTES) {
        put_u32(b, s->ranges[i].start);
        put_u32(b + 4, s->ranges[i].len);
    }
    return true;
}

bool wire_put_offer(struct wire_writer *w, const struct wire_offer *o)
{
    uint8_t *b = put_frame(w, layout_of(WIRE_FRAME_OFFER, 0), o, sizeof o->hash);
    if (b != NULL)
        memcpy(b, o->hash, sizeof o->hash);
    return b != NULL;
}

bool wire_put_links(struct wire_writer *w, const struct wire_links *l)
{
    assert(l->rows <= RAFT_MEMBERS_MAX && l->cols <= RAFT_MEMBERS_MAX);
    size_t row = ROW_ID_BYTES + (size_t)l->cols, ages = 0;
    for (unsigned i = 0; i < l->rows; i++)
        ages = l->age[i] != 0 ? l->rows : ages;
    uint8_t *b = put_frame(w, layout_of(WIRE_FRAME_LINKS, 0), l, l->rows * row + ages);
    if (b == NULL)
        return false;
    for (unsigned i = 0; i < l->rows; i++, b += row) {
        put_u16(b, l->id[i]);
        memcpy(b + ROW_ID_BYTES, l->heard[i], l->cols);
    }
    memcpy(b, l->age, ages);
    return true;
}

bool wire_put_settings(struct wire_writer *w, const struct wire_settings *s)
{
    assert(s->n <= WIRE_SETTING_COUNT);
    uint8_t *b = put_frame(w, layout_of(WIRE_FRAME_SETTINGS, 0), s, (size_t)s->n * SETTING_BYTES);
    if (b == NULL)
        return false;
    for (unsigned i = 0; i < s->n; i++)
        put_u64(b + (size_t)i * SETTING_BYTES, s->value[i]);
    return true;
}

bool wire_put_digests(struct wire_writer *w, const struct wire_digests *d)
{
    assert(d->n <= WIRE_DIGESTS_MAX);
    uint8_t *b = put_frame(w, layout_of(WIRE_FRAME_DIGESTS, 0), d, d->n * (size_t)DIGEST_ROW_BYTES);
    if (b == NULL)
        return false;
    for (unsigned i = 0; i < d->n; i++, b += DIGEST_ROW_BYTES) {
        put_u16(b, d->id[i]);
        memcpy(b + ROW_ID_BYTES, d->digest[i], WIRE_DIGEST_BYTES);
    }
    return true;
}

bool wire_put_vitals(struct wire_writer *w, const struct wire_vitals *v)
{
    return put_frame(w, layout_of(WIRE_FRAME_VITALS, 0), v, 0) != NULL;
}

bool wire_put_change(struct wire_writer *w, const struct wire_change *c)
{
    uint8_t *b = put_frame(w, layout_of(WIRE_FRAME_CHANGE, 0), c, c->len);
    if (b != NULL)
        memcpy(b, c->bytes, c->len);
    return b != NULL;
}

bool wire_put_changed(struct wire_writer *w, const struct wire_changed *c)
{
    return put_frame(w, layout_of(WIRE_FRAME_CHANGED, 0), c, 0) != NULL;
}

bool wire_put_lease(struct wire_writer *w, const struct wire_lease *l)
{
    return put_frame(w, layout_of(WIRE_FRAME_LEASE, 0), l, 0) != NULL;
}

const char *wire_setting_name(enum wire_setting setting)
{
    static const char *const names[WIRE_SETTING_COUNT] = {
        [WIRE_MAX_VALUE_BYTES] = "max_value_bytes",
        [WIRE_ELECTION_TIMEOUT_MS] = "election_timeout_ms",
        [WIRE_MAX_DATA_BYTES] = "max_data_bytes",
        [WIRE_LEASE_MS] = "lease_ms",
    };
    return names[setting];
}

size_t wire_room(const struct wire_writer *w)
{
    size_t head = wire_frame_bytes(WIRE_DATA), left = w->cap - w->len;
    return left > head ? left - head : 0;
}

size_t wire_put_data(struct wire_writer *w, const struct wire_data *d)
{
    size_t room = wire_room(w), n = (size_t)min_u64(d->len, room);
    if (n == 0)
        return 0;
    uint8_t *b = put_frame(w, layout_of(WIRE_FRAME_DATA, 0), d, n);
    assert(b); /* room is a multiple of 4 as all frames are padded, and all fixed parts are */
    memcpy(b, d->bytes, n);
    return n;
}

bool wire_empty(const struct wire_writer *w)
{
    return w->len == WIRE_PREAMBLE_BYTES;
}

size_t wire_end(struct wire_writer *w, const struct wire_header *h)
{
    assert(h->term == w->term);
    uint8_t *b = w->buf;
    put_u64(b + AT_TERM, h->term);
    put_u32(b + AT_TS, h->ts);
    put_u32(b + AT_TS_ECHO, h->ts_echo);
    put_u16(b + AT_HOLD, h->hold);
    put_u16(b + AT_TX_CNT, h->tx_cnt);
    b[AT_BITS] = (uint8_t)((h->echo ? BIT_ECHO : 0) | (h->waited ? BIT_WAITED : 0) |
                           (h->awaits ? BIT_AWAITS : 0));
    b[AT_LOSS] = h->loss;
    put_u16(b + AT_ZERO, 0);
    return w->len;
}

/* First 8 bytes of the hash of `bytes`, under a key that tells what is hashed. */
static uint64_t short_hash(const uint8_t key[16], const void *bytes, size_t len)
{
    uint8_t hash[crypto_generichash_BYTES];
    int failed = crypto_generichash(hash, sizeof hash, bytes, len, key, 16);
    assert(!failed);
    (void)failed;
    return get_u64(hash);
}

uint64_t wire_cluster_id(const char *name)
{
    static const uint8_t key[16] = {'r', 'a', 'f', 't', 'd', ' ', 'c', 'l',
                                    'u', 's', 't', 'e', 'r', ' ', 'i', 'd'};
    return short_hash(key, name, strlen(name));
}

uint64_t wire_voters_digest(const uint16_t *ids, unsigned n)
{
    static const uint8_t key[16] = {'r', 'a', 'f', 't', 'd', ' ', 'v', 'o',
                                    't', 'e', 'r', 's', ' ', 'i', 'd', 's'};
    uint8_t bytes[RAFT_MEMBERS_MAX * 2];
    assert(n <= RAFT_MEMBERS_MAX);
    for (unsigned i = 0; i < n; i++) {
        assert(i == 0 || ids[i - 1] < ids[i]);
        put_u16(bytes + 2 * (size_t)i, ids[i]);
    }
    return short_hash(key, bytes, 2 * (size_t)n);
}
