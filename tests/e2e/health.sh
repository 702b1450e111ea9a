#!/bin/bash
# What a script asks: health with its exit codes, the tables of members with one that is silent, and wait, which
# ends as soon as it is so: also over a daemon that is not there yet, and over its restart.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120

# waits NAME NODE WORD...: a wait that goes on while the script does; is_over NAME: it ends now.
waits() {
    local name=$1 node=$2
    shift 2
    { ctl "$node" --timeout 60 wait "$@" >"$WORK/$name.out" 2>"$WORK/$name.err"; echo "$?" >"$WORK/$name.code"; } &
    HELPERS+=("$!")
}
is_over() {
    wait_for 20 "end of wait $1" test -s "$WORK/$1.code"
    [ "$(cat "$WORK/$1.code")" = 0 ] || fail "wait $1: exit $(cat "$WORK/$1.code"): $(cat "$WORK/$1.err")"
}
goes_on() { [ ! -s "$WORK/$1.code" ] || fail "wait $1 has ended: $(cat "$WORK/$1.out" "$WORK/$1.err")"; }
is_well() { ctl "$1" health >"$WORK/health"; }
fits() { ! awk 'length > 80' <<<"$OUT" | grep . || fail "more than 80 columns: $OUT"; }

cluster 3
expect 3 ctl 1 health
expect 2 ctl 1 health --nagios
[[ $OUT == "RAFTD CRITICAL - no answer from the daemon at "* ]] || fail "nagios: $OUT"
expect 3 ctl 1 --timeout 0.3 wait leader
waits start 1 leader
waits written 1 greeting=hello
start 1
waits alone 1 writable
goes_on start
start 2
start 3
is_over start
is_over alone
wait_leader
[[ $(cat "$WORK/start.out") == "leader=$LEADER" ]] || fail "wait leader: $(cat "$WORK/start.out")"
for i in 1 2 3; do expect 0 ctl "$i" --timeout 10 wait caught-up; done
goes_on written
expect 0 ctl 2 put greeting hi
expect 0 ctl 2 put greeting hello
is_over written
for i in 1 2 3; do
    wait_for 10 "health of node $i" is_well "$i" # just after a start a busy disk may be slow
    expect 0 ctl "$i" health --nagios
    [[ $OUT == "RAFTD OK - ok: "*" | lag="* ]] || fail "nagios: $OUT"
done
expect 2 ctl 1 health --max-lag x
expect 1 ctl 1 --timeout 0.3 wait member 4
expect 0 ctl 1 --timeout 5 wait member 1
expect 2 ctl 1 wait member
says 'usage: raftctl wait'

victim=$(other_than "$LEADER")
witness=$(other_than "$LEADER" "$victim")
crash "$victim"
waits early "$witness" member "$victim" # which does not know yet
waits back "$LEADER" member "$victim"
silent() { ctl "$1" status --all | grep -q "^! node $2 has not been heard for .*: is it down"; }
wait_for 20 "node $victim as silent" silent "$witness" "$victim"
expect 0 ctl "$witness" status --all
fits
grep -q "^! *$victim  *silent " <<<"$OUT" || fail "no silent member in the table: $OUT"
grep -q '^! 2 of 3 voters are heard: if one more is lost' <<<"$OUT" || fail "no word of the margin: $OUT"
expect 0 ctl "$witness" members
fits
grep -q "^\* *$LEADER *voter *leader " <<<"$OUT" || fail "no mark of the leader: $OUT"
goes_on early
goes_on back
start "$victim"
is_over early
is_over back

# A daemon that is stopped.
pause "$victim"
expect 27 ctl "$victim" --timeout 0.2 health
says 'no answer from the daemon for .*: is it stopped'
expect 2 ctl "$victim" --timeout 0.2 health --nagios
[[ $OUT == "RAFTD CRITICAL - no answer from the daemon at "* ]] || fail "nagios: $OUT"
resume "$victim"

# A majority that hears each other, of which nobody leads: both are drained.
wait_leader
last=$LEADER
i=$(other_than "$last")
for n in $(up_nodes); do [ "$n" = "$last" ] || expect 0 ctl "$n" drain; done
crash "$last"
none() {
    local code=0
    ctl "$1" health >/dev/null || code=$?
    [ "$code" = 20 ]
}
wait_for 20 "no leader" none "$i"
expect 2 ctl "$i" health --nagios
[[ $OUT == "RAFTD CRITICAL - no_leader: "* ]] || fail "nagios: $OUT"
expect 4 ctl "$i" --timeout 0.3 wait writable
waits again "$i" writable
waits here "$last" caught-up
sleep 0.3
goes_on again
goes_on here
start "$last"
is_over again
is_over here
finish "each exit code is what it says, and each wait ends when it is so"
