#!/bin/bash
# Leases by the daemons' own clocks: with a leader every node has one; a node that hears nobody any more loses
# it in time, the leader as well; a process that was stopped past its lease has none when it runs again.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 90

LEASE_MS=3000
cluster 3 'election_timeout_ms = 300' "lease_ms = $LEASE_MS"
start_all
wait_leader

left() { field "$1" lease_left_ms; }
have_leases() { # NODE...
    local i
    for i; do
        [ "$(left "$i")" -gt $((LEASE_MS / 2)) ] 2>/dev/null || return 1
    done
}
has_none() { [ "$(left "$1")" = 0 ]; }

wait_for 10 "leases of all nodes" have_leases 1 2 3
[ "$(field 1 lease_ms)" = "$LEASE_MS" ] || fail "status does not know lease_ms"
sleep 5
have_leases 1 2 3 || fail "a lease was lost while all was well: $(left 1) $(left 2) $(left 3)"

for round in leader follower; do
    wait_leader
    alone=$LEADER
    [ "$round" = leader ] || alone=$(other_than "$LEADER")
    for i in 1 2 3; do [ "$i" = "$alone" ] || pause "$i"; done
    paused_at=$(now_ms)
    wait_for 10 "end of the lease of node $alone" has_none "$alone"
    took=$(($(now_ms) - paused_at))
    # Status is up to a second old.
    [ "$took" -le $((LEASE_MS + 1500)) ] || fail "node $alone believed for $took ms"
    for i in 1 2 3; do [ "$i" = "$alone" ] || resume "$i"; done
    wait_leader
    wait_for 20 "leases of all nodes again" have_leases 1 2 3
    note "lease: of $LEASE_MS ms, lost by a $round that hears nobody after $took ms"
done
finish "two leases lost in time, and back"
