/* say_peers.c: see say_peers.h. */
#include "raftd/say_peers.h"

#include <inttypes.h>
#include <stdbool.h>

#include "raftd/say.h"

enum { HEARD_US = 10000000 }; /* two nodes speak every 3 s */

/* A peer with another key is a mistake that somebody must hear of by name. */
static void say_session(enum status_session *said, const struct status_peer *p)
{
    if (p->session == *said)
        return;
    if (p->session == STATUS_SESSION_WRONG_KEY)
        say_error("node %u (%s) speaks with another key than ours: compare key_file and "
                  "next_key_file on both boxes",
                  p->id, p->addr);
    else if (*said == STATUS_SESSION_WRONG_KEY && p->session == STATUS_SESSION_ESTABLISHED)
        say_info("node %u (%s) has our key now", p->id, p->addr);
    else
        say_debug("node %u (%s): session %s", p->id, p->addr, status_session_name(p->session));
    if (p->session != STATUS_SESSION_HANDSHAKE || *said != STATUS_SESSION_WRONG_KEY)
        *said = p->session;
}

/* Whoever lets data pass and drops HELLOs keeps old keys in use. To end the session would let him
 * cut the link instead. */
static void say_overdue(uint64_t *since_us, uint64_t *said_us, const struct status_peer *p,
                        uint64_t now_us)
{
    bool overdue = p->session == STATUS_SESSION_ESTABLISHED && now_us >= p->session_overdue_us;
    if (!overdue)
        *said_us = 0;
    if (!overdue || p->heard_us + HEARD_US < now_us) {
        *since_us = 0;
        return;
    }
    if (*since_us == 0)
        *since_us = now_us;
    if (now_us - *since_us < SAY_PEERS_OVERDUE_US ||
        (*said_us != 0 && now_us - *said_us < SAY_PEERS_AGAIN_US))
        return;
    *said_us = now_us;
    say_warn("node %u (%s): the session's keys are %" PRIu64 " min old and are not replaced, for "
             "handshakes do not come through although data does: what drops them on the way? "
             "Going on with these keys",
             p->id, p->addr, (now_us - p->session_us) / 60000000);
}

void say_peers(struct say_peers *said, const struct status *s, uint64_t now_us)
{
    for (unsigned i = 0; i < s->n_peers; i++) {
        say_session(&said->session[i], &s->peers[i]);
        say_overdue(&said->overdue_us[i], &said->said_us[i], &s->peers[i], now_us);
    }
}
