#!/bin/bash
# A snapshot of one cluster becomes the beginning of others: with the same nodes under another name, with one
# node alone; a damaged one, one of a cluster of the same name, and a directory that is in use are refused.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 # that needs the same system call as strace

refuses() { # CODE WORDS FILE [DIR]: --init --restore of node 1
    local code=0
    "$RAFTD" --init --restore "$3" -c "$CONF" -i 1 ${4:+-d "$4"} 2>"$WORK/stderr" || code=$?
    [ "$code" = "$1" ] || fail "exit $code instead of $1: $(cat "$WORK/stderr")"
    says "$2"
}

cluster 3
start_all
wait_leader
for i in 1 2 3 4 5; do expect 0 ctl 1 --timeout 10 put "key-$i" "value $i"; done
expect 0 ctl 1 --timeout 10 del key-3
wait_converged
keys_of 1
cp "$WORK/keys.1" "$WORK/wanted"
expect 0 ctl 2 --timeout 10 backup "$WORK/backup"
"$RAFTD" --check "$WORK/backup" >"$WORK/check" || fail "--check of the backup: exit $?"
[ "$OUT" = "$(grep -E '^(snapshot_|hash=)' "$WORK/check")" ] || fail "backup says $OUT"
expect 2 ctl 2 --timeout 10 backup "$WORK/backup" # it is there
says 'File exists'
# A file that can't be read back, or not as it was written, is no backup.
for wrong in error=EIO retval=0; do
    expect 9 strace -qq -o "$WORK/strace" -P "$WORK/never" -e trace=pread64 -e "inject=pread64:$wrong:when=1" \
        "$RAFTCTL" -s "$WORK/node2.sock" --timeout 10 backup "$WORK/never"
    says 'Input/output error|read back otherwise'
    [ ! -e "$WORK/never" ] || fail "a part of a backup is left"
done
ctl 1 --timeout 10 backup - >"$WORK/other" 2>"$WORK/stderr" || fail "backup -: exit $?"
says "$(grep hash= "$WORK/check")"
cmp -s "$WORK/backup" "$WORK/other" || fail "two nodes give other bytes of one state"
expect 0 "$RAFTD" --check "$WORK/backup"
grep -q "^snapshot_index=$(field 2 snapshot_index)$" <<<"$OUT" || fail "--check says: $OUT"
refuses 2 'give the new one another name' "$WORK/backup" "$WORK/same"
refuses 3 'in use' "$WORK/backup"
expect 0 ctl 1 --timeout 10 put after "the backup"
for i in 1 2 3; do stop "$i"; done
mkdir "$WORK/old"
mv "$WORK"/node? "$WORK/old"

cp "$WORK/backup" "$WORK/damaged"
printf x | dd of="$WORK/damaged" bs=1 seek=4200 conv=notrunc status=none
sed -i 's/^name = .*/name = another/' "$CONF"
refuses 4 'damaged' "$WORK/damaged"
[ ! -e "$WORK/node1/ident" ] || fail "a node was made of a damaged backup"
expect 4 "$RAFTD" --check "$WORK/damaged"
refuses 2 'No such file' "$WORK/nothing"

# --- the same nodes under another name ------------------------------------------------------------------
for i in 1 2 3; do
    expect 0 "$RAFTD" --init --restore "$WORK/backup" -c "$CONF" -i "$i"
done
refuses 3 'not empty' "$WORK/backup" # and what is there stays
! grep -q 'are restored' "$WORK/stderr" || fail "it says that keys are restored which are not"
start_all
! grep 'belongs to another data directory' "$WORK/node1.log" || fail "a second --restore took the first one's snapshot away"
wait_leader
same_keys
cmp -s "$WORK/keys" "$WORK/wanted" || fail "other keys: diff $WORK/keys $WORK/wanted"
expect 0 ctl 2 --timeout 10 put key-3 again
for i in 1 2 3; do crash "$i"; done
start_all
wait_leader
same_keys
grep -qx 'key-3=again' "$WORK/keys" || fail "a write after the restore is lost"
note "three nodes go on from it"

# --- a node of the old cluster comes back -----------------------------------------------------------------
crash 3
mv "$WORK/node3" "$WORK/new3"
mv "$WORK/old/node3" "$WORK/node3"
sed 's/^name = .*/name = '"$NAME"'/' "$CONF" >"$WORK/old.conf"
"$RAFTD" -c "$WORK/old.conf" -i 3 >>"$WORK/node3.log" 2>&1 &
old=$!
HELPERS+=("$old")
sleep 2
[ "$(field 3 leader)" = 0 ] || fail "a node of the old cluster has a leader"
expect 0 ctl 1 --timeout 10 put key-4 new
[ "$(ctl 3 --timeout 1 get --stale key-4 2>/dev/null)" != new ] || fail "it has a value of the new cluster"
kill "$old"
wait "$old" 2>/dev/null || :
stop 1
stop 2

# --- one node alone -----------------------------------------------------------------------------------
mkdir "$WORK/second"
mv "$WORK"/node? "$WORK/second"
# shellcheck disable=SC2034 # of cluster.sh
NODES=1
conf_write "$CONF" third 1 ""
expect 0 "$RAFTD" --init --restore "$WORK/backup" -c "$CONF" -i 1
start 1
wait_leader
expect 0 ctl 1 --timeout 10 put key-3 alone
same_keys
grep -v '^key-3=' "$WORK/keys" | cmp -s - "$WORK/wanted" || fail "other keys: diff $WORK/keys $WORK/wanted"
finish "a backup begins a cluster of three and one of one; no node of the old one gets in"
