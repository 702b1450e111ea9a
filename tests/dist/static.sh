#!/bin/bash
# Programs of make static need no library, say so, and work.
# shellcheck disable=SC2034 # variables of cluster.sh
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 1000
[ "${LONG:-0}" = 1 ] || skip "fetches and builds libraries for minutes: LONG=1"
mkdir -p "$WORK"
make -s static
RAFTD=build/static/raftd RAFTCTL=build/static/raftctl
for program in "$RAFTD" "$RAFTCTL"; do
    expect 0 readelf -lhW "$program"
    [[ $OUT == *DYN*"Position-Independent"* && $OUT != *INTERP* ]] || fail "$program: not static, or bound to an address"
    expect 0 "$program" --help
done
make -s tar B=build/static >/dev/null
tar -xzOf build/static/raftd.tar.gz usr/local/sbin/raftd | cmp - "$RAFTD" || fail "the archive has another program"
cluster 1
start 1
expect 0 ctl 1 --timeout 10 put colour green
stop 1
start 1
expect 0 ctl 1 --timeout 10 get colour
[ "$OUT" = green ] || fail "colour is '$OUT'"
finish "raftd runs without libraries"
