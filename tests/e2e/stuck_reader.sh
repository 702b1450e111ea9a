#!/bin/bash
# Whoever reads the messages has stopped: a pipe of all three nodes is full. They go on, elect, and end
# on SIGTERM; messages are dropped, and the next one that gets through says how many.
# shellcheck source=/dev/null disable=SC2034,SC2004 # arrays of cluster.sh
. "$(dirname "$0")/../lib/cluster.sh"
limit 60

cluster 3
mkfifo "$WORK/pipe"
exec 7<>"$WORK/pipe"
for i in 1 2 3; do
    "$RAFTD" -c "$CONF" -i "$i" 2>"$WORK/pipe" &
    PID[$i]=$!
    STATE[$i]=up
done
for i in 1 2 3; do wait_for 30 "answer of node $i" answers "$i"; done
wait_leader
expect 0 ctl 1 --timeout 10 put before 1

timeout 1 sh -c "yes x >'$WORK/pipe'" || :
for i in 1 2 3; do kill -HUP "${PID[$i]}"; done # each says something about it
sleep 0.5
for i in 1 2 3; do expect 0 ctl "$i" --timeout 10 put "full$i" 1; done
first=$LEADER
stop "$first" # it says that, too
wait_leader
expect 0 ctl "$LEADER" --timeout 10 put after 1

# It reads again.
dd bs=65536 count=64 iflag=nonblock <&7 >/dev/null 2>&1 || :
kill -HUP "${PID[$LEADER]}"
heard() { # a line of what it reads from now on
    local line
    while read -r -t 10 line <&7; do
        [[ $line != *'messages were lost: the reader of standard error had stopped'* ]] || return 0
    done
    return 1
}
heard || fail "nobody was told how many messages were lost"
for i in $(up_nodes); do stop "$i"; done
finish "nodes go on when nobody reads their messages"
