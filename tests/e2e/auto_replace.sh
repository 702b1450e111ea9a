#!/bin/bash
# With auto_replace_s a box with an empty disk is taken back without a word, when the old disk was silent for
# so long and all others are there; not before, and not while another one is away.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120
# shellcheck disable=SC2034 # of cluster.sh
KEYED=1
AFTER=15

cluster 3
sed -i "s/^name = .*/&\nauto_replace_s = $AFTER/" "$CONF"
start_all
wait_leader
for i in {1..20}; do expect 0 ctl 1 --timeout 10 put "key$i" "value$i"; done
wait_for 10 "first members in the log" member_is "$LEADER" 3 standing voter
lost=$(other_than "$LEADER")
other=$((6 - LEADER - lost))
key=$(member_has "$LEADER" "$lost" incarnation)
port=$(member_has "$LEADER" "$lost" address)
crash "$lost"
silent=$(now_ms)
mv "$WORK/node$lost" "$WORK/lost"
join "$lost" "${port##*:}"
wait_for 20 "node $lost told apart" member_is "$LEADER" "$lost" session other_disk
while [ $(($(now_ms) - silent)) -lt $((AFTER * 1000 - 1500)) ]; do
    [ "$(member_has "$LEADER" "$lost" incarnation)" = "$key" ] || fail "replaced after $(($(now_ms) - silent)) ms"
    sleep 0.5
done
pause "$other" # the leader steps down; there is nobody who could do it
sleep 4
resume "$other"
wait_leader
has_other_key() {
    local now
    now=$(member_has "$LEADER" "$lost" incarnation)
    [ -n "$now" ] && [ "$now" != - ] && [ "$now" != "$key" ]
}
wait_for 40 "another key of node $lost" has_other_key
wait_for 20 "node $lost as a voter again" member_is "$LEADER" "$lost" standing voter
grep -q "node $lost is another data directory from now on" "$WORK/node$LEADER.log" || fail "nothing was said"
crash "$other"
wait_leader
expect 0 ctl "$lost" --timeout 10 put counts yes # it is one of the two that are left
expect 0 ctl "$lost" get key20
finish "a new disk is taken in when the old one was silent for $AFTER s"
