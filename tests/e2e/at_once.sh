#!/bin/bash
# A follower hears what is committed with its leader's next heartbeat, and at once while one of its clients watches.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120

HEARTBEAT_MS=1000 # a third of the timeout
PUTS=5 # the one in the middle counts, for a busy machine stands still now and then
cluster 3 "election_timeout_ms = $((3 * HEARTBEAT_MS))" "lease_ms = 12000"
start_all
wait_leader
other=$(other_than "$LEADER")

shows() { [ "$(ctl "$other" get --stale --raw "$1")" = x ]; }            # KEY, without asking the leader
told() { [ "$(wc -l <"$WORK/told")" -ge "$1" ]; }                        # LINES
middle() { sort -n "$1" | sed -n "$(((PUTS + 1) / 2))p"; }               # FILE of times
late_ms() { # KEY COMMAND...: how long after the answer to a put the command says so
    local start key=$1
    shift
    expect 0 ctl "$LEADER" put "$key" x
    start=$(now_ms)
    until "$@"; do sleep 0.002; done
    echo $(($(now_ms) - start))
}

for ((n = 1; n <= PUTS; n++)); do
    late_ms "a$n" shows "a$n"
    sleep "0.$n" # so that it meets another part of a period
done >"$WORK/alone"
alone=$(middle "$WORK/alone")
[ "$alone" -gt 100 ] || fail "nobody watches, and a follower hears at once: $(paste -sd ' ' "$WORK/alone")"
[ "$alone" -le $((HEARTBEAT_MS + 250)) ] || fail "not with the next heartbeat: $(paste -sd ' ' "$WORK/alone")"

: >"$WORK/told"
"$RAFTCTL" -s "$WORK/node$other.sock" watch b >>"$WORK/told" &
HELPERS+=($!)
until told 1; do
    expect 0 ctl "$LEADER" put b x
    sleep 0.2
done
sleep "$((2 * HEARTBEAT_MS / 1000))" # the leader has heard of it, and all of that is told
before=$(wc -l <"$WORK/told")
for ((n = 1; n <= PUTS; n++)); do
    late_ms "b$n" told $((before + n))
    sleep "0.$n"
done >"$WORK/watched"
[ "$(middle "$WORK/watched")" -le 50 ] || fail "who watches is not told at once: $(paste -sd ' ' "$WORK/watched")"
note "ms behind the answer to a put: $alone at a follower, $(middle "$WORK/watched") with a client that watches"
finish "who watches at a follower is told at once, and nobody else costs the leader anything"
