#!/bin/bash
# Disks that are slow for good (strace holds up every fdatasync): longer than the election timeout on all
# nodes, on the one node whose vote is needed, and longer than a leader's disk may hang. There is a
# leader soon, it stays, and terms do not run away.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 240
command -v strace >/dev/null || skip "no strace"
strace -f -qq -o /dev/null -e trace=fdatasync true 2>/dev/null || skip "strace can't trace"
export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 # that needs the same system call as strace

slow() { # node i, milliseconds per fdatasync from its next start on
    # shellcheck disable=SC2034 # of cluster.sh
    ON[$1]="strace -D -f -qq -o $WORK/strace$1 -e trace=fdatasync -e inject=fdatasync:delay_enter=${2}000"
}

TERM_BEFORE=0
lives() { # what, longest wait for the first write in seconds, nodes that are started
    local what=$1 wait=$2 start term i
    shift 2
    start=$(now_ms)
    for i; do launch "$i"; done
    for i; do wait_for 30 "answers of node $i" answers "$i"; done
    expect 0 ctl 1 --timeout "$wait" put "x" "$what"
    term=$(field 1 term)
    note "$what: $(($(now_ms) - start)) ms until a write is acknowledged, $((term - TERM_BEFORE)) terms"
    [ $((term - TERM_BEFORE)) -le 8 ] || fail "terms run away: $TERM_BEFORE, then $term"
    sleep 6
    expect 23 ctl "$i" health
    [[ $OUT == "disk_slow: "* ]] || fail "health: $OUT"
    # One election more may have been under way.
    [ $(($(field 1 term) - term)) -le 1 ] || fail "terms run away: $term, then $(field 1 term)"
    expect 0 ctl "$i" --timeout "$wait" get "x"
    [ "$OUT" = "$what" ] || fail "read '$OUT'"
    TERM_BEFORE=$(field 1 term)
    for i; do stop "$i"; done
}

cluster 3
for i in 1 2 3; do slow "$i" 200; done
lives "all at 200 ms" 20 1 2 3
# shellcheck disable=SC2034 # of cluster.sh
ON[1]=
slow 2 320
lives "two of three, one at 320 ms" 20 1 2
for i in 1 2 3; do slow "$i" 2000; done
lives "all at 2 s" 60 1 2 3
finish "slow disks elect a leader"
