#!/bin/bash
# The Debian package in a copy of this system, where services are not started: installed it starts nothing; with nodes
# named and an identity it works; an upgrade keeps configuration and data, so does a removal, and a purge removes the
# data only if it is asked to.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 1000
[ "${LONG:-0}" = 1 ] || skip "installs packages and takes minutes: LONG=1"
[ "$(id -u)" = 0 ] || skip "needs root"
unshare -mn true 2>/dev/null || skip "no namespaces"
! dpkg-query -W raftd >/dev/null 2>&1 || skip "raftd is installed here"
make -s deps-deb PACKAGES="debhelper lintian" >/dev/null
make -s deb
mkdir -p "$WORK/next"
expect 0 lintian --fail-on error build/deb/raftd_*.deb
dpkg-deb -R build/deb/raftd_*.deb "$WORK/next/tree"
sed -i 's/^Version: .*/&+next/' "$WORK/next/tree/DEBIAN/control"
dpkg-deb --root-owner-group -b "$WORK/next/tree" "$WORK/next/raftd.deb" >/dev/null

# What runs in the copy.
cat >"$WORK/inside" <<'IN'
set -eu
bad() { echo "$*" >&2; exit 1; }
daemon=
trap '[ -z "$daemon" ] || kill $daemon' EXIT
runs() { # COMMAND...: of raftctl, with the daemon as its user
    mkdir -p /run/raftd && chown raftd /run/raftd
    setpriv --reuid raftd --regid raftd --clear-groups raftd -c /etc/raftd/raftd.conf >>/tmp/messages 2>&1 &
    daemon=$!
    for try in $(seq 200); do
        raftctl --timeout 10 "$@" 2>/tmp/said && break
        [ "$try" != 200 ] || bad "raftctl $*: $(cat /tmp/said /tmp/messages)"
        sleep 0.1
    done
    kill $daemon
    wait $daemon || bad "the daemon ended with $?: $(cat /tmp/messages)"
    daemon=
}
install() { dpkg -i "$1" >/tmp/dpkg 2>&1 || bad "dpkg -i: $(cat /tmp/dpkg)"; }
enabled() { [ "$(systemctl --root=/ is-enabled raftd.service 2>&1)" = enabled ]; }

printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
ip link set lo up
install "$1"
[ -z "$(dpkg -V raftd)" ] || bad "changed: $(dpkg -V raftd)"
[ "$(stat -c '%U %G %a' /var/lib/raftd)" = "raftd raftd 700" ] || bad "$(ls -ld /var/lib/raftd)"
enabled || bad "the service is not enabled"
[ "$(stat -c '%U %G %a' /etc/raftd/events.d)" = "root root 755" ] || bad "$(ls -ld /etc/raftd/events.d)"
for file in /usr/sbin/floating-ip /usr/share/man/man8/raftd.8.gz /usr/share/man/man1/raftctl.1.gz \
    /usr/share/bash-completion/completions/raftctl; do
    [ -s "$file" ] || bad "no $file"
done

sed -i 's/^;name = .*/name = box/; s/^;node.1 = .*/node.1 = 127.0.0.1:7101/' /etc/raftd/raftd.conf
raftd --init 2>/tmp/said || bad "raftd --init: $(cat /tmp/said)"
[ -z "$(find /var/lib/raftd ! -user raftd)" ] || bad "root's files in /var/lib/raftd"
runs put colour green

install "$2"
dpkg-query -W -f '${Version}' raftd | grep -q '+next$' || bad "not upgraded"
grep -qx 'name = box' /etc/raftd/raftd.conf || bad "an upgrade replaced the configuration"
enabled || bad "an upgrade disables the service"
[ "$(runs get colour)" = green ] || bad "an upgrade lost the data"

dpkg -r raftd >/tmp/dpkg 2>&1 || bad "dpkg -r: $(cat /tmp/dpkg)"
[ ! -e /usr/sbin/raftd ] || bad "the program is still there"
[ -s /var/lib/raftd/ident ] && [ -s /etc/raftd/raftd.conf ] || bad "data or configuration removed"
install "$1"
[ "$(runs get colour)" = green ] || bad "the data are of no use to the package that comes back"

dpkg -P raftd >/tmp/dpkg 2>&1 || bad "dpkg -P: $(cat /tmp/dpkg)"
grep -q 'the data of this node stay' /tmp/dpkg || bad "does not say that the data stay: $(cat /tmp/dpkg)"
[ -s /var/lib/raftd/ident ] || bad "the data were purged"
[ ! -e /etc/raftd/raftd.conf ] || bad "the configuration was not purged"
[ ! -e /etc/systemd/system/multi-user.target.wants/raftd.service ] || bad "still enabled"
install "$1"
RAFTD_PURGE_DATA=yes dpkg -P raftd >/tmp/dpkg 2>&1 || bad "dpkg -P: $(cat /tmp/dpkg)"
[ ! -e /var/lib/raftd ] || bad "the data were not purged"
IN
cat >"$WORK/outside" <<'OUT'
set -eu
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
for dir in tmp run; do mount -t tmpfs tmpfs "$1/root/$dir"; done
for dir in dev proc; do mount --rbind /$dir "$1/root/$dir"; done
cp "$2/inside" "$1/root/tmp/"
cp "$3" "$1/root/tmp/one.deb"
cp "$2/next/raftd.deb" "$1/root/tmp/two.deb"
exec chroot "$1/root" bash /tmp/inside /tmp/one.deb /tmp/two.deb
OUT
mkdir "$WORK/copy"
expect 0 unshare -mn bash "$WORK/outside" "$WORK/copy" "$WORK" build/deb/raftd_*.deb
note "$NAME: the Debian package is installed, upgraded, removed and purged as it should be ($SECONDS s)"
