"""A real cluster on loopback for the end-to-end tests: the programs of build/<preset>/bin, each in its own process.

    with Cluster(workers=2) as cluster:
        job = cluster.submit(digits_spec(epochs=20))
        cluster.wait_for(job, "SUCCEEDED")

Every process announces itself on a pipe when it serves, so nothing here guesses how long a start takes. The only
polling is `until`, which asks a question until it is answered or the test has failed. Processes die with the test.
"""

import ctypes
import hashlib
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("LOCKSTEP_BIN", REPOSITORY / "build" / "release" / "bin"))
# Sanitizers and busy machines need more patience; a passing test never waits this long.
PATIENCE = float(os.environ.get("LOCKSTEP_TEST_PATIENCE", "120"))

SUCCEEDED, FAILED, NOT_FINISHED, NOT_FOUND, CANCELLED, USAGE = 0, 100, 101, 102, 103, 2
FINAL = {"JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED"}


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def until(question, what, patience=None):
    """Asks `question` until it returns something true, which is returned."""
    deadline = time.monotonic() + (patience or PATIENCE)
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience or PATIENCE:.0f} s in vain for: {what() if callable(what) else what}")
        time.sleep(0.02)


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def find_model(folder):
    found = sorted(pathlib.Path(folder).rglob("model.safetensors"))
    found = [path for path in found if "checkpoints" not in path.parts]
    if len(found) != 1:
        raise AssertionError(f"expected one model.safetensors below {folder}, found {found}")
    return found[0]


def http_get(address, path="/metrics"):
    with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as response:
        return response.read().decode()


def metric(address, name):
    """Sum over the labels of a metric's current samples; None if there is none."""
    values = [float(line.rsplit(" ", 1)[1]) for line in http_get(address).splitlines()
              if re.match(re.escape(name) + r"(\{| )", line)]
    return sum(values) if values else None


def digits_spec(epochs=20, name="digits", workers=None, checkpoint=None, **further):
    """A digits job as a dict; JSON is YAML, so it is written as it is. Never stops early."""
    spec = {
        "name": name,
        "dataset": {"path": str(REPOSITORY / "examples" / "digits.csv"), "label": "digit"},
        "model": {"mlp": {"hidden": [128, 64], "activation": "relu", "dropout": 0.1}},
        "train": {"epochs": epochs, "batch_size": 64, "optimizer": {"adamw": {"learning_rate": 1e-3}}},
        "workers": workers or {"min": 1, "max": 1},
        "seed": 7,
    }
    if checkpoint:
        spec["checkpoint"] = checkpoint
    spec.update(further)
    return spec


class Program:
    """One daemon: started, announced, and killable by its process id."""

    def __init__(self, name, arguments, folder, wait_ready=True, user=None, before=()):
        self.name = name
        self.log = pathlib.Path(folder) / f"{name}-{time.monotonic_ns()}.log"
        read_end, write_end = os.pipe()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*before, str(BIN / name), *map(str, arguments), "--ready-fd", str(write_end)], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, pass_fds=[write_end], user=user, group=user, extra_groups=[] if user else None,
                preexec_fn=die_with_parent)
        os.close(write_end)
        self._ready_fd = read_end
        self.addresses = {}
        if wait_ready:
            self.wait_ready()

    @property
    def pid(self):
        return self.process.pid

    def wait_ready(self):
        line, deadline = b"", time.monotonic() + PATIENCE
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([self._ready_fd], [], [], max(0, deadline - time.monotonic()))
            piece = os.read(self._ready_fd, 4096) if readable else b""
            if not piece:
                raise AssertionError(f"{self.name} did not become ready (exit code {self.process.poll()}):\n{self.text()}")
            line += piece
        self.addresses = dict(word.split("=", 1) for word in line.decode().split() if "=" in word)
        return self

    def text(self):
        return self.log.read_text(errors="replace")

    def alive(self):
        return self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; returns the exit code."""
        if self.alive():
            self.process.terminate()
        try:
            return self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end after SIGTERM:\n{self.text()}")

    def close(self):
        if self.alive():
            self.kill()
        if self._ready_fd is not None:
            os.close(self._ready_fd)
            self._ready_fd = None

    def children(self, name):
        """Process ids of living children whose program is `name`."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                stat = (entry / "stat").read_text()
                fields = stat.rsplit(")", 1)[1].split()
                if int(fields[1]) == self.pid and fields[0] != "Z" and name in (entry / "cmdline").read_text():
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
        return found


class Cluster:
    """A coordinator and `workers` agents of `slots` CPU slots each. `user`: the numeric user that the daemons run as.
    `threads`: that each trainer computes with; by default what an agent that is alone on the machine would choose."""

    def __init__(self, workers=1, slots=1, artifact_root=None, user=None, threads=None, quarantine_after=0, allow_chaos=False,
                 coordinator_flags=()):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lockstep-e2e-"))
        self.artifact_root = pathlib.Path(artifact_root or self.folder / "artifacts")
        self.coordinator = None
        self.workers = {}
        self._initial = (workers, slots)
        self._user = user
        self._threads = [] if threads is None else ["--threads-per-slot", threads]
        if user is not None:
            os.chown(self.folder, user, user)
        self.coordinator_flags = list(coordinator_flags)
        self._listen = "127.0.0.1:0"
        self._specs = 0
        self._chaos = ["--allow-chaos"] if allow_chaos else []
        self._quarantine_after = quarantine_after  # 0: the tests kill the same workers again and again

    def start(self):
        self.start_coordinator()
        workers, slots = self._initial
        for index in range(workers):
            self.start_worker(f"node-{index}", slots)
        return self

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind, value, trace):
        self.close()

    def _programs(self):
        return [*self.workers.values(), *([self.coordinator] if self.coordinator else [])]

    def all_logs(self):
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-6000:]}"
                         for log in sorted(self.folder.glob("*.log")))

    def close(self):
        for program in self._programs():
            program.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Daemons

    def start_coordinator(self):
        """Starts it, or starts it again on the same data and the same port."""
        self.coordinator = Program("lockstep-coordinator", [
            "--data-dir", self.folder / "coordinator", "--artifact-root", self.artifact_root,
            "--listen", self._listen, "--metrics-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
            "--quarantine-after", self._quarantine_after, *self._chaos, *self.coordinator_flags], self.folder, user=self._user)
        self._listen = self.address
        return self.coordinator

    def kill_coordinator(self):
        self.coordinator.kill()

    def start_worker(self, name, slots=1, wait_ready=True, chaos=True):
        """`chaos`: may be told to fail, where the cluster allows it."""
        program = Program("lockstep-worker", [
            "--coordinator", self.address, "--name", name, "--gpus", "none", "--cpu-slots", slots,
            "--data-dir", self.folder / name, "--metrics-listen", "127.0.0.1:0", *self._threads,
            *(self._chaos if chaos else [])], self.folder, wait_ready, self._user)
        self.workers[name] = program
        return program

    @property
    def address(self):
        return self.coordinator.addresses["grpc"]

    def trainers(self, worker="node-0"):
        return self.workers[worker].children("lockstep-trainer")

    # Client

    def environment(self):
        return {**os.environ, "LOCKSTEP_COORDINATOR": self.address, "NO_COLOR": "1"}

    @staticmethod
    def client(*arguments):
        return [str(BIN / "lockstep"), *map(str, arguments)]

    @staticmethod
    def parse(text):
        return json.loads(text)

    def lockstep(self, *arguments, expect=0, timeout=None):
        """Runs the client. `expect`: the exit code, or None for any but 0."""
        done = subprocess.run(self.client(*arguments), env=self.environment(), text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout or 3 * PATIENCE)
        right = done.returncode == expect if expect is not None else done.returncode > 0
        if not right:
            raise AssertionError(f"lockstep {' '.join(map(str, arguments))}: exit code {done.returncode}, expected {expect}\n"
                                 f"stdout: {done.stdout}\nstderr: {done.stderr}")
        return done

    def follow(self, *arguments):
        """Starts the client and returns at once."""
        return subprocess.Popen(self.client(*arguments), env=self.environment(), text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                preexec_fn=die_with_parent)

    def json(self, *arguments):
        return json.loads(self.lockstep(*arguments, "-o", "json").stdout)

    def write_spec(self, spec):
        self._specs += 1
        path = self.folder / f"spec-{self._specs}.yaml"
        path.write_text(spec if isinstance(spec, str) else json.dumps(spec, indent=2))
        return path

    def submit(self, spec):
        """The new job's id."""
        return self.json("submit", self.write_spec(spec))["id"]

    def refused(self, spec):
        """What the client says about a spec that must not be accepted."""
        done = self.lockstep("submit", self.write_spec(spec), expect=None)
        return done.stderr

    def job(self, job):
        return self.json("describe", job)

    def jobs(self):
        return self.json("jobs")["jobs"]

    def list_workers(self):
        return self.json("workers")["workers"]

    def checkpoints(self, job):
        return self.json("checkpoints", job)["checkpoints"]

    def logs(self, job):
        return self.lockstep("logs", job).stdout

    def wait_for(self, job, *states, patience=None):
        """Waits for one of `states` ("RUNNING"); another final state is a failure at once."""
        wanted = {f"JOB_STATE_{state}" for state in states}
        now = {}

        def there():
            now.update(self.job(job))
            if now["state"] in wanted:
                return True
            if now["state"] in FINAL:
                raise AssertionError(f"job {job} is {now['state']} ({now.get('reason')}), not one of {states}\n{self.logs(job)}")
            return False

        until(there, lambda: f"job {job} in {states}; it is {now.get('state')}: {now.get('reason')}", patience)
        return now

    def wait_step(self, job, step):
        """Waits until the running job has done `step` optimizer steps; a job that is already final is a failure."""
        def there():
            now = self.job(job)
            if now["state"] in FINAL:
                raise AssertionError(f"job {job} was {now['state']} ({now.get('reason')}) before it could be disturbed")
            return int(now.get("progress", {}).get("step", 0)) >= step and now

        return until(there, f"step {step} of job {job}")

    def run_to_end(self, spec, patience=None):
        """Submits, waits for success and returns the job."""
        return self.wait_for(self.submit(spec), "SUCCEEDED", patience=patience)


def accuracy(job):
    return job["metrics"]["test/accuracy"]


class EndToEndTest(unittest.TestCase):
    """Shows long messages and gives each test its own folder."""

    maxDiff = None

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lockstep-e2e-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def run(self, result=None):
        result = result or self.defaultTestResult()
        self._bad = lambda: len(result.failures) + len(result.errors)
        self._bad_before = self._bad()
        return super().run(result)

    def cluster(self, *arguments, **options):
        """A running cluster, gone after the test; its logs are printed if the test failed."""
        return self.started(Cluster(*arguments, **options))

    def started(self, cluster):
        """The same with a cluster of another kind."""
        self.addCleanup(cluster.close)
        self.addCleanup(lambda: self._bad() > self._bad_before and print(cluster.all_logs()))
        return cluster.start()

    def assertSays(self, text, *patterns):
        """Each pattern (case does not matter) is somewhere in the text."""
        for pattern in patterns:
            self.assertRegex(text, re.compile(pattern, re.IGNORECASE | re.DOTALL))
