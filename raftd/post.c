/* post.c: see post.h. */
#include "raftd/post.h"

#include <errno.h>
#include <string.h>

#include "raftd/base/clock.h"
#include "raftd/base/say.h"
#include "raftd/conf_addr.h"

int post_open(struct post *p, const struct conf *conf)
{
    const struct conf_node *self = conf_self(conf);
    bool roams = conf->key_file[0] != '\0' && conf_addr_reach(self) != CONF_REACH_MACHINE;
    p->places.family = conf_family(conf);
    p->places.file = conf;
    p->udp = udp_new(p->places.family);
    int rc = -errno;
    if (p->udp != NULL)
        rc = own_address_bind(&p->own, self, p->places.family, roams, p->udp);
    if (rc < 0)
        say_error("cannot listen on UDP %s: %s. If something else has it, ss -ulpn says what",
                  self->addr_text, strerror(-rc));
    else
        (void)own_address_look(&p->own, p->udp, clock_us());
    return rc;
}

bool post_start(struct post *p, const struct conf *conf)
{
    finder_recall(conf->data_dir, &p->places);
    p->finder = finder_start(conf->data_dir, p->places.family);
    return p->finder != NULL;
}

uint16_t post_take(struct post *p, const struct sockaddr *from, socklen_t len)
{
    p->from = from;
    p->from_len = len;
    return places_whose(&p->places, from);
}

void post_taken(struct post *p, uint16_t whose)
{
    if (!p->sealed && whose != 0)
        post_here(p, whose); /* plain text: it is at that one of its configured addresses */
    p->from = NULL;
}

void post_send(struct post *p, uint64_t now_us, uint16_t to, const uint8_t *buf, size_t len)
{
    struct address a;
    if (places_next(&p->places, now_us, to, &a))
        udp_queue(p->udp, (const struct sockaddr *)&a.sa, a.len, buf, len);
}

void post_reply(struct post *p, const uint8_t *buf, size_t len)
{
    udp_queue(p->udp, p->from, p->from_len, buf, len);
}

void post_here(struct post *p, uint16_t peer)
{
    (void)places_here(&p->places, peer, p->from, p->from_len);
}

/* Plain text proves nothing: members are where the configuration says, and another node is where its first
 * datagram came from. */
void post_peer_is(struct post *p, uint16_t id, const struct member *m)
{
    places_set(&p->places, id, m);
    if (!p->sealed && m == NULL && p->from != NULL)
        post_here(p, id);
}

void post_status(const struct post *p, struct status *s)
{
    s->udp = *udp_counters(p->udp);
    for (unsigned i = 0; i < s->n_peers; i++) {
        struct status_peer *sp = &s->peers[i];
        places_tell(&p->places, sp->id, sp->session == STATUS_SESSION_CLONED, sp->at);
        for (unsigned k = 0; k < s->n_members; k++)
            if (s->members[k].id == sp->id)
                memcpy(s->members[k].at, sp->at, sizeof sp->at);
    }
}

/* That datagrams can't be sent may be because our address has gone. */
static bool is_to_look(struct post *p, uint64_t now_us)
{
    uint64_t lost = udp_counters(p->udp)->lost;
    bool look = now_us >= p->look_at ||
                (lost != p->lost && now_us - p->looked_at >= OWN_ADDRESS_SOON_US);
    if (look)
        p->lost = lost;
    return look;
}

bool post_look(struct post *p, uint64_t now_us)
{
    if (!is_to_look(p, now_us))
        return false;
    bool anew = own_address_look(&p->own, p->udp, now_us);
    bool asked = finder_work(p->finder, &p->places, now_us);
    unsigned ms = asked || p->own.missing ? OWN_ADDRESS_LOOK_MS : OWN_ADDRESS_CALM_MS;
    p->looked_at = now_us;
    p->look_at = now_us + (uint64_t)ms * 1000;
    return anew;
}

/* It is not urgent, and the next heartbeat will do. */
uint64_t post_look_at(const struct post *p)
{
    return p->look_at + OWN_ADDRESS_LOOK_MS * 1000;
}
