/* news.c: see news.h. */
#include "raftd/news.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/say.h"

enum {
    /* A process that was stopped finds everybody silent until it has heard what came meanwhile. */
    AFTER_SILENCE_US = 4000000,
    DATA_HIGH_PERCENT = 80, /* of max_data_bytes; that it is reached is said once, */
    DATA_LOW_PERCENT = 75,  /* and again only after the data were below this */
};

static const char *where(const struct status_peer *p)
{
    return p->addr[0] != '\0' ? p->addr : "no member";
}

/* What was said of a peer. If peers have come and gone, a new one takes the place of the first. */
static struct news_peer *peer_of(struct news *said, uint16_t id)
{
    struct news_peer *p = said->peers;
    unsigned i = 0;
    while (i < RAFT_PEERS_MAX && p[i].id != id && p[i].id != 0)
        i++;
    if (i == RAFT_PEERS_MAX) {
        memmove(p, p + 1, --i * sizeof *p);
        p[i] = (struct news_peer){0};
    }
    p[i].id = id;
    return &p[i];
}

/* --- of raft ---------------------------------------------------------------------------------- */

static void say_role(struct news *said, const struct raft *r)
{
    if (r->term == said->term && r->role == said->role && r->leader == said->leader)
        return;
    bool was_leader = said->role == RAFT_LEADER;
    if (r->role == RAFT_LEADER && !was_leader)
        say_info("leader of term %" PRIu64 " (%s)", r->term, raft_why_name(r->why));
    else if (was_leader && r->role != RAFT_LEADER)
        (r->why == RAFT_WHY_HANDED ? say_info : say_warn)("no longer leader: %s (term %" PRIu64 ")",
                                                          raft_why_name(r->why), r->term);
    else if (r->role == RAFT_FOLLOWER && r->leader != 0 &&
             (r->leader != said->leader || r->term != said->term))
        say_info("node %u leads term %" PRIu64, r->leader, r->term);
    else if (r->role == RAFT_CANDIDATE && said->role != RAFT_CANDIDATE)
        say_info("candidate in term %" PRIu64 ": %s", r->term, raft_why_name(r->why));
    said->term = r->term;
    said->role = r->role;
    said->leader = r->leader;
}

/* A disk has lost entries up to `index`; 0: it has all of them. True if a loss is to be told of now. A node
 * may restart many times in a row and lose something each time, hence NEWS_LOST_US. */
static bool is_loss(struct news_lost *said, uint64_t index, uint64_t now_us)
{
    bool worse = index > said->index;
    said->index = index;
    said->told = said->told && index != 0;
    if (!worse || (said->said_us != 0 && now_us - said->said_us < NEWS_LOST_US))
        return false;
    said->said_us = now_us;
    said->told = true;
    return true;
}

#define HOW                                                                                        \
    "its disk has lost what it had promised (an older copy of its data directory was put in "      \
    "place, or the disk does not keep what it says is written)"

static void say_own_loss(struct news_lost *said, const struct raft *r, uint64_t now_us)
{
    uint64_t lost = r->damaged ? 0 : r->doubt_index;
    bool over = said->told && r->doubt_index == 0;
    if (is_loss(said, lost, now_us))
        say_error("this node acknowledged entries up to %" PRIu64 " and has only %" PRIu64 ": " HOW
                  ". It is in doubt until it has them again: it does not stand for "
                  "leader, and votes only for a node that has them",
                  r->doubt_index, r->durable_index);
    if (over)
        say_info("no longer in doubt: all that this node had acknowledged is on its disk again");
}

/* It was said at the start what was lost. */
static void say_own_damage(struct news *said, const struct raft *r, uint64_t now_us)
{
    if (!r->damaged && said->damaged_us != 0) {
        said->damaged_us = 0;
        say_info("no longer in doubt: this node has all that the others know of, and counts again");
    }
    if (!r->damaged || (said->damaged_us != 0 && now_us - said->damaged_us < NEWS_DAMAGED_US))
        return;
    say_error(
        "%s in doubt: its log was damaged, and ends with entry %" PRIu64
        " now. It neither votes nor counts until a leader has brought what is missing, which takes "
        "a majority of the nodes without it; without one, see \"Damaged disks\" in raftd(8)",
        said->damaged_us != 0 ? "this node is still" : "this node is", r->trail.last);
    said->damaged_us = now_us;
}

/* Only a leader knows what a peer has lost. */
static void say_loss(struct news_lost *said, const struct raft_peer *p, bool leads, uint64_t now_us)
{
    bool over = leads && said->told && p->lost_index == 0;
    bool lost = is_loss(said, leads ? p->lost_index : 0, now_us);
    if (lost && p->damaged_boot != 0 && p->damaged_boot == p->boot)
        say_error(
            "the log of node %u was damaged, as that node says: it does not count until it has "
            "all that was committed, and gets it from here",
            p->id);
    else if (lost)
        say_error("node %u acknowledged entries up to %" PRIu64 " and has only %" PRIu64 ": " HOW
                  ". It gets them again; until then it does not stand for leader, and "
                  "what was committed with its copy is on fewer disks",
                  p->id, p->lost_index, p->probe_index);
    if (over)
        say_info("node %u has again what its disk had lost", p->id);
}

/* A node that has nobody to hand over to tries again and again: said once. */
static void say_handover(struct news *said, const struct raft *r)
{
    bool failed = r->transfer > RAFT_TRANSFER_LEFT;
    if (failed && said->transfer != r->transfer)
        say_warn("the lead was not handed over: %s", raft_transfer_name(r->transfer));
    if (failed || r->transfer == RAFT_TRANSFER_LEFT)
        said->transfer = r->transfer;
}

/* While a new node catches up, its configuration may be one of before it was added. */
static void say_standing(struct news *said, const struct raft *r, uint64_t now_us)
{
    bool none = r->members.n == 0;
    bool member = raft_is_member(&r->members, r->cfg.id, r->cfg.incarnation) && r->removed == 0;
    if (none && !said->waits)
        say_info("this node is no member yet: it waits until raftctl member add %u ADDRESS, at "
                 "another node, takes it in",
                 r->cfg.id);
    if (member && said->waits)
        say_info("this node is a member now");
    said->waits = none || (said->waits && !member);
    if (!none && !member && lasting_is(&said->out, NEWS_LASTS_US, now_us))
        say_warn(
            "this node is no member: it takes part in nothing, and can be stopped. To take the "
            "box back, use raftd --init --join in an empty directory and raftctl member add");
    if (member)
        (void)lasting_over(&said->out, now_us);
}

/* Of this node itself say_standing() tells. */
static void say_directories(struct news *said, const struct raft *r)
{
    for (unsigned i = 0; i < r->members.n; i++) {
        const struct raft_member *m = &r->members.m[i];
        uint64_t *was = &peer_of(said, m->id)->incarnation;
        if (*was != 0 && m->incarnation != 0 && *was != m->incarnation && m->id != r->cfg.id)
            say_info("node %u is another data directory from now on: it gets the data, and the one "
                     "before counts no more",
                     m->id);
        *was = m->incarnation != 0 ? m->incarnation : *was;
    }
}

void news_raft(struct news *said, const struct raft *r, uint64_t now_us)
{
    say_directories(said, r);
    say_handover(said, r);
    say_own_loss(&said->own, r, now_us);
    say_own_damage(said, r, now_us);
    for (unsigned i = 0; i < r->n_peers; i++)
        say_loss(&peer_of(said, r->peers[i].id)->lost, &r->peers[i], r->role == RAFT_LEADER,
                 now_us);
    say_standing(said, r, now_us);
    say_role(said, r);
}

/* --- of peers --------------------------------------------------------------------------------- */

/* What is said behind "node N (ADDRESS)". */
static const struct {
    const char *words;
    bool error;
    const char *counter; /* of what is dropped for it; NULL: nothing is, or see NEWS_DROPPED */
} troubles[NEWS_TROUBLES] = {
    [STATUS_SESSION_WRONG_KEY] = {"speaks with another key than ours: compare key_file and "
                                  "next_key_file on both boxes",
                                  true, "unauthentic"},
    [STATUS_SESSION_OTHER_CLUSTER] =
        {"is of another cluster, which was recovered or begun anew "
         "under the same name, so neither counts for the other: give "
         "it an empty data directory with raftd --init --join, and add it",
         true, "list"},
    [STATUS_SESSION_OTHER_LIST] = {"has another list of nodes than ours, so neither counts for the "
                                   "other: compare [cluster] in both files",
                                   true, "list"},
    [STATUS_SESSION_OTHER_DISK] =
        {"comes with another data directory than the one known under its "
         "id: it has forgotten what it promised, and does not count; "
         "raftctl member replace takes it in, or give it its old one back",
         true, "disk"},
    [STATUS_SESSION_NEW_DISK] = {"knows another data directory under this node's id: this one is "
                                 "new and has forgotten what was promised, so it stays out rather "
                                 "than lose a write, until the old one is back; raftd(8) says what "
                                 "to do",
                                 true, "disk"},
    [STATUS_SESSION_CLONED] =
        {"is more than one living box, with copies of one data directory: none of them counts "
         "until one has been alone for 30 s. Stop the copies: a box needs a directory of its own, "
         "made by raftd --init --join, and an id of its own",
         true, "disk"},
    [STATUS_SESSION_OWN_CLONE] =
        {"hears another living box with a copy of this node's data directory: neither counts there "
         "until one has been alone for 30 s. peer.N.at of its status says where both are; stop one",
         true, NULL},
    [STATUS_SESSION_STAYS_OUT] = {"is not counted by this node, whose data directory is new under "
                                  "an old id",
                                  true, NULL},
    [NEWS_DROPPED +
        DROP_CLUSTER] = {"is of another cluster: compare name in [cluster] of both files", false,
                         NULL},
    [NEWS_DROPPED +
        DROP_KIND] = {"seals its datagrams and this node does not: compare key_file in both files",
                      false, NULL},
    [NEWS_PLAIN] = {"speaks in plain text and this node does not: compare key_file in both files",
                    false, "kind"},
    [NEWS_DROPPED + DROP_VERSION] =
        {"speaks another version of the protocol: install the same raftd on both boxes", false,
         NULL},
    [NEWS_DROPPED + DROP_MISDIRECTED] = {"takes this node for another one: compare the addresses "
                                         "in [cluster] of both files, and id in [node]",
                                         false, NULL},
    [NEWS_DROPPED + DROP_UNKNOWN] = {"is another node than the one of that address: compare the "
                                     "addresses in [cluster] of both files, and id in [node]",
                                     false, NULL},
    [NEWS_DROPPED +
        DROP_LONG] = {"sends larger datagrams than any raftd does: what is at that address?", false,
                      NULL},
    [NEWS_DROPPED + DROP_SHORT] = {"sends datagrams that are cut: what cuts them on the way, or is "
                                   "something else at that address?",
                                   false, NULL},
    [NEWS_DROPPED + DROP_CHECKSUM] = {"sends datagrams that are damaged: look at the devices and "
                                      "the cables on the way, and at both boxes' memory",
                                      false, NULL},
    [NEWS_DROPPED + DROP_MALFORMED] =
        {"sends what this node does not understand: install the same raftd on both boxes", false,
         NULL},
    [NEWS_DROPPED + DROP_HELD] = {"is heard so much later than it speaks that it counts as silent: "
                                  "what holds its datagrams back on the way?",
                                  false, NULL},
    [NEWS_UNHEARD] = {"was not heard since the start: is it down or cut off, does a firewall drop "
                      "UDP, or is its address another one, or its key?",
                      false, NULL},
    [NEWS_SILENT] = {"is not heard any more: is it down, or cut off?", false, NULL},
};

/* For so long a node is silent until it is missing. */
static uint64_t silent_us(const struct status *s)
{
    return status_lasts_us((uint64_t)s->election_timeout_ms * 1000);
}

static bool grows(const struct status *s, struct news_count *c, uint64_t n, uint64_t now_us)
{
    if (n != c->n)
        c->at_us = now_us;
    c->n = n;
    return c->at_us != 0 && now_us - c->at_us < silent_us(s);
}

/* Reasons that last until somebody does something, what is behind others first. Of the rest a session tells,
 * or they are of datagrams that were late or forged. */
static const enum drop keep_out[] = {
    DROP_CLUSTER,     DROP_KIND,    DROP_VERSION, DROP_MALFORMED, DROP_CHECKSUM,
    DROP_MISDIRECTED, DROP_UNKNOWN, DROP_LONG,    DROP_SHORT,     DROP_HELD,
};

/* The trouble with a peer: the first one that holds; 0: there is none. */
static unsigned trouble_of(struct news_peer *said, const struct status *s,
                           const struct status_peer *p, uint64_t now_us)
{
    bool growing[DROP_COUNT];
    for (unsigned d = 0; d < DROP_COUNT; d++)
        growing[d] = grows(s, &said->drops[d], p->drops[d], now_us);
    uint64_t heard_us = p->heard_us != 0 ? p->heard_us : s->start_us;
    if (troubles[p->session].words != NULL)
        return p->session;
    if (now_us < heard_us + silent_us(s) || p->standing == RAFT_NO_MEMBER)
        return 0;
    if (growing[DROP_KIND] && p->session != STATUS_SESSION_PLAIN)
        return NEWS_PLAIN;
    for (unsigned i = 0; i < sizeof keep_out / sizeof keep_out[0]; i++)
        if (growing[keep_out[i]])
            return NEWS_DROPPED + keep_out[i];
    return p->heard_us == 0 ? NEWS_UNHEARD : NEWS_SILENT;
}

static void say_trouble(struct news_peer *said, const struct status *s, struct status_peer *p,
                        uint64_t now_us)
{
    unsigned now = trouble_of(said, s, p, now_us);
    p->trouble = now < NEWS_UNHEARD ? troubles[now].words : NULL;
    if (now == STATUS_SESSION_STAYS_OUT) /* this was said when the node learnt it */
        now = 0;
    for (unsigned t = 1; t < NEWS_TROUBLES; t++) {
        uint64_t lasts_us = t >= NEWS_DROPPED ? AFTER_SILENCE_US : NEWS_LASTS_US;
        if (t != now)
            (void)lasting_over(&said->trouble[t], now_us);
        if (t != now || !lasting_is(&said->trouble[t], lasts_us, now_us))
            continue;
        const char *counter = t >= NEWS_DROPPED && t < NEWS_PLAIN ? drop_name(t - NEWS_DROPPED)
                                                                  : troubles[t].counter;
        (troubles[t].error ? say_error : say_warn)(
            "node %u (%s) %s%s%s%s", p->id, t == STATUS_SESSION_CLONED ? p->at : where(p),
            troubles[t].words, counter != NULL ? " (what it sends is counted as drop." : "",
            counter != NULL ? counter : "", counter != NULL ? " in status)" : "");
        if (!said->told)
            said->told_us = now_us;
        said->told = true;
    }
    /* A handshake alone is not enough, for it may end in the same trouble: the peer must be heard. */
    if (said->told && now == 0 && p->heard_us > said->told_us) {
        said->told = false;
        say_info("node %u (%s) is heard again", p->id, where(p));
    }
    if (p->session != said->session)
        say_debug("node %u (%s): session %s", p->id, where(p), status_session_name(p->session));
    said->session = p->session;
}

/* Whoever lets data pass and drops HELLOs keeps old keys in use. If the session ended for that, he could cut
 * the link instead, so there is only a message. */
static void say_overdue(struct news_peer *said, const struct status *s, const struct status_peer *p,
                        uint64_t now_us)
{
    if (p->session != STATUS_SESSION_ESTABLISHED || now_us < p->session_overdue_us ||
        p->heard_us + silent_us(s) < now_us)
        (void)lasting_over(&said->overdue, now_us);
    else if (lasting_is(&said->overdue, NEWS_OVERDUE_US, now_us))
        say_warn("node %u (%s): the session's keys are %" PRIu64 " min old and are not replaced, "
                 "for handshakes do not come through although data does: what drops them on the "
                 "way? Going on with these keys",
                 p->id, where(p), (now_us - p->session_us) / 60000000);
}

/* Nothing stops for this: each node obeys its own settings. */
static void say_settings(struct news_peer *said, const struct status *s,
                         const struct status_peer *p, uint64_t now_us)
{
    for (unsigned i = 0; i < p->settings.n && i < s->settings.n; i++) {
        uint64_t ours = s->settings.value[i], its = p->settings.value[i];
        const char *name = wire_setting_name((enum wire_setting)i);
        if (ours == its && lasting_over(&said->setting[i], now_us) > 0)
            say_info("%s is the same at node %u as here", name, p->id);
        if (ours != its && lasting_is(&said->setting[i], NEWS_LASTS_US, now_us))
            say_warn("%s is %" PRIu64 " at node %u (%s) and %" PRIu64
                     " here: it should be the same "
                     "on all nodes, write it into both files",
                     name, its, p->id, where(p), ours);
    }
}

static void say_narrow(struct news_peer *said, const struct status_peer *p, uint64_t now_us)
{
    bool narrow = p->datagram_bytes < p->datagram_usual;
    if (narrow && lasting_is(&said->narrow, NEWS_NARROW_US, now_us))
        say_warn("node %u (%s): datagrams of %" PRIu32 " bytes do not get through, %s%" PRIu32
                 "%s. Going on with those; larger ones are tried again now and then. Look for "
                 "a tunnel on the way, or for a device with a small MTU",
                 p->id, where(p), p->datagram_usual,
                 p->datagram_carried ? "those of " : "and none of ", p->datagram_bytes,
                 p->datagram_carried ? " do" : " has yet");
    if (!narrow && lasting_over(&said->narrow, now_us) > 0)
        say_info("node %u (%s): datagrams of %" PRIu32 " bytes get through again", p->id, where(p),
                 p->datagram_usual);
}

/* Whoever has another data directory is refused while the one that counts is heard. */
static void say_second_box(struct news_peer *said, const struct status *s,
                           const struct status_peer *p, uint64_t now_us)
{
    bool comes = grows(s, &said->drops[DROP_DISK], p->drops[DROP_DISK], now_us) &&
                 p->session == STATUS_SESSION_ESTABLISHED;
    if (comes && lasting_is(&said->second_box, NEWS_LASTS_US, now_us))
        say_error("node %u (%s) is there, and another box comes under its id, with another data "
                  "directory, and is refused: give that one an id of its own, with raftd --init "
                  "--join in an empty directory and raftctl member add; or, if it is to take the "
                  "place of the first one, stop that, and use raftctl member replace",
                  p->id, where(p));
    if (!comes)
        (void)lasting_over(&said->second_box, now_us);
}

/* Only a member's key says who it is. While it is not known, whoever comes first is taken. */
static void say_first(struct news_peer *said, const struct status *s, const struct status_member *m,
                      uint64_t now_us)
{
    bool unknown = m->incarnation == 0 && s->members_index != 0;
    if (unknown && m->standing == MEMBER_VOTER &&
        lasting_is(&said->never_met, NEWS_LASTS_US, now_us))
        say_warn(
            "node %u (%s) has never been here, so its key is not known, and whoever comes first "
            "under "
            "its id with the cluster's key counts as it: start that box, or take it out until it "
            "is there, with raftctl member remove %u and later raftctl member add",
            m->id, m->addr, m->id);
    if (!unknown)
        (void)lasting_over(&said->never_met, now_us);
    if (said->unknown && m->incarnation != 0)
        say_warn(
            "node %u (%s) counts from now on, with a data directory whose key begins with "
            "%016" PRIx64
            ". It came first under that id, and no key was known: compare that with incarnation in "
            "raftctl status on your box. If they differ it is another box: stop it, change the "
            "cluster's key, make yours anew with raftd --init --join in an empty directory, and "
            "take it in with raftctl member replace %u",
            m->id, m->addr, m->incarnation, m->id);
    said->unknown = unknown;
}

/* --- of the cluster --------------------------------------------------------------------------- */

static void say_leader(struct news *said, const struct status *s, uint64_t now_us)
{
    bool none = s->leader == 0;
    unsigned heard = s->standing == RAFT_VOTER, voters = heard;
    for (unsigned i = 0; i < s->n_peers; i++) {
        const struct status_peer *p = &s->peers[i];
        bool voter = p->standing == RAFT_VOTER;
        voters += voter;
        heard += voter && p->heard_us != 0 && now_us < p->heard_us + silent_us(s);
    }
    if (none && !said->waits && !said->out.told &&
        lasting_is(&said->no_leader, NEWS_LASTS_US, now_us))
        say_warn("no leader for %" PRIu64 " s: writes and linearizable reads wait. %u of %u nodes "
                 "are here, %u are needed. raftctl links says who hears whom",
                 (now_us - said->no_leader.since_us) / 1000000, heard, voters, voters / 2 + 1);
    if (!none && lasting_over(&said->no_leader, now_us) > 0)
        say_info("node %u leads: there is a leader again", s->leader);
}

/* It is tried again all the while. */
static void say_memory(struct news *said, const struct status *s, uint64_t now_us)
{
    if (s->no_memory != 0 && lasting_is(&said->no_memory, 0, now_us))
        say_warn(
            "out of memory: node %u is a peer of this node, which can neither hear it nor speak "
            "to it until there is some",
            s->no_memory);
    if (s->no_memory == 0 && lasting_over(&said->no_memory, now_us) > 0)
        say_info("there is memory for all peers again");
}

static void say_commits(struct news *said, const struct status *s, uint64_t now_us)
{
    if (s->uncommitted_us >= STATUS_UNCOMMITTED_US) {
        if (lasting_is(&said->uncommitted, 0, now_us))
            say_warn("this node leads and is heard, but has committed nothing for %" PRIu64
                     " s, and writes time out: the log has %" PRIu64 " entries, a majority of the "
                     "disks only %" PRIu64
                     ". Which nodes lag is in peer.N.match_index of raftctl status",
                     s->uncommitted_us / 1000000, s->last_index, s->commit_index);
        return;
    }
    uint64_t lasted_s = lasting_over(&said->uncommitted, now_us);
    if (lasted_s > 0)
        say_info("nothing was committed for %" PRIu64 " s, until %s",
                 lasted_s + STATUS_UNCOMMITTED_US / 1000000,
                 s->role == RAFT_LEADER ? "now" : "this node stopped leading");
}

/* An address of ours that is missing, and datagrams that are too big, have messages of their own. */
static void say_send_fails(struct news *said, const struct status *s, uint64_t now_us)
{
    bool fails = grows(s, &said->send_lost, s->udp.lost, now_us) && s->udp.lost_errno != 0 &&
                 s->udp.lost_errno != EADDRNOTAVAIL;
    if (fails && lasting_is(&said->send_fails, NEWS_LASTS_US, now_us))
        say_warn("datagrams cannot be sent: %s. Does a firewall on this box forbid it, or is there "
                 "no route?",
                 strerror(s->udp.lost_errno));
    if (!fails && lasting_over(&said->send_fails, now_us) > 0)
        say_info("datagrams can be sent again");
}

static void say_data(struct news *said, const struct status *s)
{
    uint64_t percent = s->data_bytes * 100 / s->max_data_bytes;
    if (percent >= DATA_HIGH_PERCENT && !said->data_high)
        say_warn(
            "the data have reached %" PRIu64 " %% of max_data_bytes (%" PRIu64 " of %" PRIu64
            " bytes): delete something, or raise it on all nodes; beyond it new data are refused",
            percent, s->data_bytes, s->max_data_bytes);
    if (percent >= DATA_HIGH_PERCENT || percent < DATA_LOW_PERCENT)
        said->data_high = percent >= DATA_HIGH_PERCENT;
}

static void say_log_full(struct news *said, const struct status *s, uint64_t now_us)
{
    uint64_t lasted_s = s->log_full != 0 ? 0 : lasting_over(&said->log_full, now_us);
    if (s->log_full != 0 && lasting_is(&said->log_full, 0, now_us))
        say_warn("the log has reached log_max_bytes (%" PRIu64
                 "), and no snapshot is there that lets it go: new writes are refused here until "
                 "one is written",
                 s->log_max_bytes);
    if (lasted_s > 0)
        say_info("a snapshot has made the log shorter: writes are taken again, after %" PRIu64 " s",
                 lasted_s);
}

static void say_differs(struct news *said, const struct status *s)
{
    if (s->differs_index != 0 && said->differs_index == 0)
        say_error(
            "the state of this node as of entry %" PRIu64
            " differs from another node's. Which of them is right is counted when more nodes have "
            "told theirs: until then this node neither serves nor changes its state. Start the "
            "nodes that are down",
            s->differs_index);
    if (s->differs_index == 0 && said->differs_index != 0)
        say_info("the state of this node is that of a majority of the nodes: it serves again");
    said->differs_index = s->differs_index;
}

void news_status(struct news *said, struct status *s, uint64_t now_us)
{
    for (unsigned i = 0; i < s->n_peers; i++) {
        struct news_peer *p = peer_of(said, s->peers[i].id);
        say_trouble(p, s, &s->peers[i], now_us);
        say_overdue(p, s, &s->peers[i], now_us);
        say_settings(p, s, &s->peers[i], now_us);
        say_narrow(p, &s->peers[i], now_us);
        say_second_box(p, s, &s->peers[i], now_us);
    }
    for (unsigned i = 0; i < s->n_members; i++)
        if (s->members[i].id != s->id)
            say_first(peer_of(said, s->members[i].id), s, &s->members[i], now_us);
    say_leader(said, s, now_us);
    say_memory(said, s, now_us);
    say_send_fails(said, s, now_us);
    say_data(said, s);
    say_log_full(said, s, now_us);
    say_commits(said, s, now_us);
    say_differs(said, s);
}

/* --- of strangers ----------------------------------------------------------------------------- */

static void print_addr(char *out, size_t size, const struct sockaddr *a)
{
    char host[64] = "?", port[8] = "?";
    socklen_t len = a->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                            : sizeof(struct sockaddr_in6);
    (void)getnameinfo(a, len, host, sizeof host, port, sizeof port,
                      NI_NUMERICHOST | NI_NUMERICSERV);
    (void)snprintf(out, size, strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host, port);
}

/* Looks at one address at a time: whoever invents addresses must not fill the messages. */
void news_stranger(struct news *said, uint64_t cluster_id, const uint8_t *buf, size_t len,
                   const struct sockaddr *from, uint64_t now_us)
{
    enum {
        KIND = 0x0F,
        AT_FROM = 2,
        AT_CLUSTER = 8,
        HEAD_BYTES = 16
    }; /* of both envelopes, see wire.h */
    char addr[sizeof said->stranger_addr];
    if (len < HEAD_BYTES || get_u64(buf + AT_CLUSTER) != cluster_id)
        return;
    print_addr(addr, sizeof addr, from);
    if (said->stranger_us == 0 || now_us - said->stranger_us >= NEWS_STRANGER_US) {
        (void)lasting_over(&said->stranger, now_us);
        memcpy(said->stranger_addr, addr, sizeof addr);
    } else if (strcmp(said->stranger_addr, addr) != 0) {
        return;
    }
    said->stranger_us = now_us;
    if (lasting_is(&said->stranger, NEWS_LASTS_US, now_us))
        say_warn("what says to be node %u of this cluster comes from %s, and is dropped: %s (it is "
                 "counted as drop.unknown in status)",
                 get_u16(buf + AT_FROM), addr,
                 (buf[0] & KIND) == 0 ? "that is no node's address in [cluster]. Does something "
                                        "change addresses or ports on the way, or has that box "
                                        "another address?"
                                      : "it is sealed with another key than ours. Compare key_file "
                                        "and next_key_file on both boxes");
}
