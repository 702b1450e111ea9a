#!/bin/bash
# Values are written faster than a snapshot of all of them at its usual rate, and replace so much of the state
# that the first snapshots take too much memory: writes go on, and a log that is full never waits for nothing.
# How fast that is, the disk decides.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 400

LOG_MAX=33554432
cluster 3 '[node]' "log_max_bytes = $LOG_MAX"
start_all
wait_leader

# While the log of the leader has its most, a snapshot is on its way, or the disk does something else. Before one
# is begun, and when it has ended, a moment may pass.
IDLE=0
full_log_is_imaged() {
    local role imaging log commit disk_ms
    { read -r role && read -r commit && read -r log && read -r imaging && read -r disk_ms; } \
        < <(field "$LEADER" role commit_index log_bytes image disk_pending_ms) || return 0
    if [ "$role $commit $imaging" = "leader ${COMMIT-} 0" ] && [ "$log" -gt "$LOG_MAX" ] && [ "$disk_ms" -lt 200 ]; then
        IDLE=$((IDLE + 1))
    else
        IDLE=0
    fi
    COMMIT=$commit
    [ "$IDLE" -lt 10 ] || fail "the log is full, and no snapshot is written"
}

writes=0
while [ "$writes" -lt 2000 ]; do
    [ "$SECONDS" -lt 300 ] || fail "$writes writes in $SECONDS s"
    # In such a time some are refused: whoever writes faster than the disk has to try again.
    ctl "$LEADER" --timeout 60 bench -c 16 -t 4 -v 50000 -k 700 >"$WORK/bench" 2>&1 &
    bench=$!
    while kill -0 "$bench" 2>/dev/null; do full_log_is_imaged && sleep 0.2; done
    wait "$bench" || [ $? = 7 ] || fail "bench: $(cat "$WORK/bench")"
    done=$(bench_writes)
    writes=$((writes + done))
    note "$done writes, snapshot of node $LEADER as of $(field "$LEADER" snapshot_index)"
    find_leader || wait_leader
done
same_keys
for i in 1 2 3; do
    [ "$(field "$i" snapshot_index)" -gt 0 ] || fail "node $i has no snapshot"
    log=$(find "$WORK/node$i/log" -name '*.seg' -printf '%s\n' | awk '{ n += $1 } END { print n }')
    [ "$log" -le $((2 * LOG_MAX)) ] || fail "the log of node $i takes $log bytes"
done
finish "writes of more than a snapshot's rate go on"
