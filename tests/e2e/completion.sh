#!/bin/bash
# What bash and zsh offer behind raftctl: its commands, their options, keys of the node.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 60

cluster 1
start 1
wait_leader
for key in host/one host/two 'host/with blank' ho:me other; do expect 0 ctl 1 put "$key" x; done
mkdir "$WORK/bin"
cp "$RAFTCTL" "$WORK/bin/raftctl"
PATH=$WORK/bin:$PATH
socket=$WORK/node1.sock
. raftd/raftctl.bash

# offers "WORDS" LINE...: what bash offers at the end of the line; words are split as bash does.
offers() {
    local want=$1
    COMP_LINE="raftctl $2"
    COMP_POINT=${#COMP_LINE}
    # shellcheck disable=SC2206 # words
    COMP_WORDS=(raftctl ${2//:/ : })
    [[ $2 != *' ' ]] || COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _raftctl
    [ "${COMPREPLY[*]}" = "$want" ] || fail "bash, behind '$2': '${COMPREPLY[*]}' and not '$want'"
}
offers 'is-leader' 'is-l'
offers 'members member' 'memb'
offers 'put publish' "-s $socket pu"
offers 'keygen' 'help keyg'
offers '--if-absent --if-rev --if-value' "put --if-"
offers 'host/one host/two host/with\ blank' "-s $socket get host/"
offers 'me' "-s $socket get ho:"
offers '' "-s $socket status x"

if command -v zsh >/dev/null; then
    cat >"$WORK/complete.zsh" <<'END'
compadd() { local w; for w in "${@[2,-1]}"; do [[ $w == "$PREFIX"* ]] && print -r -- "$w"; done; return 0 }
offer() { PREFIX=${words[-1]}; CURRENT=${#words}; source raftd/raftctl.zsh }
words=("$@"); offer
END
    zsh_offers() { # "WORDS" WORD...
        local want=$1
        shift
        expect 0 zsh -f "$WORK/complete.zsh" raftctl "$@"
        [ "$(paste -sd ' ' <<<"$OUT")" = "$want" ] || fail "zsh, behind '$*': '$OUT' and not '$want'"
    }
    zsh_offers is-leader is-l
    zsh_offers 'put publish' -s "$socket" pu
    zsh_offers '--if-absent --if-value --if-rev' put --if-
    zsh_offers 'host/one host/two host/with blank' -s "$socket" get host/
else
    note "no zsh"
fi
finish "completion"
