# A terminal that a program runs on, for tests: it knows few sequences, and none but those may come. Whatever is
# drawn outside its size, would make it scroll, or is no such sequence is an error.
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

SEQUENCE = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])")


class Terminal:
    def __init__(self, command, columns, rows, controlling=True, **environment):
        self.keys, self.modes_at = pty.openpty()
        self.resize(columns, rows)
        self.columns, self.rows = columns or 80, rows or 24
        self.clear()
        self.dumb = environment.get("TERM") == "dumb"
        self.before = termios.tcgetattr(self.modes_at)
        self.raw, self.taken = b"", 0
        self.text = ""
        env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES", "LC_ALL")}
        env.update({"TERM": "vt100", "LC_ALL": "C.UTF-8"}, **environment)
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            if controlling:
                fcntl.ioctl(self.modes_at, termios.TIOCSCTTY, 0)
            for fd in (0, 1, 2):
                os.dup2(self.modes_at, fd)
            os.execvpe(command[0], command, env)

    def clear(self):
        self.cells = [[" "] * self.columns for _ in range(self.rows)]
        self.row = self.column = 0

    def resize(self, columns, rows):
        fcntl.ioctl(self.keys, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.next_size = columns or 80, rows or 24

    def sequence(self, numbers, letter):
        n = [int(x) if x else 0 for x in numbers.split(";")]
        if letter == "H":
            self.row, self.column = (n + [1, 1])[0] - 1, (n + [1, 1])[1] - 1
            assert 0 <= self.row < self.rows and 0 <= self.column < self.columns, "cursor outside"
        elif letter == "J":
            assert n == [2]
            self.columns, self.rows = self.next_size
            self.clear()
        elif letter == "K":
            self.cells[self.row][self.column :] = [" "] * (self.columns - self.column)
        else:
            assert letter == "m", "an unknown sequence: " + letter

    def character(self, c):
        assert c.isprintable(), "no character: %r" % c
        assert self.column < self.columns, "drawn behind the end of a line"
        assert (self.row, self.column) != (self.rows - 1, self.columns - 1), "it scrolls"
        self.cells[self.row][self.column] = c
        self.column += 1

    def draw(self):
        if self.dumb:
            return
        at = 0
        while at < len(self.text):
            m = SEQUENCE.match(self.text, at)
            if m:
                self.sequence(*m.groups())
                at = m.end()
            elif self.text[at] == "\x1b":
                break  # the rest has not come yet
            elif self.text[at] in "\r\n":
                at += 1  # at its end only
            else:
                self.character(self.text[at])
                at += 1
        self.text = self.text[at:]

    def take(self, seconds):
        if not select.select([self.keys], [], [], seconds)[0]:
            return
        try:
            self.raw += os.read(self.keys, 65536)
        except OSError:
            return  # nobody is on it any more
        try:
            self.text += self.raw[self.taken :].decode()
        except UnicodeDecodeError:
            return  # the middle of a character
        self.taken = len(self.raw)
        self.draw()

    def shown(self):
        return "\n".join("".join(row).rstrip() for row in self.cells)

    def wait(self, pattern, seconds=20):
        end = time.monotonic() + seconds
        while not re.search(pattern, self.shown(), re.M):
            assert time.monotonic() < end, "no %r in time:\n%s" % (pattern, self.shown())
            self.take(0.1)

    def modes_are_back(self):
        return termios.tcgetattr(self.modes_at) == self.before

    def press(self, key):
        os.write(self.keys, key.encode())

    def send(self, number):
        os.kill(self.pid, number)

    def hang_up(self):
        os.close(self.keys)

    def ended_without(self, seconds=5):
        """The same, when the terminal is gone."""
        end = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.modes_at)
                return status
            assert time.monotonic() < end, "it does not end, and has no terminal"
            time.sleep(0.02)

    def ended(self, seconds=5):
        """The status as of os.waitpid(), when it has ended, and put the terminal back."""
        end = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError("it does not end:\n" + self.shown())
            self.take(0.02)
        assert self.modes_are_back(), "the terminal is not put back"
        os.close(self.keys)
        os.close(self.modes_at)
        return status
