#!/bin/bash
# One node of three can't agree with itself: it refuses writes and linearizable reads with the right
# exit code, still answers local reads and status, and all works again when the others return.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120

lonely() { # node: of three, the only one left
    local i=$1 code=0
    # A deposed leader may have taken the first write into its log before it noticed: unknown then.
    ctl "$i" --timeout 1 put during "1" 2>"$WORK/stderr" || code=$?
    [ "$code" = 4 ] || [ "$code" = 5 ] || fail "put without majority: exit $code"
    sleep 2
    expect 4 ctl "$i" --timeout 1 put after "1"
    says 'leader'
    expect 4 ctl "$i" --timeout 1 del before
    expect 4 ctl "$i" --timeout 1 get before
    expect 4 ctl "$i" --timeout 1 list
    says "after 1 s: no leader, or none that can commit, in time: nothing was done"
    expect 0 ctl "$i" --timeout 1 get --stale before
    [ "$OUT" = "$2" ] || fail "local read: '$OUT' instead of '$2'"
    expect 0 ctl "$i" --timeout 1 list --stale
    [ "$(field "$i" leader)" = 0 ] || fail "status names a leader: $(field "$i" leader)"
    expect 21 ctl "$i" health
    [[ $OUT == "no_quorum: 1 of 3 voters are heard"* ]] || fail "health: $OUT"
}

cluster 3
start_all
for last in leader follower; do
    wait_leader
    expect 0 ctl 1 --timeout 20 put before "as $last"
    wait_converged
    left=$LEADER
    [ "$last" = leader ] || left=$(other_than "$LEADER")
    for i in 1 2 3; do [ "$i" = "$left" ] || crash "$i"; done
    lonely "$left" "as $last"
    for i in 1 2 3; do [ "$i" = "$left" ] || start "$i"; done
    wait_leader
    for i in 1 2 3; do expect 0 ctl "$i" --timeout 20 put "back-$i" "$last"; done
    expect 1 ctl 1 --timeout 20 get after
    same_keys
done
finish "without majority: writes and linearizable reads refused (4), local reads served; recovers"
