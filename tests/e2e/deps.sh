#!/bin/bash
# What a machine lacks is installed after it was said, only what is asked for needs, and never through a
# password that nobody can type; DEPS=0 names it only. The package manager, sudo and id are pretended.
# shellcheck disable=SC2016,SC2153 # what is in single quotes is for the pretended programs
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 180
unset MAKEFLAGS MFLAGS MAKELEVEL DEPS

mkdir -p "$WORK/bin"
fake() { # NAME LINE...
    local name=$1
    shift
    printf '%s\n' '#!/bin/sh' "$@" >"$WORK/bin/$name"
    chmod +x "$WORK/bin/$name"
}
there() { # PACKAGE...: these are installed, and no others
    fake dpkg-query "for p; do :; done; case ' $* ' in *\" \$p \"*) echo ' installed' ;; *) exit 1 ;; esac"
}
# What a make does, with the standard input that is given: its messages and what was called, in order.
make_says() {
    expect "$1" env PATH="$WORK/bin:$PATH" make -s "${@:2}"
    OUT="$OUT $(cat "$WORK/stderr")"
}
calls="echo CALL \$0 \"\$@\" | sed 's,/.*/,,'"
fake apt-get "$calls"
fake id 'echo 0'
ours=$(make -s print-BUILD_PACKAGES)
tests=$(make -s print-TEST_PACKAGES)

# Only what is missing, only what is needed, and said first.
# shellcheck disable=SC2086 # names of packages
there ${ours/libev-dev/}
make_says 0 deps-build-if-missing </dev/null
[[ $OUT == "installing libev-dev"*"CALL apt-get update"*"CALL apt-get install"*" libev-dev"* ]] || fail "said: $OUT"
[[ $OUT != *sudo* ]] || fail "sudo as root: $OUT"
# shellcheck disable=SC2086
there $ours
make_says 0 deps-build-if-missing </dev/null
[ -z "${OUT// /}" ] || fail "nothing is missing, yet: $OUT"
make_says 0 deps-if-missing </dev/null
[[ $OUT == "installing "$tests* ]] || fail "said: $OUT"
for target in demo run bench soak explore cross; do # these do with what building needs
    ! make -n -p "$target" 2>/dev/null | grep -q "^$target:.* deps-if-missing" || fail "$target installs test tools"
done

# Nothing, as packagers want it.
make_says 0 deps-if-missing DEPS=0 </dev/null
[[ $OUT == *"DEPS=0, and not installed: "$tests && $OUT != *CALL* ]] || fail "said: $OUT"

# Another user: by sudo, without a question where there is no terminal.
fake id 'echo 1000'
fake sudo "$calls" '[ "$1" != -n ] || shift' 'exec "$@"'
make_says 0 deps-if-missing </dev/null
[[ $OUT == *"CALL sudo -n apt-get update"*"CALL sudo -n env"*"CALL apt-get install"* ]] || fail "said: $OUT"
fake sudo "$calls" 'echo a password is required >&2; exit 1'
make_says 2 deps-if-missing </dev/null
[[ $OUT == *"please install, as root: "$tests* ]] || fail "said: $OUT"
if command -v script >/dev/null; then
    fake sudo "$calls" 'exec "$@"'
    OUT=$(PATH="$WORK/bin:$PATH" script -qec "make -s deps-if-missing" /dev/null </dev/null) || :
    [[ $OUT == *"CALL sudo apt-get update"* ]] || fail "said in a terminal: $OUT"
else
    note "no script(1): sudo in a terminal is not tried"
fi
note "$NAME: what is missing is named, then installed, or only named ($SECONDS s)"
