#!/bin/bash
# Paths that do not carry our usual datagrams: a small device MTU, which the kernel tells us of, and a
# black hole, which nobody does; from the start, and later. Writes of every size go on through every
# node, the nodes say which path it is, and afterwards they use it whole again: after a minute, which is
# most of what this takes. After the black hole, too, with LONG=1.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
# shellcheck source=/dev/null
. "$TOP/tests/lib/netns.sh"
limit 600

hosts 3
cluster 3
head -c 3000 /dev/zero | tr '\0' y >"$WORK/3kB"
head -c 40000 /dev/zero | tr '\0' z >"$WORK/40kB"

puts() { # NAME: each size through each node
    local i
    for i in 1 2 3; do
        expect 0 ctl "$i" --timeout 8 put "$1-$i" small
        expect 0 ctl "$i" --timeout 8 put "$1-3kB-$i" - <"$WORK/3kB"
        expect 0 ctl "$i" --timeout 8 put "$1-40kB-$i" - <"$WORK/40kB"
    done
}

warned() { grep -q 'bytes do not get through, those of' "$WORK/node$LEADER.log"; }
sizes() { # of the leader's paths, one a line
    ctl "$LEADER" status | sed -n 's/^peer\.[0-9]*\.datagram_bytes=//p'
}
all_are() { # TEST SIZE
    local size
    for size in $(sizes); do test "$size" "$1" "$2" || return 1; done
}
whole() { # once data has shown it, and whoever leads by now
    wait_leader
    ctl "$LEADER" --timeout 8 put whole - <"$WORK/40kB" && all_are -eq 1200 && return
    sleep 1
    return 1
}

device_mtu 1000
start_all
wait_leader
puts device
wait_for 20 "warning of a narrow path" warned
all_are -le 972 || fail "datagrams of $(sizes | tr '\n' ' ')bytes on a device of 1000"
device_mtu 1500
wait_for 150 "whole datagrams after the device's MTU rose" whole

black_hole 900
puts hole
all_are -le 872 || fail "datagrams of $(sizes | tr '\n' ' ')bytes through a path of 900"
black_hole 0
[ "${LONG:-0}" = 0 ] || wait_for 300 "whole datagrams after the black hole" whole
puts wide
same_keys
finish "narrow from the start and later: all writes done"
