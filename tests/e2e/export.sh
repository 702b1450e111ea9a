#!/bin/bash
# What one cluster exports another one imports: all keys and values, of any bytes.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120

cluster 1 'max_value_bytes = 1048576'
start_all
wait_leader
expect 0 ctl 1 export
[ -z "$OUT" ] || fail "an export of nothing: '$OUT'"
expect 0 ctl 1 put text 'a "quoted" \ line'
expect 0 ctl 1 put empty ''
expect 0 ctl 1 put 'ключ' 'значение'
expect 0 ctl 1 put $'\xff\xfe' $'\x01\xff'
for n in 1 2 3; do # more than a page
    head -c 600000 /dev/urandom >"$WORK/large"
    expect 0 ctl 1 put "large/$n" - <"$WORK/large"
done
printf 'a\0b\nc' >"$WORK/in"
expect 0 ctl 1 put zeros - <"$WORK/in"
ctl 1 export >"$WORK/all" || fail "export: exit $?"
[ "$(wc -l <"$WORK/all")" = 8 ] || fail "export: $(wc -l <"$WORK/all") lines"
expect 0 ctl 1 export large/
[ "$(wc -l <<<"$OUT")" = 3 ] || fail "export large/: $(wc -l <<<"$OUT") lines"

# The same keys and values come back, with revisions of their own.
plain() { sed 's/,"create_revision.*//'; }
ctl 1 list --keys >"$WORK/keys"
for key in text empty zeros large/1 large/2 large/3 'ключ' $'\xff\xfe'; do expect 0 ctl 1 del "$key"; done
expect 0 ctl 1 export
[ -z "$OUT" ] || fail "not all keys are deleted: '$OUT'"
expect 0 ctl 1 import <"$WORK/all"
[ "$OUT" = keys=8 ] || fail "import: '$OUT'"
ctl 1 export >"$WORK/again" || fail "export: exit $?"
cmp <(plain <"$WORK/all") <(plain <"$WORK/again") || fail "other keys or values came back"
[ "$(ctl 1 get --raw zeros | cmp - "$WORK/in" 2>&1)" = '' ] || fail "zeros came back as something else"

expect 2 ctl 1 import </dev/null
expect 2 ctl 1 import <<<'{"key":"new","value":"x"}
not JSON
{"key":"never","value":"x"}'
[ "$OUT" = keys=1 ] || fail "import with a wrong line: '$OUT'"
expect 0 ctl 1 get new
expect 1 ctl 1 get never
stop 1
expect 3 ctl 1 import <"$WORK/all"
start 1
wait_leader
finish "what was exported came back"
