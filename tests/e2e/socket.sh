#!/bin/bash
# The file of the client socket: made with its directory, made again at SIGHUP when somebody has removed
# it, and removed at the end only if it is ours.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 60

for readers in 1 3 0; do
    cluster 1
    printf 'readers = %d\n' "$readers" >>"$CONF"
    sed "s|^socket = .*|socket = $WORK/run/node{id}.sock|" "$CONF" >"$WORK/run.conf"
    CONF=$WORK/run.conf
    ln -s run/node1.sock "$WORK/node1.sock" # where ctl looks
    start 1 # makes the directory
    expect 0 ctl 1 --timeout 10 put k v

    for how in "rm '$WORK/run/node1.sock'" "rm -r '$WORK/run'" \
        "rm '$WORK/run/node1.sock'; touch '$WORK/run/x'; mv '$WORK/run' '$WORK/away'"; do
        eval "$how"
        expect 3 ctl 1 --timeout 2 get k
        kill -HUP "${PID[1]}"
        wait_for 10 "socket after: $how" ctl 1 --timeout 2 get k >/dev/null
        for i in 1 2 3 4 5 6 7 8; do expect 0 ctl 1 --timeout 5 put "k$i" v; done
        rm -rf "$WORK/away"
    done
    grep -q "client socket .* was gone and is made again" "$WORK/node1.log" || fail "not said"
    kill -HUP "${PID[1]}" # it is there: nothing to do
    expect 0 ctl 1 --timeout 5 get k
    [ "$(grep -c 'was gone and is made again' "$WORK/node1.log")" = 3 ] || fail "made again without need"

    # Something that is not a socket is left alone, and said.
    rm "$WORK/run/node1.sock"
    echo important >"$WORK/run/node1.sock"
    kill -HUP "${PID[1]}"
    wait_for 5 "message" grep -q 'exists and is not a socket' "$WORK/node1.log"
    stop 1
    [ "$(cat "$WORK/run/node1.sock")" = important ] || fail "removed what is not its own"
    rm "$WORK/run/node1.sock"

    # Its own is removed at the end.
    start 1
    stop 1
    [ ! -e "$WORK/run/node1.sock" ] || fail "left its socket"
done
finish "the client socket is made again, and only its own is removed"
