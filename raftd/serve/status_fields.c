/* status_fields.c: see status_fields.h. */
#include "raftd/serve/status_fields.h"

#include <stddef.h>

#include "raftd/node/health.h"

const char *status_session_name(enum status_session session)
{
    static const char *const names[STATUS_SESSIONS] = {
        "none",       "plain",      "handshake", "established", "wrong_key", "other_cluster",
        "other_list", "other_disk", "new_disk",  "stays_out",   "cloned",    "own_clone"};
    return names[session];
}

#define OF_NODE(member) offsetof(struct status, member), sizeof(((struct status *)NULL)->member)
#define OF_PEER(member)                                                                            \
    offsetof(struct status_peer, member), sizeof(((struct status_peer *)NULL)->member)

static const struct field node_fields[] = {
    {"id", OF_NODE(id), ID, ALWAYS},
    {"cluster", OF_NODE(cluster), TEXT, ALWAYS},
    {"incarnation", OF_NODE(incarnation), HANDLE, UNLESS_0},
    {"health", OF_NODE(health), HEALTH, ALWAYS},
    {"health_why", OF_NODE(health_why), TEXT, ALWAYS},
    {"recovering", OF_NODE(recovering), TEXT, UNLESS_0},
    {"role", OF_NODE(role), ROLE, ALWAYS},
    {"term", OF_NODE(term), NUMBER, ALWAYS},
    {"leader", OF_NODE(leader), ID, ALWAYS},
    {"leader_since_s", OF_NODE(leader_since_us), AGE_S, ALWAYS},
    {"leader_before", OF_NODE(leader_before), ID, ALWAYS},
    {"leader_changes_hour", OF_NODE(leader_changes_hour), NUMBER, ALWAYS},
    {"vote", OF_NODE(vote), ID, ALWAYS},
    {"own_standing", OF_NODE(own_standing), STAND, ALWAYS},
    {"members_index", OF_NODE(members_index), NUMBER, ALWAYS},
    {"members_committed", OF_NODE(members_committed), NUMBER, ALWAYS},
    {"commit_index", OF_NODE(commit_index), NUMBER, ALWAYS},
    {"leader_commit_index", OF_NODE(leader_commit), NUMBER, ALWAYS},
    {"applied_index", OF_NODE(applied_index), NUMBER, ALWAYS},
    {"last_index", OF_NODE(last_index), NUMBER, ALWAYS},
    {"durable_index", OF_NODE(durable_index), NUMBER, ALWAYS},
    {"doubt", OF_NODE(doubt), FLAG, ALWAYS},
    {"doubt_reason", OF_NODE(doubt), DOUBT, UNLESS_0},
    {"doubt_index", OF_NODE(doubt_index), NUMBER, UNLESS_0},
    {"differs_index", OF_NODE(differs_index), NUMBER, UNLESS_0},
    {"keys", OF_NODE(keys), NUMBER, ALWAYS},
    {"data_bytes", OF_NODE(data_bytes), NUMBER, ALWAYS},
    {"max_data_bytes", OF_NODE(max_data_bytes), NUMBER, ALWAYS},
    {"pending_writes", OF_NODE(pending_writes), NUMBER, ALWAYS},
    {"clients", OF_NODE(clients), NUMBER, ALWAYS},
    {"clients_blocked", OF_NODE(clients_blocked), NUMBER, ALWAYS},
    {"clients_refused", OF_NODE(clients_refused), NUMBER, ALWAYS},
    {"connections", OF_NODE(connections), NUMBER, ALWAYS},
    {"commands", OF_NODE(commands), NUMBER, ALWAYS},
    {"reads", OF_NODE(reads), NUMBER, ALWAYS},
    {"writes", OF_NODE(writes), NUMBER, ALWAYS},
    {"last_election", OF_NODE(why), WHY, ALWAYS},
    {"transfer", OF_NODE(transfer), TRANSFER, ALWAYS},
    {"transfer_to", OF_NODE(heir), ID, UNLESS_0},
    {"transfers", OF_NODE(transfers), NUMBER, ALWAYS},
    {"drained", OF_NODE(drained), NUMBER, ALWAYS},
    {"outranked_by", OF_NODE(outranked_by), ID, UNLESS_0},
    {"outranked_waits", OF_NODE(waits), WAITS, UNLESS_0},
    {"leader_no_room", OF_NODE(no_room), NUMBER, ALWAYS},
    {"leader_health", OF_NODE(leader_health), HEALTH, UNLESS_0},
    {"campaigns", OF_NODE(raft.campaigns), NUMBER, ALWAYS},
    {"elections", OF_NODE(raft.elections), NUMBER, ALWAYS},
    {"elections_won", OF_NODE(raft.won), NUMBER, ALWAYS},
    {"votes_refused_by_lease", OF_NODE(raft.votes_refused_by_lease), NUMBER, ALWAYS},
    {"lost_acked", OF_NODE(raft.lost_acked), NUMBER, ALWAYS},
    {"stale_messages", OF_NODE(raft.stale_msgs), NUMBER, ALWAYS},
    {"impossible_messages", OF_NODE(raft.impossible_msgs), NUMBER, ALWAYS},
    {"election_timeout_ms", OF_NODE(election_timeout_ms), NUMBER, ALWAYS},
    {"max_value_bytes", OF_NODE(max_value_bytes), NUMBER, ALWAYS},
    {"lease_ms", OF_NODE(lease_ms), NUMBER, ALWAYS},
    {"lease_left_ms", OF_NODE(lease_left_us), MS, ALWAYS},
    {"uptime_s", OF_NODE(start_us), AGE_S, ALWAYS},
    {"age_ms", OF_NODE(now_us), AGE_MS, ALWAYS},
    {"uptime_box_s", OF_NODE(now_us), SECONDS, ALWAYS},
    {"fsync_count", OF_NODE(fsyncs), NUMBER, ALWAYS},
    {"fsync_p50_us", OF_NODE(fsync_p50_us), NUMBER, ALWAYS},
    {"fsync_p99_us", OF_NODE(fsync_p99_us), NUMBER, ALWAYS},
    {"fsync_max_us", OF_NODE(fsync_max_us), NUMBER, ALWAYS},
    {"fsync_stalls", OF_NODE(fsync_stalls), NUMBER, ALWAYS},
    {"disk_slow", OF_NODE(disk_slow), NUMBER, ALWAYS},
    {"loop_max_us", OF_NODE(loop_max_us), NUMBER, ALWAYS},
    {"loop_max_cpu_us", OF_NODE(loop_max_cpu_us), NUMBER, ALWAYS},
    {"disk_bytes", OF_NODE(disk_bytes), NUMBER, ALWAYS},
    {"log_bytes", OF_NODE(log_bytes), NUMBER, ALWAYS},
    {"log_max_bytes", OF_NODE(log_max_bytes), NUMBER, ALWAYS},
    {"log_full", OF_NODE(log_full), NUMBER, ALWAYS},
    {"log_first_index", OF_NODE(log_first_index), NUMBER, ALWAYS},
    {"snapshot_index", OF_NODE(snapshot_index), NUMBER, ALWAYS},
    {"snapshot_bytes", OF_NODE(snapshot_bytes), NUMBER, ALWAYS},
    {"image", OF_NODE(imaging), NUMBER, ALWAYS},
    {"image_kept_bytes", OF_NODE(image_kept_bytes), NUMBER, UNLESS_0},
    {"install_bytes", OF_NODE(install_bytes), NUMBER, UNLESS_0},
    {"install_of_bytes", OF_NODE(install_of_bytes), NUMBER, UNLESS_0},
    {"installs_failed", OF_NODE(installs_failed), NUMBER, UNLESS_0},
    {"snapshot_age_s", OF_NODE(snapshot_us), AGE_S, ALWAYS},
    {"images_given_up", OF_NODE(images_given_up), NUMBER, ALWAYS},
    {"disk_free", OF_NODE(disk_free), NUMBER, ALWAYS},
    {"disk_min_free", OF_NODE(disk_min_free), NUMBER, ALWAYS},
    {"disk_full", OF_NODE(disk_full), NUMBER, ALWAYS},
    {"local_reads", OF_NODE(local_reads), NUMBER, ALWAYS},
    {"tail_dropped", OF_NODE(tail_dropped), NUMBER, ALWAYS},
    {"disk_pending_ms", OF_NODE(disk_pending_us), MS, ALWAYS},
    {"uncommitted_ms", OF_NODE(uncommitted_us), MS, ALWAYS},
    {"datagrams_sent", OF_NODE(datagrams_sent), NUMBER, ALWAYS},
    {"datagrams_received", OF_NODE(datagrams_received), NUMBER, ALWAYS},
    {"send_lost", OF_NODE(udp.lost), NUMBER, ALWAYS},
    {"send_too_big", OF_NODE(udp.too_big), NUMBER, ALWAYS},
    {"receive_errors", OF_NODE(udp.receive_errors), NUMBER, ALWAYS},
    {"rxq_drops", OF_NODE(udp.rxq_drops), NUMBER, ALWAYS},
    {"key_id", OF_NODE(key_id), KEY, UNLESS_0},
    {"next_key_id", OF_NODE(next_key_id), KEY, UNLESS_0},
};

static const struct field peer_fields[] = {
    {"addr", OF_PEER(addr), TEXT, ALWAYS},
    {"at", OF_PEER(at), TEXT, UNLESS_0},
    {"state", OF_PEER(state), STATE, ON_LEADER},
    {"match_index", OF_PEER(match_index), NUMBER, ON_LEADER},
    {"lost_index", OF_PEER(lost_index), NUMBER, ON_LEADER | UNLESS_0},
    {"last_heard_ms", OF_PEER(heard_us), AGE_MS, ALWAYS},
    {"session", OF_PEER(session), SESSION, ALWAYS},
    {"trouble", OF_PEER(trouble), WORDS, UNLESS_0},
    {"session_age_ms", OF_PEER(session_us), AGE_MS, ALWAYS},
    {"session_key_id", OF_PEER(session_key_id), KEY, UNLESS_0},
    {"rtt_us", OF_PEER(rtt_us), NUMBER, ALWAYS},
    {"rtt_min_us", OF_PEER(rtt_min_us), NUMBER, ALWAYS},
    {"loss_in_permille", OF_PEER(loss_in_permille), SIGNED, ALWAYS},
    {"loss_out_permille", OF_PEER(loss_out_permille), SIGNED, ALWAYS},
    {"window_bytes", OF_PEER(window_bytes), NUMBER, ALWAYS},
    {"in_flight_bytes", OF_PEER(in_flight_bytes), NUMBER, ALWAYS},
    {"datagram_bytes", OF_PEER(datagram_bytes), NUMBER, ALWAYS},
    {"datagrams_sent", OF_PEER(sent), NUMBER, ALWAYS},
    {"datagrams_received", OF_PEER(received), NUMBER, ALWAYS},
    {"resent_bytes", OF_PEER(resent_bytes), NUMBER, ALWAYS},
    {"resent_datagrams", OF_PEER(resent_datagrams), NUMBER, ALWAYS},
};

#define OF_MEMBER(member)                                                                          \
    offsetof(struct status_member, member), sizeof(((struct status_member *)NULL)->member)

static const struct field member_fields[] = {
    {"id", OF_MEMBER(id), ID, ALWAYS},
    {"standing", OF_MEMBER(standing), STANDING, ALWAYS},
    {"role", OF_MEMBER(leads), LEADS, UNLESS_0},
    {"priority", OF_MEMBER(priority), NUMBER, ALWAYS},
    {"address", OF_MEMBER(addr), TEXT, ALWAYS},
    {"at", OF_MEMBER(at), TEXT, UNLESS_0},
    {"incarnation", OF_MEMBER(incarnation), HANDLE, UNLESS_0},
    {"session", OF_MEMBER(session), SESSION, ALWAYS},
    {"heard_ms", OF_MEMBER(heard_us), AGE_MS, ALWAYS},
    {"match_index", OF_MEMBER(match_index), NUMBER, ON_LEADER},
    {"lag", OF_MEMBER(lag), NUMBER, ON_LEADER},
    {"lag_bytes", OF_MEMBER(lag_bytes), NUMBER, ON_LEADER},
    {"of_bytes", OF_MEMBER(of_bytes), NUMBER, ON_LEADER},
    {"percent", OF_MEMBER(percent), NUMBER, ON_LEADER},
    {"eta_s", OF_MEMBER(eta_s), SIGNED, ON_LEADER},
    {"rtt_us", OF_MEMBER(rtt_us), NUMBER, ALWAYS},
    {"loss_in_permille", OF_MEMBER(loss_in_permille), SIGNED, ALWAYS},
    {"loss_out_permille", OF_MEMBER(loss_out_permille), SIGNED, ALWAYS},
    {"told_ms", OF_MEMBER(told_us), AGE_MS, ALWAYS},
    {"health", OF_MEMBER(health), HEALTH, ALWAYS},
    {"drained", OF_MEMBER(drained), NUMBER, ALWAYS},
    {"version", OF_MEMBER(version), VERSION, UNLESS_0},
    {"uptime_s", OF_MEMBER(uptime_s), NUMBER, ALWAYS},
    {"fsync_p99_us", OF_MEMBER(fsync_p99_us), NUMBER, ALWAYS},
    {"applied_index", OF_MEMBER(applied_index), NUMBER, ALWAYS},
    {"log_bytes", OF_MEMBER(log_bytes), NUMBER, ALWAYS},
    {"snapshot_index", OF_MEMBER(snapshot_index), NUMBER, ALWAYS},
    {"snapshot_age_s", OF_MEMBER(snapshot_age_s), SIGNED, ALWAYS},
    {"data_bytes", OF_MEMBER(data_bytes), NUMBER, ALWAYS},
    {"keys", OF_MEMBER(keys), NUMBER, ALWAYS},
};

static const struct field told_fields[] = {
    {"members_by", OF_NODE(members_by), ID, ALWAYS},
    {"members_by_leader", OF_NODE(members_led), NUMBER, ALWAYS},
    {"members_told_ms", OF_NODE(members_us), AGE_MS, ALWAYS},
};

#define FIELDS(array)                                                                              \
    {                                                                                              \
        array, sizeof(array) / sizeof(array)[0]                                                    \
    }

const struct fields status_node_fields = FIELDS(node_fields),
                    status_peer_fields = FIELDS(peer_fields),
                    status_member_fields = FIELDS(member_fields),
                    status_told_fields = FIELDS(told_fields);

uint64_t status_value(const struct field *f, const void *base)
{
    const void *at = (const char *)base + f->at;
    switch (f->size) {
    case 1: return *(const uint8_t *)at;
    case 2: return *(const uint16_t *)at;
    case 4: return *(const uint32_t *)at;
    case 8: return *(const uint64_t *)at;
    default: return *(const uint8_t *)at; /* a text: 0 if it is empty */
    }
}

const char *status_value_name(enum show show, uint64_t v)
{
    switch (show) {
    case ROLE: return raft_role_name((enum raft_role)v);
    case WHY: return raft_why_name((enum raft_why)v);
    case TRANSFER: return raft_transfer_name((enum raft_transfer)v);
    case STAND: return raft_stand_name((enum raft_stand)v);
    case WAITS: return raft_waits_name((enum raft_waits)v);
    case STATE: return raft_peer_state_name((enum raft_peer_state)v);
    case DOUBT: return v == STATUS_DOUBT_DAMAGED ? "damaged" : "acknowledged";
    case SESSION: return v < STATUS_SESSIONS ? status_session_name((enum status_session)v) : "own";
    case STANDING: return v == MEMBER_VOTER ? "voter" : v == MEMBER_JOINING ? "joining" : "learner";
    case HEALTH: return health_name((enum health)v);
    case LEADS: return "leader";
    default: return NULL;
    }
}
