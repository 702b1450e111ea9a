#!/bin/bash
# What -p prints is a configuration again, and the same one.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 60

mkdir -p "$WORK"
round_trip() { # FILE
    local i
    for i in 1 3; do
        expect 0 "$RAFTD" -n -c "$1" -i "$i"
        expect 0 "$RAFTD" -p -c "$1" -i "$i"
        printf '%s\n' "$OUT" >"$WORK/printed.conf"
        expect 0 "$RAFTD" -n -c "$WORK/printed.conf" -i "$i"
        expect 0 "$RAFTD" -p -c "$WORK/printed.conf" -i "$i"
        printf '%s\n' "$OUT" | cmp - "$WORK/printed.conf" || fail "$1: printed twice, differs"
    done
}
conf_write "$WORK/a.conf" demo 3 7101
round_trip "$WORK/a.conf"
conf_write "$WORK/b.conf" b 5 7101 'election_timeout_ms = 2000' 'max_value_bytes = 1048576'
printf 'readers = 0\nsocket_mode = 0600\n' >>"$WORK/b.conf"
round_trip "$WORK/b.conf"
grep -q '2000' "$WORK/printed.conf" || fail "-p forgot election_timeout_ms"
grep -q '1048576' "$WORK/printed.conf" || fail "-p forgot max_value_bytes"
# shellcheck disable=SC2034 # of cluster.sh
KEYED=1
conf_write "$WORK/c.conf" c 3 7101
for i in 1 3; do key_make "$WORK/key.$i"; done
round_trip "$WORK/c.conf"
grep -q "^next_key_file = $WORK/key\.3\.next\$" "$WORK/printed.conf" || fail "-p forgot next_key_file"
[ ! -e raftd.conf ] || round_trip raftd.conf
# Options win over the file, and the printed configuration says so.
expect 0 "$RAFTD" -p -c "$WORK/a.conf" -i 2 -d /some/where -s /some/where.sock
for word in 'id = 2' 'data_dir = /some/where' 'socket = /some/where.sock'; do
    grep -q "^$word\$" <<<"$OUT" || fail "no '$word' in the printed configuration"
done
# What the command line says is meant from where it was typed, what the file says is absolute.
DAEMON=$(realpath "$RAFTD")
(cd "$WORK" && expect 0 "$DAEMON" -p -c a.conf -d some/where -s "/some/s" && printf '%s\n' "$OUT" >typed)
grep -q "^data_dir = $WORK/some/where\$" "$WORK/typed" || fail "-d: $(cat "$WORK/typed")"
sed "s|^data_dir = .*|data_dir = w/d|" "$WORK/a.conf" >"$WORK/relative.conf"
expect 2 "$RAFTD" -n -c "$WORK/relative.conf"
says "'w/d' is wrong; allowed: an absolute path"
note "conf: printed configurations parse again to the same (${SECONDS} s)"
