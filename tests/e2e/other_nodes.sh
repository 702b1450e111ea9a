#!/bin/bash
# Majorities are counted among the members in the log. A configuration file with other nodes is told of, and
# counts for nothing; before there are any, that is before the first start, it is refused, and nothing is
# touched. Another name is refused at any time.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120

sums() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum); }

# refused PATTERN FILE NODE: must end by itself, with exit 3, and change nothing.
refused() {
    sums "$WORK/node$3" >"$WORK/before"
    expect 3 timeout -k 5 20 "$RAFTD" -c "$2" -i "$3"
    says "$1"
    note "refused: $(tail -n 1 "$WORK/stderr")"
    sums "$WORK/node$3" >"$WORK/after"
    cmp "$WORK/before" "$WORK/after" || fail "a refused start changed something"
}

list() { # FILE LINE...: the configuration with these lines as its nodes
    local file=$1
    shift
    {
        printf '[cluster]\nname = %s\n' "$NAME"
        printf '%s\n' "$@"
        printf '[node]\ndata_dir = %s/node{id}\nsocket = %s/node{id}.sock\n' "$WORK" "$WORK"
    } >"$WORK/$file"
}
at() { echo "127.0.0.1:$((BASE_PORT + $1))"; }

# starts NODE FILE PATTERN: starts with that file, says so, and goes on with the members that it has.
starts() {
    local own=$CONF
    CONF=$2
    start "$1"
    CONF=$own
    wait_for 20 "warning of node $1" grep -qE "$3" "$WORK/node$1.log"
}

# --- one node and a list of three: refused before the first start, then one that does not count ---
cluster 1
free_ports 9
conf_write "$CONF" "$NAME" 1 ""
list three.conf "node.1 = $(at 0)" "node.2 = $(at 1)" "node.3 = $(at 2)"
refused 'nodes 1; new in the configuration: 2, 3, missing there: none.*Put the list back' "$WORK/three.conf" 1
start 1
for i in 1 2 3; do expect 0 ctl 1 --timeout 10 put "k$i" "kept"; done
stop 1
starts 1 "$WORK/three.conf" 'names node 2, which is no member'
for i in 1 2 3; do expect 0 ctl 1 --timeout 10 get "k$i"; done
expect 0 ctl 1 --timeout 10 put alone "still"
stop 1

# --- three: five, two, another id, another one under an old id's address ---
cluster 3
list five.conf "node.1 = $(at 0)" "node.2 = $(at 1)" "node.3 = $(at 2)" "node.4 = $(at 3)" "node.5 = $(at 4)"
list two.conf "node.1 = $(at 0)" "node.2 = $(at 1)"
list other.conf "node.1 = $(at 0)" "node.2 = $(at 1)" "node.4 = $(at 2)"
sed 's/^name = .*/name = renamed/' "$CONF" >"$WORK/renamed.conf"
for i in 1 2; do
    refused 'nodes 1, 2, 3; new in the configuration: 4, 5, missing there: none' "$WORK/five.conf" "$i"
    refused 'new in the configuration: none, missing there: 3' "$WORK/two.conf" "$i"
    refused 'new in the configuration: 4, missing there: 3' "$WORK/other.conf" "$i"
done
start_all
wait_leader
expect 0 ctl 2 --timeout 10 put before "all of it"
for i in 1 2 3; do expect 0 ctl "$i" --timeout 10 get before; done # all have the members
for i in 1 2; do
    stop "$i"
    refused "cluster named $NAME, .*names it renamed" "$WORK/renamed.conf" "$i"
    starts "$i" "$WORK/two.conf" 'node 3 is a member, though the configuration file does not name it'
    stop "$i"
    start "$i"
    expect 0 ctl "$i" --timeout 20 get before
done
expect 0 "$RAFTD" -n -c "$WORK/five.conf" -i 1 # the file alone is fine
stop 3
expect 0 "$RAFTD" --check "$WORK/node3"
[ "$(grep -cE "^(nodes=1,2,3|cluster=$NAME)\$" <<<"$OUT")" = 2 ] || fail "--check: $OUT"
start 3
same_keys

# --- a node that seals among nodes that do not: all sides say so ---
stop 3
key_make "$WORK/key"
plain=$CONF
CONF=$WORK/sealed.conf
{ cat "$plain" && echo "key_file = $WORK/key"; } >"$CONF"
start 3
CONF=$plain
for i in 1 2; do
    wait_for 30 "message about node 3 at node $i" grep -q 'node 3 .* seals its datagrams' "$WORK/node$i.log"
    wait_for 30 "message about node $i at node 3" grep -q "node $i .* speaks in plain text" "$WORK/node3.log"
done
for i in 1 3; do
    expect 0 ctl "$i" links
    [[ "$OUT" == *"compare key_file"* && "$OUT" != *"version"* ]] || fail "links of node $i: $OUT"
done
! grep -h 'another version' "$WORK"/node?.log || fail "taken for another version"
finish "another list of nodes counts for nothing"
