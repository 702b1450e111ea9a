#!/bin/bash
# raftd/dist/floating-ip on three hosts: an address is never on two of them, whoever ends, hangs or is cut off, and
# comes to another one in time; neighbours are told.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
. "$(dirname "$0")/../lib/netns.sh"
limit 400

WAIT=6    # seconds, as in floating-ip
LEASE=6   # likewise, as in the configuration
RETRY=5   # what elections, looks at the lock and a busy machine may add
if [ "${FAMILY:-4}" = 6 ]; then
    ADDRESS=fd00:77::100 PREFIX=64
    RETRY=$((RETRY + 4)) # the kernel asks first whether another box has it
    LIST=if_inet6
    # One that the kernel still asks for, or that another box has (flags 40 and 8), is not there.
    SHOWN='fd000077000000000000000000000100( [0-9a-f]{2}){3} [0-389ab][0-7] '
    TOLD="ip6 saddr $ADDRESS icmpv6 type nd-neighbor-advert"
else
    ADDRESS=10.77.0.100 PREFIX=24
    LIST=fib_trie
    SHOWN="[^0-9.]${ADDRESS//./[.]}[^0-9]"
    TOLD="arp saddr ip $ADDRESS arp daddr ip $ADDRESS"
    command -v arping >/dev/null || skip "no arping"
fi
hosts 3
cluster 3 "lease_ms = $((LEASE * 1000))"
start_all
wait_leader
tool=$(realpath "$RAFTCTL")
declare -A BOX=() IN=() # host -> floating-ip's process, and one that only stays there

box() { # HOST
    # shellcheck disable=SC2086 # a command and its options
    ${ON[$1]} env RAFTCTL="$tool -s $WORK/node$1.sock" raftd/dist/floating-ip "$ADDRESS/$PREFIX" eth0 2>>"$WORK/box.$1" &
    BOX[$1]=$!
    HELPERS+=("$!")
}

# The script itself, which raftctl runs.
script_of() { cat "/proc/${BOX[$1]}/task/${BOX[$1]}/children" 2>/dev/null || :; }

# Nothing of the host is stopped, and its floating-ip runs again.
well() { # HOST
    # shellcheck disable=SC2046 # processes
    kill -CONT "${PID[$1]}" "${BOX[$1]}" $(script_of "$1") 2>/dev/null || :
    kill -0 "${BOX[$1]}" 2>/dev/null || { wait "${BOX[$1]}" || :; box "$1"; }
}
# Another box holds the lock now: NEXT.
is_next() {
    for NEXT in 1 2 3; do [ "$NEXT" = "$HOLDER" ] || [ -z "$(script_of "$NEXT")" ] || return 0; done
    return 1
}

# Looks at all hosts in turn. Who has it before and behind a look at another one has it at that look, too. Each
# change is written down: the time in ms, and a 1 or 0 for each host.
watch_all() {
    local i j text line='' last=''
    local -A now=([1]=0 [2]=0 [3]=0) before=()
    while :; do
        for i in 1 2 3; do before[$i]=${now[$i]}; done
        for i in 1 2 3; do
            IFS= read -rd '' text <"/proc/${IN[$i]}/net/$LIST" || :
            now[$i]=0
            [[ ! $text =~ $SHOWN ]] || now[$i]=1
            for ((j = i + 1; j <= 3; j++)); do
                [ "${before[$i]}${before[$j]}${now[$i]}" != 111 ] || echo "$i and $j" >>"$WORK/both"
            done
        done
        line="${now[1]} ${now[2]} ${now[3]}"
        [ "$line" = "$last" ] || echo "$((${EPOCHREALTIME/[.,]/} / 1000)) $line" >>"$WORK/seen"
        last=$line
        read -rt 0.01 <>"$WORK/nothing" || :
    done
}

where() { tail -n 1 "$WORK/seen" | awk '{ for (i = 2; i <= 4; i++) if ($i == 1) print i - 1 }'; }
# It is on a box, and not on that one; says on which, in HOLDER.
is_elsewhere() {
    local at
    at=$(where)
    [ -n "$at" ] && [ "$at" != "$1" ] && HOLDER=$at
}
# The address leaves the holder and comes to another one within so many seconds.
moves() { # SECONDS WHY
    local from=$HOLDER since
    since=$(now_ms)
    wait_for "$1" "other box: $2" is_elsewhere "$from"
    note "$2: from box $from to $HOLDER in $(($(now_ms) - since)) ms"
    [ ! -e "$WORK/both" ] || fail "$2: the address was on two boxes: $(sort "$WORK/both" | uniq -c)"
}
announced() { on "$1" nft list counter "$TABLE" told seen | grep -q 'packets [1-9]'; }

TABLE=${TOLD%% *}
mkfifo "$WORK/nothing"
for i in 1 2 3; do
    ${ON[$i]} sleep 1000 &
    IN[$i]=$!
    HELPERS+=("$!")
    on "$i" nft "add table $TABLE told; add counter $TABLE told seen;
        add chain $TABLE told in { type filter hook input priority 0; }; add rule $TABLE told in $TOLD counter name seen"
done
until [ -r "/proc/${IN[3]}/net/$LIST" ]; do sleep 0.02; done
watch_all &
HELPERS+=("$!")

for i in 1 2 3; do box "$i"; done
wait_for $((RETRY + 2)) "box with the address" is_elsewhere none
wait_for 5 "announcement" announced "$((HOLDER % 3 + 1))"
note "box $HOLDER has it; the others were told"

# Ended in order: nobody has to wait.
first=$HOLDER
kill -TERM "${BOX[$first]}"
moves "$RETRY" "floating-ip is stopped"
well "$first"

# Killed, with what it has started: nobody says that the address is gone. Nor does who waits for that, and is stopped.
kill -KILL "${BOX[$HOLDER]}"
wait_for "$RETRY" "next holder of the lock" is_next
sleep 0.5
kill -TERM "${BOX[$NEXT]}"
moves $((WAIT + RETRY)) "kill -9 of raftctl, and the next one is stopped"

if [ "${LONG:-0}" = 1 ]; then
    for i in 1 2 3; do well "$i"; done
    sleep 1
    kill -KILL "$(script_of "$HOLDER")"
    old=$HOLDER
    moves $((WAIT + RETRY)) "kill -9 of the script"
    well "$old"

    pause "$HOLDER"
    old=$HOLDER
    moves $((LEASE + WAIT + RETRY)) "raftd hangs"
    resume "$old"

    script=$(script_of "$HOLDER")
    kill -STOP "$script"
    moves $((3 * LEASE + WAIT + RETRY)) "the script hangs"

    cut_off "$HOLDER"
    moves $((LEASE + WAIT + RETRY)) "the box is cut off"
    heal

    # All of it hangs, until another one has the address.
    hung="${PID[$HOLDER]} ${BOX[$HOLDER]} $(script_of "$HOLDER")"
    # shellcheck disable=SC2086 # processes
    kill -STOP $hung
    moves $((LEASE + WAIT + RETRY)) "raftd, raftctl and the script hang"
    # shellcheck disable=SC2086
    kill -CONT $hung
    sleep 3
    is_elsewhere none || fail "all go on, and it is nowhere"

    # Anything at any moment: it may be nowhere for a while, and is somewhere when all are well again.
    for ((round = 0; round < 60; round++)); do
        i=$((RANDOM % 3 + 1))
        victims=("${PID[$i]}" "${BOX[$i]}" "$(script_of "$i")")
        victim=${victims[$((RANDOM % 3))]}
        case $((RANDOM % 6)) in
        0 | 1) kill -STOP "${victim:-${BOX[$i]}}" 2>/dev/null || : ;;
        2) cut_off "$i" ;;
        3) heal ;;
        4) kill -KILL "${victims[2]:-${BOX[$i]}}" 2>/dev/null || : ;;
        5) kill -KILL "${BOX[$i]}" 2>/dev/null || : ;;
        esac
        sleep "$((RANDOM % 3)).$((RANDOM % 10))"
        well $((RANDOM % 3 + 1))
    done
    heal
    for i in 1 2 3; do well "$i"; done
    sleep 3
    wait_for $((3 * LEASE + WAIT + RETRY)) "box with the address" is_elsewhere none
    note "random faults: $(wc -l <"$WORK/seen") changes"
fi
[ ! -e "$WORK/both" ] || fail "the address was on two boxes: $(sort "$WORK/both" | uniq -c)"
finish "one address on one box at a time"
