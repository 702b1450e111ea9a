#!/bin/bash
# Local clients that take all there is: whoever comes after them is told so with exit 7 and nothing
# else, always; root and the daemon's own user see the status all the same. A client that closes its
# sending side gets its answers. Few descriptors: a clear refusal, or fewer clients, never a log that
# cannot go on.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 300

crowd() { # NODE ARGUMENT...: in the background, until `leave`
    local i=$1
    shift
    mkfifo "$WORK/fifo"
    $AS "$TOOLS/crowd" "$WORK/node$i.sock" "$@" >"$WORK/fifo" 2>"$WORK/crowd.log" &
    CROWD=$!
    HELPERS+=("$CROWD")
    read -r _ <"$WORK/fifo" || fail "crowd $*: $(cat "$WORK/crowd.log")"
    rm "$WORK/fifo"
}

leave() {
    kill "$CROWD"
    wait "$CROWD" 2>/dev/null || :
}

has_room() { ctl 1 put full now 2>/dev/null; }

half() { # RESULT ARGUMENT...
    local want=$1 code=0
    shift
    "$TOOLS/crowd" "$WORK/node1.sock" half "$@" >"$WORK/out" || code=$?
    [ "$code" = "$want" ] || fail "half $*: $code instead of $want"
}

turned_away() { # by a node that is full
    local n code
    for n in {1..60}; do
        code=0
        case $((n % 4)) in
        0) ctl 1 put full "$n" >/dev/null 2>"$WORK/stderr" || code=$? ;;
        1) ctl 1 get full >/dev/null 2>"$WORK/stderr" || code=$? ;;
        2) ctl 1 list --stale >/dev/null 2>"$WORK/stderr" || code=$? ;;
        3) ctl 1 put full - <"$WORK/value" >/dev/null 2>"$WORK/stderr" || code=$? ;;
        esac
        [ "$code" = 7 ] || fail "no room for clients, try $n: exit $code: $(cat "$WORK/stderr")"
        expect 0 ctl 1 status
        expect 0 ctl 1 links
    done
}

cluster 1
head -c 60000 /dev/zero | tr '\0' v >"$WORK/value"
chmod 755 "$WORK"
echo 'socket_mode = 0666' >>"$CONF"
AS=
start 1
wait_leader

# Half-closed connections, of all kinds.
half 0 put k v
half 0 get k
[ "$(cat "$WORK/out")" = v ] || fail "half get: $(cat "$WORK/out")"
half 0 list ""
half 0 status ""
half 0 del k
half 1 get k

# Our own user takes every place, for as long as it likes.
crowd 1 hold 256
turned_away
leave
wait_for 10 "room" has_room

# Values that are begun and never go on give their places back after ten seconds.
crowd 1 begin 256 60000
expect 7 ctl 1 put full now
wait_for 15 "room" has_room
leave

# Another user takes what it gets, which is half: others have room.
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    AS="setpriv --reuid 65534 --clear-groups"
    if $AS "$TOOLS/crowd" "$WORK/node1.sock" half get full >/dev/null 2>&1; then
        crowd 1 hold 400
        sleep 1.5 # those that are told so are gone
        for n in {1..20}; do
            expect 0 ctl 1 put full "$n"
            expect 0 ctl 1 status
        done
        code=0
        $AS "$RAFTCTL" -s "$WORK/node1.sock" get full >/dev/null 2>&1 || code=$?
        [ "$code" = 7 ] || fail "a user with all its connections in use: exit $code"
        leave
    else
        note "another user cannot come here: its share is not tried"
    fi
    AS=
else
    note "not root, or no setpriv: another user's share is not tried"
fi

# However much one client asks for, or leaves unread, the others are answered at once, whoever serves
# them; nobody doubts the leader; and memory has a bound.
greedy() { # ARGUMENT... of crowd
    local n start times=()
    crowd 1 "$@"
    for n in {1..21}; do
        start=$(now_ms)
        expect 0 ctl 1 status
        expect 0 ctl 1 get --stale full
        times+=("$(($(now_ms) - start))")
    done
    leave
    readarray -t times < <(printf '%s\n' "${times[@]}" | sort -n)
    note "crowd $*: status and a read took ${times[10]} ms, ${times[20]} ms at most"
    [ "${times[10]}" -lt 500 ] || fail "crowd $*: status and a read took ${times[10]} ms"
}

rss_kib() { sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/${PID[1]}/status"; }

greedy_all() {
    expect 0 ctl 1 --timeout 30 get full # all is applied
    greedy lists 1300 none
    greedy lists 1300
    greedy lists 5000 key
    greedy mute 100 value
    # The client reads as fast as it can.
    local lister
    (while ctl 1 list --stale; do :; done) >/dev/null 2>&1 &
    lister=$!
    HELPERS+=("$lister")
    greedy hold 1
    kill "$lister"
    wait "$lister" 2>/dev/null || :
    find_leader || fail "no leader"
    [ "$LEADER_TERM" = "$term" ] || fail "another term: $LEADER_TERM"
    grep -q __asan_init "$RAFTD" || # which keeps what is freed
        [ "$(rss_kib)" -lt 131072 ] || fail "$(rss_kib) KiB of memory"
}

expect 0 ctl 1 --timeout 60 bench -c 64 -n 120000 -k 100000 -v 20
expect 0 ctl 1 put value - <"$WORK/value"
wait_leader
term=$LEADER_TERM
greedy_all
stop 1
cp "$CONF" "$WORK/plain.conf"
echo 'readers = 0' >>"$CONF"
start 1
wait_leader
term=$LEADER_TERM
greedy_all
cp "$WORK/plain.conf" "$CONF"

# Without descriptors it says so.
stop 1
for n in 5 8 12 14 30 43; do
    code=0
    (ulimit -n "$n" && exec "$RAFTD" -c "$CONF") >"$WORK/stderr" 2>&1 || code=$?
    [ "$code" = 70 ] || fail "$n descriptors: exit $code: $(cat "$WORK/stderr")"
    says "$n open files are allowed; raftd needs at least 44"
done

# With few it serves as many clients as it can, and the log has what it needs for its next segments.
ulimit -n 256
start 1
wait_leader
grep -q '256 open files are allowed, so 188 clients are served at a time and not 256' "$WORK/node1.log" ||
    fail "no warning: $(tail -n 3 "$WORK/node1.log")"
crowd 1 hold 180
expect 0 ctl 1 --timeout 30 bench -c 2 -n 150 -v 60000
crowd_first=$CROWD
crowd 1 hold 50
turned_away
kill "$crowd_first"
wait "$crowd_first" 2>/dev/null || :
leave
wait_for 10 "room" has_room
expect 0 ctl 1 --timeout 30 bench -c 2 -n 150 -v 60000
finish "clients over the limit are told so, half-closed ones answered, few descriptors are enough"
