#!/bin/bash
# A purge of the Debian package keeps a node's data, and says so, unless somebody asks for their end.
set -u
cd "$(dirname "$0")/../.." || exit 1
work=$PWD/build/dist/purge
lib=$work/raftd
rm -rf "$work"
mkdir -p "$lib/log"
sed "s,/var/lib/raftd,$lib,g; /^#DEBHELPER#/d" raftd/dist/debian/raftd.postrm >"$work/postrm"
bad() { echo "$*: $(cat "$work/said")" && exit 1; }
purge() { env "$@" sh "$work/postrm" purge >"$work/said" 2>&1 || bad "purge with '$*' fails"; }

echo value >"$lib/log/1"
sh "$work/postrm" remove >"$work/said" 2>&1 || bad "remove fails"
if [ ! -e "$lib/log/1" ] || [ -s "$work/said" ]; then bad "a removal does more"; fi
for asked in RAFTD_PURGE_DATA= RAFTD_PURGE_DATA=no RAFTD_PURGE_DATA=1; do
    purge "$asked"
    [ "$(cat "$lib/log/1")" = value ] || bad "data are gone with $asked"
    grep -q "the data of this node stay in $lib" "$work/said" || bad "nothing is said of the data"
done
purge RAFTD_PURGE_DATA=yes
[ ! -e "$lib" ] || bad "data are left"
purge RAFTD_PURGE_DATA=yes
mkdir "$lib"
purge RAFTD_PURGE_DATA=
if [ ! -d "$lib" ] || [ -s "$work/said" ]; then bad "an empty directory is no data"; fi
echo "data stay unless asked for"
