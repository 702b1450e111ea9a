/* members.c: see members.h for the layout. */
#include "raftd/base/members.h"

#include <assert.h>
#include <string.h>

#include "raftd/base/bytes.h"

enum { ENTRY_HEAD_BYTES = 4 + MEMBER_KEY_BYTES + MEMBER_ADDRS };

static bool addr_valid(const char addr[MEMBER_ADDR_BYTES])
{
    size_t n = strnlen(addr, MEMBER_ADDR_BYTES);
    for (size_t i = 0; i < n; i++) {
        if (addr[i] <= ' ' || addr[i] > '~' || addr[i] == ',')
            return false;
    }
    return n < MEMBER_ADDR_BYTES;
}

static bool key_is_others(const struct members *m, unsigned i)
{
    for (unsigned k = 0; k < i; k++) {
        if (member_has_key(&m->m[i]) && memcmp(m->m[k].key, m->m[i].key, MEMBER_KEY_BYTES) == 0)
            return true;
    }
    return false;
}

bool members_valid(const struct members *m)
{
    unsigned count[MEMBER_JOINING + 1] = {0};
    if (m->n > MEMBERS_MAX)
        return false;
    for (unsigned i = 0; i < m->n; i++) {
        const struct member *e = &m->m[i];
        if (e->id <= (i > 0 ? m->m[i - 1].id : 0) || e->standing < MEMBER_VOTER ||
            e->standing > MEMBER_JOINING || !addr_valid(e->addr[0]) || !addr_valid(e->addr[1]) ||
            (e->addr[0][0] == '\0' && e->addr[1][0] != '\0') || key_is_others(m, i))
            return false;
        count[e->standing]++;
    }
    return count[MEMBER_VOTER] >= 1 &&
           count[MEMBER_VOTER] + count[MEMBER_JOINING] <= MEMBERS_VOTERS_MAX;
}

size_t members_encode(const struct members *m, uint8_t buf[MEMBERS_BYTES_MAX])
{
    uint8_t *p = buf + MEMBERS_HEAD_BYTES;
    assert(members_valid(m));
    buf[0] = MEMBERS_VERSION;
    buf[1] = (uint8_t)m->n;
    put_u64(buf + 2, m->cluster_id);
    for (const struct member *e = m->m; e < m->m + m->n; e++) {
        put_u16(p, e->id);
        p[2] = e->standing;
        p[3] = e->priority;
        memcpy(p + 4, e->key, MEMBER_KEY_BYTES);
        uint8_t *len = p + 4 + MEMBER_KEY_BYTES;
        p += ENTRY_HEAD_BYTES;
        for (unsigned i = 0; i < MEMBER_ADDRS; i++) {
            len[i] = (uint8_t)strlen(e->addr[i]);
            memcpy(p, e->addr[i], len[i]);
            p += len[i];
        }
    }
    return (size_t)(p - buf);
}

/* Reads one member from `left` bytes. How many it takes, 0 if they are none. */
static size_t decode_one(const uint8_t *p, size_t left, struct member *e)
{
    if (left < ENTRY_HEAD_BYTES)
        return 0;
    e->id = get_u16(p);
    e->standing = p[2];
    e->priority = p[3];
    memcpy(e->key, p + 4, MEMBER_KEY_BYTES);
    size_t at = ENTRY_HEAD_BYTES;
    for (unsigned i = 0; i < MEMBER_ADDRS; i++) {
        size_t len = p[4 + MEMBER_KEY_BYTES + i];
        if (len >= MEMBER_ADDR_BYTES || left - at < len || memchr(p + at, '\0', len) != NULL)
            return 0;
        memcpy(e->addr[i], p + at, len);
        at += len;
    }
    return at;
}

bool members_decode(const uint8_t *p, size_t len, struct members *m)
{
    size_t at = MEMBERS_HEAD_BYTES;
    memset(m, 0, sizeof *m);
    if (len < at || p[0] != MEMBERS_VERSION || p[1] > MEMBERS_MAX)
        return false;
    m->n = p[1];
    m->cluster_id = get_u64(p + 2);
    for (unsigned i = 0; i < m->n; i++) {
        size_t size = decode_one(p + at, len - at, &m->m[i]);
        if (size == 0)
            return false;
        at += size;
    }
    return at == len && members_valid(m);
}

const struct member *members_find(const struct members *m, uint16_t id)
{
    for (unsigned i = 0; i < m->n; i++) {
        if (m->m[i].id == id)
            return &m->m[i];
    }
    return NULL;
}

void members_log_add(struct members_log *l, uint64_t index, const struct members *m)
{
    enum { KEPT = sizeof l->at / sizeof *l->at };
    assert(l->n == 0 || l->at[l->n - 1].index < index);
    if (l->n == KEPT)
        memmove(l->at, l->at + 1, --l->n * sizeof *l->at);
    l->at[l->n].index = index;
    l->at[l->n++].members = *m;
}

void members_log_cut(struct members_log *l, uint64_t last)
{
    while (l->n > 0 && l->at[l->n - 1].index > last)
        l->n--;
}

const struct members_at *members_log_newest(const struct members_log *l, unsigned back)
{
    static const struct members_at none;
    return back < l->n ? &l->at[l->n - 1 - back] : &none;
}

bool member_has_key(const struct member *m)
{
    static const uint8_t none[MEMBER_KEY_BYTES];
    return memcmp(m->key, none, sizeof none) != 0;
}

uint64_t member_incarnation(const struct member *m)
{
    return get_u64(m->key);
}
