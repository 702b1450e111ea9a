#!/bin/bash
# raftctl events --exec: scripts are told one at a time and in order, and again if they want so; the last word is
# always told; a script that others could change is not run.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 90

umask 022
cluster 1
start 1
wait_leader
runner() { # PATH OPTION... in the background: RUNNER
    "$RAFTCTL" -s "$WORK/node1.sock" events --exec "$@" 9<"$CONF" >>"$WORK/out" 2>>"$WORK/err" &
    RUNNER=$!
    HELPERS+=("$RUNNER")
}
told() { grep -q "$1" "$WORK/told" 2>/dev/null; }
said() { grep -q "$1" "$WORK/err"; }
leads_again() { sed '1,/^restarted/d' "$WORK/told" | grep -q '^leader-gained'; }
is_over() { ! kill -0 "$1" 2>/dev/null; }
is_down() { ! ctl 1 status >/dev/null 2>&1; }
script() { # FILE, its lines from standard input
    { echo '#!/bin/sh' && sed "s|@|$WORK|g"; } >"$1"
    chmod 755 "$1"
}

# --- what a script gets ---
script "$WORK/env" <<'END'
[ -e @/seqs ] || {
    env | cut -d = -f 1 | sort | tr '\n' ' ' >@/names
    ls /proc/$$/fd >@/descriptors
    readlink /proc/$$/fd/0 >@/input
}
echo $RAFTD_SEQ $RAFTD_TERM $(cut -d ' ' -f 5 /proc/$$/stat) $$ >>@/seqs
echo "$RAFTD_EVENT $RAFTD_ROLE $RAFTD_LEADER $RAFTD_NODE $RAFTD_STATE" >>@/told
END
code=0
"$RAFTCTL" -s "$WORK/node1.sock" events --exec "$WORK/env" --exec-timeout 0 2>"$WORK/stderr" || code=$?
[ "$code" = 2 ] || fail "a timeout of 0: exit $code"
runner "$WORK/env"
wait_for 5 "word of who leads" told '^leader-gained leader 1 0 1$'
crash 1
wait_for 5 "word of the end" told '^daemon-gone unknown 0 0 0$'
start 1
wait_for 10 "word of the restart" told '^restarted'
wait_for 10 "word of who leads, again" leads_again
kill -TERM "$RUNNER"
wait "$RUNNER" || fail "at SIGTERM: exit $?"
[[ $(cat "$WORK/names") == 'PATH PWD RAFTD_EVENT RAFTD_LEADER RAFTD_NODE RAFTD_ROLE RAFTD_SEQ RAFTD_STATE RAFTD_TERM RAFTD_WHY ' ]] ||
    fail "other variables: $(cat "$WORK/names")"
mv "$WORK/descriptors" "$WORK/got"
mv "$WORK/seqs" "$WORK/order"
"$WORK/env" 9<"$CONF"
cmp "$WORK/got" "$WORK/descriptors" || fail "other descriptors: $(paste -sd ' ' "$WORK/got")"
[ "$(cat "$WORK/input")" = /dev/null ] || fail "standard input is $(cat "$WORK/input")"
awk '$1 < last || $3 != $4 { exit 1 } { last = $1 }' "$WORK/order" || fail "order or group: $(cat "$WORK/order")"
note "a script's environment, descriptors and order, over a restart of the daemon"

# --- a directory; what is run again, given up, refused, and ended ---
mkdir "$WORK/events.d"
deaf=
[ "${LONG:-0}" = 0 ] || deaf="trap '' TERM;" # it is killed five seconds later
# shellcheck disable=SC2016 # for the scripts
{
    script "$WORK/events.d/10-again" <<<'echo "$RAFTD_EVENT" >>@/again; [ "$RAFTD_EVENT" != leader-gained ] || [ "$(grep -c leader-gained @/again)" -ge 3 ]'
    script "$WORK/events.d/20-gives-up" <<<'[ "$RAFTD_EVENT" != leader-gained ] || exit 5'
    script "$WORK/events.d/30-hangs" <<<"[ \$RAFTD_EVENT != leader-gained ] || { $deaf sh -c \"trap '' TERM; exec sleep 1000\" & echo \$! >@/hangs; wait; }"
    script "$WORK/events.d/40-open" <<<'echo open >>@/told'
    script "$WORK/events.d/50-last" <<<'echo "last $RAFTD_EVENT" >>@/told'
    script "$WORK/events.d/60-not.this" <<<'echo not.this >>@/told'
    script "$WORK/events.d/70-nor-this" <<<'echo nor-this >>@/told'
}
chmod 775 "$WORK/events.d/40-open"
chmod 644 "$WORK/events.d/70-nor-this"
: >"$WORK/told"
: >"$WORK/err"
runner "$WORK/events.d" --exec-timeout 0.3
wait_for 20 "end of a script that hangs" said '30-hangs is not told of event .*leader-gained.*too long'
wait_for 5 "word to the last script" told '^last leader-gained$'
[ "$(grep -c leader-gained "$WORK/again")" = 3 ] || fail "tried $(grep -c leader-gained "$WORK/again") times, not 3"
said '20-gives-up is not told of event .*exit code 5' || fail "nothing is said of exit code 5"
said '40-open is not told of event .*others may write it' || fail "nothing is said of a script that others may write"
! told 'open\|not.this\|nor-this' || fail "run: $(cat "$WORK/told")"
wait_for 5 "end of what the script had started" is_over "$(cat "$WORK/hangs")"
kill -TERM "$RUNNER"
wait "$RUNNER" || fail "at SIGTERM: exit $?"
chmod 777 "$WORK/events.d"
expect 2 ctl 1 events --exec "$WORK/events.d"
says 'events.d: others may write'
note "a directory: again, given up, ended, refused"

# --- what was overtaken ---
script "$WORK/fails" <<'END'
[ -e @/first ] || echo "$RAFTD_SEQ" >@/first
echo "$RAFTD_EVENT" >>@/told
[ "$RAFTD_SEQ" != "$(cat @/first)" ]
END
: >"$WORK/told"
: >"$WORK/err"
runner "$WORK/fails"
wait_for 5 "first event" test -s "$WORK/first"
first=$(cat "$WORK/told")
crash 1
wait_for 5 "end" is_down
sleep 0.5 # as raftctl needs to see that
start 1
wait_for 6 "last word" leads_again
kill -TERM "$RUNNER"
wait "$RUNNER" || fail "at SIGTERM: exit $?"
[ "$(grep -c "$first" "$WORK/told")" -lt 8 ] || fail "overtaken, and tried again: $(cat "$WORK/told")"
! said 'too often' || fail "overtaken, and tried to the end: $(cat "$WORK/told")"
finish "scripts for events: one at a time, in order, and the last word"
