#!/bin/bash
# A script that hangs ends at its limit with all that it started. What it started holds the pipe that the
# script writes to: whoever reads that pipe would wait for ever.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
mkdir -p "$WORK"
case ${HANG-} in
command) limit 1 && expect 0 sleep 1000 ;;
deaf) limit 1 && expect 0 bash -c 'trap "" TERM; while :; do sleep 1; done' ;;
signal) limit 1000 && expect 0 sleep 1000 ;;
esac
limit 60

# ends WHY CODE: that script, while it hangs; "$OUT" is there only when nobody holds the pipe any more.
ends() {
    local code=0
    OUT=$(env -u TIMED HANG="$1" GRACE=1 WORK="$WORK/hang" timeout --foreground 3 "$SELF" 2>&1) || code=$?
    [ "$code" = "$2" ] || fail "$1: exit $code: $OUT"
    note "$1: ended after $SECONDS s"
}
ends command 124
[[ $OUT == *"FAIL limit: stopped after 1 s (limit 1 s)"* ]] || fail "not told: $OUT"
ends deaf 137
ends signal 124
note "$NAME: what hangs ends in time, with all that it started ($SECONDS s)"
