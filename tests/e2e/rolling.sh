#!/bin/bash
# Nodes are restarted one after the other, the leader among them, under clients that go to another node when
# theirs has taken nothing: no request fails, of none is the outcome unknown, none takes 100 ms, but for what the
# machine takes, and the history is linearizable. Then the lead is handed over by hand, and a leader is drained
# under the same clients.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
# shellcheck source=/dev/null
. "$TOP/tests/lib/figures.sh"
limit 240
ROUNDS=${ROUNDS:-3}

handed() { grep -c 'no longer leader: the lead was handed over' "$WORK/node$1.log" || :; }

timeout_ms=1000 # no slow machine takes so long for a hand-over, and every election takes longer
cluster 3 "election_timeout_ms = $timeout_ms"
start_all
wait_leader
# How long requests take is judged beside what the machine takes for a turn of one process at the same time.
request_ms=100
clients_start() { history_start -m -b "$WORK/beats" -c 6 -k 20 -t 5000; }
clients_stop() { # WHILE: sets `history` to what they say
    history_stop
    history=$OUT
    case $history in
    *" failed=0 unknown=0 "*) ;;
    *) fail "$1, requests failed, or their outcome is unknown: $history" ;;
    esac
    [ "$(value_of beyond_ms "$history")" -lt "$request_ms" ] || fail "$1, a request took longer than $request_ms ms: $history"
}
clients_start
sleep 1
led=0
for ((round = 1; round <= ROUNDS; round++)); do
    for node in 1 2 3; do
        wait_leader
        was=$(handed "$node")
        stop "$node"
        if [ "$LEADER" = "$node" ]; then
            led=$((led + 1))
            [ "$(handed "$node")" -gt "$was" ] || fail "node $node led, and stopped without handing over"
        fi
        start "$node"
        wait_leader
        sleep 0.3
    done
done
[ "$led" -ge "$ROUNDS" ] || fail "the leader was restarted only $led times"
clients_stop "while nodes were restarted"
restarts=$history
longest=$(value_of longest_ms "$history")
[ "$longest" -lt "$timeout_ms" ] || fail "a request took as long as an election: $history"

# --- by hand --------------------------------------------------------------------------------------
# A machine that stands still for a moment may refuse a hand-over, or change the leader, but not each time.
led_by() { find_leader && [ "$LEADER" = "$1" ]; }
handed_to() { ctl "$1" transfer "$2" 2>>"$WORK/transfers" && led_by "$2"; } # asked at node
for node in 1 2 3 2; do # at a node that leads and at others
    wait_for 30 "hand-over to node $node" handed_to 1 "$node"
done
wait_for 30 "hand-over to node 2, which leads" handed_to 2 2
away_from_2() { ctl 3 transfer 2>>"$WORK/transfers" && find_leader && [ "$LEADER" != 2 ]; }
wait_for 30 "hand-over to any other node" away_from_2
expect 2 ctl 3 transfer node1
expect 11 ctl "$LEADER" transfer 9
says "there is no node 9; 'raftctl members' names them"

expect 0 ctl "$LEADER" --timeout 10 del --prefix h # the keys of these clients are absent at first
clients_start
sleep 0.5
expect 0 ctl "$LEADER" drain
drained=$LEADER
wait_leader
sleep 0.5
clients_stop "while node $drained was drained"
[ "$LEADER" != "$drained" ] || fail "the drained node $drained leads"
[ "$(field "$drained" drained)" = 1 ] || fail "node $drained does not say that it is drained"
wait_for 10 "word that node $drained would not lead" ctl "$LEADER" put drained yes
code=0
ctl "$LEADER" transfer "$drained" 2>"$WORK/stderr" || code=$?
[ "$code" = 7 ] || fail "a drained node was handed the lead: exit $code"
says "can't lead now"
expect 0 ctl "$drained" put key value
stop "$drained"
start "$drained"
wait_for 10 "node $drained to lead again" ctl "$drained" transfer "$drained"
same_keys
finish "$led restarts of leaders, longest request $longest ms: $restarts; drained: $history"
