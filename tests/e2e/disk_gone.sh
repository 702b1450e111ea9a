#!/bin/bash
# What a card does that is at its end, a quota, and an operator's slip: a file system that becomes read-only,
# one whose quota is used up, a medium that cannot be read, a log that is removed under the daemon. What is
# over ends with 74 at once and says why; a quota is waited for; nothing acknowledged is lost.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 200
# Sanitizers look for leaks at exit, which they can not do while being traced.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0

ends_with_74() { # WORDS: node $victim, which says them
    wait_end "$victim"
    [ "$CODE" = 74 ] || fail "exit $CODE instead of 74: $(tail -n 3 "$WORK/node$victim.log")"
    grep -Eq "$1" "$WORK/node$victim.log" || fail "no word of '$1': $(tail -n 3 "$WORK/node$victim.log")"
    note "$(grep -E "$1" "$WORK/node$victim.log" | tail -n 1)"
}

is_full() { [ "$(field "$1" disk_full)" = 1 ]; }
has_room() { [ "$(field "$1" disk_full)" = 0 ]; }

cluster 3
start_all
wait_leader
victim=$(other_than "$LEADER")
other=$(other_than "$LEADER" "$victim")
expect 0 ctl "$other" --timeout 10 put before value
wait_converged

# --- a quota ----------------------------------------------------------------------------------------
strace_attach "$victim" trace=pwritev inject=pwritev:error=EDQUOT
writers_start "w1:$other"
wait_for 10 "node $victim to be full" is_full "$victim"
grep -q 'the disk is full: write ' "$WORK/node$victim.log" || fail "it does not say that its disk is full"
expect 7 ctl "$victim" --timeout 2 put refused value
says 'the disk of this node is full'
expect 0 ctl "$victim" --timeout 2 get --stale before
strace_detach
wait_for 10 "room on node $victim" has_room "$victim"
expect 0 ctl "$victim" --timeout 10 put again value
writers_stop

# --- a file system that becomes read-only -------------------------------------------------------------
strace_attach "$victim" trace=pwritev inject=pwritev:error=EROFS:when=3
writers_start "w2:$other"
ends_with_74 'Read-only file system'
start "$victim"
expect 0 ctl "$victim" --timeout 10 get again

# --- the log is removed, its files, or the whole directory ---------------------------------------------
mended() { [ "$(field "$victim" doubt)" = 0 ]; }
for gone in "rm -r '$WORK/node$victim/log'" "rm '$WORK/node$victim/log/'*.seg" "mv '$WORK/node$victim' '$WORK/away'"; do
    eval "$gone"
    start_ms=$(now_ms)
    ends_with_74 'was removed while raftd was running'
    [ $(($(now_ms) - start_ms)) -lt 5000 ] || fail "it went on for $(($(now_ms) - start_ms)) ms"
    if [ -e "$WORK/away" ]; then
        expect 3 "$RAFTD" -c "$CONF" -i "$victim"
        says 'there is no data of a node'
        mv "$WORK/away" "$WORK/node$victim"
    fi
    start "$victim"
    wait_for 30 "node $victim to be mended" mended
done
writers_stop

# --- a medium that is written, but can't be read ------------------------------------------------------
# Of the identity there are two copies.
wait_leader
victim=$(other_than "$LEADER" "$victim")
stop "$victim"
unreadable() { # WHEN: the reads of the identity that fail at the next start
    # shellcheck disable=SC2004,SC2034 # ON is cluster.sh's
    ON[$victim]="strace -D -qq -o $WORK/strace.start -P $WORK/node$victim/ident -e trace=pread64 -e inject=pread64:error=EIO:when=$1"
}
unreadable 1+2
start "$victim"
grep -q 'ident: copy 1 is damaged, the other one is used' "$WORK/node$victim.log" ||
    fail "no word of a copy that can't be read: $(cat "$WORK/node$victim.log")"
grep -q 'ident: the damaged copy was written anew' "$WORK/node$victim.log" ||
    fail "that copy is not written anew: $(cat "$WORK/node$victim.log")"
stop "$victim"
unreadable 1+
launch "$victim"
ends_with_74 'read .*/ident: Input/output error'
# shellcheck disable=SC2004,SC2034
ON[$victim]=
start "$victim"

# At a start what can't be read is damage, and the others mend it.
wait_leader
victim=$(other_than "$LEADER" "$victim")
expect 0 ctl "$LEADER" --timeout 20 bench -c 16 -n 300 -v 2000 -k 100
wait_converged
stop "$victim"
# shellcheck disable=SC2004,SC2034 # ON is cluster.sh's
ON[$victim]="strace -D -qq -o $WORK/strace.start -e trace=pread64 -e inject=pread64:error=EIO:when=9..40" # of the first thread
start "$victim"
# shellcheck disable=SC2004,SC2034
ON[$victim]=
grep -q 'The disk could not read [0-9]* blocks of the log' "$WORK/node$victim.log" ||
    fail "no word of what can't be read: $(tail -n 3 "$WORK/node$victim.log")"
grep -q 'this node is in doubt' "$WORK/node$victim.log" || fail "what can't be read puts nobody in doubt"
wait_for 30 "node $victim to be mended" mended
stop "$victim"

# A leader that can't read what a node lacks ends, and the next start finds what it is.
start "$victim"
wait_leader
lagging=$(other_than "$LEADER")
stop "$lagging"
expect 0 ctl "$LEADER" --timeout 20 bench -c 16 -n 1000 -v 2000 -k 100 # more than is kept in memory
victim=$LEADER
strace_attach "$victim" trace=pread64 inject=pread64:error=EIO
start "$lagging"
ends_with_74 'reading the log failed: .*Input/output error'
start "$victim"
same_keys

# A snapshot that can't be read is written again.
wait_leader
victim=$LEADER
expect 0 ctl "$victim" --timeout 20 snapshot
strace_attach "$victim" trace=pread64 inject=pread64:error=EIO:when=1
expect 0 ctl "$victim" --timeout 20 backup "$WORK/backup"
strace_detach
grep -q 'a snapshot of this node is damaged' "$WORK/node$victim.log" || ls "$WORK/node$victim"/snap/*.damaged >/dev/null ||
    fail "no word of the snapshot"
"$RAFTD" --check "$WORK/backup" >/dev/null || fail "the backup is damaged"

# So is one whose directory was removed. (The entry of another leader makes another snapshot.)
backups() {
    local term
    term=$(field "$victim" term)
    rm -f "$WORK/backup" "$WORK/backup2"
    expect 0 ctl "$victim" --timeout 20 backup "$WORK/backup"
    rm -r "$WORK/node$victim/snap"
    expect 0 ctl "$victim" --timeout 20 backup "$WORK/backup2"
    [ "$(field "$victim" term)" = "$term" ]
}
wait_for 60 "two backups under one leader" backups
cmp -s "$WORK/backup" "$WORK/backup2" || fail "other bytes of the same state"
same_keys
check_writes
finish "a disk that is over ends its node with 74, what can't be read is mended, a quota is waited for; nothing lost"
