#!/bin/bash
# The leader is killed with SIGKILL twenty times while six writers write through all three nodes.
# No acknowledged write may be lost, no refused one may have happened, all nodes must be equal.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 400
ROUNDS=${ROUNDS:-20}

cluster 3
start_all
wait_leader
writers_start w1:1 w2:1 w3:2 w4:2 w5:3 w6:3
for ((round = 1; round <= ROUNDS; round++)); do
    wait_leader
    sleep "0.$((RANDOM % 4 + 1))" # so that the kill comes at any moment of the new term
    victim=$LEADER
    crash "$victim"
    wait_leader
    start "$victim"
done
wait_leader
writers_stop
same_keys
check_writes
finish "$ROUNDS kills: $(count "$WORK/acked") writes acknowledged and present," \
    "$(count "$WORK"/unknown.*) of unknown outcome, $(count "$WORK/refused") refused, none lost"
