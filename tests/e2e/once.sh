#!/bin/bash
# Writes happen once although their node is killed while they are under way: raftctl sends them again to the
# next process, with the same token. And what became of one whose answer did not come is told later.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 150

cluster 3
start_all
wait_leader

# Adds one until told to stop. Not done, for certain: no daemon, or one that has just started or has no leader.
adder() { # NODE NAME
    local code count=0
    until [ -e "$WORK/stop" ]; do
        code=0
        often "$1" --timeout 30 incr n >>"$WORK/sums.$2" 2>"$WORK/adder.$2" || code=$?
        case $code in
        0) count=$((count + 1)) && sleep 0.01 ;;
        3 | 4 | 7 | 10) sleep 0.05 ;;
        *) echo "exit $code: $(cat "$WORK/adder.$2")" >"$WORK/bad.$2" ;;
        esac
    done
    echo "$count" >"$WORK/count.$2"
}
adders=()
for n in {1..6}; do
    adder $((n % 3 + 1)) "$n" &
    adders+=($!)
    HELPERS+=($!)
done
for round in {1..6}; do
    sleep 0.7
    i=$((round % 3 + 1))
    crash "$i"
    sleep 0.2
    start "$i"
done
sleep 1
touch "$WORK/stop"
for pid in "${adders[@]}"; do wait "$pid" || fail "an adder ended with $?"; done
cat "$WORK"/bad.* 2>/dev/null && fail "not told what became of it"
sum=0
for n in {1..6}; do sum=$((sum + $(cat "$WORK/count.$n"))); done
wait_leader
expect 0 ctl 1 --timeout 20 get n
[ "$OUT" = "$sum" ] || fail "$sum additions were told to be done, and n is $OUT"
[ "$sum" -gt 50 ] || fail "only $sum additions"
twice=$(sort "$WORK"/sums.* | uniq -d)
[ -z "$twice" ] || fail "these sums were told twice: $twice"
note "$sum additions, each done once, while 6 processes were killed"

# Nobody can commit: the outcome is unknown, and known when they are back.
for i in 1 2 3; do [ "$i" = "$LEADER" ] || pause "$i"; done
expect 5 ctl "$LEADER" --timeout 0.7 put late value
token=$(grep -oE '[0-9a-f]{32}-[0-9]+' "$WORK/stderr") || fail "no token: $(cat "$WORK/stderr")"
for i in 1 2 3; do [ "${STATE[$i]}" = up ] || resume "$i"; done
wait_leader
told() { # until the log has it, or never will
    local code=0
    OUT=$(ctl 1 --timeout 20 outcome "$token" 2>/dev/null) || code=$?
    [ "$code" = 0 ] || [ "$code" = 1 ]
}
wait_for 20 "an outcome" told
value=$(ctl 1 --timeout 20 get late 2>/dev/null || :)
case $OUT in
outcome=done*) [ "$value" = value ] || fail "done, and the key is '$value'" ;;
outcome=none*) ;;
*) fail "outcome: $OUT" ;;
esac
expect 2 ctl 1 --timeout 20 outcome nonsense
says 'no token'
# The answer to a repetition has no sum. It is the value of the key while that was not written again.
repeated() { # EXPECTED MODIFY_REVISION: what raftctl prints when a daemon answers so
    python3 - "$WORK/fake.sock" "$2" <<'EOF' &
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
token = b'0' * 32 + b'-1'
c = s.accept()[0]
for answer in (b'$%d\r\n%s\r\n' % (len(token), token), b'+OK\r\n*3\r\n:7\r\n:1\r\n$-1\r\n',
               b'+OK\r\n*5\r\n$2\r\n42\r\n:1\r\n:%s\r\n:-1\r\n$5\r\nwhole\r\n' % sys.argv[2].encode()):
    while not c.recv(4096):
        c = s.accept()[0]
    c.sendall(answer)
os.unlink(sys.argv[1])
EOF
    HELPERS+=($!)
    wait_for 10 "socket" test -S "$WORK/fake.sock"
    expect 0 "$RAFTCTL" -s "$WORK/fake.sock" --timeout 10 incr n
    [ "$OUT" = "$1" ] || fail "incr printed $OUT"
    wait_for 10 "end of the socket" test ! -e "$WORK/fake.sock"
}
repeated 42 7
repeated '' 8
says 'not known any more'
note "the sum of an addition that was repeated"
finish "writes are done once over restarts, and outcomes are told later"
