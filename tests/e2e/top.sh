#!/bin/bash
# raftctl top on terminals of several kinds and sizes, and raftctl report: what they show of a cluster with a
# dead node, that nothing is drawn outside, that the terminal is put back however it ends, that top survives its
# daemon; that the page is whole, needs nothing else and tells no key; in a browser if there is one.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 120
/usr/bin/python3 -c '' 2>/dev/null || skip "no /usr/bin/python3"

cluster 3
start_all
wait_leader
expect 0 ctl 1 put key-of-mine value-of-mine
wait_leader
dead=$(other_than "$LEADER")
asked=$(other_than "$LEADER" "$dead")
crash "$dead"
silent() { ctl "$asked" links | grep -q "nobody hears node $dead"; }
wait_for 20 "silence of node $dead" silent

cat >"$WORK/top.py" <<'EOF'
import re, signal, sys, termios, time
sys.path.insert(0, sys.argv[1])
from terminal import Terminal
raftctl, socket, asked, dead, leader = sys.argv[2:7]
top = [raftctl, "-s", socket, "top"]
def whole(t):
    t.wait("^ +\*%s leader" % leader)
    t.wait("^ +!%s silent" % dead)
    t.wait("^writes \d+/s")

# All at once, for each waits for a second.
small = Terminal(top, 60, 15)
usual = Terminal(top, 80, 24, NO_COLOR="1", LC_ALL="C")
tiny = Terminal(top, 40, 10)
serial = Terminal(top, 0, 0)
told = Terminal(top, 0, 0, COLUMNS="50", LINES="12")
told.columns, told.rows = told.next_size = 50, 12
told.clear()
dumb = Terminal(top, 80, 24, TERM="dumb")
stuck = Terminal(top, 60, 15)
other = Terminal(top, 60, 15, controlling=False)
for t in small, usual, tiny, serial, told:
    whole(t)
stuck.wait("silent")
other.wait("silent")
assert b"\x1b[1;31m" in small.raw and "▁" not in usual.shown()
assert b"m" not in re.findall(rb"\x1b\[[0-9;]*([A-Za-z])", usual.raw), "a colour"
assert max(usual.raw) < 0x80, "not ASCII"
assert "q quits" in small.shown()
small.wait("^ +[0-9.]+s  member-silent node %s$" % dead) # of before it began
small.wait("^ +[0-9.]+s  leader-(gained|changed node %s)" % leader)
assert len(serial.cells) == 24 and len(serial.cells[0]) == 80

# A terminal that takes nothing holds nobody up.
termios.tcflow(stuck.modes_at, termios.TCOOFF)
stuck.resize(50, 14)
stuck.send(signal.SIGWINCH)

# A terminal that hangs up, and of which no signal tells that.
other.hang_up()
assert other.ended_without() == signal.SIGHUP

# Another size.
tiny.resize(70, 20)
tiny.wait("^ +node +role +lag +rtt +loss %")
assert (tiny.columns, tiny.rows) == (70, 20)

# It can be stopped, and goes on.
small.send(signal.SIGTSTP)
end = time.monotonic() + 5
while not small.modes_are_back():
    assert time.monotonic() < end, "a stopped one keeps the terminal"
    small.take(0.05)
small.take(0.2)
small.raw, small.taken = b"", 0
small.send(signal.SIGCONT)
while small.modes_are_back():
    assert time.monotonic() < end, "it does not go on"
    small.take(0.05)
end = time.monotonic() + 5
while b"\x1b[2J" not in small.raw: # all else may stand on the screen from before
    assert time.monotonic() < end, "not drawn anew"
    small.take(0.05)
whole(small)

# However it ends, the terminal is as before.
usual.press("\x03")
assert usual.ended() == signal.SIGINT
tiny.send(signal.SIGHUP)
assert tiny.ended() == signal.SIGHUP
told.send(signal.SIGQUIT)
assert told.ended() & 127 == signal.SIGQUIT
time.sleep(1.2)
stuck.send(signal.SIGTERM)
assert stuck.ended(3) == signal.SIGTERM
end = time.monotonic() + 5
while b"silent" not in dumb.raw:
    assert time.monotonic() < end, "nothing is printed"
    dumb.take(0.1)
assert b"\x1b" not in dumb.raw and b"leader" in dumb.raw
dumb.press("q")
assert dumb.ended() == 0

# The daemon hangs: a key ends top all the same.
print("pause", flush=True)
serial.wait("^for .*: the daemon does not answer")
small.press("x")
small.press("q")
assert small.ended(2) == 0
print("resume", flush=True)
serial.wait("^node %s: " % asked)

# The daemon ends, and comes again.
print("kill", flush=True)
serial.wait("no daemon is there|has closed the connection")
serial.wait("daemon-gone")
print("start", flush=True)
serial.wait("^node %s: " % asked)
whole(serial)
serial.wait("daemon-gone")
serial.press("q")
assert serial.ended() == 0
EOF
coproc DRIVER { timeout 60 /usr/bin/python3 "$WORK/top.py" "$TOP/tests/lib" "$RAFTCTL" "$WORK/node$asked.sock" "$asked" "$dead" "$LEADER" 2>"$WORK/driver"; }
driver=$DRIVER_PID
while read -r what; do
    case $what in
    pause) pause "$asked" ;;
    resume) resume "$asked" ;;
    kill) crash "$asked" ;;
    start) start "$asked" ;;
    esac
done <&"${DRIVER[0]}"
wait "$driver" || fail "$(tail -n 20 "$WORK/driver")"
note "top: of five sizes, plain and dumb, stuck, stopped, ended by keys and signals, over an end of its daemon"

# --- elsewhere than on a terminal ---
printed() {
    OUT=$(ctl "$asked" top) || fail "top into a pipe: exit $?"
    grep -q "^ *!$dead silent" <<<"$OUT"
}
wait_for 20 "silent node on what top prints" printed
[[ "$OUT" != *"q quits"* ]] || fail "top into a pipe waits for a key"
[ -z "$(awk 'length($0) > 80' <<<"$OUT")" ] || fail "top into a pipe is wider than 80 columns: $OUT"
expect 3 ctl "$dead" top
says 'no daemon'

expect 0 ctl "$LEADER" report
printf '%s\n' "$OUT" >"$WORK/report.html"
expect 3 ctl "$dead" report
cat >"$WORK/page.py" <<'EOF'
import collections, html.parser, sys
class Page(html.parser.HTMLParser):
    """Each element is ended where it has to be, and none can run or load something."""
    elements = "html head meta title style body h1 h2 p svg g path circle text ul li div table tbody tr th td details summary pre"
    attributes = "lang charset http-equiv content name class viewbox role aria-label d x y cx cy r"
    def __init__(self, path):
        super().__init__()
        self.open, self.count, self.text = [], collections.Counter(), ""
        self.feed(open(path, encoding="utf-8").read())
        assert not self.open, "not ended: %s" % self.open
    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)
    def handle_starttag(self, tag, attributes):
        assert tag in self.elements.split(), "an element %s" % tag
        for name, value in attributes:
            assert name in self.attributes.split(), "an attribute %s" % name
        if tag != "tbody": # which browsers add
            self.count[tag] += 1
        if tag != "meta":
            self.open.append(tag)
    def handle_endtag(self, tag):
        assert self.open.pop() == tag, "%s ends before its time" % tag
    def handle_data(self, data):
        self.text += data
page = Page(sys.argv[1])
assert "key-of-mine" not in page.text and "value-of-mine" not in page.text
assert "nobody hears node %s" % sys.argv[2] in page.text and "nan" not in page.text
assert "member-silent node %s" % sys.argv[2] in page.text
assert page.count["path"] == 2 * 6 and page.count["circle"] == 3 and page.count["h2"] == 5
if len(sys.argv) > 3:
    assert Page(sys.argv[3]).count == page.count, "a browser understands another page"
EOF
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || :)
if [ -n "$browser" ]; then
    timeout 60 "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$WORK/browser" --dump-dom \
        "file://$WORK/report.html" >"$WORK/dom.html" 2>"$WORK/browser.log" || fail "$browser: exit $?: $(tail -n 3 "$WORK/browser.log")"
fi
expect 0 /usr/bin/python3 "$WORK/page.py" "$WORK/report.html" "$dead" ${browser:+"$WORK/dom.html"}
note "report: whole, alone and without keys${browser:+, in a browser, too}"
[ -n "$browser" ] || note "skipped: report in a browser, for there is none"
finish "top and report"
