"""deploy/systemd: the units are valid, locked up, and start the real daemons' flags. Nothing here needs a systemd that runs."""

import re
import shutil
import subprocess
import unittest

from cluster import BIN, REPOSITORY, EndToEndTest

UNITS = REPOSITORY / "deploy" / "systemd"
NAMES = ("lockstep-coordinator", "lockstep-worker")


class Units(EndToEndTest):
    def setUp(self):
        super().setUp()
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze (package systemd) is not installed")

    def installed(self, name):
        """The unit, with its program where it was built."""
        path = self.folder / f"{name}.service"
        path.write_text((UNITS / f"{name}.service").read_text().replace(f"/usr/local/bin/{name}", str(BIN / name)))
        return path

    def test_units_have_no_error(self):
        for name in NAMES:
            done = subprocess.run(["systemd-analyze", "verify", self.installed(name)], text=True, capture_output=True, timeout=60)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""), name)

    def test_units_are_locked_up(self):
        if "--offline" not in subprocess.run(["systemd-analyze", "--help"], text=True, capture_output=True, timeout=60).stdout:
            self.skipTest("systemd-analyze security --offline needs systemd 250 or newer")
        for name in NAMES:
            done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", self.installed(name)], text=True,
                                  capture_output=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stdout[-600:] + done.stderr)  # an exposure above 2.0 of 10
            self.assertIn("Overall exposure level", done.stdout)

    def test_flags_exist_and_the_state_folder_is_the_one_that_systemd_makes(self):
        for name in NAMES:
            text = (UNITS / f"{name}.service").read_text()
            command = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)[1].split()
            known = subprocess.run([BIN / name, "--help"], text=True, capture_output=True, timeout=60).stdout
            for word in command:
                if word.startswith("--"):
                    self.assertIn(word, known)
            state = re.search(r"^StateDirectory=(.*)$", text, re.MULTILINE)[1]
            self.assertEqual(command[command.index("--data-dir") + 1], f"/var/lib/{state}")

    def test_the_stop_is_longer_than_the_drain(self):
        for name in NAMES:
            text = (UNITS / f"{name}.service").read_text()
            self.assertGreater(int(re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)[1]), 10 + 5)


if __name__ == "__main__":
    unittest.main()
