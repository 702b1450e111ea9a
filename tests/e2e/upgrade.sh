#!/bin/bash
# Nodes are stopped and started as the next version, one after the other, under clients that go to another node
# meanwhile: no request fails, of none is the outcome unknown, and members shows which version each one runs.
# The next version is this one with another number: there are no two that differ otherwise.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120

shows() { [ "$(members_have "$1" version | xargs)" = "$2" ]; } # NODE VERSIONS, of all members

[ -x "$TOOLS/raftd-next" ] || fail "no $TOOLS/raftd-next: make e2e-tools first"
cluster 3 'election_timeout_ms = 1000'
expect 0 "$RAFTD" --version
old=${OUT##* }
expect 0 "$TOOLS/raftd-next" --version
new=${OUT##* }
[ "$old" != "$new" ] || fail "both are $old"
start_all
wait_leader
wait_for 20 "versions of all nodes" shows 1 "$old $old $old"
history_start -m -c 2 -k 20 -t 10000
sleep 1
all=("$old" "$old" "$old")
for node in 2 3 1; do
    stop "$node"
    RAFTD=$TOOLS/raftd-next start "$node"
    all[node - 1]=$new
    wait_leader
    for i in 1 2 3; do wait_for 20 "versions ${all[*]} at node $i" shows "$i" "${all[*]}"; done
done
history_stop
[[ " $OUT " == *" failed=0 unknown=0 "* ]] || fail "requests failed, or their outcome is unknown: $OUT"
history=$OUT
same_keys
finish "$old to $new: $history"
