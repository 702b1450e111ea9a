#!/bin/bash
# Full disks: the data of nodes 1 and 2 is on small file systems of their own. First one is full: its
# writes are refused, its reads, its votes and the cluster go on. Then both: no write can be acknowledged. With
# room on one of them service resumes by itself, with room on the other, too, all are equal again,
# and nothing that was acknowledged is lost.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
own_mounts
limit 240

is_full() { [ "$(field "$1" disk_full)" = 1 ]; }
has_room() { [ "$(field "$1" disk_full)" = 0 ]; }

# One more value of 100 KiB through that node; its outcome goes into acked.*, unknown.*, refused.*
N=0
write() { # NODE
    local code=0
    N=$((N + 1))
    { printf 'key-%d:' "$N" && cat "$WORK/filler"; } >"$WORK/value"
    often "$1" --timeout 2 put "key-$N" - <"$WORK/value" 2>"$WORK/stderr" || code=$?
    case $code in
    0) echo "key-$N" >>"$WORK/acked.fill" ;;
    5) echo "key-$N" >>"$WORK/unknown.fill" ;;
    4 | 7 | 10) echo "key-$N" >>"$WORK/refused.fill" ;;
    *) fail "put through node $1: exit $code: $(head -c 400 "$WORK/stderr")" ;;
    esac
    return "$code"
}

# Writes through a node until the disk of another one is full.
fill() { # NODE FULL
    local most=$((N + 600))
    until is_full "$2"; do
        write "$1" || :
        [ "$N" -lt "$most" ] || fail "the disk of node $2 does not get full"
    done
}

# Garbage behind the last batch, where the next one would be.
torn_tail() { # NODE
    local segment block
    for segment in $(find "$WORK/node$1/log" -name '*.seg' | sort -r); do
        [ "$(head -c 4096 "$segment" | tr -d '\0' | wc -c)" = 0 ] || break # made ahead
    done
    block=$(($(stat -c %s "$segment") / 4096 - 2)) # the last one is the seal's
    until [ "$(dd if="$segment" bs=4096 skip="$block" count=1 status=none | tr -d '\0' | wc -c)" != 0 ]; do
        block=$((block - 1))
    done
    dd if=/dev/urandom of="$segment" bs=4096 seek=$((block + 1)) count=1 conv=notrunc status=none
}

reads_go_on() { # NODE...
    local i
    for i in "$@"; do
        expect 0 ctl "$i" --timeout 2 get --stale key-1
        [ "${OUT%%:*}" = key-1 ] || fail "node $i: other value of key-1"
        expect 0 ctl "$i" --timeout 2 list --stale --keys
        expect 0 ctl "$i" --timeout 2 status
    done
}

cluster 3 'max_value_bytes = 131072' '[node]' 'disk_min_free = 0'
small_disk 1 13 # three segments
small_disk 2 21 # five
head -c 75000 /dev/urandom | base64 -w 0 >"$WORK/filler"
touch "$WORK/unknown.fill" "$WORK/refused.fill"
start_all
for _ in {1..20}; do # the leader's disk is the first one to be full
    wait_leader
    [ "$LEADER" != 1 ] || break
    was=$LEADER
    stop "$was"
    wait_leader
    start "$was"
done
note "node $LEADER leads"

fill 3 1
note "node 1 is full after $(count "$WORK/acked.fill") writes"
[ "$(field 2 disk_full)" = 0 ] || fail "node 2 is full, too"
expect 24 ctl 1 health
[[ $OUT == "disk_full: the file system of data_dir is full"* ]] || fail "health: $OUT"
wait_leader
note "now node $LEADER leads"
for _ in 1 2 3; do
    code=0
    write 1 || code=$?
    [ "$code" = 7 ] || fail "a write through the full node: exit $code instead of 7"
    says 'the disk of this node is full'
done
reads_go_on 1 2 3
expect 0 ctl 1 --timeout 5 get "key-1" # through the leader
was=$LEADER
stop "$was"
wait_leader # by the vote of node 1
note "node $LEADER leads with the vote of the full one"
start "$was"
for _ in {1..5}; do # the others make a majority
    wait_for 20 "acknowledged write" write 3
done
expect 0 ctl 2 --timeout 5 get "key-$N"

fill 3 2
note "node 2 is full after $(count "$WORK/acked.fill") writes"
for _ in 1 2 3; do
    ! write 3 || fail "a write was acknowledged although two of three disks are full"
done
reads_go_on 1 2 3
is_full 1 || fail "node 1 does not say that its disk is full"
is_full 2 || fail "node 2 does not say that its disk is full"
stop 2 # a clean stop does not wait for room, nor does a start, not even with a torn tail to leave behind
torn_tail 2
start 2
grep -q 'is damaged or was cut' "$WORK/node2.log" || fail "no torn tail was found"
wait_for 20 "local reads of the full node" local_reads 2
reads_go_on 1 2 3
! write 3 || fail "a write was acknowledged after the restart of a full node"

grow 1
start_ms=$(now_ms)
wait_for 30 "acknowledged write" write 3
note "room on node 1: service resumed after $(($(now_ms) - start_ms)) ms"
has_room 1 || fail "node 1 still says that its disk is full"
wait_for 20 "acknowledged write through node 1" write 1
grow 2
wait_for 30 "room on node 2" has_room 2
wait_for 20 "acknowledged write through node 2" write 2
same_keys
check_writes
awk '{ split($0, a, "="); if (index($0, a[1] "=" a[1] ":") != 1) print a[1] }' "$WORK/keys" >"$WORK/wrong"
[ ! -s "$WORK/wrong" ] || fail "wrong values: $(head -n 3 "$WORK/wrong")"
for i in 1 2; do # once, and again for each process and each time
    [ "$(grep -c 'disk is full' "$WORK/node$i.log")" -le 3 ] || fail "node $i says too often that its disk is full"
done
! grep -Eq 'error' "$WORK"/node?.log || fail "a node has seen an error: $(grep error "$WORK"/node?.log)"

# What is damaged is put aside, which takes room. Until there is some such a start shows what is in its
# snapshot, and then it goes on by itself.
expect 0 ctl 2 --timeout 20 snapshot
for _ in {1..60}; do write 3; done
wait_converged
stop 2
segment=$(find "$WORK/node2/log" -name '*.seg' -size +1M | sort | tail -n 3 | head -n 1) # the last one is made ahead
dd if=/dev/urandom of="$segment" bs=4096 seek=300 count=1 conv=notrunc status=none
dd if=/dev/zero of="$WORK/node2/log/fill" bs=4096 status=none 2>/dev/null || :
launch 2
wait_for 20 "word of what it waits for" grep -q 'No space left on device; the start waits for room' "$WORK/node2.log"
wait_for 20 "what is in the snapshot" ctl 2 get --stale key-1
expect 10 ctl 2 put nothing now
sleep 3
grow 2 128
wait_for 30 "end of the start" answers 2
grep -q 'this node is in doubt' "$WORK/node2.log" || fail "nothing was damaged"
same_keys
[ "$(grep -c 'the start waits for room' "$WORK/node2.log")" = 1 ] || fail "it is said more than once"
finish "$(count "$WORK/acked") writes acknowledged, $(count "$WORK/refused") refused," \
    "$(count "$WORK/unknown.fill") unknown; none lost, no restart needed"
