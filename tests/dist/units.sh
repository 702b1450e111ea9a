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

command -v systemd-analyze >/dev/null || { echo "no systemd-analyze"; exit 77; }
for unit in "$units"/*; do
    # The programs are not installed on this machine.
    sed -i 's,^\(Exec[A-Za-z]*=[-:+!@]*\)/usr/\(s\?bin\|lib\|libexec\)/raft[^ ]*,\1/bin/true,' "$unit"
done
for unit in "$units"/*; do
    said=$(systemd-analyze verify --man=no "$unit" 2>&1)
    code=$?
    case $said in
    *"Failed to"*connect* | *"Failed to"*setup* | *"Failed to init"*) echo "$said"; exit 77 ;;
    esac
    [ "$code$said" = 0 ] || { echo "$unit: $said"; exit 1; }
    # Scripts for events are root's, and may do what root does.
    most=20
    [[ $unit != */raftd-events.service ]] || most=65
    [[ $unit != *.service ]] || systemd-analyze security --offline=true --threshold=$most "$unit" | tail -n 1
    [ "${PIPESTATUS[0]}" = 0 ] || { echo "$unit: too open"; exit 1; }
done
