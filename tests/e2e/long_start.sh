#!/bin/bash
# A long log on a slow medium (strace holds up each read): the start says how far it is, to people, to
# the service manager and to clients, and ends at once when it is told to, also as process 1 of a
# container. Signals that mean nothing to raftd change nothing, then or later.
# shellcheck source=/dev/null disable=SC2034,SC2153 # ON and CODE are those of cluster.sh
. "$(dirname "$0")/../lib/cluster.sh"
limit 120
command -v strace >/dev/null || skip "no strace"
command -v perl >/dev/null || skip "no perl"
export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 # that needs the same system call as strace
SLOW="strace -D -f -qq -o /dev/null -e trace=pread64 -e inject=pread64:delay_exit=400000"
strace -qq -o /dev/null -e trace=pread64 true 2>/dev/null || skip "strace can't trace"

pester() { # PID: with signals that are none of its business
    local signal
    for signal in USR1 USR2 ALRM VTALRM PROF IO PWR STKFLT PIPE HUP RTMIN RTMAX WINCH; do
        kill -s "$signal" "$1"
    done
}

ends() { # SIGNAL PID: node 1, which is starting, ends by itself, at once and with 0
    local before
    before=$(now_ms)
    kill -s "$1" "$2"
    wait_end 1
    [ "$CODE" = 0 ] || fail "exit $CODE instead of 0 after SIG$1 at the start: $(tail -n 2 "$WORK/node1.log")"
    [ $(($(now_ms) - before)) -lt 4000 ] || fail "it took $(($(now_ms) - before)) ms to stop a start"
    grep -q 'stopping before the start is over' "$WORK/node1.log" || fail "it does not say that it stops"
    [ ! -e "$WORK/node1.sock" ] || fail "the socket is left behind"
}

old_reads() {
    OUT=$(ctl 1 get --stale name 2>"$WORK/stderr") || return 1
    [ "$OUT" = value ] || fail "it shows '$OUT'"
}

early_status() { [[ $(ctl 1 status 2>/dev/null) == *"recovering=the daemon is starting: reading the snapshot: "* ]]; }

# Longer than what a socket takes at once, while nothing is taken.
early_long() {
    local code=0
    head -c 60000 /dev/zero | tr '\0' v | ctl 1 put long - 2>"$WORK/stderr" || code=$?
    [ "$code" = 10 ]
}

cluster 1
start 1
wait_leader
expect 0 ctl 1 put name "value"
expect 0 ctl 1 --timeout 20 bench -c 8 -n 130 -v 60000 -k 4
pester "${PID[1]}"
expect 0 ctl 1 get name
stop 1

# --- what a slow start says -------------------------------------------------------------------------
perl -MIO::Socket::UNIX -MSocket -e '
    $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die; $| = 1;
    while (defined $s->recv($b, 999)) { print "$b\n" }' "$WORK/notify" >"$WORK/told" &
HELPERS+=($!)
wait_for 10 "listener" test -S "$WORK/notify"
NOTIFY_SOCKET=$(realpath "$WORK")/notify
export NOTIFY_SOCKET
ON[1]=$SLOW
launch 1
wait_for 10 "word to the service manager" grep -q 'EXTEND_TIMEOUT_USEC=90000000' "$WORK/told"
grep -Eq 'STATUS=reading the log: [0-9]+ of [0-9]+ MB' "$WORK/told" || fail "no STATUS: $(cat "$WORK/told")"
for command in "get name" "get --stale name" "put name other" "list" "del name" "snapshot"; do
    # shellcheck disable=SC2086 # arguments
    expect 10 ctl 1 $command
    says 'starting: reading the log: .*nothing was done'
done
wait_for 5 "long value" early_long
expect 0 ctl 1 status
[[ $OUT == *"recovering=the daemon is starting: reading the log: "*local_reads=0* ]] || fail "status: $OUT"
pester "${PID[1]}"
wait_for 20 "message" grep -Eq 'reading the log: [0-9]+ of [0-9]+ MB, for [1-4] s' "$WORK/node1.log"
! grep -q READY=1 "$WORK/told" || fail "ready before the log was read: too fast for this test"
ends TERM "${PID[1]}"
launch 1
wait_for 10 "client socket" test -S "$WORK/node1.sock"
ends INT "${PID[1]}"

# --- with a snapshot ----------------------------------------------------------------------------------
# While it is read there is status alone. Its state is shown as soon as it is read, and marked as what it is.
ON[1]=
start 1
wait_leader
expect 0 ctl 1 --timeout 20 snapshot
expect 0 ctl 1 put name newer
stop 1
for readers in 1 0; do
    printf 'readers = %d\n' "$readers" >>"$CONF"
    ON[1]=$SLOW
    launch 1
    wait_for 20 "status" early_status
    expect 10 ctl 1 get --stale name
    says 'starting: reading the snapshot: .*nothing was done'
    wait_for 20 "local reads" old_reads
    says 'this node is recovering'
    expect 0 ctl 1 list --stale --keys
    says 'this node is recovering'
    expect 10 ctl 1 put name other
    expect 10 ctl 1 get name
    ends TERM "${PID[1]}"
    sed -i '$d' "$CONF"
done

# --- process 1 of a container ------------------------------------------------------------------------
if unshare --pid --fork true 2>/dev/null; then
    ON[1]="unshare --pid --fork $SLOW"
    launch 1
    wait_for 10 "client socket" test -S "$WORK/node1.sock"
    read -r first _ <"/proc/${PID[1]}/task/${PID[1]}/children" || : # there is no newline
    ends TERM "$first"
else
    note "no namespace of processes here: process 1 was not tried"
fi

# --- and in the end it serves ------------------------------------------------------------------------
ON[1]=
start 1
wait_leader
expect 0 ctl 1 get name
[ "$OUT" = newer ] || fail "get: '$OUT'"
wait_for 10 "READY" grep -q READY=1 "$WORK/told"
unset NOTIFY_SOCKET

# A limit of file sizes ends neither --init nor the daemon by a signal.
code=0
(ulimit -f 2 && exec "$RAFTD" --init -c "$CONF" -i 1 -d "$WORK/limited" 2>"$WORK/stderr") || code=$?
[ "$code" = 74 ] || fail "--init within a limit of file sizes: exit $code instead of 74: $(cat "$WORK/stderr")"
says 'File too large'
finish "a long start tells how far it is, and stops when it is told to"
