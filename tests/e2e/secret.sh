#!/bin/bash
# The cluster's key is in no memory that a core dump would hold, and in no message or status: after
# the start, under load, after a reload, after a change of the key. And there is no core dump: what a
# cipher works on lies on the stack for a moment.
make -s -j2 all e2e-tools || exit 1
export RAFTD=build/raftd RAFTCTL=build/raftctl TOOLS=build/e2e # sanitizers keep copies of what they see
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 60
[ "$(id -u)" = 0 ] || skip "needs root to look into memory"

# shellcheck disable=SC2034 # of cluster.sh
KEYED=1
cluster 3
echo "next_key_file = $WORK/next.{id}" >>"$CONF"
start_all
wait_leader

# unseen WHEN KEY_FILE MINIMUM: and at least so many copies where they may be, else it looked at
# the wrong place.
unseen() {
    local i hex
    for i in 1 2 3; do
        "$TOOLS/findkey" "${PID[$i]}" "$2" >"$WORK/found" 2>"$WORK/where" ||
            fail "$1: node $i: $(cat "$WORK/found" "$WORK/where")"
        OUT=$(cat "$WORK/found")
        [ "$(tr ' ' '\n' <<<"$OUT" | sed -n 's/^hidden=//p')" -ge "$3" ] || fail "$1: node $i: $OUT"
        ctl "$i" status >"$WORK/status.$i"
        ctl "$i" status --json >>"$WORK/status.$i"
    done
    hex=$(grep -v '#' "$2")
    ! grep -iqE "${hex:0:16}|${hex:16:16}|${hex:32:16}|${hex:48:16}" "$WORK"/*.log "$WORK"/status.* ||
        fail "$1: the key stands in a message or in status"
    note "$1: $OUT"
}

# What looks for it finds it where it is: this is the control.
HEX=$(grep -v '#' "$WORK/key") sleep 60 &
HELPERS+=($!)
wait_for 5 "environment of the control" grep -q HEX "/proc/$!/environ"
expect 1 "$TOOLS/findkey" "$!" "$WORK/key"

unseen "after the start" "$WORK/key" 1
expect 0 ctl "$LEADER" --timeout 10 bench -c 64 -n 5000
unseen "under load" "$WORK/key" 1
key_make "$WORK/new"
says_keys() { grep -q "$2 read again" "$WORK/node$1.log"; }
for i in 1 2 3; do
    cp -p "$WORK/new" "$WORK/next.$i"
    kill -HUP "${PID[$i]}"
done
for i in 1 2 3; do wait_for 10 "two keys of node $i" says_keys "$i" '2 live keys'; done
unseen "a next key" "$WORK/new" 1
unseen "a next key, the first one" "$WORK/key" 1
for i in 1 2 3; do
    mv "$WORK/next.$i" "$WORK/key.$i"
    kill -HUP "${PID[$i]}"
done
for i in 1 2 3; do wait_for 10 "one key of node $i" says_keys "$i" '1 live key'; done
unseen "the next key alone" "$WORK/new" 1
unseen "the first one, which is gone" "$WORK/key" 0
expect 0 ctl "$LEADER" --timeout 10 put "still" "here"

# A crash where cores are wanted. The wait status says whether the kernel wrote one.
command -v perl >/dev/null || skip "no perl, so no crash was tried"
cat >"$WORK/crash.pl" <<'END'
use strict;
my $pid = fork() // die "fork: $!";
if (!$pid) { exec @ARGV or die "exec: $!" }
$| = 1;
print "$pid\n";
waitpid($pid, 0);
print $? & 128 ? "core\n" : "none\n";
END
crash_start() { # COMMAND...: in WORK, as process CRASHED
    (cd "$WORK" && ulimit -c unlimited && exec perl crash.pl "$@") >"$WORK/crashed" 2>>"$WORK/node3.log" &
    HELPERS+=($!)
    wait_for 10 "start of what is to crash" test -s "$WORK/crashed"
    CRASHED=$(head -n 1 "$WORK/crashed")
}
crash_end() { # sets OUT: core or none
    kill -ABRT "$CRASHED"
    wait_for 30 "end of what is to crash" grep -qE 'core|none' "$WORK/crashed"
    OUT=$(tail -n 1 "$WORK/crashed")
    rm -f "$WORK"/core*
}
crash_start sleep 60 # the control
wait_for 10 "start of the control" grep -qa sleep "/proc/$CRASHED/cmdline"
crash_end
[ "$OUT" = core ] || skip "the kernel writes no core dumps here, so no crash was tried"
stop 3
sed "s|= $WORK|= $(realpath "$WORK")|" "$CONF" >"$WORK/crash.conf"
crash_start "$(realpath "$RAFTD")" -c "$(realpath "$WORK/crash.conf")" -i 3
answering() { ctl 3 --timeout 1 status >/dev/null 2>&1; }
wait_for 30 "answer of node 3" answering
wait_leader
expect 0 ctl "$LEADER" --timeout 10 bench -c 64 -n 2000
crash_end
[ "$OUT" = none ] || fail "a core dump was written"
finish "in no dumpable memory, message or status; no core dump"
