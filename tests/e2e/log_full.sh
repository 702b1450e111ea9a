#!/bin/bash
# No snapshot can be written, so the log can't go: at log_max_bytes writes are refused, which is said once, in
# the exit code, the status and the log. Reads go on, and writes as soon as a snapshot could be written.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120
LOG_MAX=33554432
# Sanitizers look for leaks at exit, which they can not do while being traced.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0

cluster 1 '[node]' "log_max_bytes = $LOG_MAX"
start 1
wait_leader
expect 0 ctl 1 put before value
fallocate -l 64M "$WORK/others" || skip "no room for the test"
strace_attach 1 "$WORK/node1/snap/0000000000000000.tmp" trace=openat inject=openat:error=ENOSPC
is_full() { [ "$(field 1 log_full)" = 1 ]; }
writes=0
until is_full; do
    ctl 1 --timeout 2 bench -c 4 -n 60 -v 45000 -k 10 >"$WORK/bench" 2>&1 || [ $? = 7 ] ||
        fail "bench: $(cat "$WORK/bench")"
    writes=$((writes + $(bench_writes)))
    [ "$writes" -lt 2000 ] || fail "the log does not get full: it takes $(field 1 log_bytes) bytes"
done
for _ in 1 2 3; do
    expect 7 ctl 1 --timeout 2 put refused value
    says 'has reached log_max_bytes and waits for a snapshot .*nothing was done'
done
expect 0 ctl 1 --timeout 10 get before
expect 0 ctl 1 status
[[ $OUT == *advice=*"log has reached log_max_bytes"* ]] || fail "status does not say what to do: $OUT"
[ "$(field 1 disk_full)" = 0 ] || fail "the log's disk is not full"
log_bytes=$(field 1 log_bytes)
[ "$log_bytes" -le $((LOG_MAX + 2 * 4194304)) ] || fail "the log takes $log_bytes bytes"
grep -q 'the disk is full: create .*snapshots wait until there is room' "$WORK/node1.log" ||
    fail "it does not say why there is no snapshot: $(tail -n 3 "$WORK/node1.log")"
[ "$(grep -c 'the log has reached log_max_bytes' "$WORK/node1.log")" = 1 ] ||
    fail "it is not said once: $(cat "$WORK/node1.log")"

strace_detach
rm "$WORK/others"
start_ms=$(now_ms)
until ctl 1 --timeout 1 put again value 2>/dev/null; do
    [ $(($(now_ms) - start_ms)) -lt 30000 ] || fail "no write is taken 30 s after a snapshot can be written"
done
note "writes were taken $(($(now_ms) - start_ms)) ms after a snapshot could be written"
[ "$(field 1 snapshot_index)" -gt 0 ] || fail "writes are taken, and there is no snapshot"
crash 1
start 1
wait_leader
expect 0 ctl 1 --timeout 10 get before
expect 1 ctl 1 --timeout 10 get refused
finish "a log of $log_bytes bytes that could not go refused writes until it could"
