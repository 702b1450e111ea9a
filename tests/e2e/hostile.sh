#!/bin/bash
# Clients that send whatever comes, in all ways: the daemon goes on, in bounded memory, and others are served.
# Clients that know what each answer must be, while nodes are killed, stopped and paused: no answer is wrong.
# SEED=N: the same once more.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 300
SECS=3
[ "${LONG:-0}" = 0 ] || SECS=30
SEED=${SEED:-$RANDOM}
note "SEED=$SEED"
RANDOM=$SEED

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
cluster 3 "lease_ms = 3000" "election_timeout_ms = 500"
start_all
wait_leader
"$TOOLS/careful" "$((SECS * 3))" "$RANDOM" 1 "$WORK"/node{1,2,3}.sock >"$WORK/asked" 2>&1 &
careful=$!
HELPERS+=("$careful")
while sleep "1.$((RANDOM % 10))" && kill -0 "$careful" 2>/dev/null; do
    i=$((RANDOM % 3 + 1))
    ! find_leader || [ $((RANDOM % 2)) = 0 ] || i=$LEADER
    case $((RANDOM % 3)) in
    0) crash "$i" && start "$i" ;;
    1) stop "$i" && start "$i" ;;
    2) pause "$i" && sleep "1.$((RANDOM % 10))" && resume "$i" ;;
    esac
done
wait "$careful" || fail "$(cat "$WORK/asked")"
note "$(cat "$WORK/asked")"
finish "whatever clients send, the daemon goes on"
