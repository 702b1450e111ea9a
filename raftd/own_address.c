/* own_address.c: see own_address.h. */
#include "raftd/own_address.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "raftd/conf_addr.h"
#include "raftd/base/say.h"

/* The number of the interface of an address; 0: it names none. */
static uint32_t interface_of(const struct sockaddr_storage *addr)
{
    struct sockaddr_in6 sin6;
    memcpy(&sin6, addr, sizeof sin6);
    return addr->ss_family == AF_INET6 ? sin6.sin6_scope_id : 0;
}

/* Binds `udp` unless it is bound to the present interface of that name. 0 or -errno; -ENODEV: there is no
 * such interface. */
static int bind_now(struct own_address *a, struct udp *udp, bool bound)
{
    struct sockaddr_storage addr;
    int rc = conf_addr_resolve(a->self, &addr);
    if (rc < 0 || (bound && interface_of(&addr) == a->interface))
        return rc;
    rc = udp_bind(udp, (const struct sockaddr *)&addr, a->self->addr_len);
    if (rc == 0)
        a->interface = interface_of(&addr);
    return rc;
}

int own_address_bind(struct own_address *a, const struct conf_node *self, struct udp *udp)
{
    *a = (struct own_address){.self = self};
    int rc = bind_now(a, udp, false);
    return rc == -ENODEV ? 0 : rc;
}

bool own_address_look(struct own_address *a, struct udp *udp, uint64_t now_us)
{
    uint32_t before = a->interface;
    int rc = bind_now(a, udp, true);
    const char *text = a->self->addr_text;
    a->missing = rc < 0 || (!conf_addr_bindable(a->self) && !conf_addr_on_interface(a->self));
    if (!a->missing && lasting_over(&a->lasts, now_us) > 0)
        say_info("this machine has the address of this node, %s, now", text);
    if (a->missing && lasting_is(&a->lasts, 0, now_us)) {
        if (rc < 0 && rc != -ENODEV)
            say_warn("cannot listen on UDP %s: %s; trying again", text, strerror(-rc));
        else
            say_warn("this machine %s the address of this node, %s: waiting for it; until then "
                     "only local programs are served",
                     a->had ? "has lost" : "does not have", text);
    }
    a->had |= !a->missing;
    return a->interface != before;
}
