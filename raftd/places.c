/* places.c: see places.h. */
#include "raftd/places.h"

#include <assert.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "raftd/base/num.h"
#include "raftd/conf_addr.h"

enum { CANDIDATES = MEMBER_ADDRS + 3 };

static struct place *find(struct places *ps, uint16_t id)
{
    for (unsigned i = 0; i < ps->n; i++)
        if (ps->all[i].id == id)
            return &ps->all[i];
    return NULL;
}

static bool same(const struct address *a, const struct sockaddr *from)
{
    const struct conf_node node = {.addr = a->sa};
    return a->len != 0 && conf_addr_is(&node, from);
}

static struct address address_of(const struct sockaddr *sa, socklen_t len)
{
    struct address a = {.len = len};
    assert(len <= sizeof a.sa);
    memcpy(&a.sa, sa, len);
    return a;
}

void places_set(struct places *ps, uint16_t id, const struct member *m)
{
    struct place *p = find(ps, id);
    if (p == NULL) {
        assert(ps->n < RAFT_PEERS_MAX);
        p = &ps->all[ps->n++];
        *p = (struct place){.id = id};
    }
    for (unsigned i = 0; i < MEMBER_ADDRS; i++) {
        const char *text = m != NULL ? m->addr[i] : "";
        if (strcmp(p->named[i].addr_text, text) == 0)
            continue;
        p->named[i] = (struct conf_node){.id = id};
        p->resolved[i].len = 0;
        p->asked_at[i] = 0;
        if (text[0] != '\0')
            (void)conf_addr_parse(&p->named[i], text); /* if it is wrong, there is none */
    }
}

void places_remove(struct places *ps, uint16_t id)
{
    struct place *p = find(ps, id);
    if (p != NULL)
        *p = ps->all[--ps->n];
}

bool places_here(struct places *ps, uint16_t id, const struct sockaddr *from, socklen_t len)
{
    struct place *p = find(ps, id);
    if (p == NULL)
        return false;
    p->unanswered = 0;
    if (p->here.len == len && memcmp(&p->here.sa, from, len) == 0)
        return false; /* memcmp compares interfaces of link-local addresses, too */
    p->left = p->here;
    p->here = address_of(from, len);
    ps->moved = true;
    return true;
}

/* The node's line in the configuration file; NULL: it has none, or one with a name for an address. */
static const struct conf_node *in_file(const struct places *ps, uint16_t id)
{
    for (int i = 0; ps->file != NULL && i < ps->file->n_nodes; i++)
        if (ps->file->nodes[i].id == id && ps->file->nodes[i].addr_len != 0)
            return &ps->file->nodes[i];
    return NULL;
}

/* The i-th address at which the peer may be; len 0: there is none. */
static struct address candidate(const struct places *ps, const struct place *p, unsigned i)
{
    struct address a = {.len = 0};
    if (i == 0)
        return p->here;
    if (i == MEMBER_ADDRS + 1)
        return p->before;
    const struct conf_node *node = i <= MEMBER_ADDRS ? &p->named[i - 1] : in_file(ps, p->id);
    if (node == NULL)
        return a;
    if (i <= MEMBER_ADDRS && node->addr_len == 0)
        return p->resolved[i - 1];
    if (conf_addr_resolve(node, &a.sa) == 0 && a.sa.ss_family == ps->family)
        a.len = node->addr_len;
    return a;
}

/* It is one of the member's addresses. */
static bool is_named(const struct place *p, const struct sockaddr *from)
{
    bool named = false;
    for (unsigned i = 0; i < MEMBER_ADDRS; i++)
        named = named || same(&p->resolved[i], from) ||
                (p->named[i].addr_len != 0 && conf_addr_is(&p->named[i], from));
    return named;
}

static bool may_be_at(const struct places *ps, const struct place *p, const struct sockaddr *from)
{
    const struct conf_node *node = in_file(ps, p->id);
    return is_named(p, from) || same(&p->before, from) ||
           (node != NULL && conf_addr_is(node, from));
}

uint16_t places_whose(const struct places *ps, const struct sockaddr *from)
{
    for (unsigned i = 0; i < ps->n; i++)
        if (same(&ps->all[i].here, from))
            return ps->all[i].id;
    for (unsigned i = 0; i < ps->n; i++)
        if (may_be_at(ps, &ps->all[i], from))
            return ps->all[i].id;
    return 0;
}

static bool is_deaf(const struct place *p, uint64_t now_us)
{
    return p->unanswered >= PLACES_DEAF && now_us - p->unanswered_at >= PLACES_DEAF_US;
}

bool places_next(struct places *ps, uint64_t now_us, uint16_t id, struct address *to)
{
    struct place *p = find(ps, id);
    if (p == NULL)
        return false;
    if (p->unanswered++ == 0)
        p->unanswered_at = now_us;
    *to = p->here;
    if (p->here.len != 0 && !is_deaf(p, now_us))
        return true;
    for (unsigned i = 0; i < CANDIDATES; i++) {
        *to = candidate(ps, p, p->turn++ % CANDIDATES);
        if (to->len != 0)
            return true;
    }
    return false;
}

bool places_name(struct places *ps, uint64_t now_us, uint16_t *id, unsigned *which,
                 char name[CONF_ADDR_SIZE])
{
    for (unsigned i = 0; i < ps->n * MEMBER_ADDRS; i++) {
        struct place *p = &ps->all[i / MEMBER_ADDRS];
        unsigned k = i % MEMBER_ADDRS;
        const struct conf_node *node = &p->named[k];
        if (node->addr_text[0] == '\0' || node->addr_len != 0 ||
            (p->asked_at[k] != 0 && now_us < p->asked_at[k] + PLACES_RESOLVE_US) ||
            (p->resolved[k].len != 0 && p->here.len != 0 && !is_deaf(p, now_us)))
            continue;
        p->asked_at[k] = now_us;
        *id = p->id;
        *which = k;
        memcpy(name, node->addr_text, sizeof node->addr_text);
        return true;
    }
    return false;
}

void places_resolved(struct places *ps, uint16_t id, unsigned which, const char *name,
                     const struct address *a)
{
    struct place *p = find(ps, id);
    if (p != NULL && a->len != 0 && strcmp(p->named[which].addr_text, name) == 0)
        p->resolved[which] = *a;
}

/* --- what people and the next process may want to know ----------------------------------------- */

/* As "a.b.c.d:port" or "[v6]:port". Returns the length, 0: there is no address. */
static size_t print(const struct address *a, char *out, size_t size)
{
    char host[64], port[8];
    bool v6 = a->sa.ss_family == AF_INET6;
    if (a->len == 0 || getnameinfo((const struct sockaddr *)&a->sa, a->len, host, sizeof host, port,
                                   sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return 0;
    int n = snprintf(out, size, "%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port);
    assert(n > 0 && (size_t)n < size);
    return (size_t)n;
}

void places_tell(const struct places *ps, uint16_t id, bool cloned, char text[PLACES_TELL_BYTES])
{
    text[0] = '\0';
    for (unsigned i = 0; i < ps->n; i++) {
        const struct place *p = &ps->all[i];
        if (p->id != id || (!cloned && is_named(p, (const struct sockaddr *)&p->here.sa)))
            continue;
        size_t len = print(&p->here, text, PLACES_TELL_BYTES);
        if (cloned && p->left.len != 0 && len != 0) {
            memcpy(text + len, ",", sizeof ",");
            (void)print(&p->left, text + len + 1, PLACES_TELL_BYTES - len - 1);
        }
    }
}

size_t places_text(struct places *ps, char text[PLACES_TEXT_MAX_BYTES])
{
    size_t len = 0;
    if (!ps->moved)
        return 0;
    ps->moved = false;
    for (unsigned i = 0; i < ps->n; i++) {
        const struct place *p = &ps->all[i];
        const struct address *a = p->here.len != 0 ? &p->here : &p->before;
        char addr[PLACES_TELL_BYTES];
        if (print(a, addr, sizeof addr) == 0)
            continue;
        int n = snprintf(text + len, PLACES_TEXT_MAX_BYTES - len, "%u %s\n", p->id, addr);
        assert(n > 0 && (size_t)n < PLACES_TEXT_MAX_BYTES - len);
        len += (size_t)n;
    }
    return len;
}

void places_read(struct places *ps, const char *text)
{
    while (*text != '\0') {
        uint64_t id;
        size_t len = strcspn(text, "\n");
        const char *end = text + len;
        if (num_take(&text, 10, UINT16_MAX, &id) && *text == ' ' &&
            (size_t)(end - text) < CONF_ADDR_SIZE) {
            char addr[CONF_ADDR_SIZE] = {0};
            struct conf_node node = {.id = 0};
            struct place *p = find(ps, (uint16_t)id);
            memcpy(addr, text + 1, (size_t)(end - text) - 1);
            if (p != NULL && conf_addr_parse(&node, addr) == NULL && node.addr_len != 0 &&
                conf_addr_resolve(&node, &p->before.sa) == 0)
                p->before.len = node.addr_len;
        }
        text = *end == '\n' ? end + 1 : end;
    }
}
