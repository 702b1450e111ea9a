#!/bin/bash
# The package directory for OpenWrt is whole, and its init script makes of /etc/config/raftd a configuration with which
# raftd runs. What rc.common, uci and procd offer there is pretended; a shell of their kind, if there is one, runs it.
# shellcheck disable=SC2016,SC2034 # for make and other shells; variables of cluster.sh
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120
make -s all
make -s openwrt >/dev/null
dir=build/openwrt/raftd
mkdir -p "$WORK/tree"

# Its Makefile, as far as it goes without OpenWrt's own.
touch "$WORK/tree/rules.mk"
cat >"$WORK/tree/package.mk" <<'MK'
BuildPackage = $(info $(PKG_NAME) $(PKG_VERSION) $(PKG_RELEASE) $(PKG_LICENSE))$(info $(Package/$(1)))$(info $(Package/$(1)/install))
all:;
MK
expect 0 make -s -C $dir TOPDIR="$WORK/tree" INCLUDE_DIR="$WORK/tree"
made=$OUT
expect 0 "$RAFTD" --version
[[ $made == "$OUT 1 BSD-2-Clause"$'\n'*TITLE:=*DEPENDS:=* ]] || fail "not '$OUT': $made"
while read -r file; do
    [ -s "$dir/$file" ] || fail "no $file"
done < <(grep -o '\./files/[^ ]*' <<<"$made")
expect 0 make -s -n -C $dir/src CC=true all

# rc.common in little: a file of uci is lines of shell already.
cat >"$WORK/rc.common" <<'RC'
config() { config_cb "$1" "${2:-}"; }
option() { option_cb "$1" "$2"; }
list() { list_cb "$1" "$2"; }
config_load() { . "$WORK/$1"; config_cb; }
reset_cb() {
    config_cb() { return 0; }
    option_cb() { return 0; }
    list_cb() { return 0; }
}
reset_cb
extra_command() { COMMANDS="$COMMANDS $1"; }
logger() { echo "logger: $*" >&2; }
chown() { echo "chown $*" >>"$WORK/procd"; }
for f in open_instance set_param close_instance add_reload_trigger; do
    eval "procd_$f() { echo \"$f \$*\" >>\"\$WORK/procd\"; }"
done
COMMANDS="start_service service_triggers"
. "$WORK/raftd.init"
case " $COMMANDS " in *" $1 "*) "$@" ;; *) exit 99 ;; esac
RC
sed "s,^PROG=.*,PROG=$PWD/$RAFTD,; s,^CONF=.*,CONF=$WORK/var/raftd.conf,
    s,^EVENTS=.*,EVENTS=$WORK/events.d," $dir/files/raftd.init >"$WORK/raftd.init"
export WORK
init_script() { # EXIT-CODE COMMAND
    rm -f "$WORK/procd"
    # shellcheck disable=SC2046 # nothing, or one word
    expect "$1" $(command -v busybox) sh "$WORK/rc.common" "$2"
}
told() { # LINE: that procd or the system was told
    grep -qx "$1" "$WORK/procd" || fail "no '$1' in: $(cat "$WORK/procd")"
}
quiet() {
    [ ! -e "$WORK/procd" ] || fail "something starts: $(cat "$WORK/procd")"
}

# As it is installed.
cp $dir/files/raftd.config "$WORK/raftd"
init_script 1 start_service
says 'names no nodes yet: not started'
quiet

free_ports 1
cat >"$WORK/raftd" <<UCI
config cluster 'cluster'
	option name 'home'
	option node_1 127.0.0.1:$BASE_PORT
	option election_timeout_ms "150"

config node
	option id '1'
	option data_dir '$WORK/data'
	option socket '$WORK/run/sock'
UCI
init_script 0 init
told "chown raftd:raftd $WORK/data"
told "chown raftd:raftd $WORK/run"
[ -s "$WORK/data/ident" ] || fail "no identity"
init_script 0 service_triggers
told "add_reload_trigger raftd"
init_script 0 start_service
told "set_param user raftd"
! grep -q events "$WORK/procd" || fail "scripts for events are run, and there are none"
mkdir "$WORK/events.d"
touch "$WORK/events.d/hook"
init_script 0 start_service
told "set_param command /usr/bin/raftctl -c $WORK/var/raftd.conf events --exec $WORK/events.d"
told "set_param file $WORK/var/raftd.conf"
cmp "$WORK/var/raftd.conf" - <<CONF || fail "another configuration"
[cluster]
name = home
node.1 = 127.0.0.1:$BASE_PORT
election_timeout_ms = 150
[node]
id = 1
data_dir = $WORK/data
socket = $WORK/run/sock
CONF
read -ra command < <(sed -n 's/^set_param command //p' "$WORK/procd") # the first one
"${command[@]}" 2>"$WORK/node1.log" &
HELPERS+=($!)
wait_for 20 "put" "$RAFTCTL" -s "$WORK/run/sock" put colour green 2>/dev/null
expect 0 "$RAFTCTL" -s "$WORK/run/sock" get colour
[ "$OUT" = green ] || fail "colour is '$OUT'"

# What raftd refuses is not started. A list means nothing here, and is not left out in silence.
cp "$WORK/raftd" "$WORK/good"
for wrong in "list node_1 127.0.0.1:1" "option colour green"; do
    { cat "$WORK/good" && echo "config cluster" && echo "$wrong"; } >"$WORK/raftd"
    init_script 1 start_service
    says 'raftd.conf:[0-9]*: '
    quiet
done

! command -v shellcheck >/dev/null || shellcheck $dir/files/raftd.init raftd/dist/static-libs raftd/dist/debian/raftd.postrm
finish "the package directory for OpenWrt is whole, and raftd runs with what its init script makes"
