#!/bin/bash
# The examples of raftd.conf(5), raftd(8) and README.md work as they are printed; only the directories and ports are
# ours, and raftd's own directories do not exist. Those of raftd-recipes(7): recipes.sh.
# shellcheck source=/dev/null disable=SC2034,SC2004 # arrays of cluster.sh
. "$(dirname "$0")/../lib/cluster.sh"
limit 60

example() { # FILE PATTERN: the lines between .Bd and .Ed after that text
    awk -v text="$2" 'on == 2 && /^\.Ed/ { exit } on == 2 { print }
        $0 ~ text { on = 1 } on == 1 && /^\.Bd/ { on = 2 }' "$1"
}
mkdir -p "$WORK/bin" "$WORK/run" "$WORK/var/lib"
ln -s "$(realpath "$RAFTD")" "$WORK/bin/raftd"
ln -s "$(realpath "$RAFTCTL")" "$WORK/bin/raftctl"
free_ports 3
example raftd/raftd.conf.5 '^Three nodes on one machine' | sed "s|/var/lib|$WORK/var/lib|; s|/run/|$WORK/run/|
    s|:7101|:$BASE_PORT|; s|:7102|:$((BASE_PORT + 1))|; s|:7103|:$((BASE_PORT + 2))|" >"$WORK/three.conf"
grep -q '^node\.3' "$WORK/three.conf" || fail "no example in raftd.conf(5)"
# The jobs of a shell of its own: it tells us their numbers when it ends.
echo "trap 'jobs -p >pids' EXIT" >"$WORK/example.sh"
example raftd/raftd.8 '^Three nodes on one machine' >>"$WORK/example.sh"
grep -q '^raftctl .*put' "$WORK/example.sh" || fail "no example in raftd(8)"
code=0
(cd "$WORK" && PATH=$PWD/bin:$PATH bash -e example.sh >node.log 2>&1) || code=$?
mapfile -t HELPERS <"$WORK/pids"
[ "$code" = 0 ] || fail "exit $code: $(cat "$WORK/node.log")"
[ "${#HELPERS[@]}" = 3 ] || fail "${#HELPERS[@]} nodes"
expect 0 "$RAFTCTL" -c "$WORK/three.conf" -i 3 --timeout 10 get colour
[ "$OUT" = green ] || fail "colour is '$OUT'"
key_make "$WORK/key"
boxes() { # what standard input configures is right
    sed "s|^key_file = .*|key_file = $WORK/key|" >"$WORK/boxes.conf"
    grep -q '^node\.3' "$WORK/boxes.conf" || fail "no three boxes in $1"
    expect 0 "$RAFTD" -n -c "$WORK/boxes.conf" -i 1
}
example raftd/raftd.conf.5 '^Three boxes' | boxes 'raftd.conf(5)'
sed -n '/^    \[cluster\]/,/^$/s/^    //p' README.md | boxes README.md
finish "the examples of the manuals work"
