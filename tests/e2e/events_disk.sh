#!/bin/bash
# What a disk does is an event: one that hangs, and works again, at the node whose disk it is; at those who follow
# a leader, what that one says of its disk; damage, and that it was mended. What health says is the same.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 180
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 # that needs the same system call as strace

follow() { # NODE: its events go to told.NODE
    "$RAFTCTL" -s "$WORK/node$1.sock" events >"$WORK/told.$1" 2>>"$WORK/told.err" &
    HELPERS+=("$!")
    wait_for 20 "the state of node $1" grep -q ' disk-ok .*state=' "$WORK/told.$1"
}
mark() { for i in 1 2 3; do MARK[i]=$(($(wc -l <"$WORK/told.$i") + 1)); done; }
since() { tail -n "+${MARK[$1]}" "$WORK/told.$1" | grep -v 'state=' | grep -Eq -- "$2"; }
next() { wait_for 20 "event $2 of node $1" since "$1" "$2"; }
never() { ! since "$1" "$2" || fail "node $1 tells $2: $(tail -n "+${MARK[$1]}" "$WORK/told.$1")"; }
is_well() { ctl "$1" health >/dev/null; }
slow_at() { # NODE WORDS: health says so
    local code=0
    OUT=$(ctl "$1" health) || code=$?
    [ "$code" = 23 ] && [[ $OUT == "disk_slow: $2"* ]]
}

# With this timeout a leader does not give up for four seconds, and one write of three is not yet a slow disk.
cluster 3 'election_timeout_ms = 1000'
start_all
wait_leader
expect 0 ctl 1 --timeout 20 put x before
wait_converged
for i in 1 2 3; do follow "$i"; done

hang() { # NODE: its next write takes three seconds
    mark
    strace_attach "$1" trace=fdatasync inject=fdatasync:delay_enter=3000000:when=1
    expect 0 ctl "$1" --timeout 20 put x "hung-$1" # the others have it at once
}
works() { # NODE: again, at all nodes
    for i in 1 2 3; do
        wait_for 20 "good health of node $i" is_well "$i"
    done
    next "$1" ' disk-ok '
    strace_detach
}

victim=$(other_than "$LEADER")
other=$(other_than "$LEADER" "$victim")
hang "$victim"
next "$victim" ' disk-slow '
wait_for 5 "health of node $victim" slow_at "$victim" 'the disk has been at one write'
works "$victim"
never "$LEADER" ' disk-' # which is well, and need not tell of others
never "$other" ' disk-'

wait_leader
led=$LEADER
hang "$led"
next "$led" ' disk-slow '
for i in $(other_than "$led") $(other_than "$led" "$(other_than "$led")"); do
    next "$i" " disk-slow .*leader=$led .*the leader's"
    slow_at "$i" "the disk of the leader, node $led" || since "$i" ' disk-ok ' || fail "health of node $i: $OUT"
    # Writes go on with the disks of the others.
    expect 0 ctl "$i" --timeout 2 wait writable
done
works "$led"
for i in 1 2 3; do next "$i" ' disk-ok '; done

# A damaged log. While the third node is down nobody can lead, and nothing is mended.
wait_leader
victim=$(other_than "$LEADER")
other=$(other_than "$LEADER" "$victim")
expect 0 ctl "$LEADER" --timeout 20 bench -c 4 -n 400 -v 1000 -k 10
wait_converged
mark
crash "$LEADER"
crash "$victim"
first=$(find "$WORK/node$victim/log" -maxdepth 1 -name '*.seg' | sort | head -n 1)
head -c 200 /dev/zero | tr '\0' '\125' | dd of="$first" bs=1 seek=$((20 * 4096 + 50)) conv=notrunc status=none
launch "$victim"
wait_for 20 "word of the damage" grep -q ' doubt .*its log was damaged' "$WORK/told.$victim"
[ "$(field "$victim" doubt)" = 1 ] || fail "node $victim is not in doubt"
mark
launch "$LEADER"
next "$victim" ' healed '
wait_for 20 "good health of node $victim" is_well "$victim"
never "$other" ' doubt ' # it is in order
same_keys
finish "a disk that hangs, a leader's, and a damaged log are told as events, and their ends"
