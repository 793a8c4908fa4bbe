"""Python packages of other people, for tests in which they read our files and we read theirs.

LOCKSTEP_PEERS names the virtual environment that has them; without it, ~/.cache/lockstep-peers, where tests/clients/install puts it and
bench/peers/install adds PyTorch. Tests that need a package which is not there are skipped.
"""

import functools
import json
import os
import pathlib
import subprocess
import tempfile
import unittest


@functools.cache
def peer_python(packages):
    """A Python that imports all of `packages` ("torch, transformers"), or None."""
    venv = pathlib.Path(os.environ.get("LOCKSTEP_PEERS") or os.path.expanduser("~/.cache/lockstep-peers"))
    # bench/peers/install's own `python` sets the library path that torch wants.
    for python in (venv / "python", venv / "bin/python"):
        if python.exists() and subprocess.run([python, "-c", f"import {packages}"], capture_output=True).returncode == 0:
            return str(python)
    return None


def needs_peer(packages):
    """Decorates a test or a class of tests."""
    script = "bench/peers/install" if "torch" in packages.split(", ") else "tests/clients/install"
    return unittest.skipUnless(peer_python(packages), f"no Python with {packages}: {script} makes one, LOCKSTEP_PEERS names another")


class Peer:
    """A Python with those packages, started once, since importing them takes seconds. `script` defines functions, called by name with
    arguments and results that JSON holds."""

    SERVE = """
import json, sys, traceback
answers, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    name, arguments = json.loads(line)
    try:
        answer = {"result": globals()[name](*arguments)}
    except Exception:
        answer = {"error": traceback.format_exc()}
    print(json.dumps(answer), file=answers, flush=True)
"""

    def __init__(self, packages, script):
        self._errors = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [peer_python(packages), "-c", script + self.SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            text=True, env={**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"})

    def call(self, name, *arguments):
        self._process.stdin.write(json.dumps([name, arguments]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            self._errors.seek(0)
            raise AssertionError(f"the peer failed with exit code {self._process.wait()}:\n{self._errors.read()[-4000:]}")
        answer = json.loads(answer)
        if "error" in answer:
            raise AssertionError(f"the peer's {name} failed:\n{answer['error'][-4000:]}")
        return answer["result"]

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        self._errors.close()
