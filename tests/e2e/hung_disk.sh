#!/bin/bash
# A disk that hangs: every fdatasync of one node takes 6 s (strace holds it up). That node still
# answers status and reads, and the cluster goes on without it, whether it was the leader or not.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 300
# Sanitizers look for leaks at exit, which they can not do while being traced.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0

hang() { # node i's disk, while the others and the clients go on
    local i=$1 n start pending longest=0
    expect 0 ctl "$i" --timeout 20 put "x" "before"
    wait_converged
    strace_attach "$i" trace=fdatasync inject=fdatasync:delay_enter=6000000
    start=$(now_ms)
    for n in {1..20}; do
        expect 0 ctl "$(other_than "$i")" --timeout 20 put "x" "hung-$i-$n"
        # local answers of the hung node: at once
        expect 0 ctl "$i" --timeout 2 get --stale "x"
        expect 0 ctl "$i" --timeout 2 status
        pending=$(field "$i" disk_pending_ms)
        [ "${pending:-0}" -le "$longest" ] || longest=$pending
        sleep 0.1
    done
    note "$2 (node $i) with a hung disk: 20 writes in $(($(now_ms) - start)) ms, pauses of 2000 ms" \
        "included; its fdatasync under way for up to $longest ms, node $(field "$(other_than "$i")" leader) leads"
    [ "$longest" -gt 1000 ] || fail "the disk did not hang"
    expect 0 ctl "$(other_than "$i")" --timeout 20 get "x"
    [ "$OUT" = "hung-$i-20" ] || fail "read '$OUT'"
    [ $(($(now_ms) - start)) -lt 60000 ] || fail "the cluster waited for the hung disk" # that takes 120 s
    strace_detach
    wait_for 40 "recovery of node $i" converged
}

cluster 3
start_all
wait_leader
hang "$(other_than "$LEADER")" follower
wait_leader
hang "$LEADER" leader
wait_leader
same_keys
finish "reads and status of a node with a hung disk answer, the cluster goes on"
