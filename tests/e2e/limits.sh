#!/bin/bash
# max_value_bytes changes: a value of 1 MiB in the log is still taken, sent and read by nodes whose
# limit is lower now; new values over it are refused. Then one node has a higher limit than the
# others: what it lets in must arrive, and nothing may go round in circles.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 300

check_value() { # NODE KEY FILE
    ctl "$1" --timeout 30 get --stale --raw "$2" >"$WORK/got" || fail "get $2 on node $1: exit $?"
    cmp -s "$3" "$WORK/got" || fail "node $1 has another value of $2: $(cmp "$3" "$WORK/got" 2>&1)"
}

stop_all() {
    local i
    for i in $(up_nodes); do stop "$i"; done
}

set_limit() { sed "s/^max_value_bytes = .*/max_value_bytes = $1/" "$CONF" >"$2"; }

start_with() { # NODE CONF
    local CONF=$2
    start "$1"
}

# Idle now? Nobody may use more than a third of a processor, or send more than some heartbeats.
is_quiet() {
    local i sent_before=0 sent_after=0 ticks_before=0 ticks_after=0
    wait_converged
    sleep 0.5
    for i in 1 2 3; do
        sent_before=$((sent_before + $(field "$i" datagrams_sent)))
        ticks_before=$((ticks_before + $(ticks "$i")))
    done
    sleep 3
    for i in 1 2 3; do
        sent_after=$((sent_after + $(field "$i" datagrams_sent)))
        ticks_after=$((ticks_after + $(ticks "$i")))
    done
    local sent=$((sent_after - sent_before)) cpu=$((ticks_after - ticks_before))
    note "$1: $sent datagrams and $cpu ticks of 10 ms in 3 s"
    [ "$sent" -lt 600 ] || fail "$sent datagrams in 3 s while nothing happens"
    [ "$cpu" -lt 100 ] || fail "$cpu ticks of processor time in 3 s while nothing happens"
}

ticks() { # user and system time of a node
    local stat fields
    stat=$(cat "/proc/${PID[$1]}/stat")
    read -ra fields <<<"${stat##*) }"
    echo $((fields[11] + fields[12]))
}

# A value between the limits through `high`: all nodes have it in the end, or it was refused.
between() { # NAME
    local code=0 i
    head -c 300000 /dev/urandom >"$WORK/v300k"
    ctl "$high" --timeout 20 put "$1" - <"$WORK/v300k" 2>"$WORK/stderr" || code=$?
    case $code in
    0)
        wait_converged
        for i in 1 2 3; do check_value "$i" "$1" "$WORK/v300k"; done
        ;;
    6) expect 1 ctl "$high" --timeout 20 get "$1" ;;
    *) fail "300 KB through the node with the higher limit: exit $code" ;;
    esac
    note "$1: exit $code"
    expect 0 ctl "$(other_than "$high")" --timeout 20 put after "$1" # others' writes go on
    is_quiet "$1"
}

cluster 3 'max_value_bytes = 1048576'
start_all
wait_leader
head -c 1048576 /dev/urandom >"$WORK/v1m"
head -c 102400 /dev/urandom >"$WORK/v100k"
late=$(other_than "$LEADER") # sees the large values only when all limits are lower
stop "$late"
expect 0 ctl "$LEADER" --timeout 30 put big - <"$WORK/v1m"
expect 0 ctl "$(other_than "$LEADER")" --timeout 30 put big-too - <"$WORK/v1m"
wait_converged

# Lower for all. The late node gets the large values from the others, which read them from disk.
stop_all
set_limit 65536 "$WORK/low.conf"
cp "$CONF" "$WORK/high.conf"
cp "$WORK/low.conf" "$CONF"
start_all
wait_leader
expect 0 ctl "$LEADER" --timeout 20 put small "one"
wait_converged
for i in 1 2 3; do
    check_value "$i" big "$WORK/v1m"
    check_value "$i" big-too "$WORK/v1m"
    ctl "$i" --timeout 30 list >"$WORK/list" || fail "list on node $i: exit $?"
    expect 6 ctl "$i" --timeout 20 put more - <"$WORK/v100k"
    expect 6 ctl "$i" --timeout 20 put big - <"$WORK/v1m"
    says 'a value has at most 65536 bytes here'
done

# Catching up as ever, whoever leads.
for i in 1 2 3; do
    stop "$i"
    wait_leader
    expect 0 ctl "$LEADER" --timeout 60 bench -c 32 -n 2000 -v 1000
    start "$i"
    wait_converged
done
is_quiet "lowered"

# One node has a higher limit than the others, and it follows.
wait_leader
high=$(other_than "$LEADER")
stop "$high"
start_with "$high" "$WORK/high.conf"
wait_converged
between follower

# And it leads.
for _ in {1..20}; do
    wait_leader
    [ "$LEADER" != "$high" ] || break
    was=$LEADER
    stop "$was"
    wait_leader
    start "$was"
done
[ "$LEADER" = "$high" ] || fail "node $high never led"
between leader
for i in 1 2 3; do
    [ "$i" = "$high" ] || expect 6 ctl "$i" --timeout 20 put more - <"$WORK/v100k"
done

# A node with the lower limit restarts with such values in the others' logs and in its own.
i=$(other_than "$high")
crash "$i"
expect 0 ctl "$(other_than "$i")" --timeout 20 put more "small"
expect 0 ctl "$high" --timeout 20 put between - <"$WORK/v300k"
start "$i"
wait_converged
check_value "$i" between "$WORK/v300k"
stop_all
start_all
wait_leader
same_keys
check_value 1 big "$WORK/v1m"
is_quiet "end"
stop_all

# All data have a limit. It is reached through each node, obeyed by all, and leaves them equal.
cluster 3 'max_data_bytes = 1048576'
start_all
wait_leader
fill() { # NODE: until it is refused
    local n=0 code=0
    while [ "$code" = 0 ] && [ "$n" -lt 40 ]; do
        n=$((n + 1))
        ctl "$1" --timeout 20 put "fill/$1/$n" - <"$WORK/v50k" 2>"$WORK/stderr" || code=$?
    done
    [ "$code" = 7 ] || fail "put number $n at node $1: exit $code"
    says 'max_data_bytes is reached'
    note "node $1: refused at put number $n"
}
head -c 50000 /dev/urandom >"$WORK/v50k"
head -c 60000 /dev/urandom >"$WORK/v60k"
wait_leader
follower=$(other_than "$LEADER")
fill "$follower"
wait_converged
fill "$LEADER"
for i in 1 2 3; do
    { read -r bytes && read -r most; } < <(field "$i" data_bytes max_data_bytes)
    [ "$most" = 1048576 ] || fail "node $i: max_data_bytes=$most"
    [ "$bytes" -le 1048576 ] || fail "node $i: data_bytes=$bytes is too much"
    [ "$bytes" -gt 990000 ] || fail "node $i: data_bytes=$bytes is too little"
    grep -q 'the data have reached 8[0-9] % of max_data_bytes' "$WORK/node$i.log" ||
        fail "node $i does not warn"
done
for i in 1 2 3; do
    expect 0 ctl "$i" --timeout 20 put "fill/$follower/1" "shorter"
    expect 0 ctl "$i" --timeout 20 put "fill/$follower/$((i + 1))" - <"$WORK/v50k"
done
# What is refused costs no log.
fill "$LEADER"
wait_converged
last=$(field "$LEADER" last_index) term=$(field "$LEADER" term)
for i in 1 2 3; do
    for n in 1 2 3; do expect 7 ctl "$i" --timeout 20 put "late/$i" - <"$WORK/v60k"; done
done
expect 7 ctl "$LEADER" --timeout 20 bench -c 4 -n 20 -v 60000 -k 20
[[ "$OUT" == *$'\nerror.full=20\n'* ]] || fail "bench does not say why: $OUT"
expect 7 ctl "$LEADER" --timeout 20 bench -c 4 -n 20 -v 60000 -k 20 --json
[[ "$OUT" == *'"full": 20'* ]] || fail "bench does not say why: $OUT"
wait_leader
more=$(($(field "$LEADER" last_index) - last)) elected=$(($(field "$LEADER" term) - term)) # each with an entry
[ "$more" -le "$elected" ] || fail "refused writes are in the log: $more entries, $elected elections"
expect 0 ctl "$follower" --timeout 20 del "fill/$follower/2"
expect 0 ctl "$follower" --timeout 20 put "after" - <"$WORK/v50k"
same_keys

# Another limit at one node: the leader's holds, for all.
stop "$follower"
sed 's/^max_data_bytes = .*/max_data_bytes = 2097152/' "$CONF" >"$WORK/more.conf"
start_with "$follower" "$WORK/more.conf"
for i in $(up_nodes); do
    [ "$i" = "$follower" ] || stop "$i"
    [ "$i" = "$follower" ] || start "$i"
    wait_leader
    ctl "$follower" --timeout 20 bench -c 8 -n 200 -v 8000 -k 100 >/dev/null 2>&1 || :
done
wait_converged
same_keys
stop_all
start_all
wait_leader
same_keys
finish "limits lowered and mixed: old values stay, new ones over the limit are refused, data beyond theirs, too"
