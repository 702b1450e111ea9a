#!/bin/bash
# Five nodes: two may fail at once, leader included; with three gone nothing is agreed on.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 150

cluster 5
start_all
wait_leader
for i in {1..5}; do expect 0 ctl "$i" --timeout 20 put "all-$i" "v"; done
first=$LEADER
crash "$first"
wait_leader
second=$LEADER
crash "$second"
wait_leader
for i in $(up_nodes); do expect 0 ctl "$i" --timeout 20 put "three-$i" "v"; done
third=$LEADER
crash "$third"
sleep 2
for i in $(up_nodes); do
    expect 4 ctl "$i" --timeout 1 put "two-$i" "v"
    expect 0 ctl "$i" --timeout 1 get --stale all-1
done
start "$first"
wait_leader
expect 0 ctl "$LEADER" --timeout 20 put again "v"
start "$second"
start "$third"
wait_leader
same_keys
[ "$(count "$WORK/keys")" = 9 ] || fail "$(count "$WORK/keys") keys instead of 9"
finish "two of five may fail, three not"
