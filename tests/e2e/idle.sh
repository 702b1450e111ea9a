#!/bin/bash
# Idle means idle: 3 s after the last write nothing is written to disk, few datagrams leave, and the threads
# sleep: what a board burns while nothing happens is the number of times that it wakes.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 90

cluster 3 'election_timeout_ms = 300' # a busy test machine must not cause elections
start_all
wait_leader
for i in {1..20}; do expect 0 ctl 1 --timeout 20 put "k$i" "v"; done
same_keys
sleep 3
sample() { # per node: term, bytes to the log, fsyncs, bytes the kernel counts for the process, datagrams
    local i
    for i in 1 2 3; do
        echo "node$i" "$(field "$i" term fsync_count disk_bytes | tr '\n' ' ')" \
            "$(sed -n 's/^write_bytes: //p' "/proc/${PID[$i]}/io")"
    done
}
sent() {
    local i n=0
    for i in 1 2 3; do n=$((n + $(field "$i" datagrams_sent))); done
    echo "$n"
}
woken() { # times that a thread of a node has gone to sleep
    cat /proc/"${PID[1]}"/task/*/status /proc/"${PID[2]}"/task/*/status /proc/"${PID[3]}"/task/*/status |
        awk '/^voluntary_ctxt/ { n += $2 } END { print n }'
}
# A machine that stands still for a moment has an election, but not each time.
for try in 1 2 3; do
    sample >"$WORK/before"
    sent_before=$(sent)
    woken_before=$(woken)
    sleep 5
    woken_after=$(woken)
    sent_after=$(sent)
    sample >"$WORK/after"
    ! diff "$WORK/before" "$WORK/after" || break
    [ "$try" -lt 3 ] || fail "something was written while nothing happened"
    sleep 3
done
per_s=$(((sent_after - sent_before) / 5))
# heartbeats every 105 ms to two followers, and answers to each second one: 29; twice that is the limit
[ "$per_s" -le 58 ] || fail "$per_s datagrams per second in an idle cluster"
# Each of those 29 datagrams wakes somebody, ten timers a second the leader. What is left over is for the
# status, three threads every two seconds, and for a lost heartbeat.
wakes_per_s=$(((woken_after - woken_before) / 5))
[ "$wakes_per_s" -le 60 ] || fail "threads of an idle cluster woke $wakes_per_s times per second"
finish "no disk writes in 5 s, $per_s datagrams and $wakes_per_s wakes per second in the whole cluster"
