#!/bin/bash
# Two boxes and a witness of priority 0: when the leader dies the other box leads, and never the witness; the
# leader gets the lead again when it is back and all has been calm for ten seconds, since its priority is higher.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120

leads() { [ "$(field "$1" leader)" = "$2" ]; }           # at NODE: LEADER
waits() { [[ "$(field 2 outranked_waits)" =~ $1 ]]; } # at node 2
stood() { field 3 campaigns elections | tr '\n' ' '; }  # so often node 3
set_priority() { ctl 3 member set "$1" priority="$2" 2>"$WORK/stderr"; }

cluster 3
start_all
wait_leader
expect 0 ctl 3 --timeout 20 transfer 1
wait_for 10 "priority of node 1" set_priority 1 9
wait_for 10 "priority of node 3" set_priority 3 0
[ "$(field 3 own_standing)" = "priority 0" ] || fail "node 3: $(field 3 own_standing)"
before=$(stood)
history_start -m -c 2 -k 20 -t 5000
sleep 1

crash 1
wait_for 10 "node 2 as leader" leads 2 2
expect 0 ctl 3 --timeout 10 put one dead
sleep 2
waits "that node can't lead now" || fail "waits: $(field 2 outranked_waits)"
back=$(now_ms)
start 1
wait_for 10 "word why node 1 does not lead" waits 'came back|lagged'
[ "$(field 2 outranked_by)" = 1 ] || fail "node 2 is outranked by '$(field 2 outranked_by)'"
wait_for 60 "node 1 as leader again" leads 1 1
took=$(($(now_ms) - back))
[ "$took" -ge 10000 ] || fail "node 1 leads again after $took ms"
[ "$(field 2 last_election)" = "the lead was handed over" ] || fail "node 2: $(field 2 last_election)"
[ -z "$(field 1 outranked_by)" ] || fail "node 1 is outranked by $(field 1 outranked_by)"
history_stop
history=$OUT

# Alone with the witness nobody leads.
crash 1
crash 2
sleep 2
leads 3 0 || fail "node 3 knows a leader"
[ "$(stood)" = "$before" ] || fail "campaigns and elections of the witness: $(stood), before $before"
start 2
wait_for 10 "node 2 as leader" leads 3 2
expect 0 ctl 3 --timeout 10 put two back
start 1
same_keys
finish "node 1 leads again $took ms after its start; $history"
