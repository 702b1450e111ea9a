# shellcheck shell=bash
# netns.sh: every node of the cluster on a host of its own, with links that lose what we want. Hosts
# are network namespaces on a bridge in one more namespace; so nothing of this machine's own network
# is touched. Needs root, iproute2 and nftables. Sourced after cluster.sh:
#
#     hosts 3                    hosts 1 to 3 with 10.77.0.1 to .3; then as usual: cluster 3, start_all;
#                                datagrams are sealed
#     loss 100                   each host drops 100 of 1000 datagrams that it receives; 0: none
#     cut_pair 1 2               1 and 2 no longer hear each other
#     cut_from 1 2               2 no longer hears 1; 1 still hears 2
#     cut_off 1                  nobody hears 1, and 1 hears nobody
#     heal                       ends all cuts; loss stays
#     black_hole 900             each host drops UDP packets of more bytes, with IP header, and tells
#                                nobody; 0: none
#     device_mtu 1000            what each host's own device sends
#     link_rate 3 20kbit         what host 3 sends and gets in a second; half a second of it may wait
#     received 1                 datagrams and their bytes (with IP header) that arrived at host 1 so far
#     on 1 COMMAND...            runs it on host 1
#
# Sockets of Unix are not of a network namespace: ctl works from outside. The namespaces are removed
# at the end, and those of a run that was killed by the next run.

# shellcheck disable=SC2034,SC2004 # ON is an associative array of cluster.sh

HOST_PORT=7101
HOSTS=0

node_addr() { # as cluster.sh's, and in its place
    if [ "$HOSTS" = 0 ]; then
        echo "127.0.0.1:$((BASE_PORT + $1 - 1))"
    else
        echo "10.77.0.$1:$HOST_PORT"
    fi
}

host_ns() { echo "raftd-$$-$1"; }

# Not ip -n: it makes all mounts of / slaves first, which fails where / is none, as in a chroot.
on() { # HOST, or bridge
    local i=$1
    shift
    nsenter --net="/run/netns/$(host_ns "$i")" "$@"
}

hosts_remove() { # PID: those of that process, unless another script is doing the same
    local ns
    for ns in /run/netns/raftd-"$1"-*; do
        [ ! -e "$ns" ] || ip netns del "${ns##*/}" 2>/dev/null || :
    done
}

hosts_leftovers() {
    local ns pid
    for ns in /run/netns/raftd-*; do
        pid=${ns#*/raftd-}
        pid=${pid%%-*}
        [ ! -e "$ns" ] || [ -e "/proc/$pid" ] || hosts_remove "$pid"
    done
}

# hosts N: makes them. Skips the script where that is not possible.
hosts() {
    local i bridge why
    [ "$(id -u)" = 0 ] || skip "network namespaces need root"
    for i in ip nft nsenter; do
        command -v "$i" >/dev/null || skip "no $i"
    done
    hosts_leftovers
    at_exit 'hosts_remove $$'
    bridge=$(host_ns bridge)
    why=$(ip netns add "$bridge" 2>&1) || skip "no network namespaces: $why"
    on bridge ip link add br0 type bridge
    on bridge ip link set br0 up
    for ((i = 1; i <= $1; i++)); do
        ip netns add "$(host_ns "$i")"
        on bridge ip link add "v$i" type veth peer name eth0 netns "$(host_ns "$i")"
        on bridge ip link set "v$i" master br0 up
        on "$i" ip addr add "10.77.0.$i/24" dev eth0
        on "$i" ip link set eth0 up
        on "$i" ip link set lo up
        ON[$i]="nsenter --net=/run/netns/$(host_ns "$i")"
        on "$i" nft -f - <<END
table inet link {
    counter arrived { }
    chain cuts { }
    chain loss { }
    chain hole { }
    chain input {
        type filter hook input priority 0
        iifname "eth0" meta l4proto udp counter name arrived
        iifname "eth0" meta l4proto udp jump cuts
        iifname "eth0" meta l4proto udp jump loss
        iifname "eth0" meta l4proto udp jump hole
    }
}
END
    done
    HOSTS=$1
    KEYED=1 # these are no loopback addresses
}

loss() { # of 1000
    local i
    for ((i = 1; i <= HOSTS; i++)); do
        on "$i" nft flush chain inet link loss
        [ "$1" = 0 ] || on "$i" nft add rule inet link loss numgen random mod 1000 '<' "$1" drop
    done
}

black_hole() { # bytes
    local i
    for ((i = 1; i <= HOSTS; i++)); do
        on "$i" nft flush chain inet link hole
        [ "$1" = 0 ] || on "$i" nft add rule inet link hole meta length '>' "$1" drop
    done
}

device_mtu() { # bytes
    local i
    for ((i = 1; i <= HOSTS; i++)); do on "$i" ip link set eth0 mtu "$1"; done
}

link_rate() { # HOST RATE
    on "$1" tc qdisc replace dev eth0 root tbf rate "$2" burst 1600 latency 500ms
    on bridge tc qdisc replace dev "v$1" root tbf rate "$2" burst 1600 latency 500ms
}

cut_from() { # FROM TO
    on "$2" nft add rule inet link cuts ip saddr "10.77.0.$1" drop
}

cut_pair() {
    cut_from "$1" "$2"
    cut_from "$2" "$1"
}

cut_off() {
    local i
    for ((i = 1; i <= HOSTS; i++)); do
        [ "$i" = "$1" ] || cut_pair "$1" "$i"
    done
}

heal() {
    local i
    for ((i = 1; i <= HOSTS; i++)); do on "$i" nft flush chain inet link cuts; done
}

received() {
    on "$1" nft list counter inet link arrived |
        sed -n 's/.*packets \([0-9]*\) bytes \([0-9]*\).*/\1 \2/p'
}
