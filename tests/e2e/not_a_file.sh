#!/bin/bash
# In the place of each file that raftd reads stands something else: a start and a look end at once, with the
# documented code and with what is wrong, and change nothing.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120
umask 077

put_there() { # KIND PATH
    case $1 in
    pipe) mkfifo "$2" ;;
    directory) mkdir "$2" ;;
    socket) perl -MIO::Socket::UNIX -e 'chdir shift; IO::Socket::UNIX->new(Local => shift, Listen => 1) or die' \
        "$(dirname "$2")" "$(basename "$2")" ;;
    device) ln -s /dev/zero "$2" ;;
    loop) ln -s "$(basename "$2")" "$2" ;;
    nowhere) ln -s nothing "$2" ;;
    empty) : >"$2" ;;
    unreadable) : >"$2" && chmod 0 "$2" ;;
    esac
}

# Root may read everything; without its privileges it is as others are.
as_others() {
    if [ "$(id -u)" = 0 ]; then setpriv --bounding-set=-all --inh-caps=-all "$@"; else "$@"; fi
}

table() { # file, kind, exit code, what is said
    cat <<'END'
ident     pipe        3  ident: it is no regular file
ident     directory   3  ident: it is no regular file
ident     socket      3  ident: it is no regular file
ident     device      3  ident: it is no regular file
ident     loop        3  ident: it is no regular file
ident     nowhere     3  ident: it is no regular file
ident     empty       3  ident: both copies are damaged
ident     unreadable  3  ident: Permission denied; this runs as user
peers     pipe        3  peers: it is no regular file
peers     directory   3  peers: it is no regular file
peers     socket      3  peers: it is no regular file
peers     device      3  peers: it is no regular file
peers     loop        3  peers: it is no regular file
peers     nowhere     3  peers: it is no regular file
peers     empty       3  peers: both copies are damaged
peers     unreadable  3  peers: Permission denied; this runs as user
log       pipe        3  log: Not a directory
log       directory   4  log: the log is missing
log       socket      3  log: Not a directory
log       device      3  log: Not a directory
log       loop        3  log: Too many levels of symbolic links
log       nowhere     4  log: the log is missing
log       empty       3  log: Not a directory
segment   pipe        4  seg: it is no regular file
segment   directory   4  seg: it is no regular file
segment   socket      4  seg: it is no regular file
segment   device      4  seg: it is no regular file
segment   loop        4  seg: it is no regular file
segment   nowhere     4  seg: it is no regular file
segment   empty       4  seg: is 0 bytes long
segment   unreadable  3  seg: Permission denied; this runs as user
snap      pipe        3  snap: Not a directory
snap      socket      3  snap: Not a directory
snap      device      3  snap: Not a directory
snap      loop        3  snap: Too many levels of symbolic links
snap      empty       3  snap: Not a directory
snapshot  pipe        3  snap: it is no regular file
snapshot  directory   3  snap: it is no regular file
snapshot  socket      3  snap: it is no regular file
snapshot  device      3  snap: it is no regular file
snapshot  loop        3  snap: it is no regular file
snapshot  nowhere     3  snap: it is no regular file
snapshot  unreadable  3  snap: Permission denied; this runs as user
conf      pipe        2  is empty
conf      directory   2  Is a directory
conf      socket      2  cannot open
conf      device      2  too large
conf      loop        2  Too many levels of symbolic links
conf      nowhere     2  No such file
conf      empty       2  is empty
conf      unreadable  2  Permission denied
key       pipe        2  not a regular file
key       directory   2  not a regular file
key       socket      2  cannot open
key       device      2  not a regular file
key       loop        2  Too many levels of symbolic links
key       nowhere     2  No such file
key       empty       2  holds no key
key       unreadable  2  Permission denied
END
}

# shellcheck disable=SC2034 # of cluster.sh
KEYED=1
cluster 1
start_all
wait_leader
expect 0 ctl 1 --timeout 20 put k v
stop 1
cp "$CONF" "$WORK/conf"
mkdir -p "$WORK/node1/snap"
cp -a "$WORK/node1" "$WORK/good"
n=0
while read -r what kind code said; do
    case $what in
    conf) path=$WORK/conf ;;
    key) path=$WORK/key.1 ;;
    snapshot) path=$WORK/node1/snap/0000000000000001.snap ;;
    segment) path=$(find "$WORK/node1/log" -name '*.seg' | sort | head -n 1) ;;
    *) path=$WORK/node1/$what ;;
    esac
    [ ! -e "$path" ] || mv "$path" "$WORK/kept"
    put_there "$kind" "$path"
    as=
    [ "$kind" != unreadable ] || as=as_others
    expect "$code" $as timeout -k 5 10 "$RAFTD" -c "$WORK/conf" -i 1 </dev/null
    says "$said"
    case $what in
    conf)
        expect "$code" $as timeout -k 5 10 "$RAFTCTL" -c "$WORK/conf" -i 1 status </dev/null
        says "$said" ;;
    ident | log | segment | snap | snapshot)
        expect "$code" $as timeout -k 5 10 "$RAFTD" --check "$WORK/node1" </dev/null
        says "$said" ;;
    esac
    rm -r "$path"
    [ ! -e "$WORK/kept" ] || mv "$WORK/kept" "$path"
    diff -r "$WORK/good" "$WORK/node1" || fail "something was changed: $what $kind"
    n=$((n + 1))
done < <(table)
start 1
expect 0 ctl 1 --timeout 20 get k
finish "$n kinds of what is no file of ours were refused, each with its code"
