#!/bin/bash
# Bad input from everywhere: datagrams of noise, cut and flipped ones, those of another cluster;
# wrong configurations; too large keys and values; wrong usage. Counted or refused with the right
# exit code and message, and the cluster does not notice.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 180

# --- wrong configurations: file, line, key and what is allowed ---
cluster 3 'election_timeout_ms = 1000' # a busy test machine must not cause elections of its own
bad() { # LINE KEY: that line goes into line 3 of the sample
    sed "3i $1" "$CONF" >"$WORK/bad.conf"
    expect 2 "$RAFTD" -n -c "$WORK/bad.conf" -i 1
    says "bad\.conf:[0-9]+:.*$2.*allowed"
    expect 2 ctl_conf status
    says "bad\.conf:[0-9]+:.*$2"
}
ctl_conf() { "$RAFTCTL" -c "$WORK/bad.conf" -i 1 "$@"; }
bad 'node.4 = somewhere' 'node\.4'
bad 'node.1 = 127.0.0.1:99999' 'node\.1'
bad 'node.5 = 127.0.0.1' 'node\.5'
bad "node.7 = 127.0.0.1:$BASE_PORT" 'node\.'
bad 'node.0 = 127.0.0.1:7001' 'node\.0'
bad 'max_value_bytes = 99999999' 'max_value_bytes'
bad 'max_value_bytes = -1' 'max_value_bytes'
bad 'max_value_bytes = 4k' 'max_value_bytes'
bad 'colour = blue' 'colour'
bad '[nodes]' 'nodes'
sed '/^name/d' "$CONF" >"$WORK/bad.conf"
expect 2 "$RAFTD" -n -c "$WORK/bad.conf" -i 1
says 'bad\.conf.*name'
expect 2 "$RAFTD" -n -c "$WORK/none.conf" -i 1
says 'none\.conf'
expect 2 "$RAFTD" -n -c "$CONF" -i 9
expect 2 "$RAFTD" -n -c "$CONF" -i one
expect 0 "$RAFTD" -n -c "$CONF" -i 1

# --- usage ---
expect 2 "$RAFTD" --frobnicate
for contradiction in '-n --init' '-p --init' '--init --check x' '-n --check x' '-p --check x'; do
    # shellcheck disable=SC2086 # several options
    expect 2 "$RAFTD" $contradiction -c "$CONF" -i 1
done
expect 2 "$RAFTD" --check ''
says 'empty'
expect 2 "$RAFTD" -n -c "$CONF" -d ''
expect 0 "$RAFTD" -n --conf "$CONF" --id 1 --data-dir "$WORK/d" --socket "$WORK/s"
expect 0 "$RAFTD" -p -c "$CONF" --id 1 --data-dir "$WORK/d" --socket "$WORK/s"
grep -q "^data_dir = $WORK/d\$" <<<"$OUT" || fail "--data-dir: $OUT"
expect 2 "$RAFTCTL" --frobnicate
expect 2 ctl 1
expect 2 ctl 1 frobnicate
expect 2 ctl 1 put onlykey
expect 2 ctl 1 get
expect 2 ctl 1 get a b
expect 2 ctl 1 --timeout soon get a
expect 3 ctl 1 get a
says "$WORK/node1.sock"

# --- sizes ---
start_all
wait_leader
k256=$(printf '%0256d' 0)
expect 0 ctl 1 --timeout 20 put "$k256" "longest"
expect 0 ctl 2 --timeout 20 get "$k256"
expect 6 ctl 1 --timeout 20 put "${k256}0" "v"
head -c 65536 /dev/zero | tr '\0' x >"$WORK/value"
expect 0 ctl 1 --timeout 20 put big - <"$WORK/value"
echo -n x >>"$WORK/value"
expect 6 ctl 1 --timeout 20 put big - <"$WORK/value"
says 'at most 65536 bytes'
expect 6 ctl "$(other_than 1)" --timeout 20 put big - <"$WORK/value"

# --- datagrams ---
command -v perl >/dev/null || skip "no perl: datagrams not tested"
wait_leader
target=$LEADER term=$LEADER_TERM
port=$((BASE_PORT + target - 1))
down=$(other_than "$target")
other=$(other_than "$target" "$down")
stop "$down"
wait_leader
[ "$LEADER $LEADER_TERM" = "$target $term" ] || fail "the leader changed when a follower stopped"
dropped() { # sum of the counters, or of one
    ctl "$target" status | awk -F = -v name="^drop\\.${1-}" '$1 ~ name { n += $2 } END { print n + 0 }'
}
before=$(dropped)

# Noise of all sizes; then what the other nodes send to the stopped one, cut at every length or with
# one bit flipped, from its address and from another.
cat >"$WORK/noise.pl" <<'END'
use strict; use warnings; use Socket;
my ($port, $own) = @ARGV;
srand(1);
my $to = pack_sockaddr_in($port, inet_aton("127.0.0.1"));
sub sock { my ($p) = @_; socket(my $s, PF_INET, SOCK_DGRAM, 0) or die $!;
  bind($s, pack_sockaddr_in($p, inet_aton("127.0.0.1"))) or die "bind: $!"; return $s; }
my ($stranger, $member) = (sock(0), sock($own));
my $sent = 0;
sub put { my ($s, $d) = @_; send($s, $d, 0, $to); select(undef, undef, undef, 0.0005) if ++$sent % 8 == 0; }
for my $i (0 .. 299) {
  my $len = $i < 64 ? $i : $i < 290 ? int(rand(1500)) : 1201 + int(rand(8000));
  put($i % 2 ? $stranger : $member, join('', map { chr(int(rand(256))) } 1 .. $len));
}
for my $i (1 .. 40) {
  my $rin = ''; vec($rin, fileno($member), 1) = 1;
  last unless select($rin, undef, undef, 2);
  recv($member, my $d, 65536, 0) // die $!;
  for my $n (0 .. length($d) - 1) {
    put($member, substr($d, 0, $n));
    my $f = $d; substr($f, $n, 1) ^= chr(1 << int(rand(8)));
    put($n % 2 ? $stranger : $member, $f);
  }
  put($member, $d . "x");
}
print "$sent\n";
END
sent=$(timeout 60 perl "$WORK/noise.pl" "$port" $((BASE_PORT + down - 1)))
[ "$sent" -gt 1000 ] || fail "only $sent bad datagrams could be made"
expect 0 ctl "$target" --timeout 20 put after "noise"
bad_count=$(($(dropped) - before))
note "$sent bad datagrams sent, $bad_count counted: $(ctl "$target" status | grep '^drop\.' | tr '\n' ' ')"
[ "$bad_count" -ge $((sent * 8 / 10)) ] || fail "$sent bad datagrams sent, only $bad_count counted"
[ "$(dropped short)" -gt 0 ] || fail "no short datagram was counted"
[ "$(dropped version)" -gt 0 ] || fail "no datagram of another version was counted"

# Another cluster that believes our target is its node 1.
free_ports 3
conf_write "$WORK/theirs.conf" stranger 3 "$BASE_PORT"
sed -e "s/^node\.1 = .*/node.1 = 127.0.0.1:$port/" -e "s,/node{id},/stranger{id}," \
    "$WORK/theirs.conf" >"$WORK/stranger.conf"
for i in 2 3; do
    "$RAFTD" --init -c "$WORK/stranger.conf" -i "$i" 2>>"$WORK/stranger.log"
    "$RAFTD" -c "$WORK/stranger.conf" -i "$i" 2>>"$WORK/stranger.log" &
    HELPERS+=($!)
done
counted() { [ "$(dropped cluster)" -gt 5 ]; }
wait_for 30 "counted datagram of another cluster" counted
wait_leader
[ "$LEADER $LEADER_TERM" = "$target $term" ] ||
    fail "leader $target of term $term became $LEADER of term $LEADER_TERM"
for pid in "${HELPERS[@]}"; do kill -TERM "$pid" && wait "$pid"; done
HELPERS=()

start "$down"
expect 0 ctl "$other" --timeout 20 put all "well"
same_keys
finish "bad datagrams, configurations, sizes and usage are counted or refused"
