#!/bin/bash
# Who watches gets every change once and in order, though the node is killed and comes back; or learns that it
# can't.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120

# Follows a prefix through a node, into a file. Sets WATCHER.
watch() { # file node argument...
    local file=$1 node=$2
    shift 2
    "$RAFTCTL" -s "$WORK/node$node.sock" watch "$@" >"$file" 2>"$file.err" &
    WATCHER=$!
    HELPERS+=("$WATCHER")
}

lines() { # file number
    until [ "$(wc -l <"$1")" -ge "$2" ]; do sleep 0.05; done
}

cluster 3
start_all
wait_leader
other=$((LEADER % 3 + 1))

# From the beginning; keys and values with any bytes; a transaction.
watch "$WORK/all" "$other" -r 1 a
watch "$WORK/b" "$other" -r 1 b
expect 0 ctl 1 put a1 one
expect 0 ctl 1 put "a 2" $'two\nlines'
expect 0 ctl 1 put b1 other
printf 'put a3 x\nput b2 y\ndel a1\n' >"$WORK/txn"
expect 0 ctl 1 txn <"$WORK/txn"
lines "$WORK/all" 4
lines "$WORK/b" 2
cut -d ' ' -f 2- "$WORK/all" >"$WORK/told"
printf '%s\n' 'put a1 one' 'put a\x202 two\x0alines' 'put a3 x' 'del a1' | diff - "$WORK/told" ||
    fail "the changes of a are others"
cut -d ' ' -f 2- "$WORK/b" | diff <(printf '%s\n' 'put b1 other' 'put b2 y') - ||
    fail "the changes of b are others"
[ "$(tail -n 2 "$WORK/all" | cut -d ' ' -f 1 | uniq | wc -l)" = 1 ] || fail "a transaction has two revisions"

# The node is killed and comes back, twice, and so does the daemon's log of changes.
for ((i = 1; i <= 300; i++)); do
    expect 0 ctl "$LEADER" put "a$((i % 7))" "$i"
    case $i in 100 | 200) crash "$other" ;; 120 | 240) start "$other" ;; esac
done
lines "$WORK/all" 304
tail -n +5 "$WORK/all" | cut -d ' ' -f 4 | diff <(seq 300) - || fail "changes are missing or came twice"
cut -d ' ' -f 1 "$WORK/all" | sort -nc || fail "the revisions fall"

# From any of them on.
from=$(sed -n 150p "$WORK/all" | cut -d ' ' -f 1)
watch "$WORK/rest" "$other" -r "$from" a
lines "$WORK/rest" 155
diff <(tail -n +150 "$WORK/all") "$WORK/rest" || fail "from revision $from on it is told else"

# What a snapshot has taken is not told.
expect 0 ctl "$other" snapshot
crash "$other"
start "$other"
until ctl "$other" get --stale a1; do sleep 0.1; done
expect 14 ctl "$other" watch -r 1 a
says 'first revision that can be watched from'

# A command for each change; when it fails, the watch ends.
# shellcheck disable=SC2016 # for the other shell
watch "$WORK/exec" 1 --exec 'read -r v; echo "$RAFTD_CHANGE $RAFTD_KEY $v"; [ "$v" != bad ]' c
sleep 0.5
expect 0 ctl 2 put c1 good
expect 0 ctl 2 put c2 bad
code=0
wait "$WATCHER" || code=$?
[ "$code" = 1 ] || fail "a command that failed: exit code $code"
printf '%s\n' 'put c1 good' 'put c2 bad' | diff - "$WORK/exec" || fail "the command got other changes"
grep -q 'go on with -r' "$WORK/exec.err" || fail "it does not say where to go on"

# The end of a key by its time.
watch "$WORK/ends" "$other" -r "$(ctl "$other" get -m c1 | sed -n 's/^modify_revision=//p')" t
expect 0 ctl 1 put temp 20
expect 0 ctl 1 expire temp 0.5
lines "$WORK/ends" 3
cut -d ' ' -f 2- "$WORK/ends" | diff <(printf '%s\n' 'put temp 20' 'put temp 20' 'expire temp') - ||
    fail "the end of a key is told otherwise"

# To wait for a key.
expect 1 ctl 1 --timeout 0.3 wait nobody
"$RAFTCTL" -s "$WORK/node$other.sock" --timeout 30 wait state=ready &
HELPERS+=($!)
waiter=$!
sleep 0.5
expect 0 ctl 1 put state started
crash "$other"
start "$other"
sleep 0.5
kill -0 "$waiter" || fail "it did not wait for the value"
expect 0 ctl 1 put state ready
wait "$waiter" || fail "the key has the value, and wait says $?"
expect 0 ctl 1 wait state=ready
expect 0 ctl 1 wait state
finish "every change once and in order over kill -9; COMPACTED; --exec; wait for a key"
