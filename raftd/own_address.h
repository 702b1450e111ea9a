/* own_address.h: the address that this node is bound to, while it comes, goes and comes back, or changes.
 *
 * A box may start before DHCP has answered, before IPv6 has checked that its address is free, or before
 * the interface in the configuration exists; and people pull cables. The configuration is right all the
 * same, so the node waits for its address, and says so. Where datagrams are sealed, peers follow a node to
 * any address, so meanwhile it listens at all that the box has.
 */
#ifndef RAFTD_OWN_ADDRESS_H
#define RAFTD_OWN_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "net/udp.h"
#include "raftd/base/lasting.h"
#include "raftd/conf.h"

enum {
    OWN_ADDRESS_LOOK_MS = 500,    /* how often own_address_look() is called while it is missing; */
    OWN_ADDRESS_CALM_MS = 1000,   /* else: that it goes shows in datagrams that can't be sent */
    OWN_ADDRESS_SOON_US = 100000, /* the same while datagrams can't be sent */
};

struct own_address {
    const struct conf_node *self;
    int family;
    bool roams;           /* peers follow it to other addresses */
    bool any;             /* the socket is bound to all addresses */
    uint32_t interface;   /* number of the interface that the socket is bound to; 0: none */
    bool had;             /* this machine has had the address since the start */
    bool missing;         /* this machine does not have it now */
    struct lasting lasts; /* messages that it is missing */
};

/* Binds `udp`, of this family, to self's address. Returns 0, also when that has to wait for an interface, or
 * -errno: the port is taken, or not allowed. self outlives `a`. */
int own_address_bind(struct own_address *a, const struct conf_node *self, int family, bool roams,
                     struct udp *udp);

/* Looks whether this machine has the address, says what changed, and binds `udp` anew when the interface of
 * that name is another one than before, or the address came or went. True if it was bound anew. */
bool own_address_look(struct own_address *a, struct udp *udp, uint64_t now_us);

#endif
