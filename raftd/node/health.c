/* health.c: see health.h. */
#include "raftd/node/health.h"

#include <inttypes.h>
#include <stdio.h>

#include "raftd/base/num.h"

const char *health_name(enum health health)
{
    static const char *const names[HEALTH_COUNT] = {
        [HEALTH_UNKNOWN] = "unknown",     [HEALTH_OK] = "ok",
        [HEALTH_DISK_SLOW] = "disk_slow", [HEALTH_NOT_CAUGHT_UP] = "not_caught_up",
        [HEALTH_DISK_FULL] = "disk_full", [HEALTH_IN_DOUBT] = "in_doubt",
        [HEALTH_NO_QUORUM] = "no_quorum", [HEALTH_NO_LEADER] = "no_leader",
        [HEALTH_NO_MEMBER] = "no_member", [HEALTH_STARTING] = "starting"};
    return names[health < HEALTH_COUNT ? health : HEALTH_UNKNOWN];
}

uint64_t health_lag(const struct status *s)
{
    uint64_t committed = max_u64(s->leader_commit, s->commit_index);
    return committed - min_u64(committed, s->applied_index);
}

/* How many voters this node hears, itself among them; of how many. */
static unsigned voters_heard(const struct status *s, unsigned *of)
{
    unsigned heard = *of = s->standing == RAFT_VOTER;
    for (unsigned i = 0; i < s->n_peers; i++) {
        const struct status_peer *p = &s->peers[i];
        bool voter = p->standing == RAFT_VOTER;
        *of += voter;
        heard += voter && p->heard_us != 0 && p->loss_in_permille != STATUS_LOSS_ALL;
    }
    return heard;
}

/* The members that it knows are not those that it belongs to: maybe not yet. */
static bool is_outside(const struct status *s)
{
    return s->own_standing == RAFT_STAND_UNTOLD || s->own_standing == RAFT_STAND_NO_MEMBER ||
           s->own_standing == RAFT_STAND_OTHER;
}

static bool is_stuck(const struct status *s)
{
    return s->role == RAFT_LEADER && s->uncommitted_us >= STATUS_UNCOMMITTED_US;
}

/* A snapshot from the leader can wait for room, too, when no entries do. */
static bool is_full(const struct status *s)
{
    return s->disk_full != 0 || (s->install_of_bytes != 0 && s->disk_free < s->disk_min_free);
}

static bool is_slow(const struct status *s)
{
    return s->disk_slow != 0 || s->disk_pending_us >= HEALTH_DISK_HANGS_US;
}

/* What this node's clients have of the leader that it follows. */
static enum health of_leader(const struct status *s)
{
    enum health told = s->leader != s->id ? (enum health)s->leader_health : HEALTH_UNKNOWN;
    if (s->leader == 0)
        return HEALTH_OK;
    if (told == HEALTH_NO_QUORUM || told == HEALTH_IN_DOUBT)
        return HEALTH_NO_QUORUM; /* whose state may be wrong proposes nothing */
    if (told == HEALTH_DISK_FULL || s->no_room != 0)
        return HEALTH_DISK_FULL;
    return told == HEALTH_DISK_SLOW ? told : HEALTH_OK;
}

bool health_commits(const struct status *s)
{
    return s->leader != 0 && !is_stuck(s) && of_leader(s) != HEALTH_NO_QUORUM;
}

enum health health_disk(const struct status *s, bool *leaders)
{
    bool full = is_full(s) || s->log_full != 0, slow = is_slow(s);
    enum health own = full ? HEALTH_DISK_FULL : slow ? HEALTH_DISK_SLOW : HEALTH_OK;
    enum health leader = of_leader(s);
    *leaders = leader > own && leader <= HEALTH_DISK_FULL;
    return *leaders ? leader : own;
}

bool health_writable(const struct status *s)
{
    bool leaders;
    return health_commits(s) && health_disk(s, &leaders) != HEALTH_DISK_FULL &&
           s->differs_index == 0;
}

static enum health without_leader(const struct status *s)
{
    unsigned of, heard = voters_heard(s, &of);
    if (is_outside(s))
        return HEALTH_NO_MEMBER;
    return heard > of / 2 ? HEALTH_NO_LEADER : HEALTH_NO_QUORUM;
}

enum health health_own(const struct status *s, uint64_t lag_max)
{
    if (s->recovering[0] != '\0')
        return HEALTH_STARTING;
    if (s->leader == 0)
        return without_leader(s);
    if (is_stuck(s))
        return HEALTH_NO_QUORUM;
    if (s->doubt != STATUS_DOUBT_NONE || s->differs_index != 0)
        return HEALTH_IN_DOUBT;
    if (is_full(s) || s->log_full != 0)
        return HEALTH_DISK_FULL;
    if (is_outside(s) || s->install_of_bytes != 0 || s->local_reads == 0 || health_lag(s) > lag_max)
        return HEALTH_NOT_CAUGHT_UP;
    return is_slow(s) ? HEALTH_DISK_SLOW : HEALTH_OK;
}

enum health health_of(const struct status *s, uint64_t lag_max)
{
    enum health own = health_own(s, lag_max), leader = of_leader(s);
    return own > leader ? own : leader;
}

#define SAY(s, ...) (void)snprintf((s)->health_why, sizeof(s)->health_why, __VA_ARGS__)

static void say_alone(struct status *s)
{
    unsigned of, heard = voters_heard(s, &of);
    if (of_leader(s) == HEALTH_NO_QUORUM)
        SAY(s, "the leader, node %u, %s: see raftctl health there", s->leader,
            s->leader_health == HEALTH_IN_DOUBT
                ? "takes no writes, for its state differs from another node's"
                : "can commit nothing, for a majority of the disks does not write");
    else if (is_stuck(s))
        SAY(s,
            "this node leads, and a majority of the disks has not written for %" PRIu64
            " s: see which nodes lag in raftctl members, and whether their disks are full, slow "
            "or failing",
            s->uncommitted_us / 1000000);
    else
        SAY(s,
            "%u of %u voters are heard, this node among them, and %u are needed: see whether "
            "the others run, and raftctl links",
            heard, of, of / 2 + 1);
}

static void say_doubt(struct status *s)
{
    if (s->differs_index != 0)
        SAY(s,
            "the state as of entry %" PRIu64
            " differs from another node's, so this one serves nothing: start the nodes that "
            "are down, then it is counted which one is right",
            s->differs_index);
    else
        SAY(s,
            "this node has less than it had promised%s, and counts again when it has all that "
            "was committed: nothing to do while a leader is there, then see to its disk",
            s->doubt == STATUS_DOUBT_DAMAGED ? ", for its log was damaged" : "");
}

static void say_full(struct status *s)
{
    if (!is_full(s) && s->log_full == 0)
        SAY(s, "the leader, node %u, has no room on its disk or in its log%s: make room there",
            s->leader, s->no_room != 0 ? ", and knows no node that could lead instead" : "");
    else
        SAY(s, "%s",
            is_full(s) ? "the file system of data_dir is full, and new writes wait: make room"
                       : "the log has reached log_max_bytes and no snapshot could be written that "
                         "lets it go: make room, or raise log_max_bytes");
}

static void say_behind(struct status *s)
{
    if (s->install_of_bytes != 0)
        SAY(s,
            "a snapshot comes from the leader, %" PRIu64 " of %" PRIu64
            " bytes are here: wait for it",
            s->install_bytes, s->install_of_bytes);
    else
        SAY(s,
            "%" PRIu64 " committed entries are not applied here yet: wait, and if this does "
            "not get less, see the links and the disk of this node",
            health_lag(s));
}

static void say_slow(struct status *s)
{
    if (!is_slow(s))
        SAY(s, "the disk of the leader, node %u, is slow or hangs: see raftctl health there",
            s->leader);
    else if (s->disk_pending_us >= HEALTH_DISK_HANGS_US)
        SAY(s,
            "the disk has been at one write for %" PRIu64 " ms: see what else uses it, and "
            "whether it fails",
            s->disk_pending_us / 1000);
    else
        SAY(s,
            "within two minutes the disk took over half of election_timeout_ms for more than "
            "one write in a hundred (99 %% took up to %" PRIu64
            " ms): use a faster one, or raise election_timeout_ms (%" PRIu32 ")",
            s->fsync_p99_us / 1000, s->election_timeout_ms);
}

static void say_why(struct status *s)
{
    switch ((enum health)s->health) {
    case HEALTH_UNKNOWN:
    case HEALTH_COUNT: break;
    case HEALTH_OK:
        if (s->leader == s->id)
            SAY(s, "this node leads");
        else
            SAY(s, "node %u leads, and this node follows it", s->leader);
        break;
    case HEALTH_DISK_SLOW: say_slow(s); break;
    case HEALTH_NOT_CAUGHT_UP: say_behind(s); break;
    case HEALTH_DISK_FULL: say_full(s); break;
    case HEALTH_IN_DOUBT: say_doubt(s); break;
    case HEALTH_NO_QUORUM: say_alone(s); break;
    case HEALTH_NO_LEADER:
        SAY(s,
            "no leader is known, though a majority is heard: an election takes a moment; if this "
            "lasts, see last_election and advice of raftctl status");
        break;
    case HEALTH_NO_MEMBER:
        SAY(s, "this node is no member, and takes part in nothing: raftctl member add or replace, "
               "at a member, takes it in; else stop it");
        break;
    case HEALTH_STARTING:
        SAY(s, "the daemon has just started, and is at this: %s: wait for it", s->recovering);
        break;
    }
}

void health_fill(struct status *s, uint64_t lag_max)
{
    s->health = (uint8_t)health_of(s, lag_max);
    say_why(s);
}
