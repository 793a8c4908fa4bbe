"""A cluster whose nodes are network namespaces on one bridge, so that each can be cut off, slowed down and healed.

Everything is made by the test and removed after it. `why_not` says why a machine cannot do this: then the test is skipped.
"""

import os
import shutil
import subprocess

from cluster import BIN, REPOSITORY, Cluster, Program

PORT = 7070


def _ip(*arguments):
    done = subprocess.run(["ip", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(map(str, arguments))}: {done.stderr.strip()}")


def why_not():
    """Why network namespaces cannot be made here; empty: they can."""
    if shutil.which("ip") is None:
        return "there is no `ip` (package iproute2)"
    probe = f"lockstep-probe-{os.getpid()}"
    try:
        _ip("netns", "add", probe)
        _ip("netns", "delete", probe)
    except OSError as error:
        return f"network namespaces are not allowed: {error}"
    return ""


class NetworkCluster(Cluster):
    """The coordinator and each worker in a namespace of their own; the client runs beside the coordinator."""

    def __init__(self, workers=1, allow_chaos=False):
        super().__init__(workers=workers, threads=1, allow_chaos=allow_chaos)
        self._prefix = f"ls{os.getpid()}"
        self._hosts = {}
        self._bridge = f"{self._prefix}-bridge"
        _ip("netns", "add", self._bridge)
        _ip("-n", self._bridge, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self._bridge, "link", "set", "bridge", "up")
        self._host("coordinator")

    def _host(self, name):
        """The address of the host of that name, which is made if it is not there."""
        if name not in self._hosts:
            number = len(self._hosts) + 1
            space = f"{self._prefix}-{name}"
            _ip("netns", "add", space)
            self._hosts[name] = (space, f"10.213.7.{number}")
            _ip("-n", space, "link", "add", "eth0", "type", "veth", "peer", "name", f"port{number}", "netns", self._bridge)
            _ip("-n", self._bridge, "link", "set", f"port{number}", "master", "bridge", "up")
            _ip("-n", space, "address", "add", f"10.213.7.{number}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")
            _ip("-n", space, "link", "set", "lo", "up")
        return self._hosts[name]

    def close(self):
        super().close()
        for space in [*(space for space, _ in self._hosts.values()), self._bridge]:
            subprocess.run(["ip", "netns", "delete", space], capture_output=True)
        self._hosts = {}

    # Daemons

    def program(self, name, arguments, space, wait_ready=True):
        # `ip netns exec` becomes the program: same process id.
        return Program(name, arguments, self.folder, wait_ready, before=["ip", "netns", "exec", space])

    def start_coordinator(self):
        space, address = self._host("coordinator")
        self.coordinator = self.program("lockstep-coordinator", [
            "--data-dir", self.folder / "coordinator", "--artifact-root", self.artifact_root, "--insecure", "--data-root", REPOSITORY / "examples",
            "--listen", f"{address}:{PORT}", "--metrics-listen", "", "--http-listen", "", "--quarantine-after", self._quarantine_after,
            *self._chaos], space)
        return self.coordinator

    def start_worker(self, name, slots=1, wait_ready=True):
        space, address = self._host(name)
        self.workers[name] = self.program("lockstep-worker", [
            "--coordinator", self.address, "--name", name, "--gpus", "none", "--cpu-slots", slots, "--advertise-host", address,
            "--data-dir", self.folder / name, "--metrics-listen", "", "--insecure", *self._threads, *self._chaos],
            space, wait_ready)
        return self.workers[name]

    @property
    def address(self):
        return f"{self._host('coordinator')[1]}:{PORT}"

    def client(self, *arguments):
        return ["ip", "netns", "exec", self._host("coordinator")[0], str(BIN / "lockstep"), *map(str, arguments)]

    # The network

    def cut(self, name):
        _ip("-n", self._host(name)[0], "link", "set", "eth0", "down")

    def heal(self, name):
        _ip("-n", self._host(name)[0], "link", "set", "eth0", "up")

    def worsen(self, name, kind, *options):
        """A queueing discipline for what the host sends: "netem", "delay", "5ms", "loss", "1%", or "tbf", "rate", ... OSError: the kernel has none."""
        command = ["tc", "-n", self._host(name)[0], "qdisc", "replace", "dev", "eth0", "root", kind, *map(str, options)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")

    def better(self, name):
        """As before worsen."""
        subprocess.run(["tc", "-n", self._host(name)[0], "qdisc", "delete", "dev", "eth0", "root"], check=True)
