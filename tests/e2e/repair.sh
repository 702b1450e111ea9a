#!/bin/bash
# The disk of a node is damaged behind its back: in the middle of its log, at the head of a segment, in its
# snapshots, by a log that is gone. It starts in doubt and is mended by the others, under load, and keeps what
# was damaged. When two of three are damaged both say so and nothing is elected, but all show what they have.
# A node alone does not start, and says entry by entry what there is.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 300
PUTS=1500 # of 2 kB: more than one segment, and less than a snapshot is taken for

segments() { find "$WORK/node$1/log" -maxdepth 1 -name '*.seg' | sort; }

spoil() { # FILE OFFSET: 200 bytes
    head -c 200 /dev/zero | tr '\0' '\125' | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

damage() { # NODE KIND
    local first newest
    first=$(segments "$1" | head -n 1)
    case $2 in
    middle) spoil "$first" $((300 * 4096 + 50)) ;;
    head) spoil "$(segments "$1" | sed -n 2p)" 20 ;;
    seal) spoil "$first" $((4194304 - 4096)) ;;
    hole) # nor is there a snapshot that has what was there
        rm "$(segments "$1" | sed -n 2p)"
        rm -f "$WORK/node$1/snap"/*.snap
        ;;
    snapshot)
        for newest in "$WORK/node$1/snap"/*.snap; do spoil "$newest" 4200; done
        ;;
    log) rm -r "$WORK/node$1/log" ;;
    all) rm -r "$WORK/node$1/log" "$WORK/node$1/snap" ;;
    esac
}

load() { expect 0 ctl "$1" --timeout 60 bench -c 16 -n "$PUTS" -v 2000 -k 100; }
has_snapshot() { [ "$(field "$1" log_first_index)" -gt 1 ]; }
doubts() { [ "$(field "$1" doubt)" = "$2" ]; }

cluster 3
start_all
wait_leader
expect 0 ctl 1 --timeout 10 put kept "from the beginning"
load 1
wait_converged
for kind in middle head seal hole snapshot log all; do
    wait_leader
    victim=$(other_than "$LEADER")
    writers_start "$kind:$LEADER"
    if [ "$kind" = snapshot ]; then
        for _ in 1 2 3 4 5 6; do has_snapshot "$victim" || load "$victim"; done
        wait_for 20 "shorter log of node $victim" has_snapshot "$victim"
    fi
    crash "$victim"
    damage "$victim" "$kind"
    was=0
    "$RAFTD" --check "$WORK/node$victim" >"$WORK/check" 2>&1 || was=$?
    [ "$was" = 4 ] || fail "$kind: --check exits with $was: $(tail -n 3 "$WORK/check")"
    grep -qx doubt=1 "$WORK/check" || fail "$kind: --check does not say that the node will be in doubt"
    begin_ms=$(now_ms)
    : >"$WORK/node$victim.log"
    start "$victim"
    grep -q "this node is in doubt: its log was damaged" "$WORK/node$victim.log" ||
        fail "$kind: node $victim is not in doubt: $(cat "$WORK/node$victim.log")"
    wait_for 60 "node $victim to be mended ($kind)" doubts "$victim" 0
    took_ms=$(($(now_ms) - begin_ms))
    wait_for 5 "the word that it is over" grep -q "no longer in doubt" "$WORK/node$victim.log"
    writers_stop
    same_keys
    check_writes
    grep -qx 'kept=from the beginning' "$WORK/keys" || fail "$kind: the first key is lost"
    [ ! -e "$WORK/node$victim/doubt" ] || fail "$kind: it is mended, and says on its disk that it is not"
    case $kind in
    log | all) ;;
    *) [ -n "$(ls "$WORK/node$victim/log/damaged" "$WORK/node$victim"/snap/*.damaged 2>/dev/null)" ] ||
        fail "$kind: what was damaged is not kept" ;;
    esac
    note "$kind: node $victim counts again after $took_ms ms"
    # It counts: with the leader alone it is a majority.
    wait_leader
    third=$(other_than "$LEADER" "$victim")
    if [ "$third" != "$victim" ] && [ "$LEADER" != "$victim" ]; then
        stop "$third"
        expect 0 ctl "$victim" --timeout 20 put "$kind" counts
        start "$third"
    fi
done

# --- more than a minority ---------------------------------------------------------------------------------
for i in 1 2; do expect 0 ctl "$i" --timeout 20 snapshot; done
for i in 1 2 3; do stop "$i"; done
for i in 1 2; do damage "$i" log; done
start_all
for i in 1 2; do
    wait_for 10 "doubt of node $i" doubts "$i" 1
    [ "$(field "$i" doubt_reason)" = damaged ] || fail "node $i: doubt_reason is $(field "$i" doubt_reason)"
done
sleep 3
for i in 1 2 3; do
    [ "$i" = 3 ] || expect 0 ctl "$i" status
    [ "$i" = 3 ] || [[ $OUT == *"advice="*"see Damaged disks in raftd(8)"* ]] || fail "status of node $i gives no advice"
    [ "$(field "$i" leader)" = 0 ] || fail "node $i has a leader, which a majority in doubt elected"
    expect 4 ctl "$i" --timeout 0.5 put nobody takes
done
for i in 1 2 3; do
    expect 0 ctl "$i" get --stale kept
    [ "$OUT" = "from the beginning" ] || fail "node $i shows '$OUT'"
    if [ "$i" != 3 ]; then # what is shown in doubt is marked
        says 'this node is recovering'
    elif grep -q recovering "$WORK/stderr"; then
        fail "node 3 is not in doubt, and says that it is recovering"
    fi
done
for i in 1 2 3; do stop "$i"; done
# All that a node makes is for its user alone.
open=$(find "$WORK"/node[123] \( -type f ! -perm 600 \) -o \( -type d ! -perm 700 \))
[ -z "$open" ] || fail "others may look into: $open"

# --- alone ------------------------------------------------------------------------------------------------
cluster 1
start 1
wait_leader
for i in $(seq 40); do expect 0 ctl 1 put "key-$i" "$i"; done
stop 1
spoil "$(segments 1 | head -n 1)" $((20 * 4096 + 140))
launch 1
wait_end 1
[ "$CODE" = 4 ] || fail "exit $CODE instead of 4 of a node that is alone and damaged"
grep -q 'Nothing was changed' "$WORK/node1.log" || fail "no word of what happens to it"
was=0
"$RAFTD" --check "$WORK/node1" >"$WORK/check" 2>&1 || was=$?
[ "$was" = 4 ] || fail "--check of it exits with $was"
grep -qE '^entry\.[0-9]+=readable term=1 key=key-40$' "$WORK/check" || fail "no word of key-40: $(cat "$WORK/check")"
grep -qE '^entry\.[0-9]+=lost$' "$WORK/check" || fail "no word of what is lost: $(cat "$WORK/check")"
finish "damage of seven kinds is mended by the others; two of three show what they have; one alone stays out"
