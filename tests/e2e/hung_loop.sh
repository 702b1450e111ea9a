#!/bin/bash
# A main loop that hangs: every wait of one node's main thread takes 5 s longer (strace holds it up).
# The reader thread still answers status and get --stale at once; the cluster goes on; afterwards
# the node is a member again. Then a cluster whose nodes have no reader threads: all commands work.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 150
# Sanitizers look for leaks at exit, which they can not do while being traced.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0

main_is_traced() {
    kill -0 "$STRACE" 2>/dev/null || skip "strace can't attach: $(head -n 1 "$WORK/strace.log")"
    grep -q "^TracerPid:[[:space:]]*$STRACE\$" "/proc/$1/task/$1/status"
}

# The main thread alone, whose id is the process's: so no -f.
hang_main() {
    local pid=${PID[$1]} calls=epoll_wait,epoll_pwait
    command -v strace >/dev/null || skip "no strace"
    strace -qq -o "$WORK/strace.$pid" -e "trace=$calls" -e "inject=$calls:delay_enter=5000000" \
        -p "$pid" 2>"$WORK/strace.log" &
    STRACE=$!
    HELPERS+=("$STRACE")
    wait_for 10 "strace at the main thread" main_is_traced "$pid"
}

# A machine that has other work may stand still for a second or two, but not each time.
SLOW=0
at_once() { # COMMAND...: exit 0 within a second
    local start
    start=$(now_ms)
    expect 0 "$@"
    local took=$(($(now_ms) - start))
    [ "$took" -lt 1000 ] || SLOW=$((SLOW + 1))
    [ "$SLOW" -le 3 ] || fail "took $took ms, the fourth of more than a second: ${*:0:12}"
    [ "$took" -le "$slowest" ] || slowest=$took
}

in_file() { sed -n "s/^$2=//p" "$WORK/status$1"; }
file_tells() { [ "$(in_file "$1" role)" = "$2" ]; }

hang() { # node, its role
    local i=$1 n code=0 slowest=0
    expect 0 ctl "$i" --timeout 20 put x "before $2"
    wait_converged
    wait_for 10 "role in the status file" file_tells "$i" "$2"
    hang_main "$i"
    sleep 1.2 # now it waits, too
    file_tells "$i" "$2" || fail "status file of a node that hangs: $(head "$WORK/status$i")"
    [ "$(cut -d. -f1 /proc/uptime)" -gt "$(in_file "$i" uptime_box_s)" ] ||
        fail "the status file of a node that hangs looks fresh"
    for n in {1..15}; do
        at_once ctl "$i" get --stale x
        [ "$OUT" = "before $2" ] || fail "get --stale: '$OUT'"
        at_once ctl "$i" list --stale --keys
        at_once ctl "$i" status
        sleep 0.1
    done
    ctl "$i" --timeout 1 get x >"$WORK/stderr" 2>&1 || code=$?
    [ "$code" = 4 ] || [ "$code" = 8 ] || fail "get of a node that hangs: exit $code"
    expect 0 ctl "$(other_than "$i")" --timeout 20 put y "meanwhile $2"
    expect 27 ctl "$i" health
    says "the daemon's main loop has done nothing for"
    note "$2 (node $i) with a hung main loop: local answers took $slowest ms at most"
    strace_detach
    wait_for 40 "recovery of node $i" converged
    expect 0 ctl "$i" --timeout 20 get y
    [ "$OUT" = "meanwhile $2" ] || fail "get after the hang: '$OUT'"
}

cluster 3
echo "status_file = $WORK/status{id}" >>"$CONF"
start_all
wait_leader
hang "$(other_than "$LEADER")" follower
wait_leader
hang "$LEADER" leader
wait_leader
same_keys
i=$LEADER
stop "$i"
[ ! -e "$WORK/status$i" ] || fail "a clean stop leaves its status file"
start "$i"
wait_leader
finish "status, its file and stale reads of a node whose main loop hangs answer at once"

cluster 3
echo 'readers = 0' >>"$CONF"
start_all
wait_leader
for i in 1 2 3; do
    expect 0 ctl "$i" --timeout 20 put "dir/$i" "value $i"
    expect 0 ctl "$i" put "gone" "now"
    expect 0 ctl "$i" del "gone"
    expect 1 ctl "$i" del "gone"
    expect 1 ctl "$i" get "gone"
done
for i in 1 2 3; do
    expect 0 ctl "$i" get "dir/$(((i % 3) + 1))"
    [ "$OUT" = "value $(((i % 3) + 1))" ] || fail "get: '$OUT'"
    expect 0 ctl "$i" list --keys dir/
    [ "$(wc -l <<<"$OUT")" = 3 ] || fail "list: $OUT"
    expect 0 ctl "$i" status
    grep -q '^keys=3$' <<<"$OUT" || fail "status: $(grep keys <<<"$OUT")"
    expect 0 ctl "$i" get --stale "dir/$i"
done
for i in 1 2 3; do
    expect 0 ctl "$i" --timeout 30 bench -c 8 -n 400 -k 50
    expect 0 ctl "$i" --timeout 30 bench -c 8 -n 400 -k 50 --read
done
# Clients that are gone while their writes are under way.
pause "$(other_than "$LEADER")"
for n in {1..20}; do
    ctl "$LEADER" --timeout 5 put "left" "$n" >/dev/null 2>&1 &
    client=$!
    kill -KILL "$client" 2>/dev/null || :
    wait "$client" 2>/dev/null || :
done
for i in 1 2 3; do [ "${STATE[$i]}" = up ] || resume "$i"; done
expect 0 ctl "$LEADER" --timeout 20 put "last" "one"
same_keys
finish "put, get, del, list, status, bench on nodes without reader threads"
