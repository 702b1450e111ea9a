#!/bin/bash
# The whole daemon under ThreadSanitizer: loop, log thread, two readers, RCU, with writes, reads of
# both kinds, lists and status at once, and a leader that goes away. Node 3 has no reader threads.
make -s -j2 SAN=thread all || exit 1
export RAFTD=build/tsan/raftd RAFTCTL=build/tsan/raftctl
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 300
# Its suppressions name functions: without symbols they match nothing.
command -v llvm-symbolizer >/dev/null || skip "no llvm-symbolizer"

# ThreadSanitizer cannot place its shadow memory under high address randomisation: without it, then.
if [ -z "${UNRANDOM-}" ] && setarch -R true 2>/dev/null; then
    UNRANDOM=1 exec setarch -R "$0"
fi
export TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp history_size=4 exitcode=66"

# shellcheck disable=SC2034 # of cluster.sh
KEYED=1
cluster 3
for i in 1 2 3; do
    readers=2
    [ "$i" != 3 ] || readers=0
    sed "s/^\[node\]/[node]\nreaders = $readers/" "$CONF" >"$WORK/conf$i"
    CONF=$WORK/conf$i launch "$i"
done
for i in 1 2 3; do wait_for 30 "answer of node $i" answers "$i"; done
wait_leader

load() { # a bit of everything through each node
    local i jobs=()
    for i in $(up_nodes); do
        ctl "$i" --timeout 20 bench -c 16 -n 2000 >>"$WORK/out" 2>&1 & jobs+=($!)
        ctl "$i" --timeout 20 bench -c 16 -n 4000 --read >>"$WORK/out" 2>&1 & jobs+=($!)
        ctl "$i" --timeout 20 bench -c 4 -n 4000 --read --stale >>"$WORK/out" 2>&1 & jobs+=($!)
        for _ in {1..20}; do ctl "$i" status; ctl "$i" list --stale; done >/dev/null & jobs+=($!)
    done
    for i in "${jobs[@]}"; do wait "$i" || fail "a client failed: $(tail -n 2 "$WORK/out")"; done
}

load
gone=$LEADER
stop "$gone" # its exit code would be 66 after a report
wait_leader
load
CONF=$WORK/conf$gone start "$gone"
wait_for 60 "local read at node $gone" ctl "$gone" --timeout 2 list --stale >/dev/null # "not yet" before
load
same_keys
finish "no data race under load, at a change of leader, at the end"
