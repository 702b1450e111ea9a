#!/bin/bash
# A box that stays a learner: it has all the data and is read, and no majority waits for it, not even for one
# that is off; it votes for nobody. Removed and added again it becomes a voter.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120
# shellcheck disable=SC2034 # of cluster.sh
KEYED=1

reads() { [ "$(ctl 4 --timeout 1 get --stale "$1" 2>/dev/null)" = "$2" ]; } # KEY VALUE: in the copy of node 4

cluster 3
start_all
wait_leader
wait_for 10 "first members in the log" member_is 1 3 standing voter
for i in {1..50}; do expect 0 ctl 1 put "key$i" "value$i"; done
free_ports 1
join 4 "$BASE_PORT"
expect 0 ctl 2 member add 4 "127.0.0.1:$BASE_PORT" --learner
says "node 4 gets the data now"
[ "$(member_has "$LEADER" 4 standing)" = learner ] || fail "node 4 is no learner: $(ctl "$LEADER" members)"
wait_for 20 "the data at node 4" reads key50 value50
wait_for 10 "lag of node 4" member_is "$LEADER" 4 lag 0
expect 0 ctl 4 --timeout 10 get key1 # through the leader
expect 0 ctl 4 --timeout 10 put through4 yes
sleep 2 # it would have been promoted long since
[ "$(member_has "$LEADER" 4 standing)" = learner ] || fail "it became a voter"

# It is off: two of the three voters are enough, and two of four would not be.
crash 4
other=$(other_than "$LEADER")
pause "$other"
expect 0 ctl "$LEADER" --timeout 10 put without4 yes
resume "$other"
CONF=$WORK/join.4 start 4
wait_for 20 "what was written without it" reads without4 yes

# With one voter alone it makes no majority, and it gives no vote.
for i in 1 2 3; do [ "$i" = "$LEADER" ] || pause "$i"; done
expect 5 ctl "$LEADER" --timeout 4 put alone no
reads without4 yes || fail "local reads stand still"
crash "$LEADER"
sleep 2
[ "$(field 4 role)" = follower ] || fail "a learner stands for election"
for i in 1 2 3; do [ "$i" = "$LEADER" ] || resume "$i"; done
start "$LEADER"
wait_leader

expect 0 ctl 1 --timeout 10 member remove 4
stop 4
mv "$WORK/node4" "$WORK/node4.learner"
join 4 "$BASE_PORT"
expect 0 ctl 1 --timeout 10 member add 4 "127.0.0.1:$BASE_PORT"
wait_for 30 "node 4 as a voter" member_is "$LEADER" 4 standing voter
finish "a learner has the data, costs no majority, and becomes a voter when it is added anew"
