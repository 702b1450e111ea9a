#!/bin/bash
# Locks of connections: one holder at a time, whoever waits is served in order, and what is held ends with the
# client, with its daemon, and when its node is not heard any more.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 150

cluster 3 "lease_ms = 2000"
start_all
wait_leader

# A client stays connected: client NAME NODE, then say NAME COMMAND, and hear NAME reads one line.
declare -A IN=()
client() {
    mkfifo "$WORK/$1.in"
    timeout 140 nc -U "$WORK/node$2.sock" <"$WORK/$1.in" >"$WORK/$1.out" &
    HELPERS+=($!)
    CLIENT=$!
    exec {fd}>"$WORK/$1.in"
    IN[$1]=$fd
}
say() { printf '%s\n' "$2" >&"${IN[$1]}"; }
lines() { wc -l <"$WORK/$1.out"; }
# The answer of a client has so many lines by now, or within 10 s; LAST is what the last one says.
await() {
    local i
    for ((i = 0; i < 500; i++)); do
        [ "$(lines "$1")" -ge "$2" ] && break
        sleep 0.02
    done
    LAST=$(tail -n 1 "$WORK/$1.out" | tr -d '\r')
    [ "$(lines "$1")" = "$2" ] || fail "$1 has $(lines "$1") lines, not $2: $(tr '\r\n' '  ' <"$WORK/$1.out")"
}
fence() { sed -n 2p "$WORK/$1.out" | tr -d ':\r'; }

client a 1
A=$CLIENT
client b 2
client c 3
say a "RAFT.LOCK job VALUE first"
await a 3
say b "RAFT.LOCK job"
sleep 0.3
say c "RAFT.LOCK job"
sleep 0.3
[ "$(lines b)$(lines c)" = 00 ] || fail "two hold the lock"
kill "$A"
await b 3
[ "$(fence b)" -gt "$(fence a)" ] || fail "the fence did not grow: $(fence a), $(fence b)"
sleep 0.3
[ "$(lines c)" = 0 ] || fail "the last one was served before its turn"
note "the end of a client hands its lock to the next one in the queue"

say b "RAFT.PUBLISH alive yes"
await b 4
expect 0 ctl 3 get alive
before=$(now_ms)
crash 2
await c 3
after=$(($(now_ms) - before))
[ "$after" -ge 1900 ] || fail "the lock of a daemon that died was another's after $after ms: its lease is 2000"
[ "$(fence c)" -gt "$(fence b)" ] || fail "the fence did not grow: $(fence b), $(fence c)"
i=0
while ctl 3 get alive >"$WORK/alive" 2>&1; do
    [ $((i += 1)) -lt 100 ] || fail "the key of a daemon that died stays"
    sleep 0.05
done
note "a daemon that dies loses all, $after ms later"
start 2
wait_leader

say c "RAFT.HELD job"
await c 6
[ "${LAST#:}" -le 2000 ] || fail "more is left than a lease: $LAST"
stop 1
stop 2
sleep 2.2
say c "RAFT.HELD job"
await c 7
[[ $LAST == -NOTHELD* ]] || fail "a node without a majority believes in its lock: $LAST"
start 1
start 2
wait_leader
finish "locks have one holder and an order, and end with who held them"
