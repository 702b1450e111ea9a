#!/bin/bash
# Values far larger than a datagram, written through a follower: 64 KiB and 1 MiB arrive whole on
# all nodes; and a follower that was down catches up by thousands of entries, from disks only.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 240

cluster 3 'max_value_bytes = 1048576'
start_all
wait_leader
follower=$(other_than "$LEADER")

random_file() { head -c "$2" /dev/urandom >"$1"; }
check_value() { # NODE KEY FILE
    ctl "$1" --timeout 30 get --stale --raw "$2" >"$WORK/got" || fail "get $2 on node $1: exit $?"
    cmp -s "$3" "$WORK/got" ||
        fail "node $1 has another value of $2: $(cmp "$3" "$WORK/got" 2>&1)"
}

for n in 1 2 3 4; do random_file "$WORK/v64k-$n" 65536; done
for n in 1 2 3; do random_file "$WORK/v1m-$n" 1048576; done
for f in "$WORK"/v64k-* "$WORK"/v1m-*; do
    key=$(basename "$f")
    expect 0 ctl "$follower" --timeout 30 put "$key" - <"$f"
done
wait_converged
for i in 1 2 3; do
    for f in "$WORK"/v64k-* "$WORK"/v1m-*; do check_value "$i" "$(basename "$f")" "$f"; done
done

# Both followers have some at once: the leader collects one at a time.
other=$(other_than "$LEADER" "$follower")
puts=()
for n in 4 5 6 7; do
    random_file "$WORK/v1m-$n" 1048576
    through=$((n % 2 ? follower : other))
    ctl "$through" --timeout 30 put "v1m-$n" - <"$WORK/v1m-$n" &
    puts+=($!)
done
for pid in "${puts[@]}"; do wait "$pid" || fail "a put of 1 MiB beside others: exit $?"; done
wait_converged
for n in 4 5 6 7; do check_value "$LEADER" "v1m-$n" "$WORK/v1m-$n"; done

# Now without that follower; then all nodes start again, so that the entries come from disk.
stop "$follower"
random_file "$WORK/v1m-9" 1048576
expect 0 ctl "$LEADER" --timeout 30 put v1m-9 - <"$WORK/v1m-9"
expect 0 ctl "$LEADER" --timeout 60 bench -c 32 -n 6000 -v 200
random_file "$WORK/v64k-9" 65536
expect 0 ctl "$LEADER" --timeout 30 put v64k-9 - <"$WORK/v64k-9"
same_keys
crash "$(other_than "$LEADER")"
crash "$LEADER"
start_all
start_ms=$(now_ms)
wait_leader
same_keys
note "node $follower caught up in $(($(now_ms) - start_ms)) ms"
for i in 1 2 3; do
    for f in "$WORK"/v64k-* "$WORK"/v1m-*; do check_value "$i" "$(basename "$f")" "$f"; done
done
finish "64 KiB and 1 MiB values equal on all nodes; a follower caught up by thousands of entries"
