#!/bin/bash
# A first member is off when the cluster begins, and another box comes first under its id: it counts, and each node
# says so and shows which data directory that is. The right one is refused, until it replaces the other. Where the
# member is taken out in time nobody counts under its id, until the right box is added.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 200
# shellcheck disable=SC2034 # of cluster.sh
KEYED=1

says_of() { grep -q -- "$2" "$WORK/node$1.log"; }
session_is() { [ "$(field "$1" "peer.$2.session")" = "$3" ]; }
key_is() { [ "$(member_has "$1" 3 incarnation)" = "$2" ]; } # of member 3 at NODE
happened_at_1() { grep -q " member-directory .*node=3" "$WORK/events" && grep -q "$1" "$WORK/events"; }

# Another data directory of node 3 takes the place of its own, which is kept; and back.
another() {
    mv "$WORK/node3" "$WORK/right"
    expect 0 "$RAFTD" --init -c "$CONF" -i 3
}
right() {
    rm -r "$WORK/node3"
    mv "$WORK/right" "$WORK/node3"
}
two_begin() {
    cluster 3
    start 1
    start 2
    wait_for 20 "leader" find_leader
    expect 0 ctl 1 --timeout 20 put k 1
    wait_for 20 "the key of node 1 in the list" member_has 2 1 incarnation
}

two_begin
"$RAFTCTL" -s "$WORK/node1.sock" events >"$WORK/events" &
HELPERS+=($!)
[ -z "$(member_has 1 3 incarnation)" ] || fail "node 3 was never there, and has a key: $(ctl 1 members)"
for i in 1 2; do
    wait_for 30 "word at node $i that node 3 has no key" says_of "$i" "node 3 .* has never been here, so its key is not known"
done
another
start 3
came=$(field 3 incarnation)
for i in 1 2 3; do wait_for 20 "the key of node 3 at node $i" key_is "$i" "$came"; done
for i in 1 2; do
    wait_for 20 "word at node $i of which box counts" says_of "$i" "node 3 .* counts from now on, with a data directory whose key begins with $came"
done
wait_for 20 "event at node 1" happened_at_1 "whoever came first is taken for it"

# The right box is another one, as its own status shows. It is refused, and taken in with an empty directory.
stop 3
right
start 3
mine=$(field 3 incarnation)
[ "$mine" != "$came" ] || fail "two directories have the key $mine"
grep -q "the data directory of node 3 .* key that begins with $mine" "$WORK/node3.log" || fail "raftd --init did not print $mine"
wait_for 30 "other_disk of node 3" session_is 1 3 other_disk
key_is 1 "$came" || fail "it counts: $(ctl 1 members)"
stop 3
rm -r "$WORK/node3"
expect 0 "$RAFTD" --init --join -c "$CONF" -i 3
start 3
mine=$(field 3 incarnation)
replaced() { # the one before may be taken first, as long as this one was not heard
    ctl 1 --timeout 15 member replace 3 2>>"$WORK/replace" || return 1
    key_is 1 "$mine"
}
wait_for 60 "the right box as node 3" replaced
wait_for 30 "node 3 as a voter" member_is 1 3 standing voter
wait_for 20 "the key of the right box at node 2" key_is 2 "$mine"
wait_for 20 "event at node 1" happened_at_1 "another data directory has taken its place"
for i in 1 2 3; do stop "$i"; done

# The gap is closed: node 3 is no member until it is there.
two_begin
wait_for 20 "removal of node 3" ctl 1 --timeout 20 member remove 3
another
start 3
sleep 5 # it would have been taken within one
[ -z "$(member_has 1 3 standing)" ] || fail "node 3 is a member: $(ctl 1 members)"
other=$((3 - LEADER))
pause "$other"
expect 5 ctl "$LEADER" --timeout 4 put alone no # of two members one is here
resume "$other"
stop 3
right
rm -r "$WORK/node3"
expect 0 "$RAFTD" --init --join -c "$CONF" -i 3
start 3
expect 0 ctl 1 --timeout 30 member add 3 "$(node_addr 3)"
wait_for 30 "node 3 as a voter" member_is 2 3 standing voter
key_is 2 "$(field 3 incarnation)" || fail "members of node 2: $(ctl 2 members)"
same_keys
finish "who comes first as a member whose key is not known counts, and is named"
