/* raft.h: Raft as a value: events in, a to-do list out.
 *
 * This is the whole interface of raftd/core. It follows Ongaro's dissertation, "Consensus:
 * Bridging Theory and Practice" (section and figure numbers below are its own), and assumes that
 * the reader knows it. The core does no I/O, reads no clock, allocates nothing and draws its
 * random numbers from a seed, so the same object code runs in the daemon and in simulators.
 *
 * The cycle
 * ---------
 *     raft_step(r, now, event, &edit)     any number of times; mirror each edit into your log bytes
 *     raft_ready(r, now, &ready)          what to persist, send, apply and answer
 *     ... hand everything over ...
 *     raft_advance(r, now, &ready)        the hand-over has happened
 *     raft_deadline(r)                    absolute time of the next RAFT_EV_TICK
 *
 * Time is any monotonic clock in microseconds that never runs backwards and is never 0; it is an
 * argument.
 *
 * What must be durable before what may leave
 * ------------------------------------------
 * raft_ready() gives two lists of messages and at most one batch to persist.
 *
 *  - `now` messages may leave at once: nothing in them promises what is not on disk. A leader's
 *    LEADs are here, and so the entries that its peers need (they are streamed by the caller, see
 *    below) may leave before the leader's own disk has them (section 10.2.1): the leader counts
 *    its own copy only when RAFT_EV_PERSISTED says so.
 *  - `after` messages (votes, requests for votes and all else that speaks of a term or vote not
 *    yet on disk) may leave only when the batch of the same raft_ready() is durable. The caller
 *    keeps them until then. What is emitted while that batch is in flight, the core keeps itself
 *    for a later raft_ready().
 *  - `persist` is one batch: term and vote, a truncation (first), new entries (second). It must
 *    become durable as a whole or not at all to a reader of the log: batches are written in order,
 *    one at a time. While a batch is in flight raft_ready() never gives another. The commit index
 *    rides along, but is no reason for a batch.
 *
 * Durability comes back as RAFT_EV_PERSISTED with the batch's sequence number, never as an index:
 * an index may meanwhile name another entry (overwritten by a new leader), a number names one
 * write. Acknowledgements of entries (RAFT_MSG_ACK) are made after that event, so they are never
 * early. If a batch can't be made durable, the process must end: there is no event for that.
 *
 * But a batch may be refused because the disk has no room for it. RAFT_EV_REFUSED hands it back: the
 * disk is as it was before the batch, none of it is durable, and the `after` messages that waited for it
 * are void (they were promises; whoever wants one asks again). The same batch is not tried again:
 *
 *  - If entries were in it, the next batch holds term and vote alone, if they are to be written (with a
 *    pending truncation, so that the log on disk is always a beginning of the one in memory). Votes
 *    need little room, and a node whose disk is full should give them.
 *  - Entries are offered again after raft_config.full_retry. If term and vote were refused, too, all
 *    waits that long.
 *
 * A node whose batch was refused does not stand for election until a batch of the refused kind is
 * durable: it could not write its no-op. A leader hands over to a peer that has room. If no peer has
 * room the leader goes on, since reads need no disk, until something is committed without its own copy.
 * Then others can lead and write, and it steps down.
 *
 * Entries
 * -------
 * Payload bytes never enter the core. It knows the log as a trail (trail.h), which may begin anywhere:
 * what is below its base is committed, and the same on all nodes that have it. Whenever raft_step()
 * changes the log it says so in `edit`, and the caller mirrors the change in its own bytes before the
 * next call: cut after edit.truncate_to, then append the entries edit.append_first..append_last. They
 * are those of the event, or a no-op: a new leader starts with one, and makes one for a damaged peer if
 * all else is on its disk.
 *
 * Replication. A leader's peer is in one of these states:
 *
 *            +---------- need_probe, restart ----------+
 *            v                                         |
 *      RAFT_PEER_PROBE --- probe matched ---> RAFT_PEER_REPLICATE
 *            |
 *            +-- the peer needs entries that the log no longer has --> RAFT_PEER_SNAPSHOT --+
 *            |                                                                              |
 *            +<-- the log begins later -------------- or, once the peer has the base, REPLICATE
 *
 * PROBE is AppendEntries' consistency check alone (figure 3.1), one message at a time. The answer to a
 * conflict has a hint that says where to ask next. SNAPSHOT is PROBE at the base of the log for a peer
 * that has shown that it lacks that entry: the caller brings it a snapshot (chapter 5), and the probe
 * goes on with the heartbeats until the peer has the entry. In REPLICATE the caller streams the entries
 * after base_index to the peer, in any pieces, as often as needed, until they arrive: loss never changes
 * the state. On the other side the caller turns what has arrived without a gap into RAFT_EV_APPEND: the
 * receiver's part of AppendEntries. `epoch` names one such stream: it is the number of the probe that
 * started it. Probe numbers only grow within a leader's term, so late datagrams of an earlier stream are
 * recognised. A new leader streams to whoever voted for it from the first probe on, without its answer.
 *
 * Snapshots (chapter 5). What the caller applied and has in a durable snapshot may leave the log:
 * raft_compact(). A snapshot that a follower got becomes its own state between raft_install_begin() and
 * RAFT_EV_INSTALL. If the log holds the snapshot's last entry, that entry is known to be committed from
 * then on, and nothing else changes. If not, the log is empty behind that entry, and what this node
 * acknowledges is in the snapshot. So recovery must treat a log without the newest snapshot's last entry
 * as empty behind that entry. The disk hears of it in a batch of its own (persist.reset), in the order
 * of all batches.
 *
 * Reads (section 6.4). RAFT_EV_READ asks for a linearizable read; the answer comes in
 * raft_ready().read. A leader confirms its leadership by a round of LEAD/ACK that is first sent
 * after the request arrived: rounds are numbers made by the leader, a new one for each LEAD, never
 * used again. Reads on a follower are relayed (READ_REQ / READ_RSP) and retried by the core.
 *
 * Hand-over (section 3.10). RAFT_EV_TRANSFER asks the leader to give its role to a peer. From that step on
 * proposals are refused: the caller keeps them, and sends them to the next leader. As soon as the peer has
 * the whole log on its disk it is told to stand (RAFT_MSG_TIMEOUT_NOW), and voters help it though they hear
 * a leader. If the peer is not elected in time, this leader goes on. A node that is drained hands over, and
 * so does one whose disk is full or whose state may be wrong. So does one that a voter of higher priority
 * outranks, when all has been calm (enum raft_waits) for ten seconds. After each such hand-over the next one
 * of this process needs twice as much calm, up to 640 s, until there was none for 1280 s.
 *
 * Members (chapter 4). The configuration is an entry of the log, and the newest one in the log is in force,
 * committed or not: for commits, votes, rounds and the check of the majority. The caller decodes these
 * entries, and tells which configurations are in what it restores, appends or installs. A node knows two of
 * them, `members` and `members_before`: a leader adds one only when the one before is committed, so whoever
 * has the newest knows that. If a truncation takes the newest away, the one before is in force again.
 *
 *  - RAFT_EV_PROPOSE with `members` changes them: one voter at a time (section 4.1), refused with a reason
 *    when it is not safe. An entry of this leader's term must be committed before: else two leaders could
 *    each have a majority of its own (the fault found in 2015 in section 4.1's algorithm).
 *  - A new node is a learner first: it gets the log and never counts. One that is RAFT_JOINING is made a
 *    voter by the leader itself, when it has caught up (section 4.2.1): raft_edit.promoted.
 *  - A leader that is no voter of the newest configuration leads on, without counting itself, until that
 *    is committed (section 4.2.2). Then it steps down.
 *  - Who leads or asks for votes is heard whether it is a member or not (section 4.1), because the
 *    receiver's own configuration may be out of date. For the same reason everybody gives votes, learners
 *    too. But a node whose configuration does not make it a voter does not stand.
 *  - A removed node gets the log a little longer, so that it learns of its removal. If it missed that and
 *    asks for votes, whoever knows a committed configuration without it says so (vote_rsp.removed). If the
 *    node knows no newer one itself, it stands no more until it hears from a leader.
 *
 * A peer (struct raft_peer) is another node with which messages are exchanged: a member, or for a
 * while some other node. A peer keeps its place in `peers` as long as it is there; `generation` tells the
 * next peer in the same place apart. raft_edit.members says when peers may have come or gone.
 *
 * Input
 * -----
 * Messages may be lost, repeated, delayed and reordered in any way; stale or impossible ones are
 * counted in `stats` and change nothing. The caller guarantees that a message's bytes are intact,
 * that `from` is who it says, and `incarnation` that of its data directory. Assertions state our own
 * invariants only.
 */
#ifndef RAFT_H
#define RAFT_H

#include "raftd/core/member.h"
#include "raftd/core/trail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Microseconds of a monotonic clock (CLOCK_BOOTTIME in the daemon). 0 means "never" in fields. */
typedef uint64_t raft_time;

#define RAFT_NEVER UINT64_MAX

enum {
    RAFT_APPEND_RUNS_MAX = 16, /* changes of term in one RAFT_EV_APPEND: the caller splits there */
    /* The other members, and a few that are none: a leader or a candidate that this node's configuration
     * does not have yet, a node that was removed. */
    RAFT_PEERS_MAX = RAFT_MEMBERS_MAX - 1 + 3,
    /* Messages in a list: of each peer one of each kind. There are eleven types, two also as PreVote. */
    RAFT_MSGS_MAX = 13 * RAFT_PEERS_MAX,
    /* Per asking node: one read in flight, one waiting. */
    RAFT_READS_MAX = 2 * (RAFT_PEERS_MAX + 1),
};

enum raft_role { RAFT_FOLLOWER, RAFT_PRE_CANDIDATE, RAFT_CANDIDATE, RAFT_LEADER };

enum raft_peer_state { RAFT_PEER_PROBE, RAFT_PEER_REPLICATE, RAFT_PEER_SNAPSHOT };

/* Why this node last started an election or lost a role. raft_why_name() says it to people. */
enum raft_why {
    RAFT_WHY_NONE,         /* nothing happened since start */
    RAFT_WHY_START,        /* first election timeout after start: no leader was heard */
    RAFT_WHY_SILENCE,      /* the leader was silent for an election timeout and all pings */
    RAFT_WHY_CLOSED,       /* it did not answer, and the network says that it has ended */
    RAFT_WHY_SPLIT,        /* the last election had no winner */
    RAFT_WHY_HIGHER_TERM,  /* a message carried a higher term */
    RAFT_WHY_OTHER_LEADER, /* another node leads this term */
    RAFT_WHY_LOST_QUORUM,  /* leader: no majority was heard for two election timeouts */
    RAFT_WHY_DISK_STALL,   /* leader or candidate: a batch is in flight for too long */
    RAFT_WHY_DISK_FULL,    /* leader or candidate: its own disk has no room */
    RAFT_WHY_HANDED,       /* the lead was handed over: to this node, or by it */
    RAFT_WHY_REMOVED,      /* it is no voter any more */
    RAFT_WHY_COUNT,
};

/* What became of the last hand-over that this leader was asked for. raft_transfer_name() says it to
 * people. */
enum raft_transfer {
    RAFT_TRANSFER_NONE,      /* none was asked for since start */
    RAFT_TRANSFER_RUNS,      /* under way */
    RAFT_TRANSFER_LEFT,      /* this node leads no more */
    RAFT_TRANSFER_NO_TARGET, /* not begun: no other voter could lead now, or it has not that id */
    RAFT_TRANSFER_SILENT,    /* not begun: the peer was not heard for an election timeout */
    RAFT_TRANSFER_UNFIT,     /* not begun: the peer says that it would not lead, see ack.unfit */
    RAFT_TRANSFER_BEHIND, /* not begun, or given up: the peer did not have the whole log in time */
    RAFT_TRANSFER_UNANSWERED, /* given up: the peer had it, and was not elected in time */
    RAFT_TRANSFER_COUNT,
};

/* Why a node does not stand for election, or does not take a lead that is handed over to it. */
enum raft_stand {
    RAFT_STAND_UNTOLD, /* no members are known here: the node waits for a leader's log */
    RAFT_STANDS,
    RAFT_STAND_NO_MEMBER,  /* it is none, or it was told that it is none any more */
    RAFT_STAND_OTHER,      /* the member of its id has another data directory */
    RAFT_STAND_LEARNER,    /* it gets the log, and is no voter (yet) */
    RAFT_STAND_PRIORITY_0, /* it votes and stores, and never leads */
    RAFT_STAND_DOUBT,      /* it has less than it promised: raft_in_doubt() */
    RAFT_STAND_INSTALLS,   /* a snapshot of the leader's is being made its own */
    RAFT_STAND_DRAINED,
    RAFT_STAND_DISK_FULL,
    RAFT_STAND_LOG_FULL, /* this one stands, but takes no lead that is handed over */
    RAFT_STAND_DIFFERS,  /* so does this one: raft_differs() */
};

/* Why a leader does not hand over to the voter of higher priority, raft.outranked_by. */
enum raft_waits {
    RAFT_WAITS_NONE,
    RAFT_WAITS_ABLE, /* that one is silent, lags behind, or says that it would not lead */
    /* The others say what was not calm in the last ten seconds. */
    RAFT_WAITS_NEW,     /* the leader is new */
    RAFT_WAITS_PEER,    /* a peer fell silent, or is back */
    RAFT_WAITS_LAG,     /* a voter took longer than an election timeout to catch up */
    RAFT_WAITS_DISK,    /* the leader's disk stalled */
    RAFT_WAITS_GAVE_UP, /* a hand-over failed */
    /* After each such hand-over in the last twenty minutes it must be calm for twice as long. */
    RAFT_WAITS_AGAIN,
};

/* Why a proposal was refused. */
enum raft_refusal {
    RAFT_TAKEN,
    RAFT_REFUSED_NO_LEADER, /* this node does not lead */
    RAFT_REFUSED_HANDING,   /* the leader hands its role over: ask the next one */
    RAFT_REFUSED_TOO_EARLY, /* the leader has committed no entry of its term yet: try again */
    RAFT_REFUSED_UNDER_WAY, /* the last change of members is not committed yet: try again */
    RAFT_REFUSED_NO_ROOM, /* too much waits to be committed: try again. Said by the caller alone */
    RAFT_REFUSED_MALFORMED,  /* an id twice, or too many members */
    RAFT_REFUSED_LAST_VOTER, /* nobody would be left who counts */
    RAFT_REFUSED_TWO_VOTERS, /* more than one voter comes, goes, or has another directory */
    RAFT_REFUSED_NO_LEARNER, /* a new voter that is no learner yet */
    RAFT_REFUSED_BEHIND,     /* a learner that is to be a voter has not caught up yet: try again */
    /* These two can be forced. */
    RAFT_REFUSED_NO_STANDERS, /* half of the voters would have priority 0: it could be that nobody can lead */
    RAFT_REFUSED_NO_MAJORITY, /* too few voters are heard: nothing could be committed */
};

struct raft_config {
    uint16_t id;          /* this node, never 0 */
    uint64_t incarnation; /* of this node's data directory: see struct raft_member */
    /* T: timeouts are random in [T, 2T) (section 9.3), longer with a slow disk, see election.c. */
    raft_time election_timeout;
    raft_time heartbeat; /* silence after which a leader sends a LEAD, less than T/2, ... */
    raft_time quiet;     /* ... that whoever was heard within this time need not answer, < T/2 */
    raft_time retry;     /* a peer's PTO until raft_pto() is told better, about T/8 */
    /* A follower waits this long for its disk before it acknowledges reception alone. */
    raft_time ack_delay;
    /* A leader whose batch is in flight this long steps down, if that is also four times as long as
     * its batches take, which an election has shown. (A follower whose batch is in flight for T does not
     * stand for election.) */
    raft_time disk_stall;
    uint64_t seed; /* of the random timeouts; different on every node */
    /* Random token of this process, not 0: peers learn from it that a node restarted and forgot its
     * streams. */
    uint32_t boot;
    raft_time full_retry; /* a batch for which there was no room is tried again after so long */
};

/* What the disk holds at start. */
struct raft_restored {
    uint64_t term; /* currentTerm (figure 3.1) */
    uint16_t vote; /* votedFor in that term, 0 = none */
    /* The log begins behind this entry, which the caller has applied; 0 and 0 = at entry 1. */
    uint64_t base_index;
    uint64_t base_term;
    uint64_t last_index;         /* base_index = empty log */
    const struct raft_run *runs; /* of entries base_index + 1..last_index; copied */
    size_t n_runs;
    /* Known to be committed when the last batch was made: base_index <= commit <= last_index. */
    uint64_t commit;
    bool damaged; /* recovery cut the log because of damage behind the cut, see raft.damaged */
    /* The newest configuration in the log or at its base, and the one before it if the newest one is above
     * `commit` (else not used). */
    struct raft_members members, members_before;
};

enum raft_msg_type {
    RAFT_MSG_VOTE_REQ = 1, /* RequestVote and PreVote (figure 3.1, section 9.6) */
    RAFT_MSG_VOTE_RSP,
    RAFT_MSG_PROBE, /* AppendEntries' consistency check without entries */
    RAFT_MSG_PROBE_ACK,
    RAFT_MSG_LEAD,     /* heartbeat: I lead this term; commit index; a round to be echoed */
    RAFT_MSG_ACK,      /* durable and verified up to here; newest round; answers LEAD and data */
    RAFT_MSG_PING,     /* follower asks a silent leader for a LEAD, from half of T on */
    RAFT_MSG_READ_REQ, /* follower relays a linearizable read (section 6.4) */
    RAFT_MSG_READ_RSP,
    RAFT_MSG_TIMEOUT_NOW, /* leader to the peer that it hands over to: stand at once (section 3.10) */
    RAFT_MSG_TRANSFER,    /* follower asks its leader to hand over */
};

struct raft_msg {
    enum raft_msg_type type;
    uint16_t from;
    uint16_t to;
    uint64_t term; /* the sender's current term */
    /* The sender's data directory, filled in by the receiver's caller; 0 in messages that the core makes. */
    uint64_t incarnation;
    union {
        struct {
            bool pre; /* PreVote: changes nothing at the voter */
            /* The leader of the term before has told it to stand: voters that hear that leader help
             * all the same (section 4.2.3). */
            bool handed;
            uint64_t campaign;   /* number of the sender's campaign, echoed by the answers */
            uint64_t vote_term;  /* term asked for: `term`, or term + 1 for PreVote */
            uint64_t last_index; /* of the candidate's log (section 3.6.1) */
            uint64_t last_term;
        } vote_req;
        struct {
            bool pre;
            bool granted;
            uint64_t campaign;
            uint64_t vote_term;
            /* Index of a committed configuration without the candidate, 0 = none is known. It holds
             * whatever the terms are. */
            uint64_t removed;
        } vote_rsp;
        struct {
            uint32_t probe;      /* number of this probe: grows within the leader's term */
            uint64_t prev_index; /* does your log hold this entry (prevLogIndex, prevLogTerm)? */
            uint64_t prev_term;
            /* You acknowledged all entries up to this one, and have less: see raft.doubt_index. Not below
             * prev_index; 0 = you have what you acknowledged. */
            uint64_t acked_index;
            uint64_t acked_term; /* its term, 0 with index 0 */
            /* If you are this process, and damaged: that is all that you need to have, see raft.damaged.
             * 0 = not so. */
            uint32_t damaged_boot;
        } probe;
        struct {
            uint32_t probe; /* echoed */
            uint32_t boot;  /* raft_config.boot of the sender */
            bool match;
            bool damaged;        /* see raft.damaged: what it said before counts no more */
            uint64_t prev_index; /* echoed */
            /* Match: the log equals the leader's at least up to here, which is prev_index or above. No
             * match: the highest index that may match. */
            uint64_t hint_index;
            uint64_t hint_term; /* the sender's term at hint_index; 0 with index 0 */
        } probe_ack;
        struct {
            uint64_t round, commit;
            uint64_t cluster_ms; /* the caller's: the core makes it 0, and does not look at it */
            uint32_t epoch;      /* of the stream to this peer; 0 = none (probing) */
            bool ack_now;        /* answer at once: do not wait for the disk */
            bool no_room;        /* see raft.no_room */
            bool quiet;          /* not to be answered, unless there is news */
        } lead;
        struct {
            uint64_t round;   /* highest round received from this leader in this term */
            uint64_t durable; /* entries up to here are on disk and equal the leader's */
            uint32_t epoch;   /* of the stream that this answer is about */
            uint32_t boot;
            bool need_probe; /* that stream is unknown here: the leader is to probe */
            /* It would not lead now: it is in doubt, drained, without room, or installs a snapshot. */
            bool unfit;
            bool damaged; /* nothing else counts here, unless this process said so to a probe */
        } ack;
        struct {
            uint64_t req; /* of the asking node, see RAFT_EV_READ */
        } read_req;
        struct {
            uint64_t req;   /* echoed: all reads of that node up to this one ... */
            uint64_t index; /* ... may be served once this index, which is committed, is applied */
        } read_rsp;
        struct {
            /* The leader's newest round and last index. If the receiver has heard a later round or has
             * another log, this message came too late. */
            uint64_t round;
            uint64_t last_index;
        } timeout_now;
        struct {
            uint16_t heir; /* who is to lead; 0 = the best */
        } transfer;
    };
};

enum raft_event_type {
    RAFT_EV_TICK,      /* raft_deadline() has passed (early or spurious ticks are harmless) */
    RAFT_EV_MESSAGE,   /* `msg` arrived */
    RAFT_EV_APPEND,    /* whole entries arrived in order on the current leader's stream */
    RAFT_EV_PROPOSE,   /* append `propose.n` entries of the current term; see raft_edit.refusal */
    RAFT_EV_PERSISTED, /* batch `persisted.seq`, the one in flight, is durable */
    RAFT_EV_READ,      /* a linearizable read was asked for here */
    RAFT_EV_REFUSED,   /* batch `refused.seq`, the one in flight, was not written: no room */
    RAFT_EV_INSTALL, /* a snapshot is durable here, or what raft_install_begin() began has failed */
    RAFT_EV_TRANSFER, /* the leader is asked to hand over; a follower relays it once */
    RAFT_EV_CLOSED,   /* the network says that nobody listens where peer `closed` is; it may lie */
};

struct raft_event {
    enum raft_event_type type;
    union {
        const struct raft_msg *msg;
        uint16_t closed; /* id */
        struct {         /* AppendEntries, receiver (figure 3.1) */
            uint16_t from;
            uint64_t term;  /* of the sender, as in raft_msg */
            uint32_t epoch; /* of the stream it came on */
            uint64_t prev_index;
            uint64_t prev_term;
            uint64_t last_index;         /* entries prev_index + 1 .. last_index, at least one */
            const struct raft_run *runs; /* their terms; runs[0].first_index == prev_index + 1 */
            size_t n_runs;               /* 1..RAFT_APPEND_RUNS_MAX */
            /* The configurations among them, by growing index. */
            const struct raft_members *members;
            size_t n_members;
        } append;
        struct {
            uint64_t n; /* >= 1; 1 with members */
            /* The entry is this configuration, NULL = it is none. Its index is not used. */
            const struct raft_members *members;
            bool force; /* even if then too few voters are heard, or stand */
        } propose;
        struct {
            uint64_t seq;
        } persisted, refused;
        struct {
            /* Caller's number, each higher than the last. Upper half constant and random per
             * process (late answers to an earlier process are recognised), lower half grows. */
            uint64_t req;
        } read;
        struct {
            uint64_t index; /* the snapshot's last entry, which is committed; 0 = it has failed */
            uint64_t term;  /* of that entry; 0 with index 0 */
            const struct raft_members *members; /* the newest configuration up to there */
        } install;
        struct {
            uint16_t from; /* nothing happens if another node leads; 0 = whoever leads is asked */
            uint16_t heir; /* another voter; 0 = of those that could lead, the one with most log */
            bool drain;    /* from now on this node leads no more, see raft.drained */
        } transfer;
    };
};

/* What raft_step() did to the log; the caller mirrors it at once. */
struct raft_edit {
    bool truncate; /* entries above truncate_to are gone (conflict, section 3.5) */
    uint64_t truncate_to;
    /* Appended entries, 0 = none. Of RAFT_EV_APPEND only those that were not there already: always
     * its last ones, up to append.last_index. */
    uint64_t append_first;
    uint64_t append_last;
    bool noop; /* the appended entry is a no-op of the current term */
    /* The appended entry is a configuration of the leader's own making, raft.members: this learner has
     * become a voter. 0 = none. */
    uint16_t promoted;
    bool members;              /* another configuration is in force, or peers have come or gone */
    enum raft_refusal refusal; /* RAFT_EV_PROPOSE: why nothing was appended */
    /* RAFT_EV_INSTALL: the log is empty behind the snapshot's last entry, and that is committed: the state
     * of the snapshot takes the place of the present one. */
    bool reset;
};

/* One batch for the disk. `seq` is 0 when there is nothing to persist. */
struct raft_persist {
    uint64_t seq;
    uint64_t term; /* currentTerm and votedFor to be written with the batch */
    uint16_t vote;
    bool truncate; /* first: entries above truncate_to are dead */
    uint64_t truncate_to;
    /* The log is empty behind entry reset_to, which is of reset_term and in a snapshot on this disk. Only
     * term and vote can be in the same batch. */
    bool reset;
    uint64_t reset_to, reset_term;
    /* Then: entries first_index..last_index; 0 = none. The caller may lower last_index (not below
     * first_index) before raft_advance(); the rest comes with the next batch. */
    uint64_t first_index;
    uint64_t last_index;
    uint64_t commit; /* known to be committed; at most the log's last index, as lowered */
};

struct raft_ready {
    struct raft_persist persist;
    const struct raft_msg *now; /* owned by the core, valid until raft_advance() */
    size_t n_now;
    const struct raft_msg *after; /* send when batch persist.seq is durable; copy before advance */
    size_t n_after;
    uint64_t commit_index; /* apply up to here */
    bool read;             /* reads up to read_req may be served once read_index is applied */
    uint64_t read_req;
    uint64_t read_index;
};

/* A message that is sent again until it is answered, after 1, 1, 1, 2, 4 ... times the peer's PTO,
 * at most each heartbeat. A lossy link costs a round trip or two, a dead peer no storm. */
struct raft_try {
    raft_time due; /* when to send it; 0 = now */
    uint64_t sent; /* how often it was sent since the last answer */
};

/* What this node knows of another node. Read-only outside the core. From `state` on, all but heard,
 * seen and vote_* have a meaning on a leader only. */
struct raft_peer {
    uint16_t id;         /* 0 = a free place: all else but the generation is 0, too */
    uint8_t standing;    /* in raft.members: enum raft_standing */
    uint32_t generation; /* of this place: grows as peers come and go; each process starts anew */
    /* Its data directory: messages from another one do not count. 0 = a member's, not known yet: any. */
    uint64_t incarnation;
    raft_time leaves_at; /* when its place gets free; 0 = a member, which stays */
    bool served;         /* leader: it gets the log */
    /* A round of catching up (section 4.2.1) ends when the peer has what the log held at `round_since`. */
    uint64_t round_target;
    raft_time round_since;
    bool caught_up; /* the last round took no longer than an election timeout */
    raft_time pto;  /* see raft_pto(). Invariant: never 0 */
    enum raft_peer_state state;
    /* Durable there and equal to ours. Invariant: <= last_index. Only rises in a term, but for a
     * peer whose disk lost what it had acknowledged: then it is counted anew. */
    uint64_t match_index;
    /* Committed, and acknowledged by it to this process, in whatever term: it must keep these entries
     * for good. Invariant: <= commit_index. */
    uint64_t kept_index;
    /* It acknowledged the entries up to here and has lost some of them, as its answer to a probe showed.
     * Each probe tells the peer so. 0 = nothing is lost, or it has all of them again. Invariant: 0, or
     * match_index < lost_index <= last_index. For a damaged peer it is sure_index, which probes name once
     * that is committed, until the peer says that it knows. */
    uint64_t lost_index;
    /* Until this entry is committed the peer counts for nothing: it is damaged (raft.damaged), and the
     * entry was made after that was heard. 0 = it counts. Invariant: <= last_index + 1. */
    uint64_t sure_index;
    uint32_t damaged_boot; /* the process that said so, 0 = none */
    uint64_t base_index;   /* REPLICATE: the stream starts after it. Invariant: <= last_index */
    uint32_t probe;        /* number of the newest probe; grows within a term */
    uint32_t epoch;        /* REPLICATE: probe of the stream; else 0. Invariant: 0 or == probe */
    uint32_t boot;         /* the process that said that it matches: its acks count; 0 = none yet */
    uint64_t probe_index;  /* PROBE, SNAPSHOT: prev_index asked for */
    struct raft_try probe_try;
    uint64_t round; /* highest round acknowledged in this term. Invariant: <= our round */
    struct raft_try round_try; /* LEADs for raft.read_round; RAFT_NEVER = not to a silent peer */
    /* When its newest message came, requests for votes excepted; a leader takes only those of its own
     * term. 0 = never. */
    raft_time heard;
    raft_time seen;      /* when its newest message of any kind came; 0 = never */
    bool unfit;          /* its newest ACK says that it would not lead */
    raft_time lead_sent; /* last LEAD to it; 0 = send now */
    struct raft_try vote_try;
    bool vote_answered; /* in this campaign it is asked no more */
    bool pre_granted;   /* it said in this campaign that it would vote for us */
    bool vote_granted;  /* it has voted for us in this term */
    bool vote_refused;  /* it has refused us its vote in this term */
};

struct raft_read {
    uint16_t from;
    uint64_t req;
    uint64_t index; /* may be served once this is committed and applied */
    uint64_t need;  /* confirmed when a majority acknowledged a round >= need */
};

/* Counters since start; for status and tests. */
struct raft_stats {
    uint64_t campaigns; /* PreVote rounds started */
    uint64_t elections; /* candidacies (term raised) */
    uint64_t won;
    uint64_t stale_msgs, impossible_msgs; /* dropped: of an older term, stream, campaign, probe or
                                             round; contradict what a correct peer may say */
    uint64_t votes_refused_by_lease;      /* a leader was heard within T (section 4.2.3) */
    /* A disk had lost entries that its node had acknowledged. A leader counts its peers' disks, a follower
     * its own, when its leader says so. */
    uint64_t lost_acked;
};

/* The state. Fields are public so that status, checks and tests can read them; only the core
 * writes them. Contains one pointer, the caller's memory for runs. raft_check() has all
 * invariants; those that explain a field stand here. */
struct raft {
    struct raft_config cfg;
    enum raft_role role;
    uint16_t leader;   /* of `term`, 0 = unknown */
    enum raft_why why; /* last start of an election or loss of a role */

    /* Persistent state (figure 3.1). Invariant: the durable_* pair never leads (term, vote). */
    uint64_t term;
    uint16_t vote;
    uint64_t durable_term;
    uint16_t durable_vote;

    /* "last_index" below is trail.last. */
    struct raft_trail trail;
    uint64_t commit_index;  /* Invariant: base_index <= it <= last_index; never falls */
    uint64_t durable_index; /* our own disk. Invariant: <= written_last <= last_index */

    /* The batch in flight (seq 0 = none) and what the next one must hold. */
    uint64_t next_seq;
    uint64_t inflight_seq;
    raft_time inflight_since;
    raft_time disk_took[2]; /* by the last two batches, the newest first; 0 = none yet */
    uint64_t inflight_term;
    uint16_t inflight_vote;
    /* What it held, in case it is refused. */
    bool inflight_truncate, inflight_entries, inflight_reset;
    uint64_t inflight_base; /* durable_index when it was made */
    /* After a refusal entries, or anything at all, are not tried before these times; 0 = not refused. */
    raft_time entries_at;
    raft_time batch_at;
    raft_time yield_at; /* leader without room: when it steps down; RAFT_NEVER = it is needed */
    /* Handed to the disk so far. Truncation lowers it: entries that died while a batch was in flight
     * do not become durable with it. */
    uint64_t written_last;
    bool truncate_pending; /* Invariant: then written_last == truncate_to */
    uint64_t truncate_to;
    bool reset_pending; /* the disk must be told: the log is empty and begins behind base_index */

    /* Follower. */
    raft_time election_deadline;
    raft_time leader_heard; /* last sign of life of the current term's leader; 0 = none in it */
    raft_time ping_sent;    /* the last PING since leader_heard; 0 = none */
    bool ping_now;          /* the next one does not wait */
    raft_time closed_at, gone_at, doubted_at; /* see election.c; 0, RAFT_NEVER, 0 = not so */
    uint64_t verified;      /* our log equals the leader's up to here (this term). <= last_index */
    uint64_t leader_commit; /* highest commit index heard; a fact of the cluster, never falls */
    uint32_t epoch;         /* of the leader's stream to us, 0 = none. Invariant: 0 or probe_seen */
    uint32_t probe_seen;    /* newest probe answered in this term, 0 = none */
    uint64_t round;         /* leader: last round made. follower: highest heard in this term */
    bool ack_due;
    raft_time ack_by;       /* RAFT_NEVER = no delayed acknowledgement pending */
    uint32_t refused_epoch; /* the ACK says need_probe about this stream; 0 = none */
    /* In doubt: the leader says that this node acknowledged all entries up to this one, and the disk
     * has lost some of them. Until it has them durable and verified, or what a later leader has in their
     * place, it votes as if its log still ended here, and does not stand for election. Not durable: after
     * a restart the leader says it again. 0 = not in doubt. */
    uint64_t doubt_index;
    uint64_t doubt_term; /* of that entry; 0 with index 0 */
    /* In doubt, and nobody knows what this node had acknowledged, or for whom it had voted: its log was
     * damaged, and cut before the damage. The leader names the entry that ends this (see heed_damage() in
     * lead.c). Until then doubt_index is 0 and the node votes for nobody. The caller makes it durable. */
    bool damaged;
    /* It does not stand for election, and hands over what it leads, until the process ends. */
    bool drained;
    bool log_full, differs; /* see raft_log_full(), raft_differs() */
    /* The present leader, this node or another, has no room for entries, nor has a peer that could take
     * its place: whoever takes new writes should refuse them. */
    bool no_room;
    /* A snapshot of the leader's is being made ours: this node does not stand for election, as its log
     * is about to be another one. */
    bool installing;

    /* Candidate and pre-candidate. */
    /* This process stands or stood in this term, and the term has had no leader yet: votes count. */
    bool stood;
    bool handed;        /* the leader of the term before told it to stand in this term */
    raft_time stood_at; /* when it stood; 0 = a majority has answered since, granted or not */
    /* How long a majority took to answer in this node's last candidacy, its own write included; 0 = not
     * known. The next leader resets it. */
    raft_time votes_took;
    uint64_t campaign; /* number of the newest campaign; the upper half is raft_config.boot */
    uint32_t tries;    /* PreVote rounds since a leader was heard, or a peer that had been away */

    /* The newest configuration in the log: it is in force. Invariant: members.index <= last_index. */
    struct raft_members members;
    /* While that is not known to be committed: the one before, which is. Invariant: its index is lower, and
     * <= commit_index. */
    struct raft_members members_before;
    /* Index of a committed configuration without this node, of which another node told it: it does not
     * stand. 0 = nobody did since a leader was heard. */
    uint64_t removed;
    struct raft_peer peers[RAFT_PEERS_MAX];
    unsigned n_peers; /* places in use, free ones among them */

    /* Leader. */
    uint64_t term_first; /* index of our no-op: reads and commits start there */
    raft_time lead_since;
    uint32_t next_probe;
    struct raft_read reads[RAFT_READS_MAX]; /* oldest first */
    unsigned n_reads;
    uint64_t read_round;      /* first round of the last LEADs to all peers for reads */
    uint16_t heir;            /* the peer that the role is handed over to, 0 = none */
    raft_time heir_until;     /* when the hand-over is given up */
    struct raft_try heir_try; /* RAFT_MSG_TIMEOUT_NOW to the heir */
    raft_time transfer_at;    /* no hand-over begins before this time */
    enum raft_transfer transfer;
    uint64_t transfers;    /* asked for since start: who waits for one sees by it that it began */
    uint16_t outranked_by; /* a voter of higher priority that could lead if any could; 0 = none */
    enum raft_waits waits; /* why that voter does not lead. Invariant: NONE if outranked_by is 0 */
    enum raft_waits restless; /* the newest reason to wait */
    raft_time restless_at;    /* when it was */
    raft_time yielded_at;     /* last hand-over for the sake of priority, 0 = never */
    raft_time calm_needed;    /* how much calm the next one needs, see RAFT_WAITS_AGAIN */

    /* Reads asked for here. */
    uint64_t read_want;       /* newest req of RAFT_EV_READ */
    uint64_t read_done;       /* newest req answered */
    struct raft_try read_try; /* follower: READ_REQ */
    bool read_ready;          /* raft_ready() has to give an answer */
    uint64_t read_ready_index;

    struct raft_msg now_msgs[RAFT_MSGS_MAX];
    size_t n_now;
    struct raft_msg after_msgs[RAFT_MSGS_MAX];
    size_t n_after;

    uint64_t rng;
    struct raft_stats stats;
};

/* Starts a node as follower with what its disk holds. `runs` is memory for `cap_runs` runs, the caller's,
 * used until the value is dropped: s->n_runs and RAFT_APPEND_RUNS_MAX more at least. Asserts that cfg and s
 * are well-formed (the caller validates input). */
void raft_init(struct raft *r, const struct raft_config *cfg, const struct raft_restored *s,
               struct raft_run *runs, size_t cap_runs, raft_time now);

/* Takes one event. `edit` is always filled. Before each call the caller makes sure, by raft_trail_move(),
 * that raft_trail_room() is RAFT_APPEND_RUNS_MAX or more. */
void raft_step(struct raft *r, raft_time now, const struct raft_event *ev, struct raft_edit *edit);

/* Tells how long peers[peer] may take to answer before a message is sent to it again (probe timeout,
 * PTO: smoothed round trip and four times its variation, RFC 9002, 6.2.1), from the next one on: votes,
 * probes, pings, reads, and the LEADs of a leader that is about to lose its majority. */
void raft_pto(struct raft *r, unsigned peer, raft_time pto);

/* Fills `rd` with all there is to do. Calling it twice without raft_advance() gives the same. After
 * a raft_step() an earlier `rd` is void: call raft_ready() again before raft_advance(). */
void raft_ready(struct raft *r, raft_time now, struct raft_ready *rd);

/* The to-do list has been taken over: its batch is in flight, its messages are the caller's. `rd` is
 * that of the last raft_ready(), in which only persist.last_index may have been changed. */
void raft_advance(struct raft *r, raft_time now, const struct raft_ready *rd);

/* When the next RAFT_EV_TICK is due, RAFT_NEVER if none. After a tick at or past this time,
 * raft_ready() and raft_advance(), the next one lies in the future. */
raft_time raft_deadline(const struct raft *r);

/* Leader: makes a LEAD for peers[peer] that may leave at once together with log data, so that the
 * commit index and a round ride along. Counts as the heartbeat: it must be sent. Asserts the role.
 * May be called between raft_ready() and raft_advance(). */
void raft_lead(struct raft *r, raft_time now, unsigned peer, struct raft_msg *m);

/* Follower: the stream wants an ACK in the next raft_ready() (a gap, a duplicate). */
void raft_ack_soon(struct raft *r);

/* Follower: what arrives on the current stream makes no sense. Forgets it (epoch 0) and asks the
 * leader to probe again, with the next raft_ready(). */
void raft_refuse_stream(struct raft *r);

/* The entries up to this one leave the log: they are applied, and in a durable snapshot. */
void raft_compact(struct raft *r, uint64_t index);

/* All of a snapshot is here and the caller wants to install it; RAFT_EV_INSTALL follows. False: not now,
 * since this node does not follow a leader. */
bool raft_install_begin(struct raft *r);

/* A batch was refused, and none of its kind (with entries, or without) is durable since. */
bool raft_disk_full(const struct raft *r);

/* The caller says whether its log has reached its largest size, and whether its state may be wrong. While one
 * of them is so it proposes nothing, and a leader hands over to a peer of which neither is so. */
void raft_log_full(struct raft *r, bool full);
void raft_differs(struct raft *r, bool differs);

/* This node has less than it promised: it does not stand for election. */
bool raft_in_doubt(const struct raft *r);

/* Whether this node would stand for election, and why not. */
enum raft_stand raft_stand(const struct raft *r);

/* Leader: what that peer says counts, see raft_peer.sure_index. */
bool raft_peer_counts(const struct raft *r, const struct raft_peer *p);

/* Leader: the newest round that a majority answered. No later leader was elected before that round began. */
uint64_t raft_confirmed_round(const struct raft *r);

/* Term of the entry at index; 0 for index 0, for indexes below the trail's base and beyond the log. */
uint64_t raft_term_at(const struct raft *r, uint64_t index);

/* No correct peer can be in that term: messages that carry it are counted and dropped. The bound is taken
 * from the term on our disk, so that each step upward costs a write. */
bool raft_term_absurd(const struct raft *r, uint64_t term);

/* Position of id in r->peers, or -1. */
int raft_peer_slot(const struct raft *r, uint16_t id);

/* The newest configuration that is known to be committed. */
const struct raft_members *raft_members_committed(const struct raft *r);

/* Why a proposal of these members would be refused now, RAFT_TAKEN if it would not. `force` as in
 * raft_event.propose. */
enum raft_refusal raft_members_refusal(const struct raft *r, raft_time now,
                                       const struct raft_members *m, bool force);

/* All invariants of one node as code. NULL, or a static sentence naming the broken one. */
const char *raft_check(const struct raft *r);

/* Words and short phrases for people. */
const char *raft_role_name(enum raft_role role);
const char *raft_peer_state_name(enum raft_peer_state state);
const char *raft_why_name(enum raft_why why);
const char *raft_transfer_name(enum raft_transfer transfer);
const char *raft_stand_name(enum raft_stand stand);
const char *raft_waits_name(enum raft_waits waits);

#endif
