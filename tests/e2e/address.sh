#!/bin/bash
# A node whose address is not there yet starts, serves what is local, and joins when the address comes:
# DHCP that is late, an IPv6 address that is still being tested, an interface that does not exist; an
# address that goes and comes back. Its identity says which node it is, whatever sysctls and routes say.
# shellcheck source=/dev/null disable=SC2034 # STATE is of cluster.sh
. "$(dirname "$0")/../lib/cluster.sh"
# shellcheck source=/dev/null
. "$TOP/tests/lib/netns.sh"
limit 240

hosts 3
cluster 3
KEY=$WORK/key.3
N3=$(host_ns 3)

# start3 FILE [COMMAND...]: node 3 of that configuration, which does not say which node this is; the
# command says that it answers.
start3() {
    local conf=$1
    shift
    [ $# != 0 ] || set -- answers 3
    : >"$WORK/three.log"
    # shellcheck disable=SC2086 # a command and its options
    ${ON[3]} "$RAFTD" -c "$conf" >>"$WORK/three.log" 2>&1 &
    PID[3]=$!
    STATE[3]=up
    wait_for 30 "answer of node 3" "$@"
}
stop3() {
    kill -TERM "${PID[3]}"
    ended 3
    [ "$CODE" = 0 ] || fail "node 3: exit $CODE at SIGTERM: $(tail -n 3 "$WORK/three.log")"
}
said() { grep -Eq -- "$1" "$WORK/three.log"; }
joined() { # linearizable reads are answered through node 3
    ctl 3 --timeout 1 get k >/dev/null 2>&1
}
# The file for node 3's box: no {id} in it, and no id.
own_file() { # FILE ADDRESS1 ADDRESS2 ADDRESS3
    printf '[cluster]\nname = %s\nnode.1 = %s\nnode.2 = %s\nnode.3 = %s\n[node]\n' \
        "$NAME" "$2" "$3" "$4" >"$1"
    printf 'key_file = %s\ndata_dir = %s/node3\nsocket = %s/node3.sock\n' "$KEY" "$WORK" "$WORK" >>"$1"
}
OWN=$WORK/own.conf
own_file "$OWN" "10.77.0.1:$HOST_PORT" "10.77.0.2:$HOST_PORT" "10.77.0.3:$HOST_PORT"

start 1
start 2
start3 "$OWN" # the address is there, and decides
wait_leader
expect 0 ctl 3 --timeout 10 put k v
wait_for 10 "the value at node 3" sh -c "[ \"\$($RAFTCTL -s $WORK/node3.sock get --stale k)\" = v ]"
stop3

# --- no address yet ---
address() { ip -n "$N3" addr "$1" 10.77.0.3/24 dev eth0; }
address del
expect 0 on 3 "$RAFTD" -n -c "$OWN"
expect 70 on 3 "$RAFTD" --init -c "$OWN" -d "$WORK/new" # nobody could say which node that is
[ ! -e "$WORK/new" ] || fail "--init made something"
start3 "$OWN"
wait_for 5 "message" said 'does not have the address of this node, 10.77.0.3'
expect 0 ctl 3 --timeout 5 status
ctl 3 --timeout 1 get k >/dev/null 2>&1 && fail "read through a node that is cut off"
# The port is taken all the same.
cp -a "$WORK/node3" "$WORK/copy"
expect 70 on 3 timeout 5 "$RAFTD" -c "$OWN" -d "$WORK/copy" -s "$WORK/copy.sock"
says 'in use'
address add
wait_for 10 "read through node 3" joined
wait_for 5 "message" said 'has the address of this node, 10.77.0.3:.*, now'

# --- it goes and comes back while the node runs ---
: >"$WORK/three.log"
address del
wait_for 5 "message" said 'has lost the address'
address add
wait_for 10 "read through node 3" joined
# That the address is back was said within the last minute.
[ "$(grep -c warning "$WORK/three.log")" = 1 ] || fail "said more than once: $(cat "$WORK/three.log")"
stop3

# --- sysctl and routes that make every address bindable ---
on 3 sh -c 'echo 1 >/proc/sys/net/ipv4/ip_nonlocal_bind'
start3 "$OWN" # the interface decides
wait_for 10 "read through node 3" joined
stop3
address del
start3 "$OWN" # nothing but the identity does
address add
wait_for 10 "read through node 3" joined
stop3
on 3 sh -c 'echo 0 >/proc/sys/net/ipv4/ip_nonlocal_bind'
address del
ip -n "$N3" route add local 10.77.0.0/24 dev lo
start3 "$OWN"
stop3
ip -n "$N3" route del local 10.77.0.0/24 dev lo
address add

# --- the identity of a node that is no longer in the list, and a file for several nodes ---
address del
own_file "$WORK/other.conf" "10.77.0.1:1" "10.77.0.2:1" "10.77.0.4:1"
sed -i 's/^node\.3/node.4/' "$WORK/other.conf"
expect 3 on 3 timeout 5 "$RAFTD" -c "$WORK/other.conf"
says 'new in the configuration: 4, missing there: 3'
mkdir "$WORK/several"
cp -a "$WORK/node3" "$WORK/several/3"
sed "s|/node3$|/several/{id}|; s|/node3.sock|/several/{id}.sock|" "$OWN" >"$WORK/several.conf"
# One directory of three is here, and one socket.
start3 "$WORK/several.conf" "$RAFTCTL" -c "$WORK/several.conf" --timeout 1 status >/dev/null
stop3
address add

# --- an address that is not a box's ---
sed 's/10.77.0.2:/10.77.0.255:/' "$OWN" >"$WORK/broadcast.conf"
address del
ip -n "$N3" addr add 10.77.0.3/24 broadcast 10.77.0.255 dev eth0
expect 2 on 3 "$RAFTD" -n -c "$WORK/broadcast.conf"
says 'broadcast address of interface eth0'
# It is set somewhere at this moment: a node that is there starts all the same, and says so.
start3 "$WORK/broadcast.conf"
grep -q 'warning: .*broadcast address of interface eth0' "$WORK/three.log" || fail "no warning"
stop3
# A network of two addresses has none.
ip -n "$N3" addr del 10.77.0.3/24 dev eth0
ip -n "$N3" addr add 10.77.0.3/31 broadcast 10.77.0.255 dev eth0
expect 0 on 3 "$RAFTD" -n -c "$WORK/broadcast.conf"
ip -n "$N3" addr del 10.77.0.3/31 dev eth0
ip -n "$N3" addr add 10.77.0.3/24 broadcast 10.77.0.255 dev eth0

# --- IPv6: tentative, and of an interface that comes, goes and comes back with another number ---
[ -e /proc/net/if_inet6 ] || finish "IPv4 alone: an address that is late is waited for"
stop 1
stop 2
BRIDGE=$(host_ns bridge)
uplink() { # HOST WORD...: a link of its own, with an address of that link
    local i=$1 ns
    ns=$(host_ns "$1")
    shift
    ip -n "$BRIDGE" link add "w$i" type veth peer name up0 netns "$ns"
    ip -n "$BRIDGE" link set "w$i" master br0 up
    ip -n "$ns" link set up0 addrgenmode none
    ip -n "$ns" addr add "fe80::77:$i/64" dev up0 "$@"
    ip -n "$ns" link set up0 up
}
uplink 1 nodad
uplink 2 nodad
own_file "$OWN" "[fe80::77:1%up0]:7102" "[fe80::77:2%up0]:7102" "[fe80::77:3%up0]:7102"
CONF=$WORK/link.conf
sed 's/node3/node{id}/; s/key\.3/key.{id}/' "$OWN" >"$CONF"
start 1
start 2
start3 "$OWN"
wait_for 5 "message" said 'does not have the address of this node, \[fe80::77:3%up0'
expect 0 "$RAFTCTL" -c "$OWN" --timeout 5 status # outside, where no interface has that name
uplink 3 # the kernel tests the address for some two seconds, and says that it is tentative
wait_for 15 "read through node 3" joined
wait_for 5 "message" said 'has the address of this node'
ip -n "$N3" link del up0
wait_for 5 "message" said 'has lost the address'
uplink 3
wait_for 15 "read through node 3" joined
stop3
ip -n "$N3" addr del fe80::77:3/64 dev up0
ip -n "$N3" addr add fe80::77:3/64 dev up0
ip -n "$N3" addr show dev up0 | grep -q tentative || note "not tentative: that case is not tried"
start3 "$OWN"
wait_for 15 "read through node 3" joined
stop3
finish "an address that is late is waited for, and followed"
