#!/bin/bash
# Sealed datagrams between three hosts: sessions are made, made again after restarts of either side,
# and nothing that is said can be read on the wire. Without a key, or with one that others may read,
# a node with such addresses does not start; on loopback it does.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
# shellcheck source=/dev/null
. "$TOP/tests/lib/netns.sh"
limit 120
command -v perl >/dev/null || skip "no perl"

MARK=this-must-not-be-read
hosts 3
cluster 3

# What would be plain text is refused, with the way out in the message.
grep -v '^key_file' "$CONF" >"$WORK/plain.conf"
expect 2 "$RAFTD" -n -c "$WORK/plain.conf" -i 1
says 'keygen'
refused() { # PATTERN: by a start, and by -n where it is known which node this is
    expect 2 "$RAFTD" -c "$CONF" -i 1
    says "$1"
    expect 2 "$RAFTD" -n -c "$CONF" -i 1
    says "$1"
    expect 2 on 1 "$RAFTD" -n -c "$CONF"
    says "$1"
    expect 0 "$RAFTD" -n -c "$CONF"
    says 'not looked at'
}
expect 0 "$RAFTD" -n -c "$CONF" -i 1
chmod 644 "$WORK/key.1"
refused 'chmod|0600'
chmod 600 "$WORK/key.1"
mv "$WORK/key.1" "$WORK/key.away"
refused 'key\.1'
mv "$WORK/key.away" "$WORK/key.1"
# A reload would refuse a broken next key. Root asks for the user who will run raftd.
install -m 600 /dev/null "$WORK/key.1.next"
expect 2 "$RAFTD" -n -c "$CONF" -i 1
says 'key\.1\.next: it holds no key'
cp -p "$WORK/key" "$WORK/key.1.next"
expect 0 "$RAFTD" -n -c "$CONF" -i 1
says 'key\.1 can be read by root alone'
chown 0:12345 "$WORK/key.1" "$WORK/key.1.next" # lent to a group
chmod 440 "$WORK/key.1" "$WORK/key.1.next"
expect 0 "$RAFTD" -n -c "$CONF" -i 1
[ ! -s "$WORK/stderr" ] || fail "-n says $(cat "$WORK/stderr")"
expect 2 on 1 "$RAFTD" -c "$CONF" -i 1 # root's own it is not
says 'others may read'
chgrp 0 "$WORK/key.1" "$WORK/key.1.next"
chmod 600 "$WORK/key.1" "$WORK/key.1.next"
if setpriv --reuid 12345 test -x "$WORK"; then # the way there is open to all
    chown 12345 "$WORK/key.1" "$WORK/key.1.next"
    expect 0 "$RAFTD" -n -c "$CONF" -i 1
    chown 0 "$WORK/key.1.next"
    expect 2 "$RAFTD" -n -c "$CONF" -i 1
    says 'key\.1\.next: cannot open.*chown 12345'
    chown 0 "$WORK/key.1"
fi
rm "$WORK/key.1.next"
"$RAFTCTL" keygen >"$WORK/open"
[ "$(stat -c %a "$WORK/open")" = 600 ] || fail "keygen made a file that others can read"
if command -v strace >/dev/null; then # a new key is on the disk before anybody relies on it
    keygen() { ASAN_OPTIONS=detect_leaks=0 strace -o "$WORK/strace" "$@" "$RAFTCTL" keygen >"$WORK/new"; }
    expect 0 keygen -e trace=write,fsync
    grep -A 1 '^write(1' "$WORK/strace" | grep -q '^fsync(1) *= 0' || fail "keygen does not sync its file"
    expect 9 keygen -e inject=fsync:error=EIO
    says 'standard output: Input/output error'
fi

# Counts the frames on host 2 that have the mark in them, until it is told that it is over.
cat >"$WORK/sniff.pl" <<'END'
use strict;
use Socket;
my ($mark, $over) = @ARGV;
socket(my $s, 17, SOCK_RAW, 0x0300) or die "socket: $!"; # AF_PACKET, ETH_P_ALL in network order
$| = 1;
print "ready\n";
my ($frames, $marked) = (0, 0);
while (defined recv($s, my $frame, 65536, 0)) {
    last if index($frame, $over) >= 0;
    $frames++;
    $marked++ if index($frame, $mark) >= 0;
}
print "frames=$frames marked=$marked\n";
END
sniff_start() {
    : >"$WORK/sniffed"
    ${ON[2]} perl "$WORK/sniff.pl" "$MARK" "sniffing is over" >"$WORK/sniffed" 2>&1 &
    SNIFFER=$!
    HELPERS+=("$SNIFFER")
    wait_for 10 "sniffer" grep -q ready "$WORK/sniffed"
}
sniff_end() {
    on 1 bash -c 'echo "sniffing is over" >/dev/udp/10.77.0.2/9'
    wait_for 10 "end of the sniffer" grep -q frames "$WORK/sniffed"
    OUT=$(tail -n 1 "$WORK/sniffed")
}

sessions_up() { # on all nodes that are up, with all nodes that are up
    local i j
    for i in $(up_nodes); do
        for j in $(up_nodes); do
            [ "$i" = "$j" ] || [ "$(field "$i" "peer.$j.session")" = established ] || return 1
        done
    done
}

start_all
wait_leader
wait_for 10 "session of each pair" sessions_up

# The sniffer sees what is plain: this is the control.
sniff_start
on 1 bash -c "echo $MARK >/dev/udp/10.77.0.2/9"
sniff_end
[[ "$OUT" == *marked=[1-9] ]] || fail "the sniffer is blind: $OUT"

sniff_start
for i in 1 2 3; do expect 0 ctl "$i" --timeout 5 put "$MARK-$i" "$MARK"; done
expect 0 ctl "$(other_than "$LEADER")" --timeout 5 get "$MARK-1"
same_keys
sniff_end
[[ "$OUT" == *marked=0 ]] || fail "read on the wire: $OUT"
note "$OUT of what the nodes said to host 2"

for round in 1 2 3; do
    for i in 1 2 3; do
        crash "$i"
        wait_leader
        expect 0 ctl "$LEADER" --timeout 10 put "round-$round" "$i"
        start "$i"
        wait_for 10 "session of each pair after the restart of node $i" sessions_up
    done
done
for i in 1 2 3; do crash "$i"; done
start_all
wait_leader
wait_for 10 "session of each pair after all were killed" sessions_up
same_keys

# The same without a key on loopback.
grep -v '^key_file' "$CONF" | sed 's/10\.77\.0\.\(.\):7101/127.0.0.1:1720\1/' >"$WORK/loopback.conf"
expect 0 "$RAFTD" -n -c "$WORK/loopback.conf" -i 1
finish "sessions after every restart, nothing to read on the wire, plain text refused"
