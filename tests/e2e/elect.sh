#!/bin/bash
# raftctl lock, elect, leader and publish: one program at a time, over daemons that end, hang and come back, and
# whatever the program has started ends with it.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 150

cluster 3 "lease_ms = 2000"
start_all
wait_leader
follower=$(other_than "$LEADER")
third=$((6 - LEADER - follower))
cat >"$WORK/program" <<END
#!/bin/bash
# Writes its beginnings and ends, and has a child that does not end by itself, nor when it is told to.
echo "begin \$1 \$RAFTD_FENCE" >>"$WORK/told"
(trap '' TERM; exec sleep 1000) &
echo "\$!" >"$WORK/grandchild"
trap 'echo "end \$1" >>"$WORK/told"; exit 7' TERM
while [ ! -e "$WORK/\$1.done" ]; do read -r -t 0.05 <>"$WORK/nothing"; done
kill -KILL "\$!"
echo "end \$1" >>"$WORK/told"
exit 3
END
chmod +x "$WORK/program"
mkfifo "$WORK/nothing"
: >"$WORK/told"
tool() { # NODE ARGUMENT... in the background: TOOL_PID
    "$RAFTCTL" -s "$WORK/node$1.sock" "${@:2}" </dev/null >"$WORK/out.$2" 2>"$WORK/err.$2" &
    TOOL_PID=$!
    HELPERS+=("$TOOL_PID")
}
told() { grep -q "^$1" "$WORK/told"; }
# The third node knows who holds a lock; it may hear of it a moment later than others do.
knows() { [[ $(ctl "$third" leader "$1" 2>/dev/null) == "node=$follower fence="*" value=$2" ]]; }
has_ended() { ! kill -0 "$(cat "$WORK/grandchild")" 2>/dev/null; }
ends_with() { # CODE PROCESS
    local code=0
    wait "$2" || code=$?
    [ "$code" = "$1" ] || fail "exit $code and not $1: $(cat "$WORK"/err.*)"
}

# --- usage ---
expect 2 ctl 1 lock job
expect 2 ctl 1 lock -n -w 1 job -- true
expect 3 "$RAFTCTL" -s "$WORK/none.sock" lock job -- true
says 'no daemon'
expect 1 ctl 1 leader job
says 'nobody'
expect 5 ctl 1 lock job -- bash -c 'exit 5'
expect 127 ctl 1 lock job -- "$WORK/none"
expect 2 "$RAFTCTL" before soon -- true
expect 13 "$RAFTCTL" before 1 -- true
says 'time is over'
expect 143 ctl 1 lock job -- bash -c 'kill -TERM $$'

# --- one after the other ---
tool "$follower" lock job -- "$WORK/program" first
first=$TOOL_PID
wait_for 10 "first program" told 'begin first [1-9]'
wait_for 5 "word of the holder" knows job ''
expect 13 ctl "$third" lock -n job -- true
expect 13 ctl "$third" lock -w 0.3 job -- true
tool "$third" lock job -- "$WORK/program" second
second=$TOOL_PID
sleep 0.3
! told 'begin second' || fail "two hold the lock"
: >"$WORK/first.done"
ends_with 3 "$first"
wait_for 10 "second program" told 'begin second [1-9]'
: >"$WORK/second.done"
ends_with 3 "$second"
[ "$(cut -d ' ' -f 1,2 "$WORK/told" | paste -sd ,)" = 'begin first,end first,begin second,end second' ] ||
    fail "order: $(cat "$WORK/told")"
note "one program after the other, exit codes passed on"

# --- a daemon that hangs; one that is gone ---
tool "$follower" lock job -- "$WORK/program" hung
wait_for 10 "program" told 'begin hung'
kill -STOP "${PID[$follower]}"
tool "$third" lock job -- "$WORK/program" next
next=$TOOL_PID
wait_for 10 "next holder" told 'begin next'
told 'end hung' || fail "two programs hold the lock: $(cat "$WORK/told")"
kill -CONT "${PID[$follower]}"
: >"$WORK/next.done"
ends_with 3 "$next"
note "a daemon that hangs: the program has ended before another one begins"

tool "$follower" elect primary me -- "$WORK/program" elected
elected=$TOOL_PID
wait_for 10 "elected program" told 'begin elected'
wait_for 5 "word of who is elected" knows primary me
expect 0 ctl "$third" leader --json primary
[[ $OUT =~ ^\{\"node\":$follower,\"fence\":\"[0-9]+\",\"key\":\"primary\",\"value\":\"me\"\}$ ]] || fail "leader --json: $OUT"
: >"$WORK/told"
crash "$follower"
wait_for 5 "end of the program" told 'end elected'
wait_for 5 "end of what it has started" has_ended
start "$follower"
wait_for 20 "second term" told 'begin elected'
: >"$WORK/elected.done"
ends_with 3 "$elected"
note "a daemon that is gone: all that was started has ended, and it is elected again"

# --- a program that is told ---
cat >"$WORK/listener" <<END
#!/bin/bash
# Writes down how old what it is told is, and for how long it counts; then hangs.
for i in 1 2 3; do
    read -r asked until
    read -r up _ </proc/uptime
    echo "\$((\${up/./}0 - asked)) \$((until - asked))" >>"$WORK/leases"
done
kill -STOP \$\$
END
chmod +x "$WORK/listener"
tool "$third" lock --tell told -- "$WORK/listener"
ends_with 13 "$TOOL_PID"
grep -q 'the program hangs' "$WORK/err.lock" || fail "not the reason: $(cat "$WORK/err.lock")"
awk '$1 > 1000 || $2 < 1000 || $2 > 1900 { exit 1 } END { exit NR != 3 }' "$WORK/leases" ||
    fail "told when, and for how long, of a lease of 2000 ms: $(cat "$WORK/leases")"
note "a program is told until when the lock is held, and ended if it hangs"

# --- presence ---
is_there() { [ "$(ctl "$LEADER" --timeout 1 get alive 2>/dev/null)" = yes ]; }
is_gone() { ! is_there; }
tool "$follower" publish alive yes
publisher=$TOOL_PID
wait_for 10 "published key" is_there
kill -STOP "${PID[$follower]}"
wait_for 10 "end of the key of a node that is silent" is_gone
kill -CONT "${PID[$follower]}"
wait_for 10 "published key, again" is_there
# Nothing is asked while nothing happens to the key, whatever happens to others.
quiet() { grep '^voluntary_ctxt' "/proc/$publisher/status"; }
expect 0 ctl "$LEADER" del alive
wait_for 10 "published key that somebody had deleted" is_there
sleep 1
before=$(quiet)
expect 0 ctl "$LEADER" put alive-too yes
sleep 3
[ "$(quiet)" = "$before" ] || fail "raftctl publish wakes while nothing happens"
crash "$follower"
wait_for 10 "end of the key of a daemon that is gone" is_gone
start "$follower"
wait_for 10 "published key, from a new daemon" is_there
kill "$publisher"
wait_for 10 "end of the key of who published it" is_gone
note "a key that is there as long as who published it"
finish "locks, elections and presence by raftctl"
