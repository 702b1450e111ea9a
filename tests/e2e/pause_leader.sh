#!/bin/bash
# SIGSTOP stands for a machine that stalls. A stalled leader is replaced, comes back as a follower
# and serves no stale value; a stalled follower must not depose the leader when it wakes.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 180

cluster 3 'election_timeout_ms = 300' # a busy test machine must not cause elections of its own
start_all
wait_leader
writers_start w1:1 w2:2 w3:3

for round in 1 2 3; do
    wait_leader
    old=$LEADER
    expect 0 ctl "$old" --timeout 20 put "x" "old-$round"
    pause "$old"
    paused_at=$(now_ms)
    wait_leader # among the others
    [ "$LEADER" != "$old" ] || fail "the paused node leads"
    expect 0 ctl "$LEADER" --timeout 20 put "x" "new-$round"
    # This read waits in the stalled node's socket: the node answers it when it wakes, and by then
    # its belief to be the leader is wrong.
    ctl "$old" --timeout 10 get "x" >"$WORK/read" 2>/dev/null &
    reader=$!
    HELPERS+=("$reader")
    while [ $(($(now_ms) - paused_at)) -lt 2000 ]; do sleep 0.05; done
    resume "$old"
    code=0
    wait "$reader" || code=$?
    unset 'HELPERS[-1]'
    [ "$code" != 0 ] || [ "$(cat "$WORK/read")" = "new-$round" ] ||
        fail "stale linearizable read on the stalled leader: $(cat "$WORK/read")"
    note "leader stalled for 2 s: node $old -> $LEADER; its waiting read: exit $code, '$(cat "$WORK/read")'"
    wait_leader
    [ "$(field "$old" role)" = follower ] || [ "$LEADER" = "$old" ] || fail "node $old is no follower"
    expect 0 ctl "$old" --timeout 20 get "x"
    [ "$OUT" = "new-$round" ] || fail "node $old reads '$OUT' after it woke"
done
writers_stop
same_keys
check_writes

# A machine that stands still for a moment may change the leader as well, but not each time.
for ((round = 1, changed = 0; round <= 3; round++)); do
    wait_leader
    before="$LEADER of term $LEADER_TERM"
    follower=$(other_than "$LEADER")
    pause "$follower"
    sleep 2
    resume "$follower"
    sleep 2
    wait_leader
    [ "$LEADER of term $LEADER_TERM" != "$before" ] || continue
    round=$((round - 1)) changed=$((changed + 1))
    note "follower $follower stalled for 2 s: leader $before became" \
        "$LEADER of term $LEADER_TERM ($(field "$LEADER" last_election))"
    [ "$changed" -lt 3 ] || fail "a follower that wakes deposes its leader"
done
finish "leader stalled 3 times, nothing stale, nothing lost; follower stalled 3 times, same leader"
