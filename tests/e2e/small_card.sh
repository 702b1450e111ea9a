#!/bin/bash
# A disk of 24 MB, of which 4 are to stay free: a load of many times that goes on, for a node that has no
# room for entries writes a snapshot and lets its log go. When others take the rest writes are refused, which is
# said once; they are taken within two seconds of there being room.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
own_mounts
limit 300

cluster 1 '[node]' 'disk_min_free = 4194304'
small_disk 1 24
start 1
wait_leader
writes=0 idle=0
while [ "$writes" -lt 1500 ]; do # 67 MB
    ctl 1 --timeout 2 bench -c 1 -n 50 -v 45000 -k 10 >"$WORK/bench" 2>&1 || [ $? = 7 ] ||
        fail "bench: $(cat "$WORK/bench")"
    done=$(bench_writes)
    writes=$((writes + done)) idle=$((idle + 1))
    [ "$done" = 0 ] || idle=0
    [ "$idle" -lt 100 ] || fail "no write is taken any more: $(cat "$WORK/bench")"
    [ "$idle" = 0 ] || sleep 0.1
done
note "$(field 1 log_bytes) bytes of log, $(field 1 disk_free) bytes free, snapshot of $(field 1 snapshot_bytes)"

# --- others take the room ---------------------------------------------------------------------------------

is_full() { [ "$(field 1 disk_full)" = "$1" ]; }
: >"$WORK/node1.log"
head -c $(($(field 1 disk_free) - 300000)) /dev/zero >"$WORK/node1/others" || :
i=0
until ! ctl 1 --timeout 2 bench -c 1 -n 20 -v 45000 -k 10 >"$WORK/bench" 2>&1 && is_full 1; do
    i=$((i + 1))
    [ "$i" -lt 60 ] || fail "the disk does not get full: $(field 1 disk_free) bytes are free"
done
for _ in 1 2 3; do
    expect 7 ctl 1 --timeout 2 put refused value
    says 'the disk of this node is full'
done
expect 0 ctl 1 --timeout 10 get bench/00000003 # so do reads
expect 0 ctl 1 status
[[ $OUT == *advice=*"data_dir is full: make room"* ]] || fail "status does not say what to do"
[ "$(grep -c 'the disk is full' "$WORK/node1.log")" -le 2 ] || fail "it is said again and again: $(cat "$WORK/node1.log")"
grow 1 40
start_ms=$(now_ms)
until ctl 1 --timeout 1 put again value 2>/dev/null; do
    [ $(($(now_ms) - start_ms)) -lt 2000 ] || fail "no write is taken two seconds after there was room"
done
note "writes were taken $(($(now_ms) - start_ms)) ms after there was room"
grep -q 'the log has room again' "$WORK/node1.log" || fail "it does not say that there is room"
crash 1
start 1
wait_leader
expect 0 ctl 1 --timeout 10 get bench/00000003
[ "${#OUT}" = 45000 ] || fail "another value"
finish "$writes writes, three times the disk, went through it"
