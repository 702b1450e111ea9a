#!/bin/bash
# Boxes come and go under clients: three nodes become five and then three others, a box with an empty disk is
# taken back, and what is typed at the wrong moment gets a message that says what to do.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 240
# shellcheck disable=SC2034 # of cluster.sh
KEYED=1

near() { # NODE ID: member ID lacks little at a moment, while clients write
    local lag
    lag=$(member_has "$1" "$2" lag)
    [[ "$lag" =~ ^[0-9]+$ ]] && [ "$lag" -lt 50 ]
}

cluster 3
start_all
wait_leader
wait_for 10 "first members in the log" member_is 1 3 standing voter

"$RAFTCTL" -s "$WORK/node3.sock" events >"$WORK/events" 2>&1 &
HELPERS+=($!)

# --- three become five ----------------------------------------------------------------------------
history_start -m -c 2 -k 20 -t 8000
for id in 4 5; do
    free_ports 1
    join "$id" "$BASE_PORT"
    [ "$(field "$id" role)" = follower ] || fail "node $id does not wait"
    expect 0 ctl $((id - 3)) member add "$id" "127.0.0.1:$BASE_PORT"
    says "node $id gets the data now and then becomes a voter"
    wait_for 30 "node $id as a voter" member_is 2 "$id" standing voter
    wait_for 10 "key of node $id" member_is 3 "$id" session established
done
expect 0 ctl 5 put five yes
expect 0 ctl 1 get five
[ "$OUT" = yes ] || fail "node 1 reads '$OUT'"
# Any three of them go on.
crash 5
pause 2
expect 0 ctl 4 --timeout 10 put "without two" yes
resume 2
CONF=$WORK/join.5 start 5
wait_for 30 "node 5, which has nearly all" near 1 5

# --- and three others -----------------------------------------------------------------------------
for id in 1 2; do
    expect 0 ctl 4 --timeout 10 member remove "$id"
    expect 11 ctl 4 member remove "$id"
    says "there is no member with that id; 'raftctl members' names them"
done
history_stop # clients of nodes that are stopped or removed go to another one
note "$OUT"
[[ " $OUT " == *" failed=0 "* ]] || fail "requests failed: $OUT"
[ "$(members_have 4 standing | grep -c voter)" = 3 ] || fail "not three voters: $(ctl 4 members)"
for event in added.*node=4 promoted.*node=4 added.*node=5 promoted.*node=5 removed.*node=1 removed.*node=2; do
    wait_for 10 "event: $event" grep -q " member-$event" "$WORK/events"
done
wait_for 20 "word of node 1 that it is out" grep -q 'no member' "$WORK/node1.log"
stop 1
stop 2
expect 0 ctl 3 --timeout 10 put three yes

# --- a box with an empty disk ---------------------------------------------------------------------
free_ports 1
crash 5
port=$(member_has 3 5 address)
mv "$WORK/node5" "$WORK/node5.lost"
join 5 "${port##*:}"
wait_for 20 "node 5 told apart" member_is 3 5 session other_disk
expect 0 ctl 3 --timeout 10 member replace 5
wait_for 30 "node 5 as a voter again" member_is 4 5 standing voter
crash 4
expect 0 ctl 5 --timeout 10 put replaced yes # it counts: the two are all that are left
expect 0 ctl 5 get five
[ "$OUT" = yes ] || fail "node 5 reads '$OUT'"
CONF=$WORK/join.4 start 4

# --- mistakes -------------------------------------------------------------------------------------
expect 11 ctl 3 --timeout 10 member add 4 127.0.0.1:9
says "it is a member already; to move it use member set, .* empty disk use member replace"
expect 11 ctl 3 member add 6 "$(member_has 3 4 address)"
says "another member has that address; 'raftctl members' says which"
wait_for 20 "node 4, heard" member_is 3 4 lag 0
expect 11 ctl 3 member replace 4
says "it is there, or was a moment ago, with the data directory that counts.* raftd --init --join"
expect 0 ctl 3 member set 4 priority=0
expect 11 ctl 3 member set 5 priority=0
says "half of the voters or more would have priority 0.* give another one a higher priority first"
expect 2 ctl 3 member add 6 127.0.0.1
says "'127.0.0.1' is no address; write NAME:PORT"
expect 2 ctl 3 member add 0 127.0.0.1:9
says "0 is no id of a node: 1 to 999"
expect 2 ctl 3 member grow 4
says "it is add, remove, replace or set"
expect 3 "$RAFTD" --init --join -c "$WORK/join.4" -i 4
says "is in use by another process|not empty"

# --- a cluster of one -----------------------------------------------------------------------------
expect 0 ctl 3 --timeout 10 member remove 4
expect 0 ctl 3 --timeout 10 member remove 5
expect 11 ctl 3 member remove 3 --force
says "it is the last voter.* add another node first"
expect 11 ctl 3 member replace 3
says "it is the only voter"
expect 0 ctl 3 put alone yes
finish "3 to 5 to 3 nodes under clients, a new disk, and 12 mistakes"
