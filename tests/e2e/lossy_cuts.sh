#!/bin/bash
# Links that work in one direction only, and pairs that don't hear each other, on hosts that lose
# 10 %: the cluster has one leader that stays, goes on committing, and terms do not run away.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
# shellcheck source=/dev/null
. "$TOP/tests/lib/netns.sh"
limit 120

hosts 3
cluster 3
start_all
wait_leader
loss 100
history_start -c 2 -k 12

# holds WHAT CUT FROM TO: makes that cut and lets the cluster settle; then the leader must stay and
# commit; afterwards all is healed. A machine that stands still for a moment may change the leader as well, but
# not each time.
MOVED=0
holds() {
    local what=$1 term before after n=0 began
    shift
    wait_leader
    "$@"
    sleep 1
    wait_for 10 "leader while $what" find_leader
    before=$LEADER term=$LEADER_TERM
    began=$(now_ms)
    while [ $(($(now_ms) - began)) -lt 2500 ]; do
        expect 0 ctl "$before" --timeout 5 put "during" "$n"
        n=$((n + 1))
        sleep 0.02
    done
    after=$(field "$before" term)
    [ "$after" = "$term" ] || MOVED=$((MOVED + 1))
    [ "$MOVED" -le 2 ] || fail "$what: term $term became $after without need, the third time"
    heal
    sleep 0.5
    wait_leader
    [ $((LEADER_TERM - term)) -le $((1 + MOVED)) ] || fail "$what: healed, and term $term became $LEADER_TERM"
    note "$what: leader $before of term $term stayed, $n puts; healed: leader $LEADER of term $LEADER_TERM"
}

others() { # of LEADER: sets A and B
    A=$(other_than "$LEADER")
    B=$(other_than "$LEADER" "$A")
}

first=$LEADER_TERM
others
holds "a follower does not hear the leader" cut_from "$LEADER" "$A"
others
holds "the leader does not hear a follower" cut_from "$A" "$LEADER"
others
holds "leader and a follower don't hear each other" cut_pair "$LEADER" "$A"
others
holds "the followers don't hear each other" cut_pair "$A" "$B"
others
holds "nobody hears a follower" eval "cut_from $A $LEADER; cut_from $A $B"
others
holds "a follower hears nobody" eval "cut_from $LEADER $A; cut_from $B $A"
others
holds "nobody hears the leader" eval "cut_from $LEADER $A; cut_from $LEADER $B"
others
holds "the leader hears nobody" eval "cut_from $A $LEADER; cut_from $B $LEADER"
history_stop
note "$OUT"
loss 0
same_keys
finish "terms $first to $LEADER_TERM"
