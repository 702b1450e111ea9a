#!/bin/bash
# An earlier copy of the data directory is put in place at a follower: it has less than it had
# acknowledged. Both sides say so, by name and with the indexes; it is in doubt until it has all of it
# again, and counts as before then: with the leader alone it is a majority.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120
# Sanitizers look for leaks at exit, which they can not do while being traced.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
DELAY_US=700000 # of each fdatasync of the victim, so that its doubt can be seen

strace -f -e inject=fdatasync:delay_enter=1 true 2>/dev/null || skip "no strace that can inject"

puts() { # NODE NAME: ten keys
    local i
    for i in 1 2 3 4 5 6 7 8 9 10; do
        ctl "$1" --timeout 10 put "$2-$i" "value-$i" >/dev/null || fail "put $2-$i: exit $?"
    done
}
counted() { [ "$(field "$1" lost_acked)" = 1 ]; }
in_doubt() { [ "$(field "$1" doubt)" = "$2" ]; }
matched() { [ "$(field "$LEADER" "peer.$1.match_index")" = "$(field "$LEADER" last_index)" ]; }
said() { grep -qE "$2" "$WORK/node$1.log" || fail "node $1 did not say: $2"; }

cluster 3
start_all
wait_leader
victim=$(other_than "$LEADER")
third=$(other_than "$LEADER" "$victim")
puts "$LEADER" before
wait_converged
note "the copy of node $victim is made"
stop "$victim"
cp -a "$WORK/node$victim" "$WORK/earlier"
kept=$(field "$LEADER" last_index)
start "$victim"
wait_for 10 "node $victim to follow" matched "$victim"
stop "$third" # these are on the leader and the victim alone
puts "$LEADER" lost
wait_for 10 "acknowledgements of node $victim" matched "$victim"
last=$(field "$LEADER" last_index)
crash "$victim"
mv "$WORK/node$victim" "$WORK/later"
mv "$WORK/earlier" "$WORK/node$victim"

note "node $victim comes back with entries up to $kept of $last"
# shellcheck disable=SC2034,SC2004 # of cluster.sh, by name
ON[$victim]="strace -D -f -qq -o $WORK/strace -e trace=fdatasync -e inject=fdatasync:delay_enter=$DELAY_US"
launch "$victim"
wait_for 30 "answer of node $victim" answers "$victim"
wait_for 20 "doubt at node $victim" in_doubt "$victim" 1
[ "$(field "$victim" doubt_index)" -le "$last" ] || fail "doubt_index beyond $last"
said "$LEADER" "node $victim acknowledged entries up to $last and has only [0-9]+: its disk has lost"
said "$victim" "this node acknowledged entries up to $last and has only [0-9]+: its disk has lost"
wait_for 10 "the leader to count it" counted "$LEADER" # counters are published later than they are said
wait_for 10 "the node to count it" counted "$victim"
wait_for 30 "node $victim to have all again" in_doubt "$victim" 0
said "$victim" "no longer in doubt"
wait_for 10 "the leader to know" grep -q "node $victim has again" "$WORK/node$LEADER.log"

note "with the leader alone it is a majority"
puts "$victim" after
start "$third"
same_keys
[ "$(grep -c . "$WORK/keys")" = 30 ] || fail "$(grep -c . "$WORK/keys") keys of 30"
stop "$third"
puts "$LEADER" again
finish "node $victim was told of $((last - kept)) lost entries, has them again, and counts"
