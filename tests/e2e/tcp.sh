#!/bin/bash
# Clients by TCP: on a loopback address alone, and only who knows the password.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 60
command -v redis-cli >/dev/null || skip "no redis-cli"

cluster 1
PORT=$((20000 + $$ % 10000))
cp "$CONF" "$WORK/plain.conf"
(umask 077 && "$RAFTCTL" keygen >"$WORK/clients.key" && "$RAFTCTL" keygen >"$WORK/other.key")
printf 'listen = 127.0.0.1:%d\npassword_file = %s\n' "$PORT" "$WORK/clients.key" >>"$CONF"
for bad in 0.0.0.0 192.0.2.1; do
    sed "s/^listen = 127.0.0.1/listen = $bad/" "$CONF" >"$WORK/bad.conf"
    line=$(grep -n ^listen "$WORK/bad.conf" | cut -d: -f1)
    expect 2 "$RAFTD" -n -c "$WORK/bad.conf"
    says "$WORK/bad.conf:$line: \[node\] listen: '$bad:$PORT' is wrong; allowed: an address of this machine alone"
done
chmod 644 "$WORK/clients.key"
expect 2 "$RAFTD" -n -c "$CONF" -i 1
says clients.key
chmod 600 "$WORK/clients.key"
expect 0 "$RAFTD" -n -c "$CONF" -i 1

tcp() { redis-cli -h 127.0.0.1 -p "$PORT" "$@" 2>/dev/null; }
password() { grep -v '^#' "$1"; }

start 1
wait_leader
tcp set k v | grep -q NOAUTH || fail "without a password: $(tcp set k v)"
tcp --pass "$(password "$WORK/other.key")" set k v | grep -q NOAUTH || fail "another password is taken"
[ "$(tcp --pass "$(password "$WORK/clients.key")" set k v)" = OK ] || fail "the password is not taken"
[ "$(redis-cli -s "$WORK/node1.sock" get k)" = v ] || fail "the socket does not serve"
grep -qF "$(password "$WORK/clients.key")" "$WORK/node1.log" && fail "the password is in the log"

# What somebody else listens to is said at the start.
cp "$CONF" "$WORK/second.conf"
sed -i "s|^socket = .*|socket = $WORK/second.sock|; s|^data_dir = .*|data_dir = $WORK/second|; s|^node.1 = .*|node.1 = 127.0.0.1:$((PORT + 1))|" "$WORK/second.conf"
"$RAFTD" --init -c "$WORK/second.conf" -i 1 2>/dev/null
code=0
"$RAFTD" -c "$WORK/second.conf" -i 1 >"$WORK/stderr" 2>&1 || code=$?
[ "$code" = 70 ] || fail "a port in use: exit $code"
says "127.0.0.1:$PORT: cannot listen there: Address already in use"
stop 1
finish "TCP on loopback alone, for who knows the password"
