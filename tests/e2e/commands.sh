#!/bin/bash
# What raftctl does with keys beside put, get and del: conditions, numbers, expiry, transactions, many keys at a
# time, bytes of all kinds; who leads, and waiting for it.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120

cluster 3
start_all
wait_leader
follower=$(other_than "$LEADER")

is() { # TEXT ARGUMENT...: what that prints
    local want=$1
    shift
    expect 0 ctl "$follower" --timeout 20 "$@"
    [ "$OUT" = "$want" ] || fail "$*: '$OUT' and not '$want'"
}
no() { # CODE PATTERN ARGUMENT...
    local code=$1 pattern=$2
    shift 2
    expect "$code" ctl "$follower" --timeout 20 "$@"
    says "$pattern"
}
meta() { # NAME KEY
    ctl 1 --timeout 20 get -m "$2" | sed -n "s/^$1=//p"
}

# --- conditions ---
is '' put a one --if-absent
no 12 'nothing was done' put a two --if-absent
no 12 'nothing was done' put a two --if-value three
is one get a
is '' put a two --if-value one
rev=$(meta modify_revision a)
expect 0 ctl "$follower" --timeout 20 put a three --if-rev "$rev" --json
[ "$OUT" = '{"revision":"'"$(meta modify_revision a)"'"}' ] || fail "put --json: $OUT"
no 12 'nothing was done' put a four --if-rev "$rev"
is three get a
no 12 'nothing was done' put none x --if-value ''
no 2 'one condition' put a x --if-absent --if-rev 1
no 2 'a revision is' put a x --if-rev one
[ "$(meta create_revision a)" -lt "$(meta modify_revision a)" ] || fail "revisions: $(ctl 1 get -m a)"
[ "$(meta value a)" = three ] || fail "value: $(ctl 1 get -m a)"
note "conditions"

# --- numbers ---
is 1 incr n
is 42 incr n 41
is -8 incr n -50
no 2 'whole number' incr n 1.5
no 12 'not an integer' incr a
is three get a
expect 0 ctl "$follower" --timeout 20 incr n -2 --json
[ "$OUT" = '{"value":"-10","revision":"'"$(meta modify_revision n)"'"}' ] || fail "incr --json: $OUT"
is -8 incr n 2 --timeout 20
no 2 'whole number' incr n two
note "numbers"

# --- expiry ---
is never ttl a
no 1 'no such key' ttl none
no 1 'no such key' expire none 5
no 2 'seconds' expire a soon
is '' put other x
expect 0 ctl 1 --timeout 20 expire --json other 900
[ "$OUT" = '{"revision":"'"$(meta modify_revision other)"'"}' ] || fail "expire --json: $OUT"
expect 0 ctl 1 --timeout 20 del other --json
[[ $OUT =~ ^\{\"revision\":\"[0-9]+\"\}$ ]] || fail "del --json: $OUT"
no 1 'no such key' del other --json
is '{"keys":0}' del --json --prefix other
is '' put short lived
is '' expire short 1.5
is '' put long lived
is '' expire long 1000
start=$(now_ms)
expect 0 ctl 1 ttl --json long
[[ $OUT =~ ^\{\"key\":\"long\",.*\"ttl_ms\":\"(9[0-9]{5}|1000000)\"\}$ ]] || fail "ttl --json: $OUT"
expect 0 ctl 1 ttl long
[[ $OUT == 9[0-9][0-9].[0-9][0-9][0-9] || $OUT == 1000.000 ]] || fail "ttl: $OUT"
is lived get short
gone() { ! ctl "$follower" get short >/dev/null 2>&1; }
wait_for 20 "end of what expires" gone
[ $(($(now_ms) - start)) -ge 1000 ] || fail "it expired early"
no 1 'no such key' get short
is '' expire long never
is never ttl long
[[ $(ctl 1 ttl --json long) != *ttl_ms* ]] || fail "ttl --json of what stays: $(ctl 1 ttl --json long)"
note "expiry"

# --- transactions ---
txn() { # CODE LINE...
    local code=$1
    shift
    printf '%s\n' "$@" >"$WORK/lines"
    expect "$code" ctl "$follower" --timeout 20 txn <"$WORK/lines"
}
txn 0 '# all of it' '' 'if absent q' 'if value a three' 'if present n' 'put q hello  world \x41' 'get q' \
    'incr n 10' 'get none' 'del a' 'expire q 900'
[ "$(grep -v revision <<<"$OUT")" = 'q=hello  world A
n=2' ] || fail "txn: $OUT"
[ "$(sed -n 's/^revision=//p' <<<"$OUT")" = "$(meta modify_revision q)" ] || fail "revision: $OUT"
no 1 'no such key' get a
is 2 get n
txn 0 'put s x' 'expire s 500' 'get s' 'put s y' 'expire s never' 'get s' 'put s z' 'expire s 400' 'incr n 0'
[ "$(grep -v revision <<<"$OUT")" = 's=x
s=y
n=2' ] || fail "txn: $OUT"
ttl=$(ctl 1 ttl s)
[[ "${ttl%.*}" -le 400 && "${ttl%.*}" -gt 300 ]] || fail "ttl of what was put with a time: $ttl"
txn 12 'if present n' 'if absent q' 'del n'
says 'line 2: .*nothing was done'
is 2 get n
txn 12 'put r x' 'incr q'
says 'not an integer'
no 1 'no such key' get r
txn 2 'put r x' 'if absent q'
says 'line 2: conditions'
txn 2 'put r'
says 'line 1: too few'
txn 2 'del r r'
says 'line 1: too many'
txn 2 'put r \q'
says 'line 1: a backslash'
txn 2 'drop r'
says "line 1: .*'drop' .*help shows"
txn 2 'if here r'
says "line 1: .*'if here'"
txn 2 'if absent r'
says 'nothing to do'
txn 2 "$(printf 'put many/%s x\n' {1..400})"
says 'takes no more'
no 1 'no such key' get many/1
printf 'get q\nget none\nincr n\n' | ctl 1 txn --json >"$WORK/json" || fail "txn --json: exit $?"
tr -d ' \n' <"$WORK/json" |
    grep -qF '"told":[{"key":"q","value":"helloworldA"},{"key":"none"},{"key":"n","value":"3"}]' ||
    fail "txn --json: $(cat "$WORK/json")"
note "transactions"

# --- many keys, lists ---
for ((n = 0; n < 300; n += 60)); do
    txn 0 "$(for ((k = n; k < n + 60; k++)); do printf 'put many/%04d %d\n' "$k" "$k"; done)"
done
is many/0299 list --keys many/0299
is 299 list --values many/0299
expect 0 ctl 1 list --long many/0000
[[ $OUT =~ ^[0-9]+\ [0-9]+\ -1\ many/0000=0$ ]] || fail "list --long: $OUT"
is keys=100 del --prefix many/00
is keys=200 del --prefix many/
is keys=0 del --prefix many/
no 2 'would delete all' del --prefix ''
no 2 'exclude' list --keys --values
is 3 get n
note "many keys"

# --- bytes of all kinds ---
is '' --escaped put 'k\x00\x5c\xff' 'v\x0a\xfe'
is 'k\x00\x5c\xff=v\x0a\xfe' list k
ctl "$follower" get --raw --escaped 'k\x00\x5c\xff' | cmp - <(printf 'v\n\376') || fail "not the bytes that were put"
is '{"key_base64":"awBc/w==","value_base64":"dgr+","create_revision":"'"$(ctl 1 list --long k | cut -d ' ' -f 1)"'","modify_revision":"'"$(ctl 1 list --long k | cut -d ' ' -f 2)"'"}' \
    get --json --escaped 'k\x00\x5c\xff'
txn 0 'put t\x00 \x00'
is '\x00' list --values t
is keys=1 del --prefix --escaped 'k\x00'
no 2 'a backslash' get --escaped 'k\0'
note "bytes"

# --- who leads ---
expect 0 ctl "$LEADER" is-leader
expect 1 ctl "$follower" is-leader
is "leader=$LEADER" wait leader
is '' wait caught-up
no 1 'time is over' --timeout 0.3 wait longer
token=$(printf '%032d-1' 0)
no 1 'no copy' outcome "$token"
[ "$(ctl 1 outcome --json "$token" 2>/dev/null)" = '{"outcome":"none","revision":"0"}' ] || fail "outcome --json"
for i in 1 2 3; do [ "$i" = "$LEADER" ] || stop "$i"; done
expect 3 ctl "$follower" is-leader
begun=$(now_ms)
expect 4 ctl "$LEADER" --timeout 1.5 wait caught-up
[ $(($(now_ms) - begun)) -ge 1400 ] || fail "wait ended early"
leads_no_more() { ! ctl "$LEADER" is-leader; }
wait_for 20 "an end of its lead" leads_no_more
ctl "$LEADER" --timeout 30 wait leader >"$WORK/led" &
waiter=$!
HELPERS+=("$waiter")
start "$follower"
wait "$waiter" || fail "wait leader: exit $?"
grep -qE '^leader=[1-3]$' "$WORK/led" || fail "wait leader: $(cat "$WORK/led")"
expect 0 ctl "$follower" --timeout 30 wait caught-up
expect 0 ctl "$follower" get --stale n
[ "$OUT" = 3 ] || fail "after wait caught-up n is '$OUT'"
finish "conditions, numbers, expiry, transactions, many keys, any bytes, is-leader, wait"
