#!/bin/bash
# A node ages: puts of many times what is kept, with kill -9 every few seconds, of the leader, too, and
# followers that are away for longer than the log reaches, and take a snapshot. Disk and memory depend on
# the state all the time, the node that is never killed takes no more at the end than at the beginning, and
# no acknowledged write is lost. LONG=1: 4 million puts, a week of seven a second.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 3000
ROUNDS=4 PUTS=16000 VALUE=1000 PAUSE_S=0.5
[ "${LONG:-0}" = 0 ] || ROUNDS=40 PUTS=100000 VALUE=128 PAUSE_S=3
DISK_MAX=$((5 * (1000 * (VALUE + 200) + 8 * 4194304) / 2)) # 2.5 times the state and eight segments
RSS_MAX=41943040
OLD=1 # it lives from the beginning to the end

rss() { awk '/^VmRSS/ { print $2 * 1024 }' "/proc/${PID[$1]}/status"; }

small() { # after a round
    local i disk memory
    for i in $(up_nodes); do
        disk=$(du -s -B 1 "$WORK/node$i" | cut -f 1) memory=$(rss "$i")
        [ "$disk" -le "$DISK_MAX" ] || fail "round $1: node $i takes $disk bytes on disk"
        [ "$memory" -le "$RSS_MAX" ] || fail "round $1: node $i takes $memory bytes of memory"
        [ "$i" != "$OLD" ] || note "round $1: node $i takes $disk bytes on disk, $memory of memory"
    done
}

load() {
    ctl "$OLD" --timeout 30 bench -c 64 -v "$VALUE" -n "$PUTS" -k 1000 >"$WORK/bench" 2>&1 &
    LOADER=$!
}

loads() { kill -0 "$LOADER" 2>/dev/null; }

loaded() {
    wait "$LOADER" || [ $? = 7 ] || fail "bench: $(cat "$WORK/bench")"
    writes=$((writes + $(bench_writes))) wanted=$((wanted + PUTS))
}

misses() { [ "$(field "$OLD" log_first_index)" -gt $(($1 + 1)) ]; } # who has entries up to that one

# Node $1 is killed again and again while puts go on.
torment() {
    while loads; do
        crash "$1"
        start "$1"
        sleep "$PAUSE_S"
    done
}

away() { # node $1 is, until the log of the others does not reach back to what it has
    local last
    last=$(field "$1" last_index)
    crash "$1"
    until misses "$last"; do
        loads || { loaded && load; }
        sleep 0.2
    done
    start "$1"
    installs=$((installs + 1))
}

has() { [ "$(field "$1" applied_index)" -ge "$2" ]; } # NODE INDEX
lead() { [ "$(field "$OLD" leader)" = "$1" ] || { ctl "$OLD" --timeout 5 transfer "$1" >/dev/null 2>&1 && false; }; }

cluster 3
start_all
wait_leader
writers_start "w1:$OLD"
installs=0 first=0 writes=0 wanted=0
for ((round = 1; round <= ROUNDS; round++)); do
    victim=$((round / 2 % 2 + 2))
    [ $((round % 2)) = 0 ] || wait_for 30 "leadership of node $victim" lead "$victim"
    load
    if [ $((round % 2)) = 0 ]; then away "$victim"; else torment "$victim"; fi
    loaded
    wait_for 60 "what node $victim missed" has "$victim" "$(field "$OLD" commit_index)"
    small "$round"
    [ $((round * 4)) -gt "$ROUNDS" ] || first=$(rss "$OLD")
done
writers_stop
[ "$writes" -ge $((wanted * 9 / 10)) ] || fail "$writes puts of $wanted went well"
last=$(rss "$OLD")
[ "$last" -le $((first * 5 / 4 + 4194304)) ] || fail "node $OLD takes $last bytes of memory, at first $first"
same_keys
check_writes
begin=$(now_ms)
crash "$OLD"
start "$OLD"
wait_for 20 "local reads of node $OLD" local_reads "$OLD"
finish "$writes puts, $installs installs: memory $first and $last bytes, reads $(($(now_ms) - begin)) ms after a kill"
