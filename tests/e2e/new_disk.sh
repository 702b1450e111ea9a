#!/bin/bash
# A box gets a new data directory under its old id, sealed and in plain text: it does not count, on both
# sides status says so, and together with the one node that lacks a write it is no majority. With its old
# directory it counts again. A node with another list of nodes, of another cluster, or at another
# address is named, too.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 400

session_is() { [ "$(field "$1" "peer.$2.session")" = "$3" ]; }

says_of() { grep -q "node $2 .*$3" "$WORK/node$1.log"; }
hears() { [ "$(field "$1" "peer.$2.datagrams_received")" -gt 0 ]; }

# In plain text, too, unless time is short.
passes=$([ "${LONG-1}" = 0 ] && echo 1 || echo "1 0")
# shellcheck disable=SC2034 # of cluster.sh
for KEYED in $passes; do
    cluster 3
    start_all
    wait_leader
    lost=$(other_than "$LEADER")
    other=$((6 - LEADER - lost))
    expect 0 ctl "$lost" --timeout 20 put first 1
    wait_converged
    # The two followers must have heard each other, too.
    wait_for 20 "word of node $lost at node $other" hears "$other" "$lost"
    wait_for 20 "word of node $other at node $lost" hears "$lost" "$other"
    pause "$other"
    expect 0 ctl "$LEADER" --timeout 20 put precious 1 # on the leader's disk and the one that is lost
    crash "$lost"
    mv "$WORK/node$lost" "$WORK/old"
    expect 0 "$RAFTD" --init -c "$CONF" -i "$lost"
    start "$lost"
    wait_for 20 "other_disk of node $lost" session_is "$LEADER" "$lost" other_disk
    wait_for 20 "new_disk at node $lost" session_is "$lost" "$LEADER" new_disk
    expect 0 ctl "$LEADER" links
    [[ "$OUT" == *"node $lost comes with another data directory"* ]] || fail "links: $OUT"

    wait_for 20 "message about node $lost" says_of "$LEADER" "$lost" 'comes with another data directory'
    wait_for 20 "message at node $lost" says_of "$lost" "$LEADER" 'knows another data directory'

    # Without the leader the other one lacks the write, and the new box must not help it to lead.
    crash "$LEADER"
    resume "$other"
    wait_for 20 "other_disk of node $lost at node $other" session_is "$other" "$lost" other_disk
    expect 4 ctl "$other" --timeout 4 get first
    says 'raftctl links'
    expect 4 ctl "$lost" --timeout 4 get first
    [ "$(field "$lost" vote)" = 0 ] || fail "the new box gave a vote"
    start "$LEADER"
    wait_leader
    expect 0 ctl "$other" --timeout 20 get precious

    # The old directory counts again.
    stop "$lost"
    rm -r "$WORK/node$lost"
    mv "$WORK/old" "$WORK/node$lost"
    start "$lost"
    crash "$other"
    wait_leader
    expect 0 ctl "$lost" --timeout 20 put again 1
    start "$other"
    same_keys

    # Another list of nodes in the file of a new box: the members in the log count, and its disk is not theirs.
    stop "$lost"
    mv "$WORK/node$lost" "$WORK/old"
    sed "/^node.3/a node.4 = 127.0.0.1:9" "$CONF" >"$WORK/four.conf"
    expect 0 "$RAFTD" --init -c "$WORK/four.conf" -i "$lost"
    CONF=$WORK/four.conf
    start "$lost"
    CONF=$WORK/raftd.conf
    wait_leader
    wait_for 20 "other_disk of node $lost" session_is "$LEADER" "$lost" other_disk
    wait_for 20 "new_disk at node $lost" session_is "$lost" "$LEADER" new_disk
    expect 0 ctl "$LEADER" --timeout 20 put more 1
    [ "$(field "$lost" commit_index)" = 0 ] || fail "a node with another list heard of entries"

    # Another cluster, by its name alone, and an address that is no node's.
    for i in 1 2 3; do stop "$i"; done
    for i in 1 2 3; do [ "$i" = "$lost" ] || start "$i"; done
    wait_leader
    rm -r "$WORK/node$lost"
    sed "s/^name = .*/name = other/" "$CONF" >"$WORK/name.conf"
    CONF=$WORK/name.conf
    expect 0 "$RAFTD" --init -c "$CONF" -i "$lost"
    start "$lost"
    CONF=$WORK/raftd.conf
    wait_for 40 "message about node $lost" says_of "$LEADER" "$lost" 'is of another cluster'
    wait_for 40 "message at node $lost" says_of "$lost" "$LEADER" 'is of another cluster'
    wait_for 20 "word of node $lost that it has no leader" grep -q 'no leader for 1[0-9] s' "$WORK/node$lost.log"
    stop "$lost"
    rm -r "$WORK/node$lost"
    sed "s/^node.$lost = .*/node.$lost = 127.0.0.1:$((BASE_PORT + 5))/" "$CONF" >"$WORK/moved.conf"
    CONF=$WORK/moved.conf
    expect 0 "$RAFTD" --init -c "$CONF" -i "$lost"
    start "$lost"
    CONF=$WORK/raftd.conf
    # Only who proves who it is may have another address.
    if [ "$KEYED" = 1 ]; then
        wait_for 40 "message about the new disk" says_of "$LEADER" "$lost" 'comes with another data directory'
    else
        wait_for 40 "message of a stranger" says_of "$LEADER" "$lost" \
            "comes from 127.0.0.1:$((BASE_PORT + 5))"
    fi
    for i in 1 2 3; do stop "$i"; done
done
finish "a new disk and another list stay out; the old disk comes back"
