#!/bin/bash
# Programs that are started with standard input, output or error closed, in every combination: no file
# of ours gets such a number, so that messages and answers never end up in the log or in a socket.
# shellcheck source=/dev/null disable=SC2034 # STATE is of cluster.sh
. "$(dirname "$0")/../lib/cluster.sh"
limit 120

# closed SET COMMAND...: with those descriptors closed; exec keeps the process for a background job.
closed() {
    local set=$1
    shift
    [[ $set != *0* ]] || exec <&-
    [[ $set != *1* ]] || exec >&-
    [[ $set != *2* ]] || exec 2>&-
    exec "$@"
}

# Is each closed number /dev/null in the daemon?
filled() { # PID SET
    local fd
    for fd in 0 1 2; do
        [[ $2 != *$fd* ]] || [ "$(readlink "/proc/$1/fd/$fd")" = /dev/null ] ||
            fail "closed $2: descriptor $fd is $(readlink "/proc/$1/fd/$fd")"
    done
}

for set in 0 1 2 01 02 12 012; do
    cluster 1 # with an --init that has all three open; made again
    rm -r "$WORK/node1"
    code=0
    (closed "$set" "$RAFTD" --init -c "$CONF" -i 1 <<<x >>"$WORK/node1.log" 2>&1) || code=$?
    [ "$code" = 0 ] || fail "closed $set: --init ended with $code"

    for round in 1 2; do # the second time there is a log, and something to lose
        (closed "$set" "$RAFTD" -c "$CONF" -i 1 </dev/zero >>"$WORK/node1.log" 2>&1) &
        PID[1]=$!
        STATE[1]=up
        wait_for 30 "answer with $set closed" answers 1
        filled "${PID[1]}" "$set"
        expect 0 ctl 1 --timeout 10 put "key$round" "value $round"
        (closed "$set" "$RAFTCTL" -s "$WORK/node1.sock" put "by$round" "a tool" 2>/dev/null) ||
            fail "closed $set: raftctl put ended with $?"
        kill -HUP "${PID[1]}" # it says something about it
        expect 0 ctl 1 --timeout 10 get "key$round"
        stop 1
    done

    expect 0 "$RAFTD" --check "$WORK/node1"
    code=0 want=0
    [[ $set != *1* ]] || want=70
    (closed "$set" "$RAFTD" --check "$WORK/node1" </dev/zero >"$WORK/out" 2>&1) || code=$?
    [ "$code" = "$want" ] || fail "closed $set: --check ended with $code"
    start 1
    for round in 1 2; do
        expect 0 ctl 1 --timeout 10 get "key$round"
        [ "$OUT" = "value $round" ] || fail "closed $set: key$round is '$OUT'"
        expect 0 ctl 1 --timeout 10 get "by$round"
    done
    # What cannot be printed is not done in silence, and nothing is read from nowhere.
    code=0
    (closed 1 "$RAFTCTL" -s "$WORK/node1.sock" get key1 2>/dev/null) || code=$?
    [ "$code" = 9 ] || fail "get without standard output ended with $code"
    code=0
    (closed 0 "$RAFTCTL" -s "$WORK/node1.sock" put from - >/dev/null 2>&1) || code=$?
    [ "$code" != 0 ] || fail "put from a closed standard input: done"
    stop 1
done
for print in -h --help --version "-p -c $CONF" "-n -p -c $CONF"; do
    # shellcheck disable=SC2086,SC2016 # several options; for sh
    expect 70 sh -c '"$0" "$@" >/dev/full' "$RAFTD" $print
    says 'standard output: No space left'
done
finish "closed standard descriptors are /dev/null, and the log is whole"
