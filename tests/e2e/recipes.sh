#!/bin/bash
# Every example of raftd-recipes(7), typed at the boxes that its prompts name, prints what the manual shows, and
# ends with 0. ONLY=PATTERN: only of sections with such a title.
# shellcheck source=/dev/null disable=SC2034 # arrays of cluster.sh
. "$(dirname "$0")/../lib/cluster.sh"
limit 200

# --- boxes: each with a name of its own, and with the directories that the manual names -----------------
NODES=3
RAFTD=$(realpath "$RAFTD") RAFTCTL=$(realpath "$RAFTCTL") RAFTCTL_PLAIN=$(realpath "$RAFTCTL_PLAIN")
mkdir -p "$WORK/bin" "$WORK/steps"
free_ports 5
key_make "$WORK/key"
cat >"$WORK/bin/raftctl" <<END
#!/bin/sh
exec "$RAFTCTL" -s "$WORK/run\$BOX/raftd.sock" "\$@"
END
cat >"$WORK/bin/raftd" <<END
#!/bin/sh
exec "$RAFTD" -c "$WORK/etc\$BOX/raftd.conf" "\$@"
END
cat >"$WORK/bin/hostname" <<'END'
#!/bin/sh
echo "box$BOX"
END
cat >"$WORK/bin/scp" <<END
#!/bin/sh
cp "\$1" "$WORK/\${2%:}/"
END
# No such user is here, and no service manager.
cat >"$WORK/bin/install" <<END
#!/bin/sh
[ "\$1" != -o ] || shift 2
exec $(command -v install) "\$@"
END
cat >"$WORK/bin/systemctl" <<END
#!/bin/sh
[ "\$*" = "reload raftd" ] && kill -HUP "\$(cat "$WORK/pid\$BOX")"
END
# An address is given to no interface of this machine, but in a network that has nothing else.
cat >"$WORK/bin/floating-ip" <<END
#!/bin/sh
exec unshare -n sh -c 'ip link add eth0 type veth peer name line && ip link set eth0 up && echo \$\$ >"$WORK/net" &&
    RAFTCTL=raftctl exec "$TOP/raftd/dist/floating-ip" "\$@"' floating-ip "\$@"
END
cat >"$WORK/bin/ip" <<END
#!/bin/sh
[ ! -e "$WORK/net" ] || enter="nsenter --net=/proc/\$(cat "$WORK/net")/ns/net"
exec \$enter $(command -v ip || echo none) "\$@"
END
chmod +x "$WORK"/bin/*
PATH=$WORK/bin:$PATH
export BOX
for BOX in 1 2 3 4; do
    mkdir "$WORK/etc$BOX" "$WORK/run$BOX" "$WORK/box$BOX"
    ln -s "run$BOX/raftd.sock" "$WORK/node$BOX.sock" # where the functions of cluster.sh look
    cp -p "$WORK/key" "$WORK/etc$BOX/cluster.key"
    {
        printf '[cluster]\nname = workshop\nelection_timeout_ms = 500\nlease_ms = 6000\n'
        for i in 1 2 3 4; do # the fourth knows of itself alone
            [ $((i / 4)) != $((BOX / 4)) ] || echo "node.$i = $(node_addr "$i")"
        done
        printf '[node]\nid = %d\ndata_dir = %s/lib%d\nsocket = %s/run%d/raftd.sock\nkey_file = %s/etc%d/cluster.key\n' \
            "$BOX" "$WORK" "$BOX" "$WORK" "$BOX" "$WORK" "$BOX"
    } >"$WORK/etc$BOX/raftd.conf"
done
here() { # paths and addresses of the manual, as they are on this box
    local i words="s|/etc/raftd|$WORK/etc$BOX|g; s|/var/lib/raftd|$WORK/lib$BOX|g; s|/run/raftd|$WORK/run$BOX|g"
    for i in 1 2 3 4; do words+="; s|192\.168\.7\.1$i:7101|$(node_addr "$i")|g"; done
    words+="; s|192\.168\.7\.23:7101|$(node_addr 5)|g"
    sed "$words"
}
there() { # and back, as a terminal shows it; here the daemons are of the same user as the shell
    sed "/cluster.key can be read by root alone/d; s|\r\$||; s|$WORK/etc$BOX|/etc/raftd|g; s|$WORK/lib$BOX|/var/lib/raftd|g; s|$WORK/run$BOX|/run/raftd|g"
}
service() { # raftd start, raftd stop
    CONF=$WORK/etc$BOX/raftd.conf
    RUNTIME_DIRECTORY=$WORK/run$BOX "$2" "$BOX"
    echo "${PID[$BOX]-}" >"$WORK/pid$BOX"
}

# --- the manual, as a file for each step: its title, its box, its command, what that prints --------------
# What is only done here stands in its comments.
awk -v dir="$WORK/steps" '
    function close_step() { if (file != "") close(file); file = "" }
    /^\.S[hs] / { title = substr($0, 5); gsub(/\\&/, "", title); if ($1 == ".Ss") tasks[title] = NR }
    /^\.Bd -literal/ { on = 1; next }
    /^\.Ed/ { close_step(); on = 0 }
    !on { next }
    { sub(/^\.\\" /, ""); gsub(/\\&/, ""); gsub(/\\e/, "\\") }
    /^box[1-4][$#] / {
        close_step()
        file = sprintf("%s/%03d", dir, ++n)
        printf "%s\n%s\n%s\n", title, substr($0, 4, 1), substr($0, 7) >file
        delete tasks[title]
        next
    }
    file == "" { print title ": no box in front of: " $0; next }
    { print >file }
    END { for (task in tasks) print task ": no example" }' raftd/raftd-recipes.7 >"$WORK/awk.out"
[ ! -s "$WORK/awk.out" ] || fail "$(cat "$WORK/awk.out")"

shows() { # PRINTED SHOWN: ... stands for anything
    local printed=$1 shown=$2
    [[ $shown == *...* ]] || { [ "$printed" = "$shown" ] && return || return 1; }
    [[ $printed == "${shown%%...*}"* ]] || return 1
    while [[ $shown == *...* ]]; do
        [[ $printed == *"${shown%%...*}"* ]] || return 1
        printed=${printed#*"${shown%%...*}"} shown=${shown#*...}
    done
    [[ $printed == *"$shown" ]]
}

# A file that is shown before it exists is thereby written, on all boxes.
file_write() { # NAME TEXT
    local i
    for i in 1 2 3 4; do
        BOX=$i here <<<"$2" >"$WORK/box$i/$1"
        [[ $2 != '#!'* ]] || chmod +x "$WORK/box$i/$1"
    done
}

lacks() { # TITLE: what that needs is not installed
    case $1 in
    Python) ! /usr/bin/python3 -c 'import redis' 2>/dev/null ;;
    'An address that is on one box') [ "$(id -u)" != 0 ] || ! command -v arping nsenter >/dev/null ;;
    Shell*) ! command -v redis-cli nc >/dev/null ;;
    *) false ;;
    esac
}

background_end() {
    local pid
    for pid in ${HELPERS[@]+"${HELPERS[@]}"}; do
        kill "$pid" 2>/dev/null || :
        wait "$pid" 2>/dev/null || :
    done
    HELPERS=()
}

step() { # FILE
    local title command shown printed code=0 before=$!
    { read -r title && read -r BOX && IFS= read -r command && shown=$(cat); } <"$1"
    if [ "$title" != "$TITLE" ]; then
        background_end
        TITLE=$title
        if ! [[ $title =~ $ONLY ]] || lacks "$title"; then note "left out: $title"; fi
    fi
    if ! [[ $title =~ $ONLY ]] || lacks "$title"; then return 0; fi
    if [[ $command =~ ^cat\ ([a-z0-9.-]+)$ && ! -e $WORK/box$BOX/${BASH_REMATCH[1]} ]]; then
        file_write "${BASH_REMATCH[1]}" "$shown"
        return
    fi
    STEPS=$((STEPS + 1))
    cd "$WORK/box$BOX" || fail "no box $BOX"
    eval "$(here <<<"$command")" >"$WORK/printed.$STEPS" 2>&1 </dev/null || code=$?
    cd "$TOP" || fail "no $TOP"
    [ "$!" = "$before" ] || [ "${PID[$BOX]-}" = "$!" ] || HELPERS+=("$!")
    printed=$(there <"$WORK/printed.$STEPS")
    if [ "$code" != 0 ] || ! shows "$printed" "$shown"; then
        fail "$title: box$BOX: $command: exit $code"$'\n'"it prints:"$'\n'"$printed"$'\n'"and not:"$'\n'"$shown"
    fi
}

for BOX in 1 2 3; do expect 0 raftd --init; done
for BOX in 1 2 3; do service raftd start; done
wait_leader
[ "$LEADER" = 1 ] || expect 0 ctl 1 --timeout 20 transfer 1
wait_leader
all_well() { ! ctl 1 status --all | grep -q '^!'; }
wait_for 30 "word of all nodes that they are well" all_well
: "${ONLY:=.}"
TITLE='' STEPS=0
for file in "$WORK"/steps/*; do step "$file"; done
background_end
finish "$STEPS commands of raftd-recipes(7) do what it shows"
