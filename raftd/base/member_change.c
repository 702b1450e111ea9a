/* member_change.c: see member_change.h. */
#include "raftd/base/member_change.h"

#include <assert.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/num.h"

bool member_address_valid(const char *text)
{
    const char *colon = strrchr(text, ':');
    uint64_t port;
    if (strlen(text) >= MEMBER_ADDR_BYTES || colon == NULL || colon == text ||
        !num_parse(colon + 1, 1, UINT16_MAX, &port))
        return false;
    for (const char *p = text; p < colon; p++) {
        if (*p <= ' ' || *p > '~' || *p == ',')
            return false;
    }
    if (text[0] == '[')
        return colon[-1] == ']' && colon - text > 2;
    return memchr(text, ':', (size_t)(colon - text)) == NULL; /* IPv6 has brackets */
}

/* The first one must be there. */
static bool addresses_valid(const struct member_change *c)
{
    return member_address_valid(c->addr[0]) &&
           (c->addr[1][0] == '\0' || member_address_valid(c->addr[1])) &&
           strcmp(c->addr[0], c->addr[1]) != 0;
}

static bool is_of_other(const struct members *m, uint16_t id, const char *addr)
{
    for (unsigned i = 0; i < m->n; i++) {
        for (unsigned k = 0; k < MEMBER_ADDRS; k++) {
            if (m->m[i].id != id && addr[0] != '\0' && strcmp(m->m[i].addr[k], addr) == 0)
                return true;
        }
    }
    return false;
}

static unsigned count(const struct members *m, enum member_standing standing)
{
    unsigned n = 0;
    for (unsigned i = 0; i < m->n; i++)
        n += m->m[i].standing == standing;
    return n;
}

static bool is_last_voter(const struct members *m, const struct member *of)
{
    return of->standing == MEMBER_VOTER && count(m, MEMBER_VOTER) == 1;
}

static enum member_verdict add(const struct member_change *c, struct members *m)
{
    unsigned at = 0;
    bool learner = (c->flags & MEMBER_CHANGE_LEARNER) != 0;
    if (m->n == MEMBERS_MAX)
        return MEMBER_TOO_MANY;
    if (!learner && count(m, MEMBER_VOTER) + count(m, MEMBER_JOINING) == MEMBERS_VOTERS_MAX)
        return MEMBER_TOO_MANY_VOTERS;
    while (at < m->n && m->m[at].id < c->id)
        at++;
    memmove(&m->m[at + 1], &m->m[at], (m->n - at) * sizeof m->m[0]);
    m->n++;
    m->m[at] = (struct member){
        .id = c->id, .standing = learner ? MEMBER_LEARNER : MEMBER_JOINING, .priority = 1};
    memcpy(m->m[at].addr, c->addr, sizeof c->addr);
    return MEMBER_TAKEN;
}

static enum member_verdict remove_one(struct members *m, struct member *of)
{
    if (is_last_voter(m, of))
        return MEMBER_LAST_VOTER;
    m->n--;
    memmove(of, of + 1, (size_t)(m->m + m->n - of) * sizeof *of);
    memset(&m->m[m->n], 0, sizeof *of);
    return MEMBER_TAKEN;
}

/* The old directory counts no more from this change on, and the new one does not count before it has the
 * data: at each step the voters are those that live. */
static enum member_verdict replace(const struct members *m, const struct member_seen *seen,
                                   struct member *of)
{
    static const uint8_t nobody[MEMBER_KEY_BYTES];
    bool other = memcmp(seen->key, of->key, sizeof of->key) != 0 &&
                 memcmp(seen->key, nobody, sizeof nobody) != 0;
    if (is_last_voter(m, of))
        return MEMBER_ONLY_COPY;
    if (!other && !member_has_key(of))
        return MEMBER_AS_IT_IS; /* whoever comes first is expected already */
    if (!other)
        return seen->lately ? MEMBER_SAME_DIRECTORY : MEMBER_NOT_THERE;
    if (of->standing == MEMBER_VOTER)
        of->standing = MEMBER_JOINING;
    memcpy(of->key, seen->key, sizeof of->key);
    return MEMBER_TAKEN;
}

static enum member_verdict set(const struct member_change *c, struct member *of)
{
    struct member was = *of;
    if ((c->flags & (MEMBER_CHANGE_ADDRESS | MEMBER_CHANGE_PRIORITY)) == 0)
        return MEMBER_BAD_CHANGE;
    if ((c->flags & MEMBER_CHANGE_ADDRESS) != 0)
        memcpy(of->addr, c->addr, sizeof of->addr);
    if ((c->flags & MEMBER_CHANGE_PRIORITY) != 0)
        of->priority = c->priority;
    return memcmp(&was, of, sizeof was) == 0 ? MEMBER_AS_IT_IS : MEMBER_TAKEN;
}

enum member_verdict members_change(const struct members *now, const struct member_change *c,
                                   const struct member_seen *seen, struct members *out)
{
    *out = *now;
    struct member *of = out->m;
    bool addresses = c->op == MEMBER_ADD || (c->flags & MEMBER_CHANGE_ADDRESS) != 0;
    if (c->id == 0 || c->id > MEMBER_ID_MAX)
        return MEMBER_BAD_ID;
    if (addresses && !addresses_valid(c))
        return MEMBER_BAD_ADDRESS;
    while (of < out->m + out->n && of->id != c->id)
        of++;
    bool is_member = of < out->m + out->n;
    if (c->op == MEMBER_ADD && is_member)
        return MEMBER_IS_MEMBER;
    if (c->op != MEMBER_ADD && !is_member)
        return MEMBER_UNKNOWN;
    if (addresses && (is_of_other(out, c->id, c->addr[0]) || is_of_other(out, c->id, c->addr[1])))
        return MEMBER_ADDRESS_OF_OTHER;
    switch (c->op) {
    case MEMBER_ADD: return add(c, out);
    case MEMBER_REMOVE: return remove_one(out, of);
    case MEMBER_REPLACE: return replace(now, seen, of);
    case MEMBER_SET: return set(c, of);
    default: return MEMBER_BAD_CHANGE;
    }
}

size_t member_change_encode(const struct member_change *c, uint8_t buf[MEMBER_CHANGE_BYTES_MAX])
{
    uint8_t *p = buf + MEMBER_CHANGE_HEAD_BYTES;
    buf[0] = c->op;
    buf[1] = c->flags;
    put_u16(buf + 2, c->id);
    buf[4] = c->priority;
    for (unsigned i = 0; i < MEMBER_ADDRS; i++) {
        size_t len = strnlen(c->addr[i], MEMBER_ADDR_BYTES);
        assert(len < MEMBER_ADDR_BYTES);
        buf[5 + i] = (uint8_t)len;
        memcpy(p, c->addr[i], len);
        p += len;
    }
    return (size_t)(p - buf);
}

bool member_change_decode(const uint8_t *p, size_t len, struct member_change *c)
{
    size_t at = MEMBER_CHANGE_HEAD_BYTES;
    memset(c, 0, sizeof *c);
    if (len < at)
        return false;
    c->op = p[0];
    c->flags = p[1];
    c->id = get_u16(p + 2);
    c->priority = p[4];
    for (unsigned i = 0; i < MEMBER_ADDRS; i++) {
        size_t n = p[5 + i];
        if (n >= MEMBER_ADDR_BYTES || len - at < n || memchr(p + at, '\0', n) != NULL)
            return false;
        memcpy(c->addr[i], p + at, n);
        at += n;
    }
    return at == len;
}
