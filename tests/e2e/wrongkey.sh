#!/bin/bash
# A node with another key, from its start or by a restart or reload later on, is named in messages
# and status on both sides within half a minute, and harms nobody: leader and term stay, writes go on. With
# the right key it joins without a restart.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
# shellcheck source=/dev/null
. "$TOP/tests/lib/netns.sh"
limit 240

hosts 3
cluster 3 'election_timeout_ms = 1000' # a busy test machine must not cause elections of its own
key_make "$WORK/key.3"
launch 1
launch 2
wait_leader
term=$LEADER_TERM
launch 3
wait_for 10 "answer of node 3" answers 3

session_is() { [ "$(field "$1" "peer.$2.session")" = "$3" ]; }
for i in 1 2; do
    wait_for 30 "wrong_key of node 3 at node $i" session_is "$i" 3 wrong_key
    wait_for 30 "wrong_key of node $i at node 3" session_is 3 "$i" wrong_key
    wait_for 30 "message about node 3 at node $i" grep -Eqi 'node 3 .*key' "$WORK/node$i.log"
    wait_for 30 "message about node $i at node 3" grep -Eqi "node $i .*key" "$WORK/node3.log"
done
grep -hEi 'node [0-9] .*key' "$WORK"/node?.log | sort -u
expect 0 ctl 1 links
[[ "$OUT" == *"node 3 speaks with another key"* && "$OUT" != *"down"* ]] || fail "links: $OUT"

began=$(now_ms) n=0
while [ $(($(now_ms) - began)) -lt 4000 ]; do
    expect 0 ctl $((n % 2 + 1)) --timeout 10 put "k$n" "v"
    n=$((n + 1))
done
for i in 1 2; do
    now=$(field "$i" term)
    [ "$now" = "$term" ] || fail "term $term became $now"
    [ "$(grep -Eci 'node 3 .*key' "$WORK/node$i.log")" -le 3 ] || fail "node $i says it again and again"
done
[ "$(field 3 commit_index)" = 0 ] || fail "node 3 has heard of entries"
expect 4 ctl 3 --timeout 1 put "not" "done"

cp -p "$WORK/key" "$WORK/key.3"
kill -HUP "${PID[3]}"
wait_for 20 "session of nodes 3 and 1" session_is 3 1 established
wait_for 20 "session of nodes 3 and 2" session_is 3 2 established
same_keys
now=$(field 1 term)
[ $((now - term)) -le 1 ] || fail "node 3 joined, and term $term became $now"

# In a cluster that lives, too. The two followers have little to say to each other.
wait_leader
wrong=$(other_than "$LEADER")
key_make "$WORK/wrong"
named() { # on both sides
    local i
    for i in 1 2 3; do
        [ "$i" = "$wrong" ] || { session_is "$wrong" "$i" wrong_key && session_is "$i" "$wrong" wrong_key; } ||
            return 1
    done
}
joined() {
    local i
    for i in 1 2 3; do
        [ "$i" = "$wrong" ] || session_is "$i" "$wrong" established || return 1
    done
}
for how in restart reload; do
    [ "$how" = reload ] || crash "$wrong"
    cp -p "$WORK/wrong" "$WORK/key.$wrong"
    began=$(now_ms)
    if [ "$how" = restart ]; then start "$wrong"; else kill -HUP "${PID[$wrong]}"; fi
    wait_for 30 "wrong_key of node $wrong on both sides after a $how" named
    note "wrong key by a $how: named on both sides after $(($(now_ms) - began)) ms"
    cp -p "$WORK/key" "$WORK/key.$wrong"
    kill -HUP "${PID[$wrong]}"
    wait_for 20 "sessions of node $wrong" joined
done
same_keys
finish "named on both sides; $n writes went on; joined after reload"
