/* own_address.h: the address that this node is bound to, while it comes, goes and comes back.
 *
 * A box may start before DHCP has answered, before IPv6 has checked that its address is free, or before
 * the interface in the configuration exists; and cables are pulled. The configuration is right all the
 * same, so the node waits, and says so.
 */
#ifndef RAFTD_OWN_ADDRESS_H
#define RAFTD_OWN_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "net/udp.h"
#include "raftd/base/lasting.h"
#include "raftd/conf.h"

enum { OWN_ADDRESS_LOOK_S = 1 }; /* how often own_address_look() is called */

struct own_address {
    const struct conf_node *self;
    uint32_t interface; /* its number, as the socket is bound to it; 0: none */
    bool had;           /* this machine has had the address since the start */
    bool missing;
    struct lasting lasts; /* that it is missing */
};

/* Binds `udp` to self's address. Returns 0, also when that has to wait for an interface, or -errno:
 * the port is taken, or not allowed. self outlives `a`. */
int own_address_bind(struct own_address *a, const struct conf_node *self, struct udp *udp);

/* Looks whether this machine has the address, says what changed, and binds `udp` anew when the
 * interface is another one than before. True if it did. */
bool own_address_look(struct own_address *a, struct udp *udp, uint64_t now_us);

#endif
