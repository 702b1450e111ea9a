#!/bin/bash
# Power returns at one box of three: it has no leader, and shows what it knew all the same; a new box
# that never heard anything says so, and neither that a key is absent nor an empty list.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120

shows() { # shows NODE KEY VALUE: read there without a leader
    wait_for 20 "local reads of node $1" local_reads "$1"
    expect 0 ctl "$1" get --stale "$2"
    [ "$OUT" = "$3" ] || fail "get --stale $2: '$OUT'"
    expect 0 ctl "$1" list --stale
    grep -qx "$2=$3" <<<"$OUT" || fail "list --stale without $2: $OUT"
    expect 1 ctl "$1" get --stale nothing
    expect 4 ctl "$1" --timeout 0.3 get "$2"
}

# Nothing is written any more: what is known to be committed is on all disks.
rest() {
    local i before after
    before=$(for i in 1 2 3; do field "$i" fsync_count; done)
    sleep 2.5
    after=$(for i in 1 2 3; do field "$i" fsync_count; done)
    [ "$before" = "$after" ]
}

cluster 3 'election_timeout_ms = 1000' # a busy test machine must not cause elections of its own
start 1
for command in "get --stale colour" "list --stale" "list --stale --json"; do
    # shellcheck disable=SC2086 # options and a key
    expect 10 ctl 1 $command
    [ -z "$OUT" ] || fail "$command of a new node prints '$OUT'"
    says "not yet.*raftctl links"
done
expect 4 ctl 1 --timeout 0.3 get colour
start 2 && start 3
wait_leader
for round in 1 2; do
    expect 0 ctl 2 put colour "green $round"
    wait_converged
    # Stopped at once: nobody waited for the idle batch.
    for i in 1 2 3; do stop "$i"; done
    start 1
    shows 1 colour "green $round"
    start 2 && start 3
    wait_leader
    wait_converged
done

# Without a clean stop what is known comes to the disk within a second or two.
expect 0 ctl 2 put colour blue
wait_converged
wait_for 60 "rest" rest
for i in 1 2 3; do crash "$i"; done
for i in 1 2 3; do
    start "$i"
    shows "$i" colour blue
    stop "$i"
done
# Killed at once they may have forgotten the last write, but nothing before it.
start 1 && start 2 && start 3
wait_leader
expect 0 ctl 2 put colour red
wait_for 60 "rest" rest
expect 0 ctl 2 put colour white
for i in 1 2 3; do crash "$i"; done
for i in 1 2 3; do
    start "$i"
    wait_for 20 "local reads of node $i" local_reads "$i"
    expect 0 ctl "$i" get --stale colour
    case $OUT in
    red | white) note "node $i, killed at once, shows $OUT" ;;
    *) fail "node $i shows '$OUT', of before what it knew" ;;
    esac
    stop "$i"
done
[ "$("$RAFTD" --check "$WORK/node1" | sed -n 's/^commit_index=//p')" -gt 3 ] ||
    fail "--check knows no commit index"
finish "one node alone shows what it knew, a new one says that it knows nothing"
