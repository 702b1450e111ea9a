#!/bin/bash
# A node that needs a snapshot is behind 20 kbit/s that lose a fifth of all datagrams: the snapshot arrives,
# also when the leader changes meanwhile and when the node is killed, and never starts over; then the node
# follows.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
# shellcheck source=/dev/null
. "$TOP/tests/lib/netns.sh"
limit 400

hosts 3
cluster 3 'election_timeout_ms = 5000'
knows_all() { # its key is learnt when a node is first heard, and kept in an entry of the log
    [ "$(members_have "$1" incarnation | wc -l)" = 3 ] # of a member whose key is not known none is told
}
lags() {
    local code=0
    ctl "$1" health >/dev/null 2>&1 || code=$?
    [ "$code" = 22 ]
}
start_all
wait_leader
wait_for 20 "the keys of all nodes" knows_all "$LEADER"
# A question that is lost is asked again.
other=$((LEADER % 3 + 1))
cut_from "$other" "$LEADER"
{ sleep 1; heal; } &
expect 0 ctl "$other" --timeout 20 transfer "$other"
wait $!
wait_leader
[ "$LEADER" != 3 ] || wait_for 60 "hand-over to node 1" ctl 3 --timeout 20 transfer 1
wait_leader
stop 3
for i in 1 2; do # a leader keeps the log for those that it has heard
    stop "$i"
    start "$i"
    wait_leader
done
other=$((3 - LEADER)) # of 1 and 2
while [ "$(field "$LEADER" log_first_index)" -lt 1000 ]; do
    expect 0 ctl "$LEADER" --timeout 60 bench -c 16 -n 9000 -v 2000 -k 2
    expect 0 ctl "$LEADER" --timeout 20 snapshot
done
wait_converged
for i in 1 2; do expect 0 ctl "$i" --timeout 20 snapshot; done
last=$(field "$LEADER" snapshot_index)
size=$(field "$LEADER" snapshot_bytes)
[ "$(field "$other" snapshot_index)" = "$last" ] || fail "nodes that rest have snapshots of different entries"

link_rate 3 20kbit
loss 200
have=0 changed=0 killed=0
begin=$(now_ms)
start 3
wait_for 60 "word of node 3 that it lacks something" lags 3
until [ "$(field 3 snapshot_index)" -ge "$last" ]; do
    { read -r now && read -r all; } < <(field 3 install_bytes install_of_bytes) || continue
    if [ "$all" = 0 ] && [ "$have" = "$size" ]; then continue; fi # it is being made its own
    [ "$now" -ge "$have" ] || fail "of $size bytes there were $have, and then $now"
    have=$now
    if [ "$changed" = 0 ] && [ "$have" -gt $((size / 3)) ]; then
        wait_for 60 "hand-over to node $other" ctl "$other" --timeout 20 transfer "$other"
        changed=$have
    fi
    if [ "$killed" = 0 ] && [ "$have" -gt $((size * 2 / 3)) ]; then
        crash 3
        start 3
        killed=$have
        until { read -r now && read -r all; } < <(field 3 install_bytes install_of_bytes) && [ "$all" != 0 ]; do
            [ $(($(now_ms) - begin)) -lt 200000 ] || fail "it is not fetched any more"
            sleep 0.1
        done
    fi
    [ $(($(now_ms) - begin)) -lt 200000 ] || fail "after 200 s there are $have of $size bytes"
    sleep 0.2
done
{ [ "$changed" -gt 0 ] && [ "$killed" -gt 0 ]; } || fail "it came at once"
took_ms=$(($(now_ms) - begin))
expect 0 ctl 2 --timeout 60 put after that
same_keys
finish "$size bytes in $took_ms ms, killed at $killed; the bytes alone need $((size * 8 / 20)) ms"
