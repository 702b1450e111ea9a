/* conf_addr.h: the address of a node: its text, and whether this machine has it.
 *
 * What a text means never depends on the state of the machine: an interface that it names need not exist
 * yet. Whoever wants to use the address asks for the interface each time.
 */
#ifndef RAFTD_CONF_ADDR_H
#define RAFTD_CONF_ADDR_H

#include <stdbool.h>

#include "raftd/conf.h"

/* From where an address can be reached. All nodes of a cluster must have one kind: nodes of different kinds
 * never hear each other. */
enum conf_reach {
    CONF_REACH_MACHINE, /* loopback: from the same machine alone */
    CONF_REACH_LINK,    /* fe80::1%eth0: from that link alone */
    CONF_REACH_NET,     /* from a network */
};

/* Fills in addr, addr_len, addr_text and interface from "a.b.c.d:port", "[v6]:port",
 * "[fe80::1%interface]:port" or "name:port". Returns NULL, or what is wrong with the text (static); then
 * *node is as before. */
const char *conf_addr_parse(struct conf_node *node, const char *text);

enum conf_reach conf_addr_reach(const struct conf_node *node);

/* True if an interface of this machine has the address, ready for use. Routes and sysctls play no part, so
 * this is true on one machine of a network at most. */
bool conf_addr_on_interface(const struct conf_node *node);

/* True if a socket can be bound to the address now. Local routes and net.ipv4.ip_nonlocal_bind can make this
 * true where no interface has the address. Without a descriptor to try it: false, and errno says so. */
bool conf_addr_bindable(const struct conf_node *node);

/* True if this is the broadcast address of an interface of this machine, whose name goes to `name`. */
bool conf_addr_is_broadcast(const struct conf_node *node, char name[CONF_INTERFACE_SIZE]);

/* True if a datagram from there comes from the node's address and port. */
bool conf_addr_is(const struct conf_node *node, const struct sockaddr *from);

/* Writes the node's address as bind() wants it now: with the number of the interface if it names one. 0, or
 * -ENODEV while there is no such interface, or it is a name. */
int conf_addr_resolve(const struct conf_node *node, struct sockaddr_storage *addr);

#endif
