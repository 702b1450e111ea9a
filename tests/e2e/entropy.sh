#!/bin/bash
# A box that has just booted has no random numbers yet: the daemon says that it waits for them, and
# goes on when they are there. strace plays that kernel.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 60
command -v strace >/dev/null || skip "no strace"
export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 # that needs the same system call as strace

cluster 1
# Whoever asks before main (libc for its malloc) does without. Then we ask without waiting, and are
# told that there are none; the next call waits.
strace -f -qq -o "$WORK/strace" -e trace=getrandom "$RAFTD" --version >/dev/null 2>&1 ||
    skip "strace can't trace"
before=$(grep -c getrandom "$WORK/strace") || :
ON[1]="strace -D -f -qq -o $WORK/strace -e trace=getrandom -e inject=getrandom:error=EAGAIN:when=1..$((before + 1))"
start 1
ON[1]=
! grep -qE 'getrandom\(.*, 32, 0\) += -1 EAGAIN .*INJECTED' "$WORK/strace" ||
    skip "this C library asks the kernel by itself first, for its own generator in the vDSO"
[ "$(grep -cE 'GRND_NONBLOCK\) = -1 EAGAIN .*INJECTED' "$WORK/strace")" = $((before + 1)) ] ||
    fail "nobody was told that there are no random numbers: $(head -n 3 "$WORK/strace")"
grep -q 'warning: waiting for the kernel.s random numbers' "$WORK/node1.log" ||
    fail "it does not say that it waits"
grep -q 'random numbers are ready' "$WORK/node1.log" || fail "it does not say that it goes on"
wait_leader
expect 0 ctl 1 --timeout 10 put "after" "all"
stop 1
# Anything else is an error, and the end.
# shellcheck disable=SC2034 # of cluster.sh
ON[1]="strace -D -f -qq -o $WORK/strace -e trace=getrandom -e inject=getrandom:error=EAGAIN:when=1..$((before + 2))"
launch 1
wait_end 1
[ "$CODE" = 70 ] || fail "exit $CODE instead of 70 where random numbers can't be had"
grep -q 'error: no random numbers' "$WORK/node1.log" || fail "it does not say why it ends"
finish "waited for with a message"
