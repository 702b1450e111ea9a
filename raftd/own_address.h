/* own_address.h: the address that this node is bound to, while it comes, goes and comes back.
 *
 * A box may start before DHCP has answered, before IPv6 has checked that its address is free, or before
 * the interface in the configuration exists; and people pull cables. The configuration is right all the
 * same, so the node waits for its address, and says so.
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
    uint32_t interface;   /* number of the interface that the socket is bound to; 0: none */
    bool had;             /* this machine has had the address since the start */
    bool missing;         /* this machine does not have it now */
    struct lasting lasts; /* messages that it is missing */
};

/* Binds `udp` to self's address. Returns 0, also when that has to wait for an interface, or -errno:
 * the port is taken, or not allowed. self outlives `a`. */
int own_address_bind(struct own_address *a, const struct conf_node *self, struct udp *udp);

/* Looks whether this machine has the address, says what changed, and binds `udp` anew when the interface of
 * that name is another one than before. True if it was bound anew. */
bool own_address_look(struct own_address *a, struct udp *udp, uint64_t now_us);

#endif
