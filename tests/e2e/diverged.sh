#!/bin/bash
# Bad memory: a bit of a value changes in one node, a follower or the leader. When the states are compared
# that node ends, with a message and an exit code of its own; the others go on, and so does it when it is
# started again, for its disk is well.
make -s -j2 all e2e-tools || exit 1
export RAFTD=build/raftd RAFTCTL=build/raftctl TOOLS=build/e2e # sanitizers keep copies of what they see
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120
[ "$(id -u)" = 0 ] || skip "needs root to change memory"

cluster 3
start_all
wait_leader
for round in "follower entries" "leader entries" "follower snapshot" "leader snapshot"; do
    read -r who how <<<"$round"
    bad=$LEADER
    [ "$who" = leader ] || bad=$(other_than "$LEADER")
    good=$(other_than "$bad")
    value="the $who has this value and no other one has it"
    expect 0 ctl "$good" put colour "$value"
    wait_converged
    expect 0 "$TOOLS/flip" "${PID[$bad]}" "$value"
    expect 0 ctl "$bad" get --stale colour
    [ "$OUT" != "$value" ] || fail "the memory of node $bad is as it was"
    # Nobody could see it any more; but the digest that follows each change knows another value.
    expect 0 ctl "$good" put colour "green"
    wait_converged
    # States are compared every 10 000 entries, and whenever any node has a snapshot.
    if [ "$how" = entries ]; then
        ctl "$good" --timeout 10 bench -c 64 -n 12000 >"$WORK/bench" 2>&1 || :
    else
        ctl "$good" snapshot || :
    fi
    wait_end "$bad"
    [ "$CODE" = 5 ] || fail "node $bad: exit $CODE instead of 5"
    entry='[0-9]*'
    [ "$how" = snapshot ] || entry+=0000
    grep -q "the state of this node as of entry $entry is not the one that a majority" \
        "$WORK/node$bad.log" || fail "node $bad does not say why it ends"
    wait_leader
    for i in $(up_nodes); do
        expect 0 ctl "$i" get colour
        [ "$OUT" = green ] || fail "node $i: colour is $OUT"
    done
    [ "$(up_nodes | wc -w)" = 2 ] || fail "another node ended, too"
    start "$bad"
    wait_converged
    expect 0 ctl "$bad" put colour blue
    ctl "$bad" --timeout 10 bench -c 64 -n 12000 >"$WORK/bench" 2>&1 || fail "$(cat "$WORK/bench")"
    wait_converged
    [ "$(up_nodes | wc -w)" = 3 ] || fail "a node ended, though all was well"
    wait_leader
done
finish "a node with bad memory ends alone, as follower and as leader"
