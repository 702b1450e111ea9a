#!/bin/bash
# Which data directories raftd accepts: never one without identity, of another node or cluster, in
# use, or damaged before its end; a torn last write is what a power cut leaves, and is accepted.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120

sums() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum && ls -lR --time-style=+%s.%N); }

# The number of the last 4 KiB block that is not all zeros, of the newest segment with any: SEGMENT, BLOCK.
last_block() {
    local f size b
    SEGMENT='' BLOCK=-1
    for f in $(find "$1" -type f -size +64k | LC_ALL=C sort); do
        size=$(($(stat -c %s "$f") / 4096))
        b=$(od -An -v -tx8 -w4096 "$f" | awk '/[1-9a-f]/ { last = NR } END { print last - 1 }')
        [ "$b" -lt 0 ] || SEGMENT=$f BLOCK=$b
    done
    [ -n "$SEGMENT" ] || fail "no segment with data in $1"
    [ "$BLOCK" -lt $((size - 2)) ] || fail "the test needs room after the last batch"
}

refused() { # CODE PATTERN OPTIONS...: a start that must end by itself
    local want=$1 pattern=$2
    shift 2
    expect "$want" timeout -k 5 20 "$RAFTD" "$@"
    says "$pattern"
    note "refused: $(tail -n 1 "$WORK/stderr")"
}

cluster 3
start_all
wait_leader
for i in {1..40}; do expect 0 ctl 1 --timeout 20 put "k$i" "value $i"; done
same_keys

# --- identity ---
mkdir "$WORK/empty"
refused 3 'raftd --init' -c "$CONF" -i 1 -d "$WORK/empty" -s "$WORK/x.sock"
refused 3 'raftd --init|no such' -c "$CONF" -i 1 -d "$WORK/nowhere" -s "$WORK/x.sock"
if [ -n "$(ls -A "$WORK/empty")" ] || [ -e "$WORK/nowhere" ]; then fail "something was created silently"; fi

# What leads to no directory, at a start, a look and --init: a file, below a file, a link to nothing.
echo x >"$WORK/file"
ln -s "$WORK/nothing" "$WORK/link"
for wrong in file file/below link/below; do
    refused 3 "$WORK" -c "$CONF" -i 1 -d "$WORK/$wrong" -s "$WORK/x.sock"
    [ "$wrong" = file ] || refused 3 "$WORK" --check "$WORK/$wrong"
    refused 3 "$WORK" --init -c "$CONF" -i 1 -d "$WORK/$wrong"
done
refused 4 'this is no snapshot' --check "$WORK/file"
refused 3 'link to what does not exist' --init -c "$CONF" -i 1 -d "$WORK/link"
if grep -q 'Then run' "$WORK/stderr"; then fail "--init says to run --init"; fi
# No descriptor is no fault of the disk.
# shellcheck disable=SC2016 # for that shell
expect 70 sh -c 'ulimit -n 4; exec "$@"' sh "$RAFTD" --init -c "$CONF" -i 1 -d "$WORK/no_descriptor"
says 'Too many open files'
# In use: another address, so that nothing but the directory is in the way.
sed "s/:$((BASE_PORT))\$/:$((BASE_PORT + 7))/" "$CONF" >"$WORK/elsewhere.conf"
refused 3 'in use|lock|another|running' -c "$WORK/elsewhere.conf" -i 1 -s "$WORK/x.sock"
# Its files in another directory of the same name. (A daemon that runs would see that its log is gone.)
pause 1
mv "$WORK/node1" "$WORK/was"
mkdir "$WORK/node1"
ln "$WORK/was/ident" "$WORK/node1/ident"
refused 3 'in use' -c "$WORK/elsewhere.conf" -i 1 -s "$WORK/x.sock"
refused 3 'in use' --check "$WORK/node1"
rm -r "$WORK/node1"
mv "$WORK/was" "$WORK/node1"
resume 1
# Somebody tidies up, or puts another identity there: it is in use all the same.
# shellcheck disable=SC2016,SC2034 # they are evaluated below
for tidy in 'rm -f "$dir/LOCK"' 'cp -p "$dir/ident" "$dir/x"; mv "$dir/x" "$dir/ident"' \
    'mv "$dir/ident" "$dir/old"'; do
    dir=$WORK/node1
    eval "$tidy"
    refused 3 'in use' -c "$WORK/elsewhere.conf" -i 1 -s "$WORK/x.sock"
    refused 3 'in use' --init -c "$WORK/elsewhere.conf" -i 1
    refused 3 'in use' --check "$WORK/node1"
done
mv "$WORK/node1/old" "$WORK/node1/ident"
expect 0 ctl 1 --timeout 20 put still "here"

same_keys
stop 1
expect 3 "$RAFTD" --init -c "$CONF" -i 1 # never a second time
refused 3 'node' -c "$CONF" -i 2 -d "$WORK/node1" -s "$WORK/x.sock"
sed 's/^name = .*/name = other/' "$CONF" >"$WORK/other.conf"
refused 3 'cluster' -c "$WORK/other.conf" -i 1 -s "$WORK/x.sock"

# Of the identity both copies are damaged: refused by all, and nothing changes.
cp -a "$WORK/node1" "$WORK/damaged"
for at in 100 5000; do printf x | dd of="$WORK/damaged/ident" bs=1 seek="$at" conv=notrunc status=none; done
sums "$WORK/damaged" >"$WORK/before"
refused 3 'both copies are damaged. No start can use this directory: see Damaged disks' -c "$CONF" -i 1 -d "$WORK/damaged" -s "$WORK/x.sock"
refused 3 'both copies are damaged' --check "$WORK/damaged"
sums "$WORK/damaged" >"$WORK/after"
cmp "$WORK/before" "$WORK/after" || fail "a refused start changed something"

# --- check changes nothing ---
sums "$WORK/node1" >"$WORK/before"
expect 0 "$RAFTD" --check "$WORK/node1"
[ -n "$OUT" ] || fail "--check says nothing"
note "--check: $(head -n 3 <<<"$OUT" | tr '\n' ';')"
sums "$WORK/node1" >"$WORK/after"
cmp "$WORK/before" "$WORK/after" || fail "--check changed something"

# --- the log is gone, and no check makes another one (what a start does: see repair) ---
mv "$WORK/node1/log" "$WORK/log"
refused 4 'the log is missing' --check "$WORK/node1"
[ ! -e "$WORK/node1/log" ] || fail "a check made a log"
# The empty log of another directory is no damage, but a mistake: no start takes it, or moves it away.
expect 0 "$RAFTD" --init -c "$CONF" -i 1 -d "$WORK/fresh"
mv "$WORK/fresh/log" "$WORK/node1/log"
other='^.* belongs to storage [0-9a-f]{16}, this directory is [0-9a-f]{16}'
refused 4 "$other" -c "$CONF" -i 1
refused 4 "$other" --check "$WORK/node1"
dd if=/dev/zero of="$(echo "$WORK"/node1/log/*.seg)" bs=4096 count=1 conv=notrunc status=none
refused 4 '^.* belongs to no storage, this directory is [0-9a-f]{16}' --check "$WORK/node1"
[ ! -e "$WORK/node1/doubt" ] || fail "a refused start, or a check, changed something"
rm -r "$WORK/node1/log"
mv "$WORK/log" "$WORK/node1/log"

# --- a torn tail: the second half of the last write is missing, then garbage instead of a write ---
cp -a "$WORK/node1" "$WORK/good"
torn() { # WHAT: damages node 1's log at SEGMENT, BLOCK by that function; accepted all the same
    last_block "$WORK/node1"
    "$1"
    sums "$WORK/node1" >"$WORK/before"
    expect 0 "$RAFTD" --check "$WORK/node1"
    grep -q 'torn' <<<"$OUT" || fail "--check after $1: $OUT"
    grep -qx 'tail_dropped=1' <<<"$OUT" || fail "--check after $1: $OUT"
    says 'is damaged or was cut: .* if this node had acknowledged them, the leader will say so'
    note "--check after $1: $(tr '\n' ';' <<<"$OUT") $(cat "$WORK/stderr")"
    sums "$WORK/node1" >"$WORK/after"
    cmp "$WORK/before" "$WORK/after" || fail "--check changed something in a torn log"
    start 1
    [ "$(field 1 tail_dropped)" = 1 ] || fail "status does not tell of the dropped tail"
    expect 0 ctl 2 --timeout 20 put "$1" "value"
    same_keys
    expect 0 ctl 1 --timeout 20 get "$1"
}
half_a_write() {
    dd if=/dev/zero of="$SEGMENT" bs=2048 seek=$((2 * BLOCK + 1)) count=1 conv=notrunc status=none
}
garbage() {
    dd if=/dev/urandom of="$SEGMENT" bs=4096 seek=$((BLOCK + 1)) count=1 conv=notrunc status=none
}
start 1
wait_converged
expect 0 ctl 1 --timeout 20 put large "$(printf '%03000d' 7)"
wait_converged
crash 1 # at once: a second later the log is sealed, and the same damage would be refused
# Node 1 did acknowledge that write, which a really torn one never is: so that nobody counts on it,
# another leader is needed, who asks node 1 anew.
wait_leader
before=$LEADER
stop "$before"
start "$before"
wait_leader
torn half_a_write
expect 0 ctl 1 --timeout 20 get large
stop 1
torn garbage
stop 1

# A copy of the directory with a torn tail: recovery would cut it.
cp -a "$WORK/good" "$WORK/copy"
last_block "$WORK/copy"
garbage

# --- a damaged middle: one bit of an acknowledged batch ---
last_block "$WORK/good"
[ "$BLOCK" -gt 20 ] || fail "only $BLOCK blocks after 40 writes"
flip=$((10 * 4096 + 20))
byte=$(od -An -tu1 -j "$flip" -N 1 "$SEGMENT")
# shellcheck disable=SC2059 # the format is the byte
printf "\\x$(printf %02x $((byte ^ 4)))" | dd of="$SEGMENT" bs=1 seek="$flip" conv=notrunc status=none
sums "$WORK/good" >"$WORK/before"
refused 4 "$(basename "$SEGMENT").*offset|offset.*$(basename "$SEGMENT")" --check "$WORK/good"
says '40960|10 \* 4096|0xa000'
sums "$WORK/good" >"$WORK/after"
cmp "$WORK/before" "$WORK/after" || fail "a check of a damaged log changed something"

start 1
same_keys

# --- nothing is cut before the port and the client socket are ours ---
sums "$WORK/copy" >"$WORK/before"
refused 70 'UDP.*in use' -c "$CONF" -i 1 -d "$WORK/copy" -s "$WORK/x.sock"
refused 70 'another daemon' -c "$WORK/elsewhere.conf" -i 1 -d "$WORK/copy" -s "$WORK/node1.sock"
sums "$WORK/copy" >"$WORK/after"
cmp "$WORK/before" "$WORK/after" || fail "a second daemon changed a log before it looked for another"
expect 0 ctl 1 --timeout 20 put after "both"
same_keys
finish "identity, lock and damage are noticed, a torn tail is not one"
