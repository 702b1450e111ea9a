#!/bin/bash
# A running cluster changes its key, as raftd(8) says, while clients write and read on all nodes, on
# hosts that lose 5 %: no request fails. Afterwards the old key is worth nothing.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
# shellcheck source=/dev/null
. "$TOP/tests/lib/netns.sh"
limit 120

hosts 3
cluster 3 'election_timeout_ms = 1000' # a busy test machine must not cause elections of its own
start_all
wait_leader
term=$LEADER_TERM
loss 50

reloads() { grep -cE 'keys? read again' "$WORK/node$1.log" || :; }
reloaded() { [ "$(reloads "$1")" -gt "$2" ]; }
reload() {
    local was
    expect 0 "$RAFTD" -n -c "$CONF" -i "$1"
    was=$(reloads "$1")
    kill -HUP "${PID[$1]}"
    wait_for 10 "reload of node $1" reloaded "$1" "$was"
}

# The ids of the keys that the sessions between all nodes are made with: one word if there is one.
key_ids() {
    local i j
    for i in 1 2 3; do
        for j in 1 2 3; do
            [ "$i" = "$j" ] || field "$i" "peer.$j.session_key_id"
        done
    done | sort -u | tr '\n' ' '
}

one_key_but() { # not that one
    local ids
    ids=$(key_ids)
    [[ "$ids" == *' ' ]] && [ "$ids" = "${ids%% *} " ] && [ "$ids" != "$1" ]
}

# The ids of the keys that all nodes have: the words of one line if all have the same.
have_ids() {
    local i
    for i in 1 2 3; do
        field "$i" key_id next_key_id | tr '\n' ' '
        echo
    done | sort -u
}

all_have() { # PATTERN
    HAVE=$(have_ids)
    [[ "$HAVE" =~ $1 ]]
}

wait_for 10 "one key" one_key_but ""
old=$(key_ids)
[ "$(have_ids)" = "$old" ] || fail "sessions use key $old, the nodes say they have $(have_ids)"
history_start -c 2 -k 12 -t 5000
"$RAFTCTL" -s "$WORK/node1.sock" events >"$WORK/events" 2>&1 &
HELPERS+=($!)
sleep 1
for round in 1 2; do # twice: the second time the files are there already
    key_make "$WORK/new"
    for i in 2 3 1; do
        cp -p "$WORK/new" "$WORK/key.$i.next"
        reload "$i"
    done
    wait_for 10 "next key on all nodes" all_have "^${old}[0-9a-f]{8} \$"
    new=${HAVE#"$old"}
    for i in 3 1 2; do
        cp -p "$WORK/key.$i" "$WORK/swap"
        mv "$WORK/key.$i.next" "$WORK/key.$i"
        mv "$WORK/swap" "$WORK/key.$i.next"
        reload "$i"
    done
    wait_for 10 "new key on all sessions" one_key_but "$old"
    wait_for 10 "exchanged keys on all nodes" all_have "^$new$old\$"
    for i in 1 2 3; do
        rm "$WORK/key.$i.next"
        reload "$i"
    done
    wait_for 10 "sessions with the new key" one_key_but "$old"
    wait_for 10 "nodes without the old key" all_have "^$new\$"
    grep -q "live key read again: ${new% }" "$WORK/node2.log" || fail "node 2 does not name its key"
    note "key $round: $old-> $(key_ids)"
    old=$(key_ids)
done
history_stop
note "$OUT"
[[ " $OUT " == *" failed=0 unknown=0 "* ]] || fail "requests failed: $OUT"
[ "$(grep -c ' key-changed ' "$WORK/events")" = 6 ] || fail "six changes: $(grep key-changed "$WORK/events")"
end=$(field "$LEADER" term)
[ "$end" = "$term" ] || fail "term $term became $end"

# Who missed it all has the first key, which nobody takes any more.
stop 3
cp -p "$WORK/key" "$WORK/key.3"
launch 3
sleep 2
[ "$(field 3 peer.1.session)" != established ] || fail "the old key still opens sessions"
wait_leader
expect 0 ctl "$LEADER" --timeout 10 put "after" "all"
cp -p "$WORK/new" "$WORK/key.3"
reload 3
wait_for 20 "session of node 3" one_key_but ""

# Power was lost while the next key was written. A start goes on with the first, a reload changes
# nothing; without the first there is no start.
stop 3
install -m 600 /dev/null "$WORK/key.3.next"
start 3
grep -q 'warning: .*key\.3\.next: it holds no key.*starting with key_file alone' "$WORK/node3.log" ||
    fail "node 3 does not say that its next key is broken"
wait_for 20 "session of node 3 without a next key" one_key_but ""
kill -HUP "${PID[3]}"
wait_for 10 "refusal of a broken key" grep -q 'error: .*key\.3\.next: it holds no key.*as they were' "$WORK/node3.log"
stop 3
mv "$WORK/key.3" "$WORK/away"
install -m 600 /dev/null "$WORK/key.3"
expect 2 "$RAFTD" -c "$CONF" -i 3
says 'key\.3: it holds no key'
mv "$WORK/away" "$WORK/key.3"
rm "$WORK/key.3.next"
start 3
wait_for 20 "session of node 3 again" one_key_but ""
loss 0
same_keys
finish "key changed twice under load, no request failed"
