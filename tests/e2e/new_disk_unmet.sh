#!/bin/bash
# A box gets a new data directory under its old id. One node knows the old one and says so; the other has
# never met it. Without the first one, those two must not be a majority: what the old directory had
# acknowledged would be lost. Sealed and in plain text, and after a restart of the new box, too.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 200

session_is() { [ "$(field "$1" "peer.$2.session")" = "$3" ]; }

# shellcheck disable=SC2034 # of cluster.sh
for KEYED in 1 0; do
    cluster 3
    start 1
    start 2
    wait_for 20 "leader" find_leader
    expect 0 ctl 1 --timeout 20 put precious 1
    crash 2
    mv "$WORK/node2" "$WORK/old"
    expect 0 "$RAFTD" --init -c "$CONF" -i 2
    start 2
    wait_for 20 "new_disk at node 2" session_is 2 1 new_disk
    wait_for 20 "the note that node 2 had another directory" test -e "$WORK/node2/peers"
    pause 1
    stop 2
    start 2
    grep -q 'stays out for good' "$WORK/node2.log" || fail "node 2 says nothing at its start"
    start 3
    wait_for 20 "stays_out at node 2" session_is 2 3 stays_out
    expect 4 ctl 3 --timeout 4 get precious
    expect 4 ctl 2 --timeout 1 put other 2
    [ "$(field 2 vote) $(field 3 commit_index)" = "0 0" ] || fail "the new box took part"
    resume 1
    wait_for 20 "leader" find_leader
    expect 0 ctl 3 --timeout 20 get precious
    expect 0 ctl 1 --timeout 20 put other 2
    for i in 1 2 3; do stop "$i"; done
    rm -r "$WORK/old"
done
finish "whoever was told that it is new takes part in nothing"
