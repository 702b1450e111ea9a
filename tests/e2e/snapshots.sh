#!/bin/bash
# A node's disk depends on its state, not on its age: a load of many times what is kept, with kill -9 in
# between, leaves the log and the snapshots small, a restart quick and all nodes equal. A node that was
# away for longer than the log reaches takes a snapshot from the leader. A damaged snapshot is put aside,
# and a node without the one that its log begins at gets one from the leader.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 240
SEGMENT=4194304
PUTS=${PUTS:-9000} # of 2 kB a round: more than four segments

load() { expect 0 ctl "$1" --timeout 60 bench -c 16 -n "$PUTS" -v 2000 -k 100; }

log_files() { # NODE: bytes
    find "$WORK/node$1/log" -name '*.seg' -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'
}

newest() { # NODE: the file of its newest snapshot
    find "$WORK/node$1/snap" -name '*.snap' | sort | tail -n 1
}

has_snapshot() { [ "$(field "$1" snapshot_index)" -gt "$2" ]; }

cluster 3
start_all
wait_leader
expect 0 ctl 1 --timeout 10 put kept "from the beginning"
for round in 1 2 3 4; do
    victim=$((round % 3 + 1))
    writers_start "w$round:$victim"
    load $((victim % 3 + 1))
    crash "$victim"
    load $((victim % 3 + 1))
    start_ms=$(now_ms)
    start "$victim"
    wait_for 20 "local reads of node $victim" local_reads "$victim"
    note "round $round: node $victim reads again after $(($(now_ms) - start_ms)) ms," \
        "its log takes $(log_files "$victim") bytes"
    writers_stop
done
for i in 1 2 3; do
    wait_for 20 "snapshot of node $i" has_snapshot "$i" 0
    [ "$(log_files "$i")" -le $((9 * SEGMENT)) ] || fail "the log of node $i takes $(log_files "$i") bytes"
    [ "$(find "$WORK/node$i/snap" -type f | wc -l)" -le 3 ] || fail "node $i keeps: $(ls "$WORK/node$i/snap")"
    [ "$(field "$i" log_first_index)" -gt $((2 * PUTS)) ] || fail "the log of node $i begins with its first entry"
done
same_keys
check_writes
grep -qx 'kept=from the beginning' "$WORK/keys" || fail "what was only in a snapshot is lost"

# --- away for longer than the log reaches -------------------------------------------------------------
wait_leader
away=$(other_than "$LEADER")
other=$(other_than "$LEADER" "$away")
last=$(field "$away" last_index)
stop "$away"
begins_later() { [ "$(field "$LEADER" log_first_index)" -gt $((last + 1)) ]; }
for _ in 1 2 3 4 5 6; do
    load "$other"
    ! begins_later || break
done
begins_later || fail "the leader's log still reaches back to entry $last"
start "$away"
wait_for 30 "snapshot from the leader" has_snapshot "$away" "$last"
expect 0 ctl "$away" --timeout 10 put kept "after the snapshot"
same_keys
grep -qx 'kept=after the snapshot' "$WORK/keys" || fail "a write after the snapshot is lost"

# --- on demand, and a damaged one -----------------------------------------------------------------------
expect 0 ctl "$away" --timeout 20 snapshot
before=$(newest "$away")
expect 0 ctl "$away" --timeout 10 put one more
expect 0 ctl "$away" --timeout 20 snapshot
[ "${OUT%%$'\n'*}" = "snapshot_index=$(field "$away" snapshot_index)" ] || fail "it says: $OUT"
[ "$(newest "$away")" != "$before" ] || fail "no new snapshot"
[ "$(stat -c %s "$(newest "$away")")" = "$(field "$away" snapshot_bytes)" ] || fail "another size than status says"
crash "$away"
file=$(newest "$away")
printf x | dd of="$file" bs=1 seek=4200 conv=notrunc status=none
start "$away"
grep -q 'chunk is damaged' "$WORK/node$away.log" || fail "no word of the damaged snapshot"
{ [ -e "${file%.snap}.damaged" ] && [ ! -e "$file" ]; } || fail "the damaged one is not put aside"
same_keys

# --- without any ------------------------------------------------------------------------------------------
stop "$away"
mv "$WORK/node$away/snap" "$WORK/kept"
start "$away"
grep -q 'this node is in doubt' "$WORK/node$away.log" || fail "no doubt without the snapshot that the log begins at"
same_keys
finish "$((11 * PUTS)) puts and more: the log stays small, and all is equal after crashes, an absence and a damage"
