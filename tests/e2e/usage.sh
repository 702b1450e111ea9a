#!/bin/bash
# What people type at raftctl, and what status tells them: options anywhere, values that look like
# options, commands of other tools, help that fits a terminal, pipes that are non-blocking or empty, a
# full device, a socket that is not theirs.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120

cluster 3
start_all
wait_leader

# --- options stand anywhere, a value is a value ---
stored() { # VALUE, of key k
    expect 0 ctl 1 get k
    [ "$OUT" = "$1" ] || fail "k is '$OUT', not '$1'"
}
expect 0 ctl 1 put k one --timeout 9
stored one
expect 0 ctl 1 get --timeout 9 k
expect 0 ctl 1 get k --json
[[ "$OUT" == *'"value":"one"'* ]] || fail "no JSON: $OUT"
expect 0 ctl 1 --json get k --stale
[[ "$OUT" == *'"value":"one"'* ]] || fail "no JSON: $OUT"
expect 0 "$RAFTCTL" list k --keys -s "$WORK/node1.sock"
[ "$OUT" = k ] || fail "list k --keys: $OUT"
for value in -5 -- --json --help -s '' 'a b'; do
    expect 0 ctl 1 put k "$value"
    stored "$value"
done
expect 0 ctl 1 put -- -k dash
expect 0 ctl 1 get -- -k
[ "$OUT" = dash ] || fail "get -- -k: $OUT"
expect 2 ctl 1 get -k
expect 2 "$RAFTCTL" -s '' get k # an empty variable of a script, and not a daemon that is down
says 'has 1 to 107 bytes'
stored 'a b'
note "options anywhere; values are taken as they are"

# --- what is wrong, and how it is right ---
refused() { # PATTERN ARGUMENT...
    local pattern=$1
    shift
    expect 2 ctl 1 "$@"
    says "$pattern"
}
refused 'mean put' set k v
refused 'mean del' delete k
refused 'mean list' ls
refused 'help names' frobnicate
refused 'too many arguments; usage: raftctl put KEY VALUE' put k hello world
refused 'too few arguments; usage: raftctl put KEY VALUE' put k
refused 'too many arguments; usage: raftctl get .*KEY' get k k
refused '--keys is not for it; usage: raftctl get' get --keys k
refused 'exclude each other' get --raw --json k
refused 'too many arguments' keygen x
for seconds in 0x5 1e1 +5 ' 5' -5 inf nan 5s . '' 0 0.0001; do
    refused 'seconds, 0.001 to' get k --timeout "$seconds"
done
expect 0 ctl 1 get k --timeout 2.5
stored 'a b'

refused '^raftctl: error: member: too few arguments; raftctl member --help shows its usage$' member
refused '^raftctl: error: member: --json is not for it; raftctl member --help' member remove 1 --json
refused "lock's name, has at least one byte" lock '' -- true
refused "lock's name, has at least one byte" leader ''
refused "'' is no address; write" member set 1 address=
refused "'' is no address; write" member add 4 127.0.0.1:7104,
refused 'usage: raftctl get \[--stale\]' get --frob k
refused '^raftctl: error: wrong options; raftctl --help names them$' --frob get k
refused 'usage: raftctl expire ' expire k -1
refused 'usage: raftctl health' health --max-lag
refused 'no id of a node: 1 to 999' transfer 65535
expect 9 ctl 1 metrics --file "$WORK"
says 'cannot be written: something is there that is no file'
refused 'exec-timeout is nothing without --exec' events --exec-timeout 5

# --- help ---
mapfile -t commands < <("$RAFTCTL" --help | sed -n '/^commands:/,/^$/s/^  \([a-z][a-z-]*\).*/\1/p' | sort -u)
[ ${#commands[@]} -gt 30 ] || fail "commands of the help: ${commands[*]}"
for args in --help -h help "put -h" "help put" "help bench" "list x -h" "${commands[@]/%/ --help}"; do
    # shellcheck disable=SC2086 # words
    expect 0 ctl 1 $args
    [ -n "$OUT" ] || fail "$args prints nothing"
    long=$(awk 'length($0) > 80' <<<"$OUT")
    [ -z "$long" ] || fail "$args is wider than 80 columns: $long"
done
expect 0 "$RAFTD" --help
long=$(awk 'length($0) > 80' <<<"$OUT")
[ -z "$long" ] || fail "raftd --help is wider than 80 columns: $long"
long=$(make -s help | awk 'length($0) > 80')
[ -z "$long" ] || fail "make help is wider than 80 columns: $long"
expect 0 ctl 1 put --help
[[ "$OUT" == "usage: raftctl put KEY VALUE"* && "$OUT" != *list* ]] || fail "help of put: $OUT"
for args in --help --version "put --help" "get k" status "list --json"; do
    # shellcheck disable=SC2086 # words
    (ctl 1 $args >/dev/full 2>"$WORK/stderr") && fail "$args >/dev/full: exit 0"
    says 'standard output: No space'
done
note "help, hints and a full device"

# --- every line of status is explained ---
ctl 1 status >"$WORK/status"
sed -E 's/=.*//; s/^peer\.[0-9]+\.//; s/^(drop|link)\..*/\1/' "$WORK/status" | sort -u >"$WORK/fields"
[ "$(count "$WORK/fields")" -gt 40 ] || fail "status has few lines: $(cat "$WORK/fields")"
while read -r name; do
    grep -v '^\.\\"' raftd/raftctl.1 | sed -n '/^\.Sh STATUS/,/^\.Sh EXIT/p' | grep -qwF -- "$name" ||
        fail "raftctl(1) does not explain '$name' of status"
done <"$WORK/fields"

# --- standard input ---
expect 2 ctl 1 put k - </dev/null
says 'empty: nothing was done'
stored 'a b'
code=0
ctl 1 put k - <&- 2>"$WORK/stderr" || code=$?
[ "$code" = 2 ] || fail "closed standard input: exit $code"
stored 'a b'
printf '' | ctl 1 put k - 2>"$WORK/stderr" && fail "an empty pipe was stored"
stored 'a b'
printf 'x\n' | ctl 1 put k - || fail "put k -: exit $?"
stored x

# --- non-blocking pipes ---
if command -v perl >/dev/null; then
    expect 0 ctl 1 bench -c 64 -n 3000 -k 3000 -v 100
    cat >"$WORK/pipe.pl" <<'END'
use strict; use warnings; use Fcntl;
pipe(my $r, my $w) or die $!;
fcntl($w, F_SETFL, O_NONBLOCK) or die $!;
defined(my $pid = fork) or die $!;
if ($pid == 0) { close $r; open(STDOUT, ">&", $w) or die $!; exec @ARGV; }
close $w;
select(undef, undef, undef, 0.3);
my ($all, $n) = (0, 0);
$all += $n while ($n = sysread($r, my $buf, 65536));
waitpid($pid, 0);
printf "%d %d\n", $all, $? >> 8;
END
    for args in list "list --json"; do
        # shellcheck disable=SC2086 # words
        bytes=$(ctl 1 $args | wc -c)
        # shellcheck disable=SC2086
        expect 0 perl "$WORK/pipe.pl" "$RAFTCTL" -s "$WORK/node1.sock" $args
        [[ "$bytes" -gt 200000 && "$OUT" = "$bytes 0" ]] || fail "$args: $OUT instead of $bytes 0"
    done
    note "non-blocking pipes: whole lists"
fi

# --- a socket that is not ours ---
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    for dir in "$TOP" "$TOP/build" "$WORK"; do
        chmod -f o+x "$dir" || :
    done
    as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
    cp "$RAFTCTL" "$WORK/raftctl"
    if as_nobody "$WORK/raftctl" --version >"$WORK/out" 2>&1; then
        chmod 660 "$WORK/node1.sock"
        expect 3 as_nobody "$WORK/raftctl" -s "$WORK/node1.sock" get k
        says 'user 65534 may not use the daemon at .*the group root .mode 0660.*member'
        expect 3 as_nobody "$WORK/raftctl" -s "$WORK/node1.sock" bench -c 1 -n 1
        says 'may not use the daemon'
        chgrp 54321 "$WORK/node1.sock"
        expect 3 as_nobody "$WORK/raftctl" -s "$WORK/node1.sock" get k
        says 'is for the group 54321 .mode 0660'
    fi
fi

# --- every line of --check is explained ---
stop 1
expect 0 "$RAFTD" --check "$WORK/node1"
[ "$(count <<<"$OUT")" -gt 8 ] || fail "--check says little: $OUT"
while IFS='=' read -r name _; do
    name=${name/#member.[0-9]*/member.N}
    sed -n '/^\.It Fl Fl check/,/^\.It Fl h/p' raftd/raftd.8 | grep -qwF -- "$name" ||
        fail "raftd(8) does not explain '$name' of --check"
done <<<"$OUT"
finish "usage of raftctl"
