/* where.c: each box has an address, and may get another one at any moment. What goes to the former one is
 * lost. Nodes find each other as the daemon does (raftd/places.h).
 *
 * A box whose address is not in the members of all is found by what it sends itself. So at most one is away
 * from there; when all know of it, the next one may move.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/places.h"
#include "tests/sim/impl.h"

enum { PORT = 7000 };

static struct sockaddr_in address(unsigned host)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(PORT),
                                .sin_addr.s_addr = htonl(UINT32_C(0x0a000001) + host)};
}

void sim_address(const struct sim *s, unsigned node, char text[MEMBER_ADDR_BYTES])
{
    unsigned host = s->m[node].host + 1;
    (void)snprintf(text, MEMBER_ADDR_BYTES, "10.0.%u.%u:%d", host >> 8 & 255, host & 255, PORT);
}

/* ---- calls of the node ---- */

static void on_here(void *ctx, uint16_t peer)
{
    struct sim_node *m = ctx;
    const struct sockaddr_in from = address(m->heard_host);
    (void)places_here(m->where, peer, (const struct sockaddr *)&from, sizeof from);
}

static void on_reply(void *ctx, const uint8_t *buf, size_t len)
{
    struct sim_node *m = ctx;
    sim_launch(m, sim_at_host(m->sim, m->heard_host), buf, len);
}

static void on_peer_is(void *ctx, uint16_t id, const struct member *e)
{
    places_set(((struct sim_node *)ctx)->where, id, e);
}

static void on_peer_went(void *ctx, uint16_t id)
{
    places_remove(((struct sim_node *)ctx)->where, id);
}

/* ---- */

void sim_where_start(struct sim_node *m, struct node_io *io)
{
    if (m->sim->o.rate[SIM_MOVE] == 0 && m->sim->o.rate[SIM_CLONE] == 0)
        return;
    free(m->where);
    m->where = sim_must(calloc(1, sizeof *m->where));
    m->where->family = AF_INET;
    io->here = on_here;
    io->reply = on_reply;
    io->peer_is = on_peer_is;
    io->peer_went = on_peer_went;
}

unsigned sim_at_host(struct sim *s, unsigned host)
{
    const struct sim_node *clone = sim_clone(s);
    if (clone != NULL && clone->host == host)
        return clone->at;
    unsigned i = 0;
    while (i < s->o.nodes && s->m[i].host != host)
        i++;
    return i;
}

unsigned sim_whereto(struct sim_node *m, uint16_t id)
{
    struct sim *s = m->sim;
    struct address to;
    struct sockaddr_in sa;
    if (m->where == NULL)
        return id - 1u;
    if (!places_next(m->where, sim_local(m, s->now), id, &to))
        return s->o.nodes;
    memcpy(&sa, &to.sa, sizeof sa);
    return sim_at_host(s, ntohl(sa.sin_addr.s_addr) - UINT32_C(0x0a000001));
}

uint16_t sim_whence(struct sim_node *m, unsigned from, unsigned host)
{
    const struct sockaddr_in sa = address(host);
    m->heard_host = host;
    return m->where == NULL ? (uint16_t)(from + 1)
                            : places_whose(m->where, (const struct sockaddr *)&sa);
}

/* All others are where the members in this log say, and said before what may still be cut off. */
static bool are_found(const struct sim *s, const struct sim_node *m, const struct entry *tip)
{
    const struct entry *e = sim_conf(tip);
    for (unsigned k = 0; k < e->members->n; k++) {
        const struct member *o = &e->members->m[k];
        char text[MEMBER_ADDR_BYTES];
        sim_address(s, o->id - 1u, text);
        if (o->id != m->at + 1 && strcmp(text, o->addr[0]) != 0)
            return false;
    }
    return e->committed || are_found(s, m, e->prev);
}

static bool others_are_found(const struct sim *s, const struct sim_node *m)
{
    for (unsigned i = 0; i < s->o.nodes; i++) {
        const struct sim_node *k = &s->m[i];
        if (!are_found(s, m, k->tip) || !are_found(s, m, sim_tip(&k->hard, k->snap)))
            return false;
    }
    return true;
}

bool sim_move(struct sim *s, struct sim_node *m)
{
    if (sim_clone(s) != NULL || s->wishes > 0 ||
        !others_are_found(s, m)) /* a wish may name where a box was */
        return false;
    m->host = s->hosts++;
    return true;
}
