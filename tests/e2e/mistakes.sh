#!/bin/bash
# What people get wrong with members: each gets a message that says what to do next, where they look for it.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 180
# shellcheck disable=SC2034 # of cluster.sh
KEYED=1

said() { # SECONDS LOG WORDS: within that time there is such a line
    wait_for "$1" "'$3' in $2" grep -Eq -- "$3" "$WORK/$2.log"
}
second_pid=
second() { # ID ADDRESS OPTION...: another box with a directory of its own under that id, and the others in its file
    local id=$1 address=$2
    shift 2
    sed -e "s,^node.$id = .*,node.$id = $address," -e "s:^data_dir = .*:data_dir = $WORK/second:" \
        -e "s:^socket = .*:socket = $WORK/second.sock:" "$CONF" >"$WORK/second.conf"
    expect 0 "$RAFTD" "$@" -c "$WORK/second.conf" -i "$id"
    "$RAFTD" -c "$WORK/second.conf" -i "$id" >>"$WORK/second.log" 2>&1 &
    second_pid=$!
    HELPERS+=("$second_pid")
}

cluster 3
start_all
wait_leader
wait_for 10 "first members in the log" member_is 1 3 standing voter
led=$LEADER
lost=$(other_than "$led")
other=$((6 - led - lost))
free_ports 2
fourth=127.0.0.1:$BASE_PORT
elsewhere=127.0.0.1:$((BASE_PORT + 1))

# An id twice.
expect 11 ctl "$other" member add "$lost" "$elsewhere"
says "it is a member already.* member set, .* member replace, and a new box gets another id"

# --init over a member: while it runs, and when it does not.
expect 3 "$RAFTD" --init -c "$CONF" -i "$lost"
says "is in use by another process .* is raftd running here already"
stop "$lost"
expect 3 "$RAFTD" --init --join -c "$CONF" -i "$lost"
says "is not empty .*, nothing was created. The node that is there is started without --init; another one needs an empty directory"
start "$lost"
wait_leader

# A box that joins with the wrong key: both sides name the key.
key_make "$WORK/key.4"
join 4 "${fourth##*:}"
expect 0 ctl "$led" member add 4 "$fourth"
said 30 node4 "of this cluster comes from .*sealed with another key than ours. Compare key_file"
said 30 "node$led" "node 4 .* was not heard since the start: .* or its key"
cp "$WORK/key" "$WORK/key.4"
stop 4
CONF=$WORK/join.4 start 4
wait_for 30 "node 4 as a voter" member_is "$led" 4 standing voter

# Two boxes with one id, the second one with a directory of its own, made without --join.
second "$lost" "$elsewhere" --init
said 40 "node$led" "node $lost .* is there, and another box comes under its id, .* give that one an id of its own"
[ "$(member_has "$led" "$lost" session)" = established ] || fail "the first box does not count: $(ctl "$led" members)"
expect 0 ctl "$lost" --timeout 10 put k v
expect 11 ctl "$led" --timeout 2 member replace "$lost"
says "it is there, or was a moment ago, .* stop it, use raftd --init --join, and start it first"
kill "$second_pid"
wait "$second_pid" || fail "the second box: exit $?"

# Replaced before the new one is there.
crash "$lost"
sleep 1
expect 11 ctl "$led" --timeout 3 member replace "$lost"
says "nobody has come under that id with another data directory yet.* raftd --init --join, start it"
start "$lost" # nothing was done: it counts as before
wait_for 20 "node $lost, established" member_is "$led" "$lost" session established

# A removed node: one that was off when it was removed, and is started as if nothing were.
crash "$lost"
expect 0 ctl "$led" --timeout 10 member remove "$lost"
start "$lost"
said 30 "node$lost" "this node is no member: .* use raftd --init --join in an empty directory and raftctl member add"
! grep -q 'are needed' "$WORK/node$lost.log" || fail "it counts nodes that are none of its business"
expect 11 ctl "$led" member set "$lost" priority=2
says "there is no member with that id; 'raftctl members' names them"

# The last ones.
expect 0 ctl "$led" --timeout 10 member remove 4
wait_leader
expect 0 ctl "$LEADER" --timeout 10 member remove $((led + other - LEADER))
expect 11 ctl "$LEADER" --timeout 10 member remove "$LEADER" --force
says "it is the last voter.* add another node first"
finish "nine mistakes, and nine times the next step"
