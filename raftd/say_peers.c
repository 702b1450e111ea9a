/* say_peers.c: see say_peers.h. */
#include "raftd/say_peers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/say.h"

/* A process that was stopped finds everybody silent until it has heard what came meanwhile. */
#define AFTER_SILENCE_US UINT64_C(4000000)

static bool grows(struct say_count *c, uint64_t n, uint64_t now_us)
{
    if (n != c->n)
        c->at_us = now_us;
    c->n = n;
    return c->at_us != 0 && now_us - c->at_us < SAY_PEERS_SILENT_US;
}

static enum say_trouble trouble_of(struct say_peer *said, const struct status *s,
                                   const struct status_peer *p, uint64_t now_us)
{
    bool cluster = grows(&said->cluster, p->drops[DROP_CLUSTER], now_us);
    bool kind = grows(&said->kind, p->drops[DROP_KIND], now_us);
    bool version = grows(&said->version, p->drops[DROP_VERSION], now_us);
    uint64_t heard_us = p->heard_us != 0 ? p->heard_us : s->start_us;
    switch (p->session) {
    case STATUS_SESSION_WRONG_KEY: return SAY_WRONG_KEY;
    case STATUS_SESSION_OTHER_LIST: return SAY_OTHER_LIST;
    case STATUS_SESSION_OTHER_DISK: return SAY_OTHER_DISK;
    case STATUS_SESSION_NEW_DISK: return SAY_NEW_DISK;
    case STATUS_SESSION_STAYS_OUT: return SAY_NO_TROUBLE; /* told of when that was learnt */
    case STATUS_SESSION_NONE:
    case STATUS_SESSION_PLAIN:
    case STATUS_SESSION_HANDSHAKE:
    case STATUS_SESSION_ESTABLISHED: break;
    }
    if (now_us < heard_us + SAY_PEERS_SILENT_US)
        return SAY_NO_TROUBLE;
    if (cluster)
        return SAY_OTHER_CLUSTER;
    return kind ? SAY_OTHER_KIND : version ? SAY_OTHER_VERSION : SAY_SILENT;
}

static void say_it(enum say_trouble t, const struct status *s, const struct status_peer *p,
                   uint64_t now_us)
{
    switch (t) {
    case SAY_WRONG_KEY:
        say_error("node %u (%s) speaks with another key than ours: compare key_file and "
                  "next_key_file on both boxes",
                  p->id, p->addr);
        break;
    case SAY_OTHER_LIST:
        say_error("node %u (%s) has another list of nodes than ours, so neither counts for the "
                  "other: compare [cluster] in both files",
                  p->id, p->addr);
        break;
    case SAY_OTHER_DISK:
        say_error("node %u (%s) comes with another data directory than the one known under its "
                  "id: it has forgotten what it promised, and does not count until its old one is "
                  "back; raftd(8) says what to do",
                  p->id, p->addr);
        break;
    case SAY_NEW_DISK:
        say_error("node %u (%s) knows another data directory under this node's id: this one is "
                  "new and has forgotten what was promised, so it stays out rather than lose a "
                  "write, until the old one is back; raftd(8) says what to do",
                  p->id, p->addr);
        break;
    case SAY_OTHER_CLUSTER:
        say_warn("node %u (%s) is of another cluster than %s: compare name in [cluster] of both "
                 "files",
                 p->id, p->addr, s->cluster);
        break;
    case SAY_OTHER_KIND:
        say_warn("node %u (%s) %s and this node does not: compare key_file in both files", p->id,
                 p->addr,
                 p->session == STATUS_SESSION_PLAIN ? "seals its datagrams"
                                                    : "speaks in plain text");
        break;
    case SAY_OTHER_VERSION:
        say_warn("node %u (%s) speaks another version of the protocol: install the same raftd on "
                 "both boxes",
                 p->id, p->addr);
        break;
    case SAY_SILENT:
        if (p->heard_us == 0)
            say_warn("node %u (%s) was not heard since the start: is it down or cut off, does a "
                     "firewall drop UDP, or is its address another one?",
                     p->id, p->addr);
        else
            say_warn("node %u (%s) was not heard for %" PRIu64 " s: is it down, or cut off?", p->id,
                     p->addr, (now_us - p->heard_us) / 1000000);
        break;
    case SAY_NO_TROUBLE:
    case SAY_TROUBLES: break;
    }
}

static void say_trouble(struct say_peer *said, const struct status *s, const struct status_peer *p,
                        uint64_t now_us)
{
    enum say_trouble now = trouble_of(said, s, p, now_us);
    for (enum say_trouble t = SAY_WRONG_KEY; t < SAY_TROUBLES; t++) {
        uint64_t lasts_us = t >= SAY_OTHER_CLUSTER ? AFTER_SILENCE_US : SAY_PEERS_LASTS_US;
        if (t != now)
            (void)lasting_over(&said->trouble[t], now_us);
        if (t != now || !lasting_is(&said->trouble[t], lasts_us, now_us))
            continue;
        say_it(t, s, p, now_us);
        if (!said->told)
            said->told_us = now_us;
        said->told = true;
    }
    /* Out of another trouble only when it is heard: a handshake alone may end in the same again. */
    if (said->told && now == SAY_NO_TROUBLE && p->heard_us > said->told_us) {
        said->told = false;
        say_info("node %u (%s) is heard again", p->id, p->addr);
    }
    if (p->session != said->session)
        say_debug("node %u (%s): session %s", p->id, p->addr, status_session_name(p->session));
    said->session = p->session;
}

/* Whoever lets data pass and drops HELLOs keeps old keys in use. To end the session would let him
 * cut the link instead. */
static void say_overdue(struct say_peer *said, const struct status_peer *p, uint64_t now_us)
{
    bool overdue = p->session == STATUS_SESSION_ESTABLISHED && now_us >= p->session_overdue_us;
    if (!overdue)
        said->overdue_said_us = 0;
    if (!overdue || p->heard_us + SAY_PEERS_SILENT_US < now_us) {
        said->overdue_us = 0;
        return;
    }
    if (said->overdue_us == 0)
        said->overdue_us = now_us;
    if (now_us - said->overdue_us < SAY_PEERS_OVERDUE_US ||
        (said->overdue_said_us != 0 && now_us - said->overdue_said_us < SAY_PEERS_AGAIN_US))
        return;
    said->overdue_said_us = now_us;
    say_warn("node %u (%s): the session's keys are %" PRIu64 " min old and are not replaced, for "
             "handshakes do not come through although data does: what drops them on the way? "
             "Going on with these keys",
             p->id, p->addr, (now_us - p->session_us) / 60000000);
}

/* Work goes on: each node obeys its own. */
static void say_settings(struct say_peer *said, const struct status *s, const struct status_peer *p,
                         uint64_t now_us)
{
    for (unsigned i = 0; i < p->settings.n && i < s->settings.n; i++) {
        uint64_t ours = s->settings.value[i], its = p->settings.value[i];
        const char *name = wire_setting_name((enum wire_setting)i);
        if (ours == its && lasting_over(&said->setting[i], now_us) > 0)
            say_info("%s is the same at node %u as here", name, p->id);
        if (ours != its && lasting_is(&said->setting[i], SAY_PEERS_LASTS_US, now_us))
            say_warn("%s is %" PRIu64 " at node %u (%s) and %" PRIu64
                     " here: it should be the same "
                     "on all nodes, write it into both files",
                     name, its, p->id, p->addr, ours);
    }
}

static void say_leader(struct say_peers *said, const struct status *s, uint64_t now_us)
{
    bool none = s->leader == 0;
    unsigned heard = 1;
    for (unsigned i = 0; i < s->n_peers; i++)
        heard += s->peers[i].heard_us != 0 && now_us < s->peers[i].heard_us + SAY_PEERS_SILENT_US;
    if (none && lasting_is(&said->no_leader, SAY_PEERS_LASTS_US, now_us))
        say_warn("no leader for %" PRIu64 " s: writes and linearizable reads wait. %u of %u nodes "
                 "are here, %u are needed",
                 (now_us - said->no_leader.since_us) / 1000000, heard, s->n_peers + 1,
                 (s->n_peers + 1) / 2 + 1);
    if (!none && lasting_over(&said->no_leader, now_us) > 0)
        say_info("node %u leads: there is a leader again", s->leader);
}

/* A missing address of our own and datagrams that are too big have messages of their own. */
static void say_send_fails(struct say_peers *said, const struct status *s, uint64_t now_us)
{
    bool fails = grows(&said->send_lost, s->send_lost, now_us) && s->send_errno != 0 &&
                 s->send_errno != EADDRNOTAVAIL;
    if (fails && lasting_is(&said->send_fails, SAY_PEERS_LASTS_US, now_us))
        say_warn("datagrams cannot be sent: %s. Does a firewall on this box forbid it, or is there "
                 "no route?",
                 strerror(s->send_errno));
    if (!fails && lasting_over(&said->send_fails, now_us) > 0)
        say_info("datagrams can be sent again");
}

void say_peers(struct say_peers *said, const struct status *s, uint64_t now_us)
{
    for (unsigned i = 0; i < s->n_peers; i++) {
        say_trouble(&said->peer[i], s, &s->peers[i], now_us);
        say_overdue(&said->peer[i], &s->peers[i], now_us);
        say_settings(&said->peer[i], s, &s->peers[i], now_us);
    }
    say_leader(said, s, now_us);
    say_send_fails(said, s, now_us);
}

static void print_addr(char *out, size_t size, const struct sockaddr *a)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
    bool is_v4 = a->sa_family == AF_INET;
    char ip[INET6_ADDRSTRLEN] = "?";
    (void)inet_ntop(a->sa_family, is_v4 ? (const void *)&v4->sin_addr : &v6->sin6_addr, ip,
                    sizeof ip);
    (void)snprintf(out, size, is_v4 ? "%s:%u" : "[%s]:%u", ip,
                   (unsigned)ntohs(is_v4 ? v4->sin_port : v6->sin6_port));
}

/* One address at a time, so that whoever invents addresses does not fill the log. */
void say_stranger(struct say_peers *said, uint64_t cluster_id, const uint8_t *buf, size_t len,
                  const struct sockaddr *from, uint64_t now_us)
{
    enum { AT_FROM = 2, AT_CLUSTER = 8, HEAD_BYTES = 16 }; /* of both envelopes, see wire.h */
    char addr[sizeof said->stranger_addr];
    if (len < HEAD_BYTES || get_u64(buf + AT_CLUSTER) != cluster_id)
        return;
    print_addr(addr, sizeof addr, from);
    if (said->stranger_us == 0 || now_us - said->stranger_us >= SAY_PEERS_SILENT_US) {
        (void)lasting_over(&said->stranger, now_us);
        memcpy(said->stranger_addr, addr, sizeof addr);
    } else if (strcmp(said->stranger_addr, addr) != 0) {
        return;
    }
    said->stranger_us = now_us;
    if (lasting_is(&said->stranger, SAY_PEERS_LASTS_US, now_us))
        say_warn(
            "what says to be node %u of this cluster comes from %s, which is no node's address "
            "in [cluster], and is dropped: does something change addresses or ports on the "
            "way, or has that box another address?",
            get_u16(buf + AT_FROM), addr);
}
