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

table() { # files, kinds, exit code, what is said; @ = the name of the file, or what it ends with
    cat <<'END'
ident,peers,snapshot   pipe,directory,socket,device,loop,nowhere   3  @: it is no regular file
segment                pipe,directory,socket,device,loop,nowhere   4  @: it is no regular file
ident,peers            empty                                       3  @: both copies are damaged
segment                empty                                       4  @: is 0 bytes long
ident,peers            unreadable                                  3  @: Permission denied; this runs as user
snapshot,segment       unreadable                                  3  @: Permission denied; this runs as user
log,snap               pipe,socket,device,empty                    3  @: Not a directory
log,snap               loop                                        3  @: Too many levels of symbolic links
log                    directory,nowhere                           4  @: the log is missing
conf                   pipe,empty                                  2  is empty
conf                   directory                                   2  Is a directory
conf,key               socket                                      2  cannot open
conf                   device                                      2  too large
conf,key               loop                                        2  Too many levels of symbolic links
conf,key               nowhere                                     2  No such file
conf,key               unreadable                                  2  Permission denied
key                    pipe,directory,device                       2  not a regular file
key                    empty                                       2  holds no key
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
try() { # file, kind, exit code, what is said
    local what=$1 kind=$2 code=$3 said path as
    case $what in
    conf) path=$WORK/conf ;;
    key) path=$WORK/key.1 ;;
    snapshot) path=$WORK/node1/snap/0000000000000001.snap ;;
    segment) path=$(find "$WORK/node1/log" -name '*.seg' | sort | head -n 1) ;;
    *) path=$WORK/node1/$what ;;
    esac
    said=${4/@/${path##*[/.]}}
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
}
while read -r files kinds code said; do
    for what in ${files//,/ }; do
        for kind in ${kinds//,/ }; do
            try "$what" "$kind" "$code" "$said"
        done
    done
done < <(table)
[ "$n" = 59 ] || fail "$n cases were tried"
start 1
expect 0 ctl 1 --timeout 20 get k
finish "$n kinds of what is no file of ours were refused, each with its code"
