#!/bin/bash
# The same sources make the same bytes, wherever they lie and whenever they are built.
# LONG=1: programs, archive and Debian package; else a few objects.
set -u
cd "$(dirname "$0")/../.." || exit 1
work=$PWD/build/dist/same
export SOURCE_DATE_EPOCH=1767225600
rm -rf "$work"
for dir in one another/deeper; do
    mkdir -p "$work/$dir"
    # shellcheck disable=SC2046 # words
    cp -R $(make -s print-SOURCES) "$work/$dir"
done
for dir in one another/deeper; do
    (
        cd "$work/$dir" || exit 1
        if [ "${LONG:-0}" = 1 ]; then
            make -s all tar deb >/dev/null
        else
            make -s build/obj/net/wire.o build/obj/raftd/base/say.o build/obj/raftd/core/step.o
        fi
    ) || exit 1
done
same=0
cd "$work/one" || exit 1
while read -r file; do
    cmp "$file" "$work/another/deeper/$file" || exit 1
    same=$((same + 1))
done < <(find build ! -path '*/deb/raftd-*' \( -name '*.o' -o -name '*.deb' -o -name raftd.tar.gz -o -name raftd -o -name raftctl \) -type f)
echo "$same files are the same"
[ "$same" -ge 3 ]
