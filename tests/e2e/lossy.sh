#!/bin/bash
# Three hosts that lose 15 % of what they receive, clients on all of them: kill -9 and restart of
# followers and leader, a host cut off and healed, leader and follower. What the clients saw is
# linearizable, no acknowledged write is lost, and leaders change no oftener than they must.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
# shellcheck source=/dev/null
. "$TOP/tests/lib/netns.sh"
limit 120

LOSS=150 # of 1000
hosts 3
cluster 3
start_all
wait_leader
loss "$LOSS"
history_start -c 2 -k 12
writers_start w1:1 w2:2 w3:3
term=$LEADER_TERM faults=0

# settled WHAT: a leader, and it serves
settled() {
    local began
    began=$(now_ms)
    wait_leader
    expect 0 ctl "$LEADER" --timeout 10 put settled "$1"
    note "$1: leader $LEADER of term $LEADER_TERM after $(($(now_ms) - began)) ms"
}

sleep 2
settled "under loss"
calm=$LEADER_TERM

crash "$(other_than "$LEADER")"
sleep 1.5
settled "a follower is dead"
for i in 1 2 3; do [ "${STATE[$i]}" = up ] || start "$i"; done
sleep 0.5

faults=$((faults + 1))
victim=$LEADER
crash "$victim"
sleep 1
settled "the leader was killed"
start "$victim"
sleep 0.5
settled "and is back"

follower=$(other_than "$LEADER")
cut_off "$follower"
sleep 1.5
settled "a follower is cut off"
heal
sleep 1
settled "and is back"

faults=$((faults + 1))
victim=$LEADER
cut_off "$victim"
STATE["$victim"]=away # not one of those that are asked who leads
sleep 1.5
settled "the leader is cut off"
[ "$LEADER" != "$victim" ] || fail "node $victim is cut off and leads"
heal
STATE["$victim"]=up
sleep 1
settled "and is back"

wait_leader
end=$LEADER_TERM
history_stop
writers_stop
note "$OUT"
loss 0
same_keys
check_writes
[ "$calm" -le $((term + 1)) ] || fail "loss alone: term $term became $calm"
# a split vote costs a term, and loss makes them likelier
[ "$end" -le $((term + 1 + 3 * faults)) ] || fail "$faults faults of leaders, but term $term became $end"
finish "$(count "$WORK/acked") acknowledged writes are all there; term $term to $end"
