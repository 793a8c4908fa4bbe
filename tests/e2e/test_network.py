"""What goes wrong between the programs is said plainly: ports, names, absent coordinators."""

import socket
import subprocess
import time
import unittest

from cluster import BIN, PATIENCE, EndToEndTest, digits_spec, until


def free_port():
    """A port that was free a moment ago; nobody listens there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Ports(EndToEndTest):
    def expect_refusal(self, *arguments):
        done = subprocess.run([str(BIN / "lockstep-coordinator"), *map(str, arguments)], text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=PATIENCE)
        self.assertGreater(done.returncode, 0, done.stderr)
        return done.stderr

    def test_coordinator_names_a_port_that_is_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            said = self.expect_refusal("--data-dir", self.folder / "d", "--artifact-root", self.folder / "a", "--listen",
                                       f"127.0.0.1:{port}", "--metrics-listen", "127.0.0.1:0", "--http-listen", "")
            self.assertSays(said, str(port), "in use")

    def test_coordinator_names_a_metrics_port_that_is_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            said = self.expect_refusal("--data-dir", self.folder / "d", "--artifact-root", self.folder / "a", "--listen",
                                       "127.0.0.1:0", "--metrics-listen", f"127.0.0.1:{port}", "--http-listen", "")
            self.assertSays(said, str(port), "in use")

    def test_worker_names_a_metrics_port_that_is_in_use(self):
        cluster = self.cluster(workers=0)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = subprocess.run([str(BIN / "lockstep-worker"), "--coordinator", cluster.address, "--name", "w",
                                   "--gpus", "none", "--cpu-slots", "1", "--data-dir", str(self.folder), "--metrics-listen", f"127.0.0.1:{port}"],
                                  text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE)
        self.assertGreater(done.returncode, 0)
        self.assertSays(done.stderr, str(port), "in use")

    def test_two_coordinators_cannot_share_a_data_folder(self):
        cluster = self.cluster(workers=0)
        said = self.expect_refusal("--data-dir", cluster.folder / "coordinator", "--artifact-root", cluster.artifact_root,
                                   "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--http-listen", "")
        self.assertSays(said, "coordinator", "use|lock|another")


class AbsentCoordinator(EndToEndTest):
    def test_client_retries_and_then_says_so(self):
        address = f"127.0.0.1:{free_port()}"
        started = time.monotonic()
        done = subprocess.run([str(BIN / "lockstep"), "jobs", "--coordinator", address], text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=PATIENCE)
        self.assertGreater(done.returncode, 0)
        self.assertGreater(time.monotonic() - started, 0.2, "it did not try again")
        self.assertSays(done.stderr, address, "coordinator")
        self.assertEqual(done.stdout, "")

    def test_worker_that_is_early_joins_when_the_coordinator_comes(self):
        cluster = self.cluster(workers=0)
        cluster.kill_coordinator()
        worker = cluster.start_worker("early", wait_ready=False)
        until(lambda: cluster.address in worker.text(), "the worker to say that the coordinator is not there")
        self.assertTrue(worker.alive())
        cluster.start_coordinator()
        worker.wait_ready()
        self.assertEqual([entry["name"] for entry in cluster.list_workers()], ["early"])

    def test_worker_comes_back_after_a_coordinator_restart(self):
        cluster = self.cluster(workers=1)
        cluster.kill_coordinator()
        cluster.start_coordinator()
        cluster.run_to_end(digits_spec(epochs=1))
        self.assertTrue(cluster.workers["node-0"].alive())


class WorkerNames(EndToEndTest):
    def test_two_workers_with_one_name_second_is_refused_first_stays(self):
        cluster = self.cluster(workers=1)
        first = cluster.workers["node-0"]
        second = cluster.start_worker("node-0", wait_ready=False)
        cluster.workers = {"node-0": first, "second": second}
        until(lambda: not second.alive(), lambda: f"the second worker to give up; it says:\n{second.text()}")
        self.assertGreater(second.process.returncode, 0)
        self.assertSays(second.text(), "node-0", "name")
        self.assertTrue(first.alive())
        listed = cluster.list_workers()
        self.assertEqual([(entry["name"], entry["state"]) for entry in listed], [("node-0", "WORKER_STATE_READY")])
        cluster.run_to_end(digits_spec(epochs=1))

    def test_a_restarted_worker_may_have_its_name_again(self):
        cluster = self.cluster(workers=1)
        cluster.workers["node-0"].kill()
        cluster.start_worker("node-0")
        cluster.run_to_end(digits_spec(epochs=1))


class Signals(EndToEndTest):
    def test_daemons_end_cleanly_on_sigterm(self):
        cluster = self.cluster(workers=1)
        trainers = cluster.trainers()
        self.assertEqual(cluster.workers["node-0"].stop(), 0)
        self.assertEqual(cluster.coordinator.stop(), 0)
        for pid in trainers:
            until(lambda: not _runs(pid), f"trainer {pid} to go with its agent")

    def test_trainers_go_when_their_agent_is_killed(self):
        cluster = self.cluster(workers=1)
        trainers = cluster.trainers()
        self.assertTrue(trainers)
        cluster.workers["node-0"].kill()
        for pid in trainers:
            until(lambda: not _runs(pid), f"trainer {pid} to go with its agent")


def _runs(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


if __name__ == "__main__":
    unittest.main()
