#include "net/wire.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "raftd/base/bytes.h"

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

    LINKS_ID_BYTES = 2,
    BIT_ECHO = 1,
    BIT_WAITED = 2,
    FLAG_1 = 1,
    FLAG_2 = 2,
};

/* One frame as bytes; the body is within the datagram. */
struct raw_frame {
    uint8_t type;
    uint8_t flags;
    size_t len;
    const uint8_t *body;
};

static size_t padded(size_t n)
{
    return (n + 3) & ~(size_t)3;
}

/* Length of the fixed part of a body, -1 for types that are not known here. */
static int fixed_bytes(uint8_t type)
{
    switch (type) {
    case WIRE_PING: return WIRE_PING_BYTES;
    case WIRE_LINKS: return WIRE_LINKS_BYTES;
    case WIRE_SETTINGS: return WIRE_SETTINGS_BYTES;
    case WIRE_LEAD: return WIRE_LEAD_BYTES;
    case WIRE_ACK: return WIRE_ACK_BYTES;
    case WIRE_PROBE: return WIRE_PROBE_BYTES;
    case WIRE_PROBE_ACK: return WIRE_PROBE_ACK_BYTES;
    case WIRE_SACK: return WIRE_SACK_BYTES;
    case WIRE_LOG: return WIRE_LOG_BYTES;
    case WIRE_RELAY: return WIRE_RELAY_BYTES;
    case WIRE_VOTE_REQ: return WIRE_VOTE_REQ_BYTES;
    case WIRE_VOTE_RSP: return WIRE_VOTE_RSP_BYTES;
    case WIRE_READ_REQ: return WIRE_READ_REQ_BYTES;
    case WIRE_READ_RSP: return WIRE_READ_RSP_BYTES;
    default: return -1;
    }
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
}

/* The only place where lengths off the wire are believed or not. *pos is moved behind the frame. */
static enum wire_status get_frame(const uint8_t *buf, size_t len, size_t *pos, struct raw_frame *f)
{
    size_t left = len - *pos;
    if (left < WIRE_FRAME_BYTES)
        return WIRE_MALFORMED;
    const uint8_t *head = buf + *pos;
    f->type = head[0];
    f->flags = head[1];
    f->len = get_u16(head + 2);
    f->body = head + WIRE_FRAME_BYTES;
    if (padded(f->len) > left - WIRE_FRAME_BYTES)
        return WIRE_MALFORMED;
    *pos += WIRE_FRAME_BYTES + padded(f->len);

    int fixed = fixed_bytes(f->type);
    if (fixed < 0)
        return f->type & WIRE_CRITICAL ? WIRE_UNKNOWN_CRITICAL : WIRE_OK;
    if (f->len < (size_t)fixed)
        return WIRE_MALFORMED;
    if (f->type == WIRE_SACK) {
        unsigned n = f->body[1];
        if (n > WIRE_SACK_RANGES || f->len - WIRE_SACK_BYTES < n * WIRE_SACK_RANGE_BYTES)
            return WIRE_MALFORMED;
    }
    if (f->type == WIRE_LINKS) {
        unsigned rows = f->body[0], cols = f->body[1];
        if (rows > RAFT_VOTERS_MAX || cols > RAFT_VOTERS_MAX ||
            f->len - WIRE_LINKS_BYTES < rows * (LINKS_ID_BYTES + cols))
            return WIRE_MALFORMED;
    }
    return WIRE_OK;
}

enum wire_status wire_check(const uint8_t *buf, size_t len, struct wire_header *h)
{
    if (len < WIRE_PREAMBLE_BYTES)
        return WIRE_SHORT;
    for (size_t pos = WIRE_PREAMBLE_BYTES; pos < len;) {
        struct raw_frame f;
        enum wire_status s = get_frame(buf, len, &pos, &f);
        if (s != WIRE_OK)
            return s;
    }
    get_header(buf, h);
    return WIRE_OK;
}

static void get_sack(const struct raw_frame *f, struct wire_sack *s)
{
    const uint8_t *b = f->body;
    s->stream = b[0];
    s->n = b[1];
    s->spurious = get_u16(b + 2);
    s->id = get_u32(b + 4);
    s->contig = get_u64(b + 8);
    s->rwnd = get_u32(b + 16);
    for (unsigned i = 0; i < s->n; i++) {
        const uint8_t *p = b + WIRE_SACK_BYTES + i * WIRE_SACK_RANGE_BYTES;
        s->ranges[i] = (struct wire_range){get_u32(p), get_u32(p + 4)};
    }
}

static void get_data(const struct raw_frame *f, struct wire_data *d)
{
    const uint8_t *b = f->body;
    size_t fixed;
    if (f->type == WIRE_LOG) {
        d->stream = WIRE_STREAM_LOG;
        d->base_index = get_u64(b);
        d->base_term = get_u64(b + 8);
        d->off = get_u64(b + 16);
        d->id = get_u32(b + 24);
        fixed = WIRE_LOG_BYTES;
    } else {
        d->stream = WIRE_STREAM_RELAY;
        d->off = get_u64(b);
        d->id = get_u32(b + 8);
        fixed = WIRE_RELAY_BYTES;
    }
    d->bytes = b + fixed;
    d->len = f->len - fixed;
    d->again = (f->flags & FLAG_1) != 0;
}

static void get_settings(const struct raw_frame *f, struct wire_settings *s)
{
    size_t n = f->len / 8;
    s->n = n < WIRE_SETTING_COUNT ? (unsigned)n : WIRE_SETTING_COUNT;
    for (unsigned i = 0; i < s->n; i++)
        s->value[i] = get_u64(f->body + 8 * (size_t)i);
}

static void get_links(const struct raw_frame *f, struct wire_links *l)
{
    l->rows = f->body[0];
    l->cols = f->body[1];
    const uint8_t *b = f->body + WIRE_LINKS_BYTES;
    for (unsigned i = 0; i < l->rows; i++, b += LINKS_ID_BYTES + l->cols) {
        l->id[i] = get_u16(b);
        memcpy(l->heard[i], b + LINKS_ID_BYTES, l->cols);
    }
    if (f->len - (size_t)(b - f->body) >= l->rows)
        memcpy(l->age, b, l->rows);
}

/* False for a type that is not known here. */
static bool get_msg(const struct raw_frame *f, struct raft_msg *m)
{
    const uint8_t *b = f->body;
    bool flag_1 = (f->flags & FLAG_1) != 0;
    switch (f->type) {
    case WIRE_LEAD:
        m->type = RAFT_MSG_LEAD;
        m->lead.round = get_u64(b);
        m->lead.commit = get_u64(b + 8);
        m->lead.epoch = get_u32(b + 16);
        m->lead.ack_now = flag_1;
        return true;
    case WIRE_ACK:
        m->type = RAFT_MSG_ACK;
        m->ack.round = get_u64(b);
        m->ack.durable = get_u64(b + 8);
        m->ack.epoch = get_u32(b + 16);
        m->ack.boot = get_u32(b + 20);
        m->ack.need_probe = flag_1;
        return true;
    case WIRE_PROBE:
        m->type = RAFT_MSG_PROBE;
        m->probe.prev_index = get_u64(b);
        m->probe.prev_term = get_u64(b + 8);
        m->probe.acked_index = get_u64(b + 16);
        m->probe.acked_term = get_u64(b + 24);
        m->probe.probe = get_u32(b + 32);
        return true;
    case WIRE_PROBE_ACK:
        m->type = RAFT_MSG_PROBE_ACK;
        m->probe_ack.prev_index = get_u64(b);
        m->probe_ack.hint_index = get_u64(b + 8);
        m->probe_ack.hint_term = get_u64(b + 16);
        m->probe_ack.probe = get_u32(b + 24);
        m->probe_ack.boot = get_u32(b + 28);
        m->probe_ack.match = flag_1;
        return true;
    case WIRE_VOTE_REQ:
        m->type = RAFT_MSG_VOTE_REQ;
        m->vote_req.campaign = get_u64(b);
        m->vote_req.vote_term = get_u64(b + 8);
        m->vote_req.last_index = get_u64(b + 16);
        m->vote_req.last_term = get_u64(b + 24);
        m->vote_req.pre = flag_1;
        return true;
    case WIRE_VOTE_RSP:
        m->type = RAFT_MSG_VOTE_RSP;
        m->vote_rsp.campaign = get_u64(b);
        m->vote_rsp.vote_term = get_u64(b + 8);
        m->vote_rsp.pre = flag_1;
        m->vote_rsp.granted = (f->flags & FLAG_2) != 0;
        return true;
    case WIRE_PING: m->type = RAFT_MSG_PING; return true;
    case WIRE_READ_REQ:
        m->type = RAFT_MSG_READ_REQ;
        m->read_req.req = get_u64(b);
        return true;
    case WIRE_READ_RSP:
        m->type = RAFT_MSG_READ_RSP;
        m->read_rsp.req = get_u64(b);
        m->read_rsp.index = get_u64(b + 8);
        return true;
    default: return false;
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

/* False for a type that is not known here. */
static bool get_body(const struct wire_reader *r, const struct raw_frame *raw, struct wire_frame *f)
{
    switch (raw->type) {
    case WIRE_SACK:
        f->kind = WIRE_FRAME_SACK;
        get_sack(raw, &f->sack);
        return true;
    case WIRE_LOG:
    case WIRE_RELAY:
        f->kind = WIRE_FRAME_DATA;
        get_data(raw, &f->data);
        return true;
    case WIRE_LINKS:
        f->kind = WIRE_FRAME_LINKS;
        get_links(raw, &f->links);
        return true;
    case WIRE_SETTINGS:
        f->kind = WIRE_FRAME_SETTINGS;
        get_settings(raw, &f->settings);
        return true;
    default: break;
    }
    f->kind = WIRE_FRAME_MSG;
    f->msg.from = r->from;
    f->msg.to = r->to;
    f->msg.term = r->term;
    return get_msg(raw, &f->msg);
}

bool wire_next(struct wire_reader *r, struct wire_frame *f)
{
    while (r->pos < r->len) {
        struct raw_frame raw;
        enum wire_status s = get_frame(r->buf, r->len, &r->pos, &raw);
        assert(s == WIRE_OK); /* wire_check() saw the same bytes */
        if (s != WIRE_OK)
            return false;
        memset(f, 0, sizeof *f);
        if (get_body(r, &raw, f))
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

/* Room for a body of len bytes, its head written; NULL if it doesn't fit. */
static uint8_t *put_frame(struct wire_writer *w, uint8_t type, unsigned flags, size_t len)
{
    if (w->cap - w->len < WIRE_FRAME_BYTES + padded(len))
        return NULL;
    uint8_t *head = w->buf + w->len;
    head[0] = type;
    head[1] = (uint8_t)flags;
    put_u16(head + 2, (uint16_t)len);
    memset(head + WIRE_FRAME_BYTES + len, 0, padded(len) - len);
    w->len += WIRE_FRAME_BYTES + padded(len);
    return head + WIRE_FRAME_BYTES;
}

static uint8_t type_of(enum raft_msg_type type)
{
    switch (type) {
    case RAFT_MSG_VOTE_REQ: return WIRE_VOTE_REQ;
    case RAFT_MSG_VOTE_RSP: return WIRE_VOTE_RSP;
    case RAFT_MSG_PROBE: return WIRE_PROBE;
    case RAFT_MSG_PROBE_ACK: return WIRE_PROBE_ACK;
    case RAFT_MSG_LEAD: return WIRE_LEAD;
    case RAFT_MSG_ACK: return WIRE_ACK;
    case RAFT_MSG_PING: return WIRE_PING;
    case RAFT_MSG_READ_REQ: return WIRE_READ_REQ;
    case RAFT_MSG_READ_RSP: return WIRE_READ_RSP;
    }
    assert(false && "a message type of the core");
    return 0;
}

static unsigned flags_of(const struct raft_msg *m)
{
    switch (m->type) {
    case RAFT_MSG_LEAD: return m->lead.ack_now ? FLAG_1 : 0;
    case RAFT_MSG_ACK: return m->ack.need_probe ? FLAG_1 : 0;
    case RAFT_MSG_PROBE_ACK: return m->probe_ack.match ? FLAG_1 : 0;
    case RAFT_MSG_VOTE_REQ: return m->vote_req.pre ? FLAG_1 : 0;
    case RAFT_MSG_VOTE_RSP:
        return (m->vote_rsp.pre ? FLAG_1 : 0u) | (m->vote_rsp.granted ? FLAG_2 : 0u);
    case RAFT_MSG_PROBE:
    case RAFT_MSG_PING:
    case RAFT_MSG_READ_REQ:
    case RAFT_MSG_READ_RSP: break;
    }
    return 0;
}

bool wire_put_msg(struct wire_writer *w, const struct raft_msg *m)
{
    uint8_t type = type_of(m->type);
    if (m->term != w->term)
        return false;
    uint8_t *b = put_frame(w, type, flags_of(m), (size_t)fixed_bytes(type));
    if (!b)
        return false;
    switch (m->type) {
    case RAFT_MSG_LEAD:
        put_u64(b, m->lead.round);
        put_u64(b + 8, m->lead.commit);
        put_u32(b + 16, m->lead.epoch);
        break;
    case RAFT_MSG_ACK:
        put_u64(b, m->ack.round);
        put_u64(b + 8, m->ack.durable);
        put_u32(b + 16, m->ack.epoch);
        put_u32(b + 20, m->ack.boot);
        break;
    case RAFT_MSG_PROBE:
        put_u64(b, m->probe.prev_index);
        put_u64(b + 8, m->probe.prev_term);
        put_u64(b + 16, m->probe.acked_index);
        put_u64(b + 24, m->probe.acked_term);
        put_u32(b + 32, m->probe.probe);
        break;
    case RAFT_MSG_PROBE_ACK:
        put_u64(b, m->probe_ack.prev_index);
        put_u64(b + 8, m->probe_ack.hint_index);
        put_u64(b + 16, m->probe_ack.hint_term);
        put_u32(b + 24, m->probe_ack.probe);
        put_u32(b + 28, m->probe_ack.boot);
        break;
    case RAFT_MSG_VOTE_REQ:
        put_u64(b, m->vote_req.campaign);
        put_u64(b + 8, m->vote_req.vote_term);
        put_u64(b + 16, m->vote_req.last_index);
        put_u64(b + 24, m->vote_req.last_term);
        break;
    case RAFT_MSG_VOTE_RSP:
        put_u64(b, m->vote_rsp.campaign);
        put_u64(b + 8, m->vote_rsp.vote_term);
        break;
    case RAFT_MSG_PING: break;
    case RAFT_MSG_READ_REQ: put_u64(b, m->read_req.req); break;
    case RAFT_MSG_READ_RSP:
        put_u64(b, m->read_rsp.req);
        put_u64(b + 8, m->read_rsp.index);
        break;
    }
    return true;
}

bool wire_put_sack(struct wire_writer *w, const struct wire_sack *s)
{
    assert(s->n <= WIRE_SACK_RANGES);
    uint8_t *b = put_frame(w, WIRE_SACK, 0, WIRE_SACK_BYTES + s->n * WIRE_SACK_RANGE_BYTES);
    if (!b)
        return false;
    b[0] = s->stream;
    b[1] = (uint8_t)s->n;
    put_u16(b + 2, s->spurious);
    put_u32(b + 4, s->id);
    put_u64(b + 8, s->contig);
    put_u32(b + 16, s->rwnd);
    for (unsigned i = 0; i < s->n; i++) {
        uint8_t *p = b + WIRE_SACK_BYTES + i * WIRE_SACK_RANGE_BYTES;
        put_u32(p, s->ranges[i].start);
        put_u32(p + 4, s->ranges[i].len);
    }
    return true;
}

bool wire_put_links(struct wire_writer *w, const struct wire_links *l)
{
    assert(l->rows <= RAFT_VOTERS_MAX && l->cols <= RAFT_VOTERS_MAX);
    size_t row = LINKS_ID_BYTES + l->cols, ages = 0;
    for (unsigned i = 0; i < l->rows; i++)
        ages = l->age[i] != 0 ? l->rows : ages;
    uint8_t *b = put_frame(w, WIRE_LINKS, 0, WIRE_LINKS_BYTES + l->rows * row + ages);
    if (!b)
        return false;
    b[0] = (uint8_t)l->rows;
    b[1] = (uint8_t)l->cols;
    put_u16(b + 2, 0);
    b += WIRE_LINKS_BYTES;
    for (unsigned i = 0; i < l->rows; i++, b += row) {
        put_u16(b, l->id[i]);
        memcpy(b + LINKS_ID_BYTES, l->heard[i], l->cols);
    }
    memcpy(b, l->age, ages);
    return true;
}

bool wire_put_settings(struct wire_writer *w, const struct wire_settings *s)
{
    assert(s->n <= WIRE_SETTING_COUNT);
    uint8_t *b = put_frame(w, WIRE_SETTINGS, 0, 8 * (size_t)s->n);
    if (!b)
        return false;
    for (unsigned i = 0; i < s->n; i++)
        put_u64(b + 8 * (size_t)i, s->value[i]);
    return true;
}

const char *wire_setting_name(enum wire_setting setting)
{
    switch (setting) {
    case WIRE_MAX_VALUE_BYTES: return "max_value_bytes";
    case WIRE_ELECTION_TIMEOUT_MS: return "election_timeout_ms";
    case WIRE_MAX_DATA_BYTES: return "max_data_bytes";
    case WIRE_SETTING_COUNT: break;
    }
    return "?";
}

size_t wire_room(const struct wire_writer *w, enum wire_stream stream)
{
    size_t fixed = stream == WIRE_STREAM_LOG ? WIRE_LOG_BYTES : WIRE_RELAY_BYTES;
    size_t left = w->cap - w->len;
    return left > WIRE_FRAME_BYTES + fixed ? left - WIRE_FRAME_BYTES - fixed : 0;
}

size_t wire_put_data(struct wire_writer *w, const struct wire_data *d)
{
    bool log = d->stream == WIRE_STREAM_LOG;
    assert(log || d->stream == WIRE_STREAM_RELAY);
    size_t room = wire_room(w, log ? WIRE_STREAM_LOG : WIRE_STREAM_RELAY);
    size_t n = d->len < room ? d->len : room;
    if (n == 0)
        return 0;
    size_t fixed = log ? WIRE_LOG_BYTES : WIRE_RELAY_BYTES;
    uint8_t *b = put_frame(w, log ? WIRE_LOG : WIRE_RELAY, d->again ? FLAG_1 : 0, fixed + n);
    assert(b); /* room is a multiple of 4 as all frames are padded, and both fixed parts are */
    if (log) {
        put_u64(b, d->base_index);
        put_u64(b + 8, d->base_term);
        put_u64(b + 16, d->off);
        put_u32(b + 24, d->id);
    } else {
        put_u64(b, d->off);
        put_u32(b + 8, d->id);
    }
    memcpy(b + fixed, d->bytes, n);
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
    b[AT_BITS] = (uint8_t)((h->echo ? BIT_ECHO : 0) | (h->waited ? BIT_WAITED : 0));
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
    uint8_t bytes[RAFT_VOTERS_MAX * 2];
    assert(n <= RAFT_VOTERS_MAX);
    for (unsigned i = 0; i < n; i++) {
        assert(i == 0 || ids[i - 1] < ids[i]);
        put_u16(bytes + 2 * (size_t)i, ids[i]);
    }
    return short_hash(key, bytes, 2 * (size_t)n);
}
