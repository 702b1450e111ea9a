/* own_address.c: see own_address.h. */
#include "raftd/own_address.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "raftd/conf_addr.h"
#include "raftd/base/num.h"
#include "raftd/base/say.h"

/* The number of the interface of an address; 0: it names none. */
static uint32_t interface_of(const struct sockaddr_storage *addr)
{
    struct sockaddr_in6 sin6;
    memcpy(&sin6, addr, sizeof sin6);
    return addr->ss_family == AF_INET6 ? sin6.sin6_scope_id : 0;
}

/* All addresses of this machine, with the node's own port. */
static void any_address(const struct own_address *a, struct sockaddr_storage *addr)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6};
    uint64_t port;
    bool has = num_parse(strrchr(a->self->addr_text, ':') + 1, 1, UINT16_MAX, &port);
    assert(has); /* conf_addr_parse() saw it */
    (void)has;
    sin.sin_port = sin6.sin6_port = htons((uint16_t)port);
    if (a->family == AF_INET)
        memcpy(addr, &sin, sizeof sin);
    else
        memcpy(addr, &sin6, sizeof sin6);
}

/* Binds `udp` unless it is bound to that: the node's address on the present interface of that name, or all
 * of them. 0 or -errno; -ENODEV: there is no such interface. */
static int bind_now(struct own_address *a, struct udp *udp, bool bound, bool any)
{
    struct sockaddr_storage addr;
    memset(&addr, 0, sizeof addr);
    int rc = 0;
    if (any)
        any_address(a, &addr);
    else
        rc = conf_addr_resolve(a->self, &addr);
    if (rc < 0 || (bound && any == a->any && interface_of(&addr) == a->interface))
        return rc;
    rc = udp_bind(udp, (const struct sockaddr *)&addr,
                  a->family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    if (rc == 0) {
        a->any = any;
        a->interface = interface_of(&addr);
    }
    return rc;
}

int own_address_bind(struct own_address *a, const struct conf_node *self, int family, bool roams,
                     struct udp *udp)
{
    *a = (struct own_address){.self = self, .family = family, .roams = roams};
    int rc = bind_now(a, udp, false, self->addr_len == 0);
    return rc == -ENODEV ? 0 : rc;
}

static void say_missing(const struct own_address *a, int rc)
{
    const char *text = a->self->addr_text, *has = a->had ? "has lost" : "does not have";
    if (rc < 0 && rc != -ENODEV)
        say_warn("cannot listen on UDP %s: %s; trying again. Who has it says ss -ulpn", text,
                 strerror(-rc));
    else if (a->any)
        say_warn("this machine %s the address of this node, %s: listening at all that it has; the "
                 "others learn from this node where it is",
                 has, text);
    else
        say_warn("this machine %s the address of this node, %s: waiting for it; until then only "
                 "local programs are served",
                 has, text);
}

bool own_address_look(struct own_address *a, struct udp *udp, uint64_t now_us)
{
    uint32_t before = a->interface;
    bool any = a->any, named = a->self->addr_len == 0;
    errno = 0;
    bool bindable = named || conf_addr_bindable(a->self);
    if (errno == EMFILE || errno == ENFILE) /* it may be there: nobody could look */
        return false;
    a->missing = !bindable && !conf_addr_on_interface(a->self);
    int rc = bind_now(a, udp, true, named || (a->missing && a->roams));
    a->missing = a->missing || rc < 0;
    if (!a->missing && lasting_over(&a->lasts, now_us) > 0)
        say_info("this machine has the address of this node, %s, now", a->self->addr_text);
    if (a->missing && lasting_is(&a->lasts, 0, now_us))
        say_missing(a, rc);
    a->had |= !a->missing;
    return a->interface != before || a->any != any;
}
