#!/bin/bash
# Whose files are these? Root makes them for the user whose directory it is, and who lacks a permission
# is told so (exit 3), with the owner and what to do, instead of being told that the disk failed.
# shellcheck disable=SC2034 # arrays of cluster.sh
make -s -j2 all || exit 1
export RAFTD=build/raftd RAFTCTL=build/raftctl # the sanitizer cannot look for leaks in who changed its user
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 60
[ "$(id -u)" = 0 ] || skip "needs root to be two users"
command -v setpriv >/dev/null || skip "no setpriv"

US=65534
cluster 1
# Everything that this user must reach; the tree may be in a directory of root's own.
DIR=$(mktemp -d)
at_exit "rm -rf $DIR"
chmod 755 "$DIR"
mkdir "$DIR/run"
chown "$US" "$DIR/run"
cp "$RAFTD" "$DIR/raftd"
USERS=("setpriv" "--reuid=$US" "--regid=$US" "--clear-groups")
"${USERS[@]}" "$DIR/raftd" --version >/dev/null 2>&1 || skip "user $US cannot run programs here"
C=$DIR/raftd.conf
sed "s|^data_dir = .*|data_dir = $DIR/data|; s|^socket = .*|socket = $DIR/run/sock|" "$CONF" >"$C"

takes() { "$RAFTCTL" -s "$DIR/run/sock" --timeout 5 put k v 2>/dev/null; }
as_user() { # runs the daemon as that user until it answers, and stops it
    "${USERS[@]}" "$DIR/raftd" -c "$C" "$@" >>"$WORK/node1.log" 2>&1 &
    PID[1]=$!
    STATE[1]=up
    wait_for 30 "answer" takes
    stop 1
}

# What the service manager does, then the operator.
mkdir -m 700 "$DIR/data"
chown "$US:$US" "$DIR/data"
expect 3 "${USERS[@]}" "$DIR/raftd" -c "$C"
says 'raftd --init'
expect 0 "$RAFTD" --init -c "$C"
says "belongs to user $US: the files are made as that user"
[ -z "$(find "$DIR/data" ! -user "$US")" ] || fail "files of another user: $(find "$DIR/data" -ls)"
as_user

# A directory in that user's directory, which does not exist.
expect 0 "$RAFTD" --init -c "$C" -d "$DIR/data/other/1"
[ -z "$(find "$DIR/data" ! -user "$US")" ] || fail "files of another user: $(find "$DIR/data" -ls)"
as_user -d "$DIR/data/other/1"
# Where nothing is anybody else's, missing directories are made as they are.
expect 0 "$RAFTD" --init -c "$C" -d "$DIR/a/b/c"
[ -z "$(find "$DIR/a" ! -user 0)" ] || fail "$DIR/a is not root's"

# Root's files, here and there.
refused() { # WHAT: PATTERN
    expect 3 "${USERS[@]}" "$DIR/raftd" -c "$C"
    says "$1"
    says "Permission denied.*this runs as user $US.*chown"
    note "refused: $(tail -n 1 "$WORK/stderr")"
}
for piece in . ident log "$(cd "$DIR/data" && echo log/*1.seg)"; do
    chown 0:0 "$DIR/data/$piece"
    mode=$(stat -c %a "$DIR/data/$piece")
    chmod go= "$DIR/data/$piece"
    refused "$DIR/data"
    chmod "$mode" "$DIR/data/$piece"
    chown "$US:$US" "$DIR/data/$piece"
done
as_user
# What would fail hours later, when the next file is made: the directory's own, and a segment's.
for piece in . log; do
    chown 0:0 "$DIR/data/$piece"
    chmod 755 "$DIR/data/$piece"
    refused 'no file can be made there'
    chown "$US:$US" "$DIR/data/$piece"
    chmod 700 "$DIR/data/$piece"
done
# Root by hand: its files would be in that user's way.
expect 3 "$RAFTD" -c "$C"
says "$DIR/data belongs to user $US, and this runs as root.*setpriv --reuid $US"
[ -z "$(find "$DIR/data" ! -user "$US")" ] || fail "files of another user: $(find "$DIR/data" -ls)"
expect 0 "$RAFTD" --check "$DIR/data" # only looks
as_user
rm -rf "$DIR/data"
expect 3 "${USERS[@]}" "$DIR/raftd" --init -c "$C"
says "mkdir $DIR/data: Permission denied.*this runs as user $US, and $DIR belongs to user 0.*install -d -m 700 -o $US $DIR/data"

# Read-only for us, as by ProtectSystem=.
expect 0 "$RAFTD" --init -c "$C"
if unshare -m true 2>/dev/null; then
    expect 3 unshare -m sh -c "mount --make-rprivate / 2>/dev/null
        mount --bind $DIR/data $DIR/data && mount -o remount,bind,ro $DIR/data || exit 77
        exec $RAFTD -c $C"
    says 'Read-only file system.*ReadWritePaths='
else
    note "no mount namespaces: read-only is not tried"
fi
finish "files belong to whom the directory belongs to, and a refusal names the owner"
