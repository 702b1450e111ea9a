#!/bin/bash
# The card of a box is copied, and both boxes run: each node says so and names both addresses, and none of the
# two counts until one has been alone for a while. The leader can be such a box, too.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
# shellcheck source=/dev/null
. "$TOP/tests/lib/netns.sh"
limit 240

CLONE_PID=
clone_start() { # of that node, whose directory is $WORK/clone, on host 4
    sed -e "s:^data_dir = .*:data_dir = $WORK/clone:" -e "s:^socket = .*:socket = $WORK/clone.sock:" "$CONF" >"$WORK/clone.conf"
    # shellcheck disable=SC2086 # a command and its options
    ${ON[4]} "$RAFTD" -c "$WORK/clone.conf" -i "$1" >>"$WORK/node4.log" 2>&1 &
    CLONE_PID=$!
    HELPERS+=("$CLONE_PID")
}
clone_stop() {
    kill -TERM "$CLONE_PID"
    wait "$CLONE_PID" || fail "the clone: exit $?"
}
says_of() { grep -q -- "$2" "$WORK/node$1.log"; }
session_is() { [ "$(field "$1" "peer.$2.session")" = "$3" ]; }

# copied ID: node ID and a copy of it run until each other node has named both; two are left to serve.
copied() {
    local id=$1 i at
    stop "$id"
    cp -a "$WORK/node$id" "$WORK/clone"
    start "$id"
    wait_leader
    clone_start "$id"
    for i in 1 2 3; do
        [ "$i" = "$id" ] && continue
        wait_for 20 "cloned node $id at node $i" session_is "$i" "$id" cloned
        at=$(field "$i" "peer.$id.at")
        [[ "$at" == *"10.77.0.$id:$HOST_PORT"* && "$at" == *"10.77.0.4:$HOST_PORT"* ]] ||
            fail "node $i says that node $id is at '$at'"
        wait_for 30 "message of node $i" says_of "$i" "node $id (10.77.0.*,10.77.0.*) is more than one living box"
        expect 0 ctl "$i" links
        [[ "$OUT" == *"node $id (10.77.0."*",10.77.0."*") is more than one living box"* ]] || fail "links: $OUT"
    done
    for i in "$id" 4; do
        wait_for 30 "message at $i" says_of "$i" "hears another living box with a copy of this node's data directory"
    done
}

hosts 4
cluster 3
start_all
wait_leader
expect 0 ctl 1 --timeout 10 put k 1
wait_converged
lost=$(other_than "$LEADER")
other=$((6 - LEADER - lost))
copied "$lost"
expect 0 ctl "$LEADER" --timeout 10 put k 2 # the other two are a majority
[ "$(member_has "$other" "$lost" session)" = cloned ] || fail "members say: $(ctl "$other" members)"
# Neither of the two helps one node alone to commit anything.
pause "$other"
expect 5 ctl "$LEADER" --timeout 5 put k 3
resume "$other"
wait_leader
clone_stop
rm -r "$WORK/clone"
wait_for 60 "node $lost, alone again" session_is "$LEADER" "$lost" established
crash "$other"
wait_leader
expect 0 ctl "$LEADER" --timeout 10 put k 4 # it counts
start "$other"
wait_leader
same_keys

# The leader's card, and the original goes: the copy is the node from then on, where it is.
led=$LEADER
copied "$led"
wait_leader
expect 0 ctl "$LEADER" --timeout 10 put k 5
crash "$led"
wait_for 60 "the copy of node $led, alone" session_is "$LEADER" "$led" established
at=$(field "$LEADER" "peer.$led.at")
[ "$at" = "10.77.0.4:$HOST_PORT" ] || fail "node $led is at '$at'"
[ "$(member_has "$LEADER" "$led" at)" = "$at" ] || fail "members say: $(ctl "$LEADER" members)"
crash "$(other_than "$LEADER")"
expect 0 ctl "$LEADER" --timeout 20 put k 6
clone_stop
finish "two living boxes with one directory are named by address, and neither counts"
