#!/bin/bash
# Clients that send whatever comes, in all ways: the daemon goes on, in bounded memory, and others are served.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 200
SECS=4
[ "${LONG:-0}" = 0 ] || SECS=30

rss_kib() { sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/${PID[1]}/status"; }

for readers in 1 0; do
    cluster 1
    printf 'readers = %d\n' "$readers" >>"$CONF"
    start 1
    wait_leader
    "$TOOLS/hostile" "$WORK/node1.sock" "$SECS" $((RANDOM + readers)) >"$WORK/sent" 2>&1 &
    HELPERS+=("$!")
    hostile=$!
    n=0
    while kill -0 "$hostile" 2>/dev/null; do
        expect 0 ctl 1 --timeout 30 put "ours/$n" "$n"
        expect 0 ctl 1 --timeout 30 get "ours/$n"
        [ "$OUT" = "$n" ] || fail "ours/$n is $OUT"
        expect 0 ctl 1 status
        n=$((n + 1))
        sleep 0.1
    done
    wait "$hostile" || fail "$(cat "$WORK/sent")"
    note "readers=$readers: $(cat "$WORK/sent"), others were served $n times"
    grep -q __asan_init "$RAFTD" || # which keeps what is freed
        [ "$(rss_kib)" -lt 196608 ] || fail "$(rss_kib) KiB of memory"
    stop 1
done
finish "whatever clients send, the daemon goes on"
