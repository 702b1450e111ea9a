#!/bin/bash
# Boxes get other addresses while clients write, follower and leader: the others follow within a second, and no
# request fails. When all have moved and all restart, they find each other where they were seen last.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
# shellcheck source=/dev/null
. "$TOP/tests/lib/netns.sh"
limit 120

move() { # HOST NUMBER: its address becomes 10.77.0.NUMBER
    on "$1" ip addr flush dev eth0
    on "$1" ip addr add "10.77.0.$2/24" dev eth0
}
says_of() { grep -q -- "$2" "$WORK/node$1.log"; }

hosts 3
cluster 3
start_all
wait_leader
follower=$(other_than "$LEADER")
led=$LEADER
third=$((6 - led - follower))
history_start -m -c 2 -k 20 -t 10000
sleep 2
move "$follower" "$((follower + 20))"
sleep 3
move "$led" "$((led + 20))"
sleep 3
move "$follower" "$((follower + 40))"
sleep 3
history_stop
note "$OUT"
[[ " $OUT " == *" failed=0 unknown=0 "* ]] || fail "requests failed"
stall=${OUT##*stall_ms=}
[ "${stall%% *}" -le 1000 ] || fail "no write for ${stall%% *} ms"
at=$(field "$third" "peer.$follower.at")
[ "$at" = "10.77.0.$((follower + 40)):$HOST_PORT" ] || fail "node $follower is reached at '$at'"
[ "$(field "$follower" "peer.$third.at")" = "" ] || fail "node $third has not moved"
says_of "$follower" 'has lost the address of this node, .*: listening at all that it has' ||
    fail "nothing said of the address that is missing"

move "$third" "$((third + 20))"
wait_for 10 "write through node $third" ctl "$third" --timeout 1 put k v
sleep 2 # what was seen is kept now
for i in 1 2 3; do stop "$i"; done
start_all
wait_leader
wait_for 10 "write through node $third" ctl "$third" --timeout 1 put k w
same_keys
finish "three boxes with other addresses: no write for ${stall%% *} ms at most; found again after a restart"
