/* conf_addr.c: see conf_addr.h. Interfaces are asked for by ioctl() and /proc, for netlink is not among
 * the address families that the service file allows.
 */
#include "raftd/conf_addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "raftd/base/num.h"

_Static_assert((int)CONF_INTERFACE_SIZE == (int)IF_NAMESIZE, "a name of an interface and its zero");

enum {
    INTERFACES_MAX = 1024, /* IPv4 addresses of this machine that are looked at */
    NOT_READY = 0x08 |
                0x40, /* IFA_F_DADFAILED, IFA_F_TENTATIVE: another machine may have it, too */
};

static const char allowed[] = "is not the address of one box; allowed: 192.0.2.1:PORT, "
                              "[2001:db8::1]:PORT or NAME:PORT";

static struct sockaddr_in in4(const struct conf_node *node)
{
    struct sockaddr_in sin;
    memcpy(&sin, &node->addr, sizeof sin);
    return sin;
}

static struct sockaddr_in6 in6(const struct conf_node *node)
{
    struct sockaddr_in6 sin6;
    memcpy(&sin6, &node->addr, sizeof sin6);
    return sin6;
}

/* --- text ------------------------------------------------------------------------------------- */

static const char *parse_addr4(struct conf_node *node, const char *host, uint16_t port)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, host, &sin.sin_addr) != 1)
        return allowed;
    uint32_t ip = ntohl(sin.sin_addr.s_addr);
    if (ip >> 24 == 0 || ip >= 0xe0000000U) /* "any", multicast and broadcast are not one box's */
        return allowed;
    memcpy(&node->addr, &sin, sizeof sin);
    node->addr_len = sizeof sin;
    return NULL;
}

/* Splits "fe80::1%eth0" in place. False if what stands behind '%' is no name of an interface. The kernel
 * allows nearly any byte in one, but status prints the name as text and as JSON.
 */
static bool split_interface(struct conf_node *node, char *host)
{
    char *mark = strchr(host, '%');
    if (mark == NULL)
        return true;
    *mark++ = '\0';
    size_t len = strlen(mark);
    if (len == 0 || len >= sizeof node->interface || strpbrk(mark, "/%:") != NULL)
        return false;
    for (size_t i = 0; i < len; i++)
        if (mark[i] < 0x21 || mark[i] > 0x7e)
            return false;
    memcpy(node->interface, mark, len + 1);
    return true;
}

static const char *parse_addr6(struct conf_node *node, char *host, uint16_t port)
{
    struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (!split_interface(node, host) || inet_pton(AF_INET6, host, &sin6.sin6_addr) != 1 ||
        IN6_IS_ADDR_UNSPECIFIED(&sin6.sin6_addr) || IN6_IS_ADDR_MULTICAST(&sin6.sin6_addr) ||
        IN6_IS_ADDR_V4MAPPED(&sin6.sin6_addr))
        return allowed;
    bool link = IN6_IS_ADDR_LINKLOCAL(&sin6.sin6_addr);
    if (link && node->interface[0] == '\0')
        return "is an address of a link and does not say of which; allowed: "
               "[fe80::1%INTERFACE]:PORT";
    if (!link && node->interface[0] != '\0')
        return "names an interface; allowed: only with an address of a link, fe80::";
    memcpy(&node->addr, &sin6, sizeof sin6);
    node->addr_len = sizeof sin6;
    return NULL;
}

/* A name has a letter in it: numbers and dots alone are an address that is wrong. */
static bool is_name(const char *host)
{
    bool letter = false;
    for (const char *c = host; *c != '\0'; c++) {
        bool is = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
        letter = letter || is;
        if (!is && !(*c >= '0' && *c <= '9') && strchr("-._", *c) == NULL)
            return false;
    }
    return letter;
}

const char *conf_addr_parse(struct conf_node *node, const char *text)
{
    struct conf_node parsed = *node;
    size_t len = strlen(text);
    const char *colon = strrchr(text, ':');
    uint64_t port;
    if (len >= sizeof parsed.addr_text || colon == NULL ||
        !num_parse(colon + 1, 1, UINT16_MAX, &port))
        return allowed;
    bool v6 = text[0] == '[';
    size_t skip = v6 ? 1 : 0;
    size_t host_len = (size_t)(colon - text);
    if (host_len < 2 || (v6 && text[host_len - 1] != ']'))
        return allowed;
    char host[CONF_ADDR_SIZE] = {0};
    memcpy(host, text + skip, host_len - 2 * skip);
    memcpy(parsed.addr_text, text, len + 1);
    const char *wrong = NULL;
    if (v6)
        wrong = parse_addr6(&parsed, host, (uint16_t)port);
    else if (!is_name(host))
        wrong = parse_addr4(&parsed, host, (uint16_t)port);
    if (wrong == NULL)
        *node = parsed;
    return wrong;
}

enum conf_reach conf_addr_reach(const struct conf_node *node)
{
    if (node->addr_len == 0)
        return CONF_REACH_NET;
    if (node->addr.ss_family == AF_INET) {
        uint32_t ip = ntohl(in4(node).sin_addr.s_addr);
        return ip >> 24 == IN_LOOPBACKNET ? CONF_REACH_MACHINE : CONF_REACH_NET;
    }
    struct sockaddr_in6 sin6 = in6(node);
    if (IN6_IS_ADDR_LOOPBACK(&sin6.sin6_addr))
        return CONF_REACH_MACHINE;
    return IN6_IS_ADDR_LINKLOCAL(&sin6.sin6_addr) ? CONF_REACH_LINK : CONF_REACH_NET;
}

/* --- this machine ------------------------------------------------------------------------------ */

static int udp_socket(int family)
{
    return socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static struct in_addr address_of(const struct ifreq *request)
{
    struct sockaddr_in sin;
    memcpy(&sin, &request->ifr_addr, sizeof sin);
    return sin.sin_addr;
}

/* Calls `match` for each IPv4 address of each interface, until it says true. */
static bool any_interface(bool (*match)(int fd, struct ifreq *request, struct in_addr wanted),
                          struct in_addr wanted, char *name)
{
    struct ifreq requests[INTERFACES_MAX];
    struct ifconf conf = {.ifc_len = sizeof requests, .ifc_req = requests};
    bool found = false;
    int fd = udp_socket(AF_INET);
    if (fd < 0)
        return false;
    size_t n = ioctl(fd, SIOCGIFCONF, &conf) == 0 ? (size_t)conf.ifc_len / sizeof *requests : 0;
    for (size_t i = 0; i < n && !found; i++) {
        found = match(fd, &requests[i], wanted);
        if (found && name != NULL)
            memcpy(name, requests[i].ifr_name, CONF_INTERFACE_SIZE);
    }
    (void)close(fd);
    return found;
}

static bool has_address(int fd, struct ifreq *request, struct in_addr wanted)
{
    (void)fd;
    return address_of(request).s_addr == wanted.s_addr;
}

/* A network of one or two addresses has no broadcast address (RFC 3021), whatever somebody set. */
static bool has_room_for_broadcast(int fd, struct ifreq ask)
{
    return ioctl(fd, SIOCGIFNETMASK, &ask) == 0 && ntohl(address_of(&ask).s_addr) < 0xfffffffeU;
}

static bool has_broadcast(int fd, struct ifreq *request, struct in_addr wanted)
{
    struct in_addr own = address_of(request);
    struct ifreq ask = *request;
    /* An interface with a lone address may have itself as its broadcast address. */
    return own.s_addr != wanted.s_addr && ioctl(fd, SIOCGIFFLAGS, &ask) == 0 &&
           (ask.ifr_flags & IFF_BROADCAST) != 0 && has_room_for_broadcast(fd, *request) &&
           ioctl(fd, SIOCGIFBRDADDR, request) == 0 && address_of(request).s_addr == wanted.s_addr;
}

/* A line of /proc/net/if_inet6: address in hexadecimal, number of the interface, length of the prefix,
 * scope and flags in hexadecimal, name. */
static bool line_has(char *line, const struct in6_addr *wanted, const char *interface)
{
    enum { ADDRESS, NUMBER, PREFIX, SCOPE, FLAGS, NAME, WORDS };
    char want[2 * sizeof wanted->s6_addr + 1], *rest = line;
    const char *word[WORDS];
    uint64_t flags;
    for (unsigned i = 0; i < WORDS; i++)
        if ((word[i] = strtok_r(rest, " \n", &rest)) == NULL)
            return false;
    if (!num_take(&word[FLAGS], 16, UINT32_MAX, &flags) || (flags & NOT_READY) != 0 ||
        (interface[0] != '\0' && strcmp(word[NAME], interface) != 0))
        return false;
    for (size_t i = 0; i < sizeof wanted->s6_addr; i++)
        (void)snprintf(want + 2 * i, 3, "%02x", wanted->s6_addr[i]);
    return strcmp(word[ADDRESS], want) == 0;
}

static bool has_address6(const struct conf_node *node)
{
    char line[128];
    bool found = false;
    struct sockaddr_in6 sin6 = in6(node);
    FILE *list = fopen("/proc/net/if_inet6", "re");
    if (list == NULL)
        return false;
    while (!found && fgets(line, sizeof line, list) != NULL)
        found = line_has(line, &sin6.sin6_addr, node->interface);
    (void)fclose(list); /* only read from */
    return found;
}

bool conf_addr_on_interface(const struct conf_node *node)
{
    if (node->addr_len == 0)
        return false;
    if (node->addr.ss_family == AF_INET6)
        return has_address6(node);
    /* The interface that has 127.0.0.1 has all of 127.0.0.0/8. */
    struct in_addr wanted = {.s_addr = conf_addr_reach(node) == CONF_REACH_MACHINE
                                           ? htonl(INADDR_LOOPBACK)
                                           : in4(node).sin_addr.s_addr};
    return any_interface(has_address, wanted, NULL);
}

bool conf_addr_is_broadcast(const struct conf_node *node, char name[CONF_INTERFACE_SIZE])
{
    return node->addr.ss_family == AF_INET &&
           any_interface(has_broadcast, in4(node).sin_addr, name);
}

int conf_addr_resolve(const struct conf_node *node, struct sockaddr_storage *addr)
{
    *addr = node->addr;
    if (node->interface[0] == '\0')
        return node->addr_len != 0 ? 0 : -ENODEV;
    struct sockaddr_in6 sin6 = in6(node);
    sin6.sin6_scope_id = if_nametoindex(node->interface);
    memcpy(addr, &sin6, sizeof sin6);
    return sin6.sin6_scope_id != 0 ? 0 : -ENODEV;
}

bool conf_addr_bindable(const struct conf_node *node)
{
    struct sockaddr_storage addr;
    if (conf_addr_resolve(node, &addr) != 0)
        return false;
    /* Port 0 is any port: ours may be in use, and only the address matters here. */
    size_t port = addr.ss_family == AF_INET ? offsetof(struct sockaddr_in, sin_port)
                                            : offsetof(struct sockaddr_in6, sin6_port);
    memset((char *)&addr + port, 0, sizeof(in_port_t));
    int fd = udp_socket(addr.ss_family);
    if (fd < 0)
        return false;
    bool bound = bind(fd, (const struct sockaddr *)&addr, node->addr_len) == 0;
    (void)close(fd);
    return bound;
}

bool conf_addr_is(const struct conf_node *node, const struct sockaddr *from)
{
    /* Family, port and address lie in a row. Between those of IPv6 lies the flow, which nobody sets. */
    size_t bytes = from->sa_family == AF_INET ? offsetof(struct sockaddr_in, sin_zero)
                                              : offsetof(struct sockaddr_in6, sin6_scope_id);
    return memcmp(&node->addr, from, bytes) == 0;
}
