"""The client on a terminal (a pseudo-terminal): a progress line that is redrawn, colours, NO_COLOR, and a terminal that can do nothing."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import threading
import unittest

from cluster import CANCELLED, Cluster, EndToEndTest, die_with_parent, digits_spec, until

COLUMNS = 100
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# From the start of the line, over what was there.
LIVE = re.compile(r"\r(?!\n)(?!\x1b\[K)([^\r\n]*)\x1b\[K")


class Screen:
    """A client whose standard error, and standard output unless `out` is given, is a terminal of COLUMNS columns."""

    def __init__(self, command, environment, out=None):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        self.process = subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs if out is None else out, stderr=theirs,
                                        preexec_fn=die_with_parent)
        os.close(theirs)
        self.pieces = []
        self.reader = threading.Thread(target=self._read, args=(ours,), daemon=True)
        self.reader.start()

    def _read(self, ours):
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # EIO: nobody has its other end any more
                piece = b""
            if not piece:
                os.close(ours)
                return
            self.pieces.append(piece)

    def text(self):
        return b"".join(self.pieces).decode(errors="replace")

    def end(self, timeout=120):
        code = self.process.wait(timeout=timeout)
        self.reader.join(timeout=timeout)
        return code

    def close(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(timeout=30)


class Terminal(EndToEndTest):
    @classmethod
    def setUpClass(cls):
        cls.shared = Cluster(workers=1).start()
        cls.addClassCleanup(cls.shared.close)

    def environment(self, **further):
        ours = {name: value for name, value in self.shared.environment().items() if name not in ("NO_COLOR", "LC_ALL", "LC_CTYPE")}
        return {**ours, "TERM": "xterm", "LANG": "C.UTF-8", **further}

    def followed(self, pattern, out=None, arguments=(), **environment):
        """What stood on the terminal when an endless job was followed until `pattern` stood there, and then cancelled."""
        spec = self.shared.write_spec(digits_spec(epochs=1000000))
        screen = Screen(self.shared.client("submit", "--follow", *arguments, spec), self.environment(**environment), out)
        self.addCleanup(screen.close)
        until(lambda: re.search(pattern, screen.text()), lambda: f"{pattern!r} on the terminal: {screen.text()!r}")
        running = [job["id"] for job in self.shared.jobs() if not job["state"].endswith(("CANCELLED", "SUCCEEDED", "FAILED"))]
        self.assertEqual(len(running), 1)
        self.shared.lockstep("cancel", *running)
        self.assertEqual(screen.end(), CANCELLED, screen.text())
        return screen.text()

    def live_lines(self, text):
        return [COLOUR.sub("", line) for line in LIVE.findall(text)]

    def test_one_line_is_redrawn_within_the_width_and_wiped_at_the_end(self):
        text = self.followed(LIVE.pattern + r".*" + LIVE.pattern)
        lines = self.live_lines(text)
        self.assertGreater(len(lines), 1)
        for line in lines:
            self.assertLess(len(line), COLUMNS)
            self.assertRegex(line, r"^▕.*▏ digits  epoch [\d.]+/1000000  step \d+/\d+  loss")
        # Whatever is written after the last of them begins on a line that was wiped.
        after = text[text.rindex(lines[-1]) + len(lines[-1]):]
        self.assertRegex(after, r"^\x1b\[K\r\x1b\[K[^\r\n]*was .*cancelled")
        self.assertNotRegex(text, r"\n[^\r\n]*▕", "a drawn line was left standing")

    def test_states_are_coloured_on_a_terminal_and_not_with_no_color(self):
        self.assertRegex(self.followed(LIVE.pattern), r"\x1b\[32mrunning\x1b\[0m")
        text = self.followed(LIVE.pattern, NO_COLOR="1")
        self.assertNotRegex(text, COLOUR)
        self.assertTrue(self.live_lines(text), "NO_COLOR is about colours: the line is drawn all the same")

    def test_a_bar_of_plain_characters_where_the_terminal_has_no_unicode(self):
        for line in self.live_lines(self.followed(LIVE.pattern, LANG="C")):
            self.assertTrue(line.isascii(), line)
            self.assertRegex(line, r"^\[[#.]{20}\] digits")

    def test_a_dumb_terminal_gets_plain_lines(self):
        text = self.followed(r"step \d+", TERM="dumb")
        self.assertNotIn("\x1b", text)
        self.assertNotRegex(text, r"\r(?!\n)")

    def test_data_is_on_stdout_alone_while_the_terminal_shows_the_progress(self):
        path = self.folder / "out.json"
        with open(path, "wb") as out:
            text = self.followed(LIVE.pattern, out=out, arguments=("-o", "json"))
        self.assertEqual(json.loads(path.read_text())["state"], "JOB_STATE_CANCELLED")
        self.assertNotIn("JOB_STATE_CANCELLED", text)


if __name__ == "__main__":
    unittest.main()
