/* own_address.c: see own_address.h. */
#include "raftd/own_address.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "raftd/conf_addr.h"
#include "raftd/base/say.h"

/* -ENODEV: there is no such interface. */
static int bind_now(struct own_address *a, struct udp *udp)
{
    struct sockaddr_storage addr;
    struct sockaddr_in6 sin6;
    int rc = conf_addr_resolve(a->self, &addr);
    memcpy(&sin6, &addr, sizeof sin6);
    uint32_t interface = addr.ss_family == AF_INET6 ? sin6.sin6_scope_id : 0;
    if (rc == 0)
        rc = udp_bind(udp, (const struct sockaddr *)&addr, a->self->addr_len);
    if (rc == 0)
        a->interface = interface;
    return rc;
}

int own_address_bind(struct own_address *a, const struct conf_node *self, struct udp *udp)
{
    *a = (struct own_address){.self = self};
    int rc = bind_now(a, udp);
    return rc == -ENODEV ? 0 : rc;
}

enum own_address_news own_address_news(struct own_address *a, bool here, uint64_t now_us)
{
    bool was_missing = a->missing;
    a->missing = !here;
    if (here) {
        a->had = true;
        return was_missing ? OWN_ADDRESS_CAME : OWN_ADDRESS_NOTHING;
    }
    if (was_missing && now_us - a->said_us < OWN_ADDRESS_AGAIN_US)
        return OWN_ADDRESS_NOTHING;
    a->said_us = now_us;
    return !was_missing && a->had ? OWN_ADDRESS_GONE : OWN_ADDRESS_MISSING;
}

bool own_address_look(struct own_address *a, struct udp *udp, uint64_t now_us)
{
    struct sockaddr_storage addr;
    struct sockaddr_in6 sin6;
    bool bound = false;
    int rc = 0;
    if (a->self->interface[0] != '\0' && conf_addr_resolve(a->self, &addr) == 0) {
        memcpy(&sin6, &addr, sizeof sin6);
        if (sin6.sin6_scope_id != a->interface) {
            rc = bind_now(a, udp);
            bound = rc == 0;
        }
    }
    bool here = rc == 0 && (conf_addr_bindable(a->self) || conf_addr_on_interface(a->self));
    const char *text = a->self->addr_text;
    switch (own_address_news(a, here, now_us)) {
    case OWN_ADDRESS_NOTHING: break;
    case OWN_ADDRESS_MISSING:
        if (rc < 0)
            say_warn("cannot listen on UDP %s: %s; trying again", text, strerror(-rc));
        else
            say_warn("this machine does not have the address of this node, %s: waiting for it; "
                     "until then only local programs are served",
                     text);
        break;
    case OWN_ADDRESS_GONE:
        say_warn("this machine has lost the address of this node, %s: waiting for it to come back",
                 text);
        break;
    case OWN_ADDRESS_CAME:
        say_info("this machine has the address of this node, %s, now", text);
        break;
    }
    return bound;
}
