#!/bin/bash
# A disk that fails: one fdatasync or one write of one node returns EIO (injected by strace). The
# node must end at once with exit code 74 and a message; nothing acknowledged may be lost, and after
# a restart it is a member again. Both for the leader and for a follower.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 200
# Sanitizers look for leaks at exit, which they can not do while being traced.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0

cluster 3
start_all
wait_leader
round=0
for call in fdatasync pwritev; do
    for role in leader follower; do
        round=$((round + 1))
        wait_leader
        victim=$LEADER
        [ "$role" = leader ] || victim=$(other_than "$LEADER")
        : >"$WORK/node$victim.log"
        strace_attach "$victim" "trace=$call" "inject=$call:error=EIO:when=3"
        writers_start "w${round}1:1" "w${round}2:2" "w${round}3:3"
        wait_end "$victim"
        [ "$CODE" = 74 ] || fail "$role with EIO from $call: exit $CODE instead of 74"
        grep -Eiq 'input/output error|EIO' "$WORK/node$victim.log" ||
            fail "no word of the error: $(tail -n 3 "$WORK/node$victim.log")"
        note "$role, EIO from $call: $(grep -Ei 'input/output error|EIO' "$WORK/node$victim.log" | tail -n 1)"
        wait_leader
        sleep 0.5 # the others write on
        writers_stop
        start "$victim"
        same_keys
        check_writes
    done
done
finish "a node whose disk fails ends with 74; nothing lost, it comes back"
