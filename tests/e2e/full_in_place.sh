#!/bin/bash
# A disk without space for any write, not even over what is there, as a full copy-on-write file system
# or thin volume is (strace answers each pwritev with ENOSPC). A follower so lives on, answers reads
# and refuses writes; it is started in this state, too; a leader so hands over; when there is space,
# each goes on by itself, and nothing acknowledged is lost.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 200
# Sanitizers look for leaks at exit, which they can not do while being traced.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
NO_SPACE="inject=pwritev:error=ENOSPC"

is_full() { [ "$(field "$1" disk_full)" = 1 ]; }
has_room() { [ "$(field "$1" disk_full)" = 0 ]; }
leads_no_more() { [ "$(field "$1" role)" != leader ]; }

# What the cluster and a node without space do.
lives_on() { # NODE
    local other
    other=$(other_than "$1")
    wait_for 10 "node $1 to be full" is_full "$1"
    wait_for 20 "leader with room" leads_no_more "$1"
    wait_leader
    expect 0 ctl "$other" --timeout 10 put "n" "without-$1"
    expect 0 ctl "$1" --timeout 2 get --stale "x"
    expect 0 ctl "$1" --timeout 2 status
    if [ "$(field "$1" term)" = "$TERM_BEFORE" ]; then
        expect 0 ctl "$1" --timeout 10 get "n"
        [ "$OUT" = "without-$1" ] || fail "node $1 reads '$OUT'"
    else # it can't write the term, so it says nothing in it
        expect 7 ctl "$1" --timeout 2 get "n"
    fi
    expect 7 ctl "$1" --timeout 2 put "y" "refused"
}

resumes() { # NODE
    strace_detach
    wait_for 10 "room on node $1" has_room "$1"
    expect 0 ctl "$1" --timeout 10 put "y" "node-$1"
}

cluster 3
start_all
for role in follower leader; do
    wait_leader
    victim=$LEADER
    [ "$role" = leader ] || victim=$(other_than "$LEADER")
    expect 0 ctl 1 --timeout 10 put "x" "before-$role"
    wait_converged
    TERM_BEFORE=$LEADER_TERM
    strace_attach "$victim" trace=pwritev "$NO_SPACE"
    writers_start "w$role:$(other_than "$victim")"
    lives_on "$victim"
    sleep 3
    lives_on "$victim"
    resumes "$victim"
    writers_stop
    wait_for 30 "agreement" converged
    note "$role (node $victim) without space: reads went on, writes again when there was some"
done

# A start in this state.
crash "$victim"
wait_leader
TERM_BEFORE=$LEADER_TERM
# shellcheck disable=SC2004,SC2034 # ON is cluster.sh's
ON[$victim]="strace -D -f -qq -o $WORK/strace.start -e trace=pwritev -e $NO_SPACE"
start "$victim"
writers_start "wstart:$(other_than "$victim")"
lives_on "$victim"
writers_stop
stop "$victim"
# shellcheck disable=SC2004,SC2034
ON[$victim]=
start "$victim"
wait_for 30 "agreement" converged
expect 0 ctl "$victim" --timeout 10 put "y" "started"
same_keys
check_writes
finish "a node without space for a write in place serves reads, starts, and goes on when there is some"
