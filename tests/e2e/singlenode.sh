#!/bin/bash
# A cluster of one: every command once, and all of it again after kill -9.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 60

cluster 1
start_all
wait_leader
expect 0 ctl 1 put name "first"
expect 0 ctl 1 put name "second value"
expect 0 ctl 1 get name
[ "$OUT" = "second value" ] || fail "get: '$OUT'"
expect 0 ctl 1 get --stale name
[ "$OUT" = "second value" ] || fail "get --stale: '$OUT'"
expect 1 ctl 1 get nothing
expect 1 ctl 1 del nothing
expect 0 ctl 1 put empty ""
expect 0 ctl 1 get empty
[ -z "$OUT" ] || fail "empty value: '$OUT'"
printf 'two\nlines' >"$WORK/in"
expect 0 ctl 1 put lines - <"$WORK/in"
expect 0 ctl 1 get lines
[ "$OUT" = "$(cat "$WORK/in")" ] || fail "get lines: '$OUT'"
for i in {1..20}; do expect 0 ctl 1 put "dir/$i" "v$i"; done
expect 0 ctl 1 del dir/7
expect 1 ctl 1 get dir/7
expect 0 ctl 1 list --keys dir/
[ "$(wc -l <<<"$OUT")" = 19 ] || fail "list dir/: $(wc -l <<<"$OUT") keys instead of 19"
[ "$(sort -c <<<"$OUT" 2>&1 | wc -l)" = 0 ] || LC_ALL=C sort -c <<<"$OUT" || fail "list is not sorted"
expect 0 ctl 1 list --keys nowhere/
[ -z "$OUT" ] || fail "list of an unknown prefix: '$OUT'"
expect 0 ctl 1 status --json
[[ $OUT == '{'*'"role"'*'}' ]] || fail "status --json: $OUT"
expect 0 "$RAFTCTL" -c "$CONF" -i 1 get name
same_keys
cp "$WORK/keys" "$WORK/keys.before"

for round in 1 2 3; do
    crash 1
    start 1
    wait_leader
    same_keys
    cmp "$WORK/keys.before" "$WORK/keys" || fail "other keys after kill -9, round $round"
    expect 0 ctl 1 --timeout 20 put again "$round"
    expect 0 ctl 1 --timeout 20 del again
done
# SIGTERM is a clean stop: the socket is gone or refuses, and a start finds all again.
stop 1
expect 3 ctl 1 get name
start 1
wait_leader
same_keys
cmp "$WORK/keys.before" "$WORK/keys" || fail "other keys after SIGTERM"
finish "all commands, kill -9 three times, SIGTERM"
