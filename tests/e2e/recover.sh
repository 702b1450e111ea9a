#!/bin/bash
# Two of three boxes are lost for good: the one that is left goes on alone, the lost ones are refused when they
# come back all the same, and new boxes make it three again.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 180
# shellcheck disable=SC2034 # of cluster.sh
KEYED=1

recover() { "$RAFTD" --recover -c "$CONF" "$@"; }

is() { member_is "$1" "$2" standing "$3"; } # NODE ID STANDING

cluster 3
start_all
wait_leader
for i in {1..20}; do expect 0 ctl 1 put "key$i" "value$i"; done
wait_for 10 "first members in the log" is 1 3 voter
expect 3 recover -i 1
says "is in use by another process"
crash 3
expect 0 ctl 1 --timeout 10 put last yes # node 3 does not have it
crash 2
stop 1

# --- who has what ---------------------------------------------------------------------------------
before=$(find "$WORK/node1" -type f -exec cksum {} + | sort)
expect 0 "$RAFTD" --check "$WORK/node2" --json
printf '%s\n' "$OUT" >"$WORK/report"
expect 0 recover -i 1 "$WORK/report" "$WORK/node3"
says "nothing was changed"
[ "$(grep -c '^node=' <<<"$OUT")" = 3 ] || fail "not three of them: $OUT"
grep -q '^member.2=voter ' <<<"$OUT" || fail "it does not say who was a member: $OUT"
grep -Eq '^best=[12]$' <<<"$OUT" || fail "node 3 has less: $OUT"
expect 3 recover -i 3 --yes "$NAME" "$WORK/report"
says "node 2 has more than this one: recover that one"
expect 2 recover -i 1 --yes another
says "the cluster of this configuration is $NAME"
expect 2 recover -i 1 "$CONF"
says "no data directory, nor what raftd --check printed"
[ "$before" = "$(find "$WORK/node1" -type f -exec cksum {} + | sort)" ] || fail "something was changed"

# --- alone ----------------------------------------------------------------------------------------
expect 0 recover -i 1 --yes "$NAME"
says "node 1 is the only member of cluster $NAME now"
start 1
expect 0 ctl 1 --timeout 10 put alone yes
expect 0 ctl 1 get last
[ "$OUT" = yes ] || fail "node 1 reads '$OUT'"
expect 0 ctl 1 get key20

# --- the lost ones come back ----------------------------------------------------------------------
launch 2
launch 3
for id in 2 3; do
    wait_for 30 "word of node $id" grep -q 'node 1 .* is of another cluster, which was recovered' "$WORK/node$id.log"
done
sleep 1
expect 0 ctl 1 put still yes
expect 1 ctl 2 get --stale still
[ "$(members_have 1 standing | grep -c voter)" = 1 ] || fail "node 1 has taken one in"
stop 2
stop 3

# --- three again ----------------------------------------------------------------------------------
for id in 2 3; do
    mv "$WORK/node$id" "$WORK/node$id.burnt"
    expect 0 "$RAFTD" --init --join -c "$CONF" -i "$id"
    start "$id"
    expect 0 ctl 1 --timeout 10 member add "$id" "$(node_addr "$id")"
    wait_for 30 "node $id as a voter" is 1 "$id" voter
done
stop 1
expect 0 recover -i 1 "$WORK/report"
says "report is of another cluster of this name"
expect 0 ctl 3 --timeout 10 put three yes
expect 0 ctl 2 get last
[ "$OUT" = yes ] || fail "node 2 reads '$OUT'"
finish "one of three went on alone, and made it three again"
