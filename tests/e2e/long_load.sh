#!/bin/bash
# Values are written faster than a snapshot of all of them at its usual rate, and replace so much of the state
# that the first snapshots take too much memory: writes go on, in every few seconds.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 180

cluster 3 '[node]' 'log_max_bytes = 33554432'
start_all
wait_leader
for round in 1 2 3 4 5 6; do
    # In such a time some are refused: whoever writes faster than the disk has to try again.
    ctl "$LEADER" --timeout 60 bench -c 16 -t 4 -v 50000 -k 700 >"$WORK/bench" 2>&1 || [ $? = 7 ] ||
        fail "bench: $(cat "$WORK/bench")"
    done=$(awk -F = '$1 == "ops" { n += $2 } $1 == "errors" { n -= $2 } END { print n + 0 }' "$WORK/bench")
    note "round $round: $done writes, snapshot of node $LEADER as of $(field "$LEADER" snapshot_index)"
    [ "$done" -gt 50 ] || fail "$done writes in 4 s"
done
same_keys
for i in 1 2 3; do
    log=$(find "$WORK/node$i/log" -name '*.seg' -printf '%s\n' | awk '{ n += $1 } END { print n }')
    [ "$log" -le 67108864 ] || fail "the log of node $i takes $log bytes"
done
finish "writes of more than a snapshot's rate go on"
