#!/bin/bash
# Hosts that lose 30 % of what they receive, timeouts as they are by default, clients on all nodes:
# the leader stays, and every write and read is done.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
# shellcheck source=/dev/null
. "$TOP/tests/lib/netns.sh"
limit 120

hosts 3
cluster 3
start_all
wait_leader
term=$LEADER_TERM
loss 300
history_start -c 3 -k 20 -t 5000
sleep 15
history_stop
note "$OUT"
[[ " $OUT " == *" failed=0 unknown=0 "* ]] || fail "requests failed"
sleep 5 # idle, too
end=$(field "$LEADER" term)
[ $((end - term)) -le 1 ] || fail "term $term became $end by loss alone"
loss 0
same_keys
finish "30 % loss for 20 s: term $term to $end; $OUT"
