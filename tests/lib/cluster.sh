# shellcheck shell=bash
# cluster.sh: a cluster of real daemons on 127.0.0.1, for the end-to-end tests, the demo and the
# benchmark. Sourced, not run:
#
#     . "$(dirname "$0")/../lib/cluster.sh"
#     limit 120                  this script ends after 120 s at the latest
#     cluster 3                  configuration and identities of three nodes, nothing started
#     start 1; start 2; start 3  or: start_all
#     wait_leader                sets LEADER and LEADER_TERM
#     ctl 2 put key value        raftctl through node 2
#     finish "what was shown"    stops all nodes, looks at their exit codes and messages
#
# RAFTD and RAFTCTL name the programs (default build/raftd, build/raftctl), RAFTCTL_PLAIN a raftctl without
# sanitizers, for questions that are asked again and again. Everything is kept under
# build/e2e/NAME.PID, which is removed on success and kept for you on failure. Only processes that
# were started here are ended, by their id. Scripts exit with 0 (pass), 77 (skipped), else failed.

# shellcheck disable=SC2034 # many of these variables are for the scripts

set -eu
SECONDS=0
SELF=$(realpath "$0")
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$TOP"
: "${RAFTD:=build/raftd}" "${RAFTCTL:=build/raftctl}"
: "${RAFTCTL_PLAIN:=$RAFTCTL}"
: "${TOOLS:=build/e2e}" # programs of tests/e2e/*.c
NAME=$(basename "$0" .sh)
: "${WORK:=build/e2e/$NAME.$$}"
WORK=$(realpath -m "$WORK") # paths in a configuration are absolute, and a socket's has 107 bytes at most
[ ${#WORK} -le 85 ] || WORK=/tmp/raftd-$NAME.$$
: "${KEEP:=0}"                  # 1: keep WORK although all went well

declare -A PID=()   # node -> process, of the nodes that run
declare -A STATE=() # node -> up, paused, down
declare -A ON=()    # node -> command in front of its daemon's (netns.sh), or nothing
AT_EXIT=()          # commands for the end in any case, see at_exit
HELPERS=()          # other processes started here
NODES=0
KEYED=0 # 1: datagrams are sealed; node i has the key in $WORK/key.i
CONF=
BASE_PORT=
LEADER=0
LEADER_TERM=0
OUT=

# --- outcome --------------------------------------------------------------------------------------

now_ms() { # of the wall clock; without a fork
    local t=${EPOCHREALTIME/[.,]/}
    echo $((t / 1000))
}

note() { printf '%s\n' "$*"; }

fail() {
    printf 'FAIL %s: %s\n' "$NAME" "$*" >&2
    exit 1
}

skip() {
    printf 'SKIP %s: %s\n' "$NAME" "$*"
    exit 77
}

# Runs the rest of the script in a process group of its own, which is told to end after so many seconds,
# and killed GRACE seconds later. The whole group, for bash heeds a signal only when the command that it
# waits for has ended. This shell stays behind in its caller's group, and passes on what ends it.
limit() {
    local pid code=0
    [ -z "${TIMED-}" ] || return 0
    trap - EXIT
    TIMED=$1 timeout -k "${GRACE:-20}" "$1" "$SELF" <&0 &
    pid=$!
    # shellcheck disable=SC2064 # of this process
    trap "kill $pid 2>/dev/null || :" TERM INT
    wait "$pid" || code=$?
    while kill -0 "$pid" 2>/dev/null; do wait "$pid" || code=$?; done
    exit "$code"
}

end_all() {
    local i pid
    for i in "${!PID[@]}"; do
        pid=${PID[$i]}
        kill -KILL "$pid" 2>/dev/null || :
        wait "$pid" 2>/dev/null || :
    done
    PID=()
    for pid in ${HELPERS[@]+"${HELPERS[@]}"}; do
        kill -TERM "$pid" 2>/dev/null || :
        kill -CONT "$pid" 2>/dev/null || : # a script may have stopped it
        wait "$pid" 2>/dev/null || :
    done
    HELPERS=()
}

on_exit() {
    local code=$? command
    trap - EXIT
    end_all
    for command in ${AT_EXIT[@]+"${AT_EXIT[@]}"}; do eval "$command" || :; done
    if [ "$code" != 0 ] && [ "$code" != 77 ]; then
        printf '%s: messages of the nodes and their data are kept in %s\n' "$NAME" "$WORK" >&2
        tail -n 5 "$WORK"/*.log >&2 2>/dev/null || :
    elif [ "$KEEP" != 1 ]; then
        rm -rf "$WORK"
    fi
    exit "$code"
}
trap on_exit EXIT
trap 'fail "stopped after ${SECONDS} s (limit ${TIMED-none} s)"' TERM INT

at_exit() { AT_EXIT+=("$1"); }

# expect CODE COMMAND...: runs it, requires that exit code; standard output goes to OUT,
# standard error to $WORK/stderr.
expect() {
    local want=$1 code=0
    shift
    OUT=$("$@" 2>"$WORK/stderr") || code=$?
    [ "$code" = "$want" ] ||
        fail "exit $code instead of $want: ${*:0:12}: $(head -c 400 "$WORK/stderr")"
}

# says PATTERN: the last expect's standard error must match it (extended, case does not matter).
says() {
    grep -Eiq -- "$1" "$WORK/stderr" || fail "no '$1' in the message: $(head -c 400 "$WORK/stderr")"
}

# wait_for SECONDS WHAT COMMAND...: repeats it until it succeeds. Sanitizers make a raftctl take ten times as
# long: they see the first try, and not how often it is repeated.
wait_for() {
    local end=$(($(now_ms) + $1 * 1000)) what=$2
    shift 2
    until "$@"; do
        [ "$(now_ms)" -lt "$end" ] || fail "no $what in time"
        local RAFTCTL=$RAFTCTL_PLAIN
        sleep 0.05
    done
}

# --- cluster --------------------------------------------------------------------------------------

udp_port_used() {
    local hex
    hex=$(printf ':%04X ' "$1")
    cat /proc/net/udp /proc/net/udp6 2>/dev/null | grep -q -- "^[^:]*: [0-9A-F]*$hex"
}

# Sets BASE_PORT so that the N ports from there on are free. Below the ephemeral ports. Scripts that run
# beside each other are given a first port each (PORTS), and have the 200 from there on for themselves: a
# port that looks free may be that of a node which another script has just stopped.
free_ports() {
    local n=$1 try i
    for try in {1..50}; do
        BASE_PORT=$((10000 + (RANDOM * 7 + $$ + try) % 20000))
        [ -z "${PORTS-}" ] || BASE_PORT=$((PORTS + RANDOM % 180))
        [ "$try" != 1 ] || BASE_PORT=${2:-$BASE_PORT}
        for ((i = 0; i < n; i++)); do
            ! udp_port_used $((BASE_PORT + i)) || continue 2
        done
        return 0
    done
    fail "no $n free UDP ports found"
}

node_addr() { echo "127.0.0.1:$((BASE_PORT + $1 - 1))"; } # of this cluster's node

# conf_write FILE NAME NODES PORT LINE...: nodes with the ports from PORT on, "": with the addresses
# of this cluster's nodes; the lines go into [cluster].
conf_write() {
    local file=$1 name=$2 nodes=$3 port=$4 i addr
    shift 4
    {
        printf '[cluster]\nname = %s\n' "$name"
        for ((i = 1; i <= nodes; i++)); do
            addr=127.0.0.1:$((port + i - 1))
            [ -n "$port" ] || addr=$(node_addr "$i")
            printf 'node.%d = %s\n' "$i" "$addr"
        done
        [ $# = 0 ] || printf '%s\n' "$@"
        printf '[node]\ndata_dir = %s/node{id}\nsocket = %s/node{id}.sock\n' "$WORK" "$WORK"
        [ "$KEYED" = 0 ] || printf 'key_file = %s/key.{id}\n' "$WORK"
    } >"$file"
}

key_make() { # FILE
    (umask 077 && "$RAFTCTL" keygen >"$1") || fail "raftctl keygen: exit $?"
}

# cluster N [LINE...]: prepares WORK and N nodes, starts nothing.
cluster() {
    local i
    NODES=$1
    shift
    [ -x "$RAFTD" ] || fail "no $RAFTD: make first"
    [ -x "$RAFTCTL" ] || fail "no $RAFTCTL: make first"
    rm -rf "$WORK"
    mkdir -p "$WORK"
    free_ports "$NODES" "${PREFER_PORT:-}"
    [ "$KEYED" = 0 ] || key_make "$WORK/key"
    CONF=$WORK/raftd.conf
    conf_write "$CONF" "$NAME" "$NODES" "" "$@"
    for ((i = 1; i <= NODES; i++)); do
        [ "$KEYED" = 0 ] || cp -p "$WORK/key" "$WORK/key.$i"
        "$RAFTD" --init -c "$CONF" -i "$i" >>"$WORK/node$i.log" 2>&1 ||
            fail "raftd --init of node $i: exit $?"
        STATE[$i]=down
    done
}

ctl() {
    local i=$1
    shift
    "$RAFTCTL" -s "$WORK/node$i.sock" "$@"
}

# The same for what is done very often: sanitizers see every eighth time.
OFTEN=0
often() {
    OFTEN=$((OFTEN + 1))
    [ $((OFTEN % 8)) = 0 ] || local RAFTCTL=$RAFTCTL_PLAIN
    ctl "$@"
}

launch() { # node i without waiting for it
    local i=$1
    # shellcheck disable=SC2086 # a command and its options, or nothing
    ${ON[$i]-} "$RAFTD" -c "$CONF" -i "$i" >>"$WORK/node$i.log" 2>&1 &
    PID[$i]=$!
    STATE[$i]=up
}

# It does so from early in its start on; it is up when nothing of that is left.
answers() {
    local status
    status=$(ctl "$1" --timeout 1 status 2>/dev/null) && [[ $status != *"recovering=the daemon is starting"* ]] && return 0
    kill -0 "${PID[$1]}" 2>/dev/null || fail "node $1 ended at start"
    return 1
}

start() {
    launch "$1"
    wait_for 30 "answer of node $1" answers "$1"
}

start_all() {
    local i
    for ((i = 1; i <= NODES; i++)); do launch "$i"; done
    for ((i = 1; i <= NODES; i++)); do wait_for 30 "answer of node $i" answers "$i"; done
}

# Waits until node i has ended by itself or by a signal; its exit code goes to CODE.
CODE=0
ended() {
    CODE=0
    wait "${PID[$1]}" 2>/dev/null || CODE=$?
    unset "PID[$1]"
    STATE[$1]=down
}

has_ended() {
    local state
    state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/${PID[$1]}/status" 2>/dev/null) || :
    [ "${state:-Z}" = Z ]
}

# For a node that is expected to end by itself.
wait_end() {
    STATE[$1]=down
    wait_for 30 "end of node $1" has_ended "$1"
    ended "$1"
}

crash() { # kill -9
    kill -KILL "${PID[$1]}"
    ended "$1"
}

stop() { # clean stop
    kill -TERM "${PID[$1]}"
    ended "$1"
    [ "$CODE" = 0 ] || fail "node $1: exit $CODE at SIGTERM"
}

pause() {
    kill -STOP "${PID[$1]}"
    STATE[$1]=paused
}

resume() {
    kill -CONT "${PID[$1]}"
    STATE[$1]=up
}

up_nodes() {
    local i
    for ((i = 1; i <= NODES; i++)); do
        [ "${STATE[$i]}" != up ] || printf '%d ' "$i"
    done
}

# join ID PORT: a directory without members, and its daemon, whose file $WORK/join.ID has no other node.
join() {
    conf_write "$WORK/join.$1" "$NAME" 0 ""
    sed -i "s/^\[node\]/node.$1 = 127.0.0.1:$2\n[node]/" "$WORK/join.$1"
    [ -e "$WORK/key.$1" ] || cp -p "$WORK/key" "$WORK/key.$1"
    expect 0 "$RAFTD" --init --join -c "$WORK/join.$1" -i "$1"
    CONF=$WORK/join.$1 launch "$1"
    wait_for 30 "answer of node $1" answers "$1"
}

# members_have NODE NAME [ID]: what NODE knows of all members, or of member ID, a line each.
members_have() {
    ctl "$1" members --json | awk -v name="\"$2\":" -v id="${3:-}" '
        $1 == "\"id\":" { at = $2 + 0 }
        at != 0 && $1 == name && (id == "" || at == id) { gsub(/^ *"[^"]*": "?|"?,?$/, ""); print }'
}

member_has() { members_have "$1" "$3" "$2"; }              # NODE ID NAME
member_is() { [ "$(member_has "$1" "$2" "$3")" = "$4" ]; } # NODE ID NAME VALUE

# Any node that is up, but not those named.
other_than() {
    local i
    for i in $(up_nodes); do
        [[ " $* " == *" $i "* ]] || { echo "$i" && return; }
    done
    fail "no node is up but $*"
}

# --- what the nodes say ---------------------------------------------------------------------------

# field NODE KEY...: those values of status, one per line in the order of status; "" if no answer.
field() {
    local i=$1 out
    shift
    out=$(ctl "$i" --timeout 2 status 2>/dev/null) || return 0
    local key value
    while IFS='=' read -r key value; do
        [[ " $* " != *" $key "* ]] || printf '%s\n' "$value"
    done <<<"$out"
}

# True if some node leads and a majority of the cluster follows it in its term; sets LEADER, LEADER_TERM.
find_leader() {
    local i role term leader votes=0 best=0
    local -A of=()
    LEADER=0
    for i in $(up_nodes); do
        { read -r role && read -r term && read -r leader; } < <(field "$i" role term leader) || continue
        of[$i]="$term $leader"
        if [ "$role" = leader ] && [ "$term" -gt "$best" ]; then best=$term LEADER=$i; fi
    done
    for i in "${!of[@]}"; do
        [ "${of[$i]}" != "$best $LEADER" ] || votes=$((votes + 1))
    done
    LEADER_TERM=$best
    [ "$LEADER" != 0 ] && [ $((votes * 2)) -gt "$NODES" ]
}

wait_leader() { wait_for 30 "leader" find_leader; }

# True if all nodes that are up have the same entries and have applied all of them.
converged() {
    local i first='' commit applied last
    for i in $(up_nodes); do
        { read -r commit && read -r applied && read -r last; } \
            < <(field "$i" commit_index applied_index last_index) || return 1
        [ "$commit" = "$applied" ] && [ "$commit" = "$last" ] || return 1
        [ "$commit" = "${first:=$commit}" ] || return 1
    done
    [ -n "$first" ]
}

wait_converged() { wait_for 90 "agreement of all nodes on the last entry" converged; }

local_reads() { [ "$(field "$1" local_reads)" = 1 ]; } # of that node are served

# Every key with its value, as node i has it: $WORK/keys.I
keys_of() {
    ctl "$1" --timeout 30 list --stale >"$WORK/keys.$1" || fail "list on node $1: exit $?"
}

# All nodes that are up must have the same keys and values; they are in $WORK/keys afterwards.
same_keys() {
    local i
    wait_converged
    rm -f "$WORK/keys"
    for i in $(up_nodes); do
        keys_of "$i"
        [ -e "$WORK/keys" ] || cp "$WORK/keys.$i" "$WORK/keys"
        cmp -s "$WORK/keys" "$WORK/keys.$i" ||
            fail "node $i has other keys: diff $WORK/keys $WORK/keys.$i"
    done
}

# --- writers --------------------------------------------------------------------------------------

# writer NAME NODE: writes one new key after the other through that node until $WORK/enough exists.
# Each outcome goes into its own file: acked.NAME, unknown.NAME (may have happened), refused.NAME
# (certainly has not).
writer() {
    local name=$1 node=$2 n=0 code
    touch "$WORK/acked.$name" "$WORK/unknown.$name" "$WORK/refused.$name"
    while [ ! -e "$WORK/enough" ]; do
        n=$((n + 1)) code=0
        [ "$RAFTCTL" = "$RAFTCTL_PLAIN" ] || sleep 0.02 # as long as sanitizers would take
        often "$node" --timeout 3 put "$name-$n" "value-$n-$name" 2>>"$WORK/writer.log" >&2 || code=$?
        case $code in
        0) echo "$name-$n" >>"$WORK/acked.$name" ;;
        5) echo "$name-$n" >>"$WORK/unknown.$name" ;;
        3 | 4 | 7 | 10) echo "$name-$n" >>"$WORK/refused.$name" && sleep 0.02 ;;
        *) echo "put $name-$n through node $node: exit $code" >>"$WORK/broken" ;;
        esac
    done
}

writers_start() { # writers_start NAME:NODE...
    local w
    rm -f "$WORK/enough" "$WORK/broken"
    for w in "$@"; do
        writer "${w%:*}" "${w#*:}" &
        HELPERS+=($!)
    done
}

writers_stop() {
    local pid
    : >"$WORK/enough"
    for pid in "${HELPERS[@]}"; do wait "$pid" || :; done
    HELPERS=()
    [ ! -e "$WORK/broken" ] || fail "$(head -n 3 "$WORK/broken")"
}

count() { cat "$@" 2>/dev/null | wc -l; }

# After same_keys: every acknowledged write is there with its value, no refused one is.
check_writes() {
    cut -d = -f 1 "$WORK/keys" | LC_ALL=C sort >"$WORK/have"
    cat "$WORK"/acked.* | LC_ALL=C sort >"$WORK/acked"
    cat "$WORK"/refused.* | LC_ALL=C sort >"$WORK/refused"
    LC_ALL=C comm -13 "$WORK/have" "$WORK/acked" >"$WORK/lost"
    LC_ALL=C comm -12 "$WORK/have" "$WORK/refused" >"$WORK/ghosts"
    [ ! -s "$WORK/lost" ] || fail "$(count "$WORK/lost") acknowledged writes lost: $(head -n 3 "$WORK/lost")"
    [ ! -s "$WORK/ghosts" ] ||
        fail "$(count "$WORK/ghosts") writes happened that were refused: $(head -n 3 "$WORK/ghosts")"
    awk -F = '$1 ~ /^w[0-9]*-[0-9]*$/ { split($1, a, "-"); if ($2 != "value-" a[2] "-" a[1]) print }' \
        "$WORK/keys" >"$WORK/wrong"
    [ ! -s "$WORK/wrong" ] || fail "wrong values: $(head -n 3 "$WORK/wrong")"
    [ -s "$WORK/acked" ] || fail "not one write was acknowledged"
}

bench_writes() { # that went well, by what raftctl bench said in $WORK/bench
    awk -F = '$1 == "ops" { n += $2 } $1 == "errors" { n -= $2 } END { print n + 0 }' "$WORK/bench"
}

# --- judged clients -------------------------------------------------------------------------------

# history_start OPTIONS...: clients on all nodes whose history history_stop judges (e2e/history.c). They wait
# between two requests, for what is tested needs processors, too.
HISTORY=
history_start() {
    local i sockets=()
    [ -x "$TOOLS/history" ] || fail "no $TOOLS/history: make e2e-tools first"
    for ((i = 1; i <= NODES; i++)); do sockets+=("$WORK/node$i.sock"); done
    "$TOOLS/history" -w 6 "$@" "${sockets[@]}" >"$WORK/history" 2>"$WORK/history.log" &
    HISTORY=$!
    HELPERS+=("$HISTORY")
}

# Sets OUT to what history says, a line of key=value words.
history_stop() {
    local pid keep=() code=0
    kill -TERM "$HISTORY" 2>/dev/null || :
    wait "$HISTORY" || code=$?
    for pid in "${HELPERS[@]}"; do [ "$pid" = "$HISTORY" ] || keep+=("$pid"); done
    HELPERS=(${keep[@]+"${keep[@]}"})
    OUT=$(cat "$WORK/history")
    [ "$code" = 0 ] || fail "history: exit $code: $OUT: $(head -n 30 "$WORK/history.log")"
}

# --- small file systems ---------------------------------------------------------------------------

# Whatever happens to this script, no mount of it stays behind: they are in a namespace of its own. Before limit.
own_mounts() {
    [ -z "${OWN_MOUNTS-}" ] || return 0
    [ "$(id -u)" = 0 ] || skip "must be root to mount"
    unshare -m true 2>/dev/null || skip "no mount namespaces"
    trap - EXIT
    OWN_MOUNTS=1 exec unshare -m "$SELF"
}

small_disk() { # NODE MEGABYTES: for its data
    rm -rf "$WORK/node$1"
    mkdir "$WORK/node$1"
    mount -t tmpfs -o "size=${2}m" tmpfs "$WORK/node$1" || skip "can't mount a tmpfs"
    at_exit "small_disk_end $1"
    "$RAFTD" --init -c "$CONF" -i "$1" >>"$WORK/node$1.log" 2>&1 || fail "raftd --init: exit $?"
}

small_disk_end() { # NODE; what was on it is kept, like the rest
    [ "$code" = 0 ] || cp -a "$WORK/node$1" "$WORK/node$1.kept"
    umount "$WORK/node$1"
}

grow() { mount -o "remount,size=${2:-64}m" "$WORK/node$1"; } # NODE [MEGABYTES]

# --- strace: faults in the middle of a running daemon ---------------------------------------------

# strace_attach NODE EXPRESSION...: as strace -e EXPRESSION, attached to a running node; of a /PATH: as strace -P.
STRACE=
strace_attach() {
    local pid=${PID[$1]} args=()
    command -v strace >/dev/null || skip "no strace"
    shift
    while [ $# -gt 0 ]; do
        case $1 in
        /*) args+=(-P "$1") ;;
        *) args+=(-e "$1") ;;
        esac
        shift
    done
    strace -f -qq -o "$WORK/strace.$pid" "${args[@]}" -p "$pid" 2>"$WORK/strace.log" &
    STRACE=$!
    HELPERS+=("$STRACE")
    local end=$(($(now_ms) + 10000)) t
    while :; do
        kill -0 "$STRACE" 2>/dev/null || skip "strace can't attach: $(head -n 1 "$WORK/strace.log")"
        for t in "/proc/$pid"/task/*; do
            grep -q "^TracerPid:[[:space:]]*$STRACE\$" "$t/status" 2>/dev/null || break
        done && grep -q "^TracerPid:[[:space:]]*$STRACE\$" "$t/status" 2>/dev/null && return 0
        [ "$(now_ms)" -lt "$end" ] || skip "strace did not attach"
        sleep 0.05
    done
}

strace_detach() {
    local keep=() pid
    kill -TERM "$STRACE" 2>/dev/null || :
    wait "$STRACE" 2>/dev/null || :
    for pid in "${HELPERS[@]}"; do [ "$pid" = "$STRACE" ] || keep+=("$pid"); done
    HELPERS=(${keep[@]+"${keep[@]}"})
}

# --- the end --------------------------------------------------------------------------------------

# Stops all nodes cleanly and looks for what a sanitizer or an assertion has said.
finish() {
    local i
    for i in "${!PID[@]}"; do
        [ "${STATE[$i]}" != paused ] || resume "$i"
        stop "$i"
    done
    if grep -HE 'Sanitizer|runtime error:|[Aa]ssertion' "$WORK"/node*.log; then
        fail "see above"
    fi
    note "$NAME: $* (${SECONDS} s)"
}
