#!/bin/bash
# Nodes that are named instead of numbered, and two addresses of a node: names are looked up while the nodes
# run, and a node whose first address leads nowhere is found at the second.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 60

getent ahostsv4 localhost >/dev/null || skip "localhost has no address"
# shellcheck disable=SC2034 # read by cluster()
KEYED=1
cluster 3
for i in 1 2 3; do
    port=$((BASE_PORT + i - 1))
    case $i in
        1) to="localhost:$port" ;;
        2) to="nowhere.invalid:$port, localhost:$port" ;;
        3) to="127.0.0.1:1, 127.0.0.1:$port" ;;
    esac
    sed -i "s/^node\.$i = .*/node.$i = $to/" "$CONF"
done
expect 0 "$RAFTD" -n -c "$CONF" -i 1
expect 0 "$RAFTD" -n -c "$CONF" -i 2
start 1
start 2
wait_leader
wait_for 10 "write through node 1" ctl 1 --timeout 1 put k v
wait_for 10 "write through node 2" ctl 2 --timeout 1 put k w
[ "$(field 1 peer.2.addr)" = "nowhere.invalid:$((BASE_PORT + 1)), localhost:$((BASE_PORT + 1))" ] ||
    fail "peer.2.addr=$(field 1 peer.2.addr)"
finish "nodes by their names"
