#!/bin/bash
# Memory that runs out ends a node with exit code 70 and a message, not by a signal; the others go on,
# and with memory again it comes back with everything; also when it has too little from the start.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120

MEGABYTES=16 # that the node may still get

cluster 3 'max_value_bytes = 131072'
start_all
wait_leader
victim=$(other_than "$LEADER")
command -v prlimit >/dev/null || skip "no prlimit"
kilobytes=$(sed -n 's/^VmData:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/${PID[$victim]}/status")
[ "$kilobytes" -lt 4000000 ] || skip "a sanitizer's daemon takes all addresses there are"
prlimit --pid "${PID[$victim]}" --data=$(((kilobytes + MEGABYTES * 1024) * 1024)) || skip "no limit can be set"
head -c 75000 /dev/urandom | base64 -w 0 >"$WORK/filler"
for n in {1..600}; do
    ! has_ended "$victim" || break
    expect 0 ctl "$LEADER" --timeout 10 put "key-$n" - <"$WORK/filler"
done
wait_end "$victim"
[ "$CODE" = 70 ] || fail "exit $CODE instead of 70: $(tail -n 3 "$WORK/node$victim.log")"
grep -q 'error: out of memory' "$WORK/node$victim.log" || fail "no word of it: $(tail -n 3 "$WORK/node$victim.log")"
note "node $victim ended after $n values: $(tail -n 1 "$WORK/node$victim.log")"
expect 0 ctl "$LEADER" --timeout 10 put "after" "it"
start "$victim"
wait_for 30 "agreement" converged
expect 0 ctl "$victim" --timeout 10 get "after"
same_keys

# --- a start with hardly any: it fails with a message, however far it comes, and never by a signal ---
stop "$victim"
starts=0
for ((kilobytes = 8000; kilobytes <= 40000; kilobytes += 2000)); do
    how=0
    (ulimit -v "$kilobytes" && exec timeout 2 "$RAFTD" -c "$CONF" -i "$victim") 2>"$WORK/stderr" || how=$?
    case $how in
    127) continue ;; # not even its libraries
    124) break ;;
    70) starts=$((starts + 1)) OUT=$(tail -n 1 "$WORK/stderr") ;;
    *) fail "exit $how with $kilobytes KiB of memory: $(tail -n 3 "$WORK/stderr")" ;;
    esac
done
[ "$starts" -gt 0 ] || fail "no start had too little memory"
note "$starts starts with too little memory, the last one: $OUT"
start "$victim"
same_keys
finish "out of memory is exit 70, and nothing is lost"
