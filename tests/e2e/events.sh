#!/bin/bash
# Who follows a node's events knows how things are at the beginning, and then what happens, though leaders,
# majorities, members and the daemon itself go and come back; and it costs nothing while nothing happens.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120

has() { grep -Eq -- "$1" "$WORK/told"; }                # an event was told
since() { tail -n "+$1" "$WORK/told" | grep -Eq -- "$2"; } # from that line on
hears() { wait_for 30 "$1" has "$1"; }
next() { wait_for 30 "$1" since "$((MARK + 1))" "$1"; } # behind the mark
mark() { MARK=$(wc -l <"$WORK/told"); }
switches() { awk '/^voluntary_ctxt/ { print $2 }' "/proc/$FOLLOWER/status"; }

# Before the daemon is there.
cluster 3
"$RAFTCTL" -s "$WORK/node2.sock" events >"$WORK/told" 2>"$WORK/told.err" &
FOLLOWER=$!
HELPERS+=("$FOLLOWER")
wait_for 10 "word that it waits" grep -q 'waiting for one' "$WORK/told.err"
start_all
led_by_another() { # than the node that is followed
    find_leader || return 1
    [ "$LEADER" = 2 ] || return 0
    ctl 2 transfer 1 && return 1
}
wait_for 30 "another leader" led_by_another
hears " leader-changed role=follower leader=$LEADER"
for line in quorum-back disk-ok healed 'member-promoted .*node=1' 'member-promoted .*node=2' \
    'member-back .*node=1' 'member-back .*node=3'; do
    has " $line .*state=1" || fail "no '$line' at the beginning: $(cat "$WORK/told")"
done
if has 'daemon-gone|restarted'; then fail "it begins with a break"; fi

# Nothing happens: nobody wakes.
sleep 0.5
before=$(switches)
mark
sleep 1.5
since $((MARK + 1)) . || [ "$(switches)" = "$before" ] || fail "who follows wakes though nothing happens"

# The leader is killed, and comes back as a member.
wait_for 30 "another leader" led_by_another
killed=$LEADER other=$((4 - LEADER))
mark
crash "$killed"
next " leader-(gained|changed) .*leader=[2$other]"
next " member-silent .*node=$killed"
mark
start "$killed"
next " member-back .*node=$killed"

# The majority is lost, and comes back.
mark
crash 1
crash 3
next " quorum-lost .*leader=0"
next " member-silent .*node=1"
mark
launch 1
next " quorum-back"
next " leader-(gained|changed) .*leader=[12]"
start 3
next " member-back .*node=3"
wait_converged

# Each number is the one after; whoever goes on behind one of them is told the same.
awk '!/state=1/ { if (last && $1 != last + 1) exit 1 } { last = $1 }' "$WORK/told" || fail "numbers are missing"
: >"$WORK/again"
line=$(grep -vn 'state=1' "$WORK/told" | sed -n 3p)
"$RAFTCTL" -s "$WORK/node2.sock" events --since "$(cut -d : -f 2 <<<"$line" | cut -d ' ' -f 1)" >"$WORK/again" 2>&1 &
HELPERS+=($!)
told_again() { tail -n "+$((${line%%:*} + 1))" "$WORK/told" | diff - "$WORK/again"; }
wait_for 10 "the same events" told_again >"$WORK/diff" || fail "$(cat "$WORK/diff")"

# The daemon is killed and comes back: said, with how things are then. While it is away nobody asks for it again and
# again, and when it is there it is noticed.
mark
crash 2
next " daemon-gone role=unknown leader=0"
sleep 1.5
before=$(switches)
sleep 1.5
[ $(($(switches) - before)) -le 2 ] || fail "who waits for the daemon wakes $(($(switches) - before)) times"
start 2
back=$(now_ms)
next " restarted"
back=$(($(now_ms) - back))
[ "$back" -lt 1000 ] || fail "the daemon was back for $back ms before it was noticed"
next " leader-(changed|none|gained) .*state=1"
is_told() { # the last word on the leader
    find_leader
    grep -E ' leader-(gained|changed|none) ' "$WORK/told" | tail -n 1 | grep -q " leader=$LEADER"
}
wait_for 10 "the last word" is_told
awk 'last > $1 { exit 1 } { last = $1 }' "$WORK/told" || fail "numbers fall"
[ "$(grep -c daemon-gone "$WORK/told")" = 1 ] || fail "the end of the daemon was told twice"

# What is asked for wrongly; numbers that no event had.
expect 2 ctl 2 events --since x
expect 2 ctl 2 events now
timeout 2 "$RAFTCTL" -s "$WORK/node2.sock" events --json --since 5 >"$WORK/json" || true
head -n 1 "$WORK/json" | grep -q '^{"seq":"5",.*"event":"restarted"' || fail "JSON: $(head -n 1 "$WORK/json")"
grep -q '"state":1' "$WORK/json" || fail "JSON: no state"

# From the event to the program that reads it.
mark
python3 -c '
import subprocess, sys, time
late = []
p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
for line in p.stdout:
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    if b"state=1" not in line:
        late.append(now - float(line.split()[1]))
    if len(late) == 4:
        break
p.kill()
print("%.1f" % (max(late) * 1000))' "$RAFTCTL" -s "$WORK/node2.sock" events >"$WORK/late" &
reader=$!
HELPERS+=("$reader")
sleep 0.5
for ((i = 0; i < 3; i++)); do
    wait_leader
    expect 0 ctl 2 --timeout 30 transfer $((LEADER == 2 ? 1 : 2))
done
wait "$reader" || fail "the events do not come"
late=$(cat "$WORK/late")
[ "${late%.*}" -lt 1000 ] || fail "an event took $late ms"
finish "state, leader, quorum, members, restart; nothing missed; an event is read $late ms later at most"
