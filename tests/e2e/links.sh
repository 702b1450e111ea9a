#!/bin/bash
# raftctl links: who hears whom, as a table, in words and as JSON, asked at every node: when all is well,
# with a link that carries one way, with a dead node, at 30 % loss; and what it says without a daemon.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
# shellcheck source=/dev/null
. "$TOP/tests/lib/netns.sh"
limit 180

# All in one line: {links:[{node:1,hears:2,state:heard,loss_percent:0},...],trouble:[]}
json() { ctl "$1" --timeout 2 links --json | tr -d ' "\n'; }

shows() { [[ "$(ctl "$1" --timeout 2 links)"$'\n' == *"$2"$'\n'* ]]; } # NODE TEXT, the end of a line

# Every node that is up must come to show that text.
all_show() { # SECONDS TEXT
    local i
    for i in $(up_nodes); do wait_for "$1" "'$2' at node $i" shows "$i" "$2"; done
}

has_row() { # NODE OF CELLS
    TABLE=$(ctl "$1" --timeout 2 links)
    [ "$(tr -s ' ' <<<"$TABLE" | grep -m 1 "^node $2 ")" = "node $2 $3" ]
}

# The table at node NODE comes to have this row of node OF, with single blanks.
row_is() { # NODE OF CELLS
    wait_for 20 "row '$3' of node $2 at node $1 in the table" has_row "$@"
}

# shellcheck disable=SC2053 # a pattern
json_is() { [[ "$(json "$1")" == $2 ]]; } # NODE PATTERN

json_becomes() { wait_for 20 "'$2' at node $1" json_is "$@"; }

cells() { # OF ELSE [WHOM CELL]: the row of node OF: that cell for WHOM, ELSE for all others
    local k row=''
    for k in 1 2 3; do
        if [ "$k" = "$1" ]; then
            row="$row ."
        elif [ "$k" = "${3-}" ]; then
            row="$row $4"
        else
            row="$row $2"
        fi
    done
    echo "${row# }"
}

hosts 3
cluster 3
start_all
wait_leader
all_show 20 "all nodes hear each other"
for i in 1 2 3; do
    expect 0 ctl "$i" links
    [[ "$OUT" == "   hears    1    2    3"$'\n'* ]] || fail "no table: $OUT"
    for k in 1 2 3; do row_is "$i" "$k" "$(cells "$k" ok)"; done
    json_becomes "$i" "*,trouble:\[\]}"
done
note "all well: table, words and JSON at every node"

wait_leader
a=$(other_than "$LEADER")
b=$(other_than "$LEADER" "$a")
cut_from "$a" "$b"
all_show 30 "node $b does not hear node $a"
for i in 1 2 3; do
    row_is "$i" "$b" "$(cells "$b" ok "$a" --)"
    row_is "$i" "$a" "$(cells "$a" ok)"
    json_becomes "$i" "*{node:$b,hears:$a,state:silent}*,trouble:\[node${b}doesnothearnode$a\]}"
    json_becomes "$i" "*{node:$a,hears:$b,state:heard,loss_percent:0}*"
done
[ "$(field "$b" "peer.$a.loss_in_permille")" = 1000 ] || fail "what is cut is not lost at node $b"
[ "$(field "$a" "peer.$b.loss_out_permille")" = 1000 ] || fail "what is cut is not lost at node $a"
heal
all_show 15 "all nodes hear each other" # and at once without loss
note "a link that carries one way: node $b does not hear node $a; healed"

# A box that stands still for a moment may change its leader at any time; what is cut must not do so each time.
for try in 1 2 3; do
    wait_leader
    led=$LEADER
    a=$(other_than "$led")
    b=$(other_than "$led" "$a")
    cut_from "$led" "$a"
    wait_leader
    [ "$LEADER" != "$led" ] || break
    [ "$try" -lt 3 ] || fail "node $a deposes a leader that only it does not hear"
    heal
    all_show 40 "all nodes hear each other"
done
all_show 9 "node $a does not hear node $led"
heal
all_show 40 "all nodes hear each other"
note "the same between leader and follower, within seconds"

crash "$b"
all_show 20 "nobody hears node $b: is it down, or cut off?"
for i in $(up_nodes); do
    row_is "$i" "$b" "$(cells "$b" '?')"
    row_is "$i" "$a" "$(cells "$a" ok "$b" --)"
    json_becomes "$i" "*{node:$b,hears:$a,state:unknown}*"
    [ "$(field "$i" "peer.$b.loss_in_permille" "peer.$b.loss_out_permille" | tr '\n' ' ')" = "1000 -1 " ] ||
        fail "node $i does not lose all of a dead node"
done
handshake() { [ "$(field "$1" "peer.$2.session")" = handshake ]; }
wait_for 10 "doubt about the session of a dead node" handshake "$led" "$b"
expect 3 ctl "$b" links
says "does not run|connect|no daemon"
[ -z "$OUT" ] || fail "a table without a daemon: $OUT"
expect 3 ctl "$b" links --json
note "a dead node is named, and its own daemon said not to run: $(head -c 100 "$WORK/stderr")"
start "$b"
all_show 20 "all nodes hear each other"

wait_leader
a=$(other_than "$LEADER")
b=$(other_than "$LEADER" "$a")
loss 300
percent() { # NODE OF WHOM
    json "$1" | sed -n "s/.*{node:$2,hears:$3,state:heard,loss_percent:\([0-9]*\)}.*/\1/p"
}
lossy() { # NODE OF WHOM
    local p
    p=$(percent "$@")
    [ "${p:-0}" -ge 15 ] && [ "$p" -le 45 ]
}
for i in 1 2 3; do
    wait_for 40 "loss of what node $a sends to the leader, at node $i" lossy "$i" "$LEADER" "$a"
    wait_for 40 "loss of what the leader sends to node $b, at node $i" lossy "$i" "$b" "$LEADER"
done
shows "$LEADER" " % of what node $a sends" || fail "no words about loss: $(ctl "$LEADER" links)"
expect 0 ctl "$a" links
note "$OUT"
finish "table, words and JSON agree with the links"
