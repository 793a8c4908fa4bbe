"""tests/clients/install: a PyPI that is not reached is told apart from one that has not what is asked for."""

import http.server
import os
import re
import socket
import subprocess
import threading
import unittest

from cluster import REPOSITORY, EndToEndTest

CLIENTS = REPOSITORY / "tests" / "clients"
NOT_REACHED = 75


class EmptyIndex(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(404)

    def log_message(self, *arguments):
        pass


class Install(EndToEndTest):
    def install(self, index):
        if subprocess.run(["/usr/bin/python3", "-c", "import ensurepip"], capture_output=True).returncode != 0:
            self.skipTest("the package python3-venv is not installed")
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        environment = {**ours, "PIP_INDEX_URL": index, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", "NO_PROXY": "*"}
        return subprocess.run([CLIENTS / "install", "--venv", self.folder / "venv"], env=environment, text=True, capture_output=True, timeout=300)

    def test_an_index_that_is_not_reached_is_said_and_not_taken_for_a_failure(self):
        with socket.socket() as bound:  # nobody listens there, nor can
            bound.bind(("127.0.0.1", 0))
            done = self.install(f"http://127.0.0.1:{bound.getsockname()[1]}/simple")
        self.assertEqual(done.returncode, NOT_REACHED, done.stderr)
        self.assertSays(done.stderr, "PyPI is not reached", "skipped")
        self.assertFalse((self.folder / "venv" / "requirements.txt").exists(), "it would be taken for whole")

    def test_a_version_that_is_not_to_be_had_is_a_failure(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), EmptyIndex)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        done = self.install(f"http://127.0.0.1:{server.server_port}/simple")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertSays(done.stderr, "No matching distribution", "could not install")

    def test_every_version_is_exact(self):
        wanted = [line for line in (CLIENTS / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
        self.assertGreater(len(wanted), 10)
        for line in wanted:
            self.assertRegex(line, r"^[A-Za-z0-9._-]+==[A-Za-z0-9.]+$")
        names = [re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in wanted]
        self.assertEqual(sorted(names), sorted(set(names)))


if __name__ == "__main__":
    unittest.main()
