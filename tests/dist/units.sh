#!/bin/bash
# The service manager understands every line of the unit files, finds the services well shut off, and does not start
# the daemon before its configuration names nodes, which is no failure.
set -u
cd "$(dirname "$0")/../.." || exit 1
stage=$PWD/build/dist/units
rm -rf "$stage"
make -s install DESTDIR="$stage" PREFIX=/usr || exit 1
units=$stage/usr/lib/systemd/system

# The sandbox of the service runs this command first.
condition=$(awk '/^ExecCondition=/ { on = 1 } on { more = sub(/\\$/, ""); printf "%s", $0; if (!more) exit }' \
    "$units/raftd.service" | sed "s/^ExecCondition=.bin.sh -c '//; s/'\$//; s/\\\$\\\$/$/g")
starts() { # FILE: would the daemon be started with it?
    sh -c "${condition//\/etc\/raftd\/raftd.conf/$1}" >"$stage/said"
}
starts "$stage/etc/raftd/raftd.conf" && { echo "the sample as it is installed starts something"; exit 1; }
grep -q "names no nodes yet: not started" "$stage/said" || { echo "does not say why: $(cat "$stage/said")"; exit 1; }
build/raftd -n -c raftd.conf -i 1 || exit 1
starts raftd.conf || { echo "a configuration with nodes does not start"; exit 1; }
starts "$stage/none" || { echo "a missing file must be the daemon's failure"; exit 1; }
grep -n '@[A-Z]*@' "$units"/* && { echo "not replaced"; exit 1; }
# At a boot a box that is cut off, or whose address comes late, starts it as soon as any other.
grep -nE '^(Requires|Requisite|BindsTo|Wants)=|network-online' "$units/raftd.service" && { echo "waits for others"; exit 1; }

# Scripts for events can do what the manual says: with the service's power, and sockets of its kinds.
setting() { sed -n "s/^$2=//p" "$units/$1"; }
cat >"$stage/script" <<'SCRIPT'
set -e
ip addr add 192.0.2.10/24 dev eth0
ip -6 addr replace 2001:db8::10/64 dev eth0 valid_lft 30 preferred_lft 0
ip route add 198.51.100.0/24 via 192.0.2.1
arping -q -U -c 1 -I eth0 192.0.2.10
ip addr del 192.0.2.10/24 dev eth0
[ "$(id -u)" = 0 ]
SCRIPT
# shellcheck disable=SC2016 # for another shell
if [ "$(id -u)" = 0 ] && command -v ip arping setpriv strace unshare >/dev/null && unshare -n true 2>/dev/null; then
    power=$(setting raftd-events.service CapabilityBoundingSet | tr 'A-Z ' 'a-z,' | sed 's/cap_/+/g')
    unshare -n sh -c 'ip link add eth0 type veth peer name line && ip link set eth0 up && ip link set line up &&
        exec strace -f -qq -e trace=socket -e signal=none -o "$1" setpriv --bounding-set "-all,$2" --inh-caps -all \
        --no-new-privs sh "$3"' sh "$stage/sockets" "$power" "$stage/script" || { echo "a script for events fails"; exit 1; }
    kinds=" $(setting raftd-events.service RestrictAddressFamilies) "
    while read -r kind; do
        case $kinds in
        *" $kind "*) ;;
        *) echo "a script for events needs $kind"; exit 1 ;;
        esac
    done < <(sed -n 's/.*socket(\(AF_[A-Z0-9]*\).*/\1/p' "$stage/sockets" | sort -u)
    grep -q AF_PACKET "$stage/sockets" || { echo "no socket was seen"; exit 1; }
else
    echo "skipped: what scripts for events can do (needs root, iproute2, arping, strace)"
fi

command -v systemd-analyze >/dev/null || { echo "no systemd-analyze"; exit 77; }
for unit in "$units"/*; do
    # The programs are not installed on this machine.
    sed -i 's,^\(Exec[A-Za-z]*=[-:+!@]*\)/usr/\(s\?bin\|lib\|libexec\)/raft[^ ]*,\1/bin/true,' "$unit"
done
# What the manual opens for them is understood, too.
awk -v unit="$units/raftd-events.service" -v to="$units/raftd-events-open" '
    /^\.Ss / { on = $0 == ".Ss Scripts for events" }
    on && $0 == "[Service]" { file = to (++n) ".service"; while ((getline line <unit) > 0) print line >file; close(unit) }
    $0 == ".Ed" { file = "" }
    file != "" { print >file }' raftd/raftd.8
[ -e "$units/raftd-events-open2.service" ] || { echo "no examples in raftd.8"; exit 1; }
grep -q ^CapabilityBoundingSet=~ "$units/raftd-events-open2.service" || { echo "another example in raftd.8"; exit 1; }
# The second one takes every wall away. What is left closes nothing then.
while read -r wall; do
    [ "$(grep -c "^$wall=" "$units/raftd-events-open2.service")" -gt "$(grep -c "^$wall=" "$units/raftd-events.service")" ] ||
        { echo "raftd.8 leaves $wall"; exit 1; }
done < <(sed -n '/^UMask=/,/^$/s/=.*//p' "$units/raftd-events.service" |
    grep -vxE 'UMask|AmbientCapabilities|IPAddressDeny|SystemCallErrorNumber' | sort -u)
for unit in "$units"/*; do
    said=$(systemd-analyze verify --man=no "$unit" 2>&1)
    code=$?
    case $said in
    *"Failed to"*connect* | *"Failed to"*setup* | *"Failed to init"*) echo "$said"; exit 77 ;;
    esac
    [ "$code$said" = 0 ] || { echo "$unit: $said"; exit 1; }
    [[ $unit != *-open* ]] || continue
    [[ $unit != *.service ]] || systemd-analyze security --offline=true --threshold=20 "$unit" | tail -n 1
    [ "${PIPESTATUS[0]}" = 0 ] || { echo "$unit: too open"; exit 1; }
done
