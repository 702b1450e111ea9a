/* conf_addr.h: the address of a node: its text, and whether this machine has it.
 *
 * What a text means never depends on the state of the machine: an interface that is named in it need
 * not exist yet. Who wants to use it asks again each time.
 */
#ifndef RAFTD_CONF_ADDR_H
#define RAFTD_CONF_ADDR_H

#include <stdbool.h>

#include "raftd/conf.h"

/* What an address can be reached from. Nodes of one cluster have one kind, or some of them never hear
 * each other. */
enum conf_reach {
    CONF_REACH_MACHINE, /* loopback: from the same machine alone */
    CONF_REACH_LINK,    /* fe80::1%eth0: from that link alone */
    CONF_REACH_NET,
};

/* "a.b.c.d:port", "[v6]:port" or "[fe80::1%interface]:port" to addr, addr_len, addr_text and
 * interface. NULL, or what is wrong with the text; then *node is as before. */
const char *conf_addr_parse(struct conf_node *node, const char *text);

enum conf_reach conf_addr_reach(const struct conf_node *node);

/* Has an interface of this machine the address, ready for use? No sysctl and no route decides, so
 * not more than one machine of a network says yes. */
bool conf_addr_on_interface(const struct conf_node *node);

/* Can a socket be bound to it now? More than the above: local routes, net.ipv4.ip_nonlocal_bind. */
bool conf_addr_bindable(const struct conf_node *node);

/* The name of an interface of this machine whose broadcast address this is, into `name`. */
bool conf_addr_is_broadcast(const struct conf_node *node, char name[CONF_INTERFACE_SIZE]);

/* Is this, where a datagram came from, the node's address and port? */
bool conf_addr_is(const struct conf_node *node, const struct sockaddr *from);

/* addr as bind() wants it now: with the number of the interface, if it names one. 0, or -ENODEV while
 * there is no such interface. */
int conf_addr_resolve(const struct conf_node *node, struct sockaddr_storage *addr);

#endif
