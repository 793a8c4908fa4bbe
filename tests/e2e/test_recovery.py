"""Trainers and nodes die, hang and are cut off: the others go on, and the weights are those of the quiet run."""

import contextlib
import os
import pathlib
import re
import signal
import time
import unittest

from cluster import PATIENCE, digits_spec, until
from network import NetworkCluster, why_not
from schedule import Quiet, Schedule, spec


@contextlib.contextmanager
def stopped_for(seconds, pids):
    """Stops these processes for so long by the clock, however soon the body is through. Those that were killed meanwhile stay dead."""
    end = time.monotonic() + seconds
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
        time.sleep(max(0, end - time.monotonic()))
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def ended(pid):
    """Whether no thread of the process runs any more, also if nobody has reaped it yet."""
    folder = pathlib.Path(f"/proc/{pid}")
    try:
        return os.listdir(folder / "task") == [str(pid)] and (folder / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


class Deaths(Schedule):
    def test_each_rank_in_turn(self):
        self.begin(workers=3)
        self.running_on(3)
        for worker in ("node-0", "node-1", "node-2", "node-0"):
            self.kill_trainer(worker)
            until(lambda: self.now()["state"] == "JOB_STATE_RUNNING", "the job to go on")
            self.running_on(3)
        self.ends_as_the_quiet_run()
        self.no_checkpoint_was_read()

    def test_a_rank_inside_the_all_reduce(self):
        # One rank is stopped in its own part of a step, so that the others wait for it in the reduction; then one of those dies there, and in the
        # next round the stopped one itself.
        self.begin(workers=3)
        for victim in ("node-0", "node-2"):
            self.running_on(3)
            self.kill_trainer("node-2", signal.SIGSTOP)
            time.sleep(0.2)
            self.kill_trainer(victim)
            time.sleep(0.2)
            if victim != "node-2":
                self.kill_trainer("node-2", signal.SIGCONT)
        self.running_on(3)
        self.ends_as_the_quiet_run()
        self.no_checkpoint_was_read()

    def test_half_the_nodes_at_once(self):
        self.begin(workers=4)
        self.running_on(4)
        for worker in ("node-0", "node-1"):
            self.cluster_.workers[worker].kill()
        self.running_on(2)
        self.ends_as_the_quiet_run()
        self.no_checkpoint_was_read()

    def test_everybody_at_once_goes_on_from_the_newest_checkpoint(self):
        self.begin(workers=2)
        until(lambda: self.cluster_.checkpoints(self.job), "a checkpoint")
        for worker in ("node-0", "node-1"):
            self.kill_trainer(worker)
        self.ends_as_the_quiet_run()
        self.assertIn("starts from", self.cluster_.logs(self.job))


class Source(Schedule):
    """The rank that gives its state to a newcomer dies inside the copy. A hundred megabytes, so that this takes a while, of a job that makes no step
    while it has fewer than three ranks, so that it does not end meanwhile."""

    EPOCHS = 3

    def large(self, workers, **further):
        return digits_spec(epochs=self.EPOCHS, workers=workers, checkpoint={"every_steps": 1000, "keep_last": 2},
                           model={"mlp": {"hidden": [2048, 4096], "dropout": 0.1}}, **further)

    def logs_of(self, worker, generation="*", rank="*"):
        """What the trainers of the worker said, as their agent writes it."""
        return "".join(path.read_text(errors="replace") for path in self.cluster_.folder.glob(f"{worker}/logs/{self.job}-{generation}-{rank}.log"))

    def copy_after(self, generation):
        """(generation, worker that gives, worker that takes) of the next copy, the moment that it is under way."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for giver in self.cluster_.workers:
                for taker, at in re.findall(r"gives its state to rank (\d+)[\d, ]* in generation (\d+)", self.logs_of(giver)):
                    if int(at) > generation:
                        taker, = [worker for worker in self.cluster_.workers if list(self.cluster_.folder.glob(f"{worker}/logs/{self.job}-{at}-{taker}.log"))]
                        return int(at), giver, taker
        self.fail(f"no newcomer was given the state; the job says {self.now()}")

    def test_dies_inside_the_copy(self):
        cluster = self.cluster_ = self.cluster(workers=3, threads=1)
        self.expected = cluster.run_to_end(self.large({"min": 1, "max": 1}, name="quiet"))["modelSha256"]
        self.job = cluster.submit(self.large({"min": 3, "max": 3}))
        generation, inside, rounds = int(cluster.wait_step(self.job, 10)["generation"]), 0, 0
        while inside < 2:
            rounds += 1
            self.kill_trainer(self.now()["members"][-1]["worker"])
            generation, giver, taker = self.copy_after(generation)
            source, receiver = cluster.trainers(giver), cluster.trainers(taker)
            with stopped_for(0, receiver):  # who reads nothing cannot be given all of it
                self.kill_trainer(giver)
                until(lambda: all(map(ended, source)), "the source to be dead")

            def goes_on():
                now = self.now()
                return now["state"] == "JOB_STATE_RUNNING" and len(now["members"]) == 3 and int(now["generation"]) > generation and now

            later = int(until(goes_on, lambda: f"the job to go on; it says {self.now()}")["generation"])
            self.assertEqual(cluster.trainers(taker), receiver, "the receiver did not keep its process")
            # Its lines come in order: once it tells of a later generation, all that it has to say of this one is there.
            until(lambda: any(int(at) > generation for at in re.findall(r"goes on in generation (\d+)", self.logs_of(taker))), "the receiver's log")
            took, has = (re.search(rf"{word} its state from rank \d+ in generation {generation}\n", self.logs_of(taker)) for word in ("takes", "has"))
            inside += took is not None and has is None
            generation = later
        print(f"{inside} of {rounds} kills fell inside a copy", flush=True)
        self.ends_as_the_quiet_run(self.EPOCHS)
        self.no_checkpoint_was_read()


class Hang(Schedule):
    def test_a_stopped_trainer_is_killed_and_the_others_go_on(self):
        cluster = self.cluster_ = self.cluster(workers=2, threads=1)
        self.expected = Quiet.get(cluster)
        self.job = cluster.submit(spec({"min": 1, "max": 2, "silence": "1s"}))
        cluster.wait_step(self.job, 200)
        self.running_on(2)
        stopped = cluster.trainers("node-1")
        self.kill_trainer("node-1", signal.SIGSTOP)
        until(lambda: int(cluster.job(self.job)["generation"]) > 1, "the next generation")
        self.assertSays(cluster.coordinator.text(), "no sign of life for 1s", "workers.silence")
        self.assertNotEqual(cluster.trainers("node-1"), stopped)
        self.running_on(2)
        self.ends_as_the_quiet_run()
        self.no_checkpoint_was_read()

    def test_a_whole_node_that_is_stopped_is_lost_and_may_come_back(self):
        # Agent and trainer: as if the cable were pulled, and put back after five seconds.
        self.begin(workers=2)
        self.running_on(2)
        agent = self.cluster_.workers["node-1"]
        pids = [agent.pid, *self.cluster_.trainers("node-1")]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            self.running_on(1)
            time.sleep(3)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        self.running_on(2)
        self.ends_as_the_quiet_run()
        self.no_checkpoint_was_read()

    def test_a_trainer_stopped_for_ten_seconds_is_killed_after_the_default_silence(self):
        self.begin(workers=2)
        self.running_on(2)
        survivor, stopped = self.cluster_.trainers("node-0"), self.cluster_.trainers("node-1")
        with stopped_for(10, stopped):
            until(lambda: int(self.now()["generation"]) > 1, "the next generation")
            self.assertSays(self.cluster_.coordinator.text(), "no sign of life for 5s", "workers.silence")
            self.running_on(2)
            self.assertEqual(self.cluster_.trainers("node-0"), survivor, "the survivor did not keep its process")
            self.assertNotEqual(self.cluster_.trainers("node-1"), stopped)
        self.ends_as_the_quiet_run()
        self.no_checkpoint_was_read()

    def test_the_others_go_on_without_a_node_stopped_for_ten_seconds_and_it_comes_back(self):
        # A job that loses a second node waits below its minimum for the stopped one, so that it cannot end before that comes back, however fast
        # this machine is.
        self.begin(workers=3, minimum=2)
        self.running_on(3)
        survivor = self.cluster_.trainers("node-0")
        with stopped_for(10, [self.cluster_.workers["node-2"].pid, *self.cluster_.trainers("node-2")]):
            self.running_on(2)
            self.cluster_.workers["node-1"].kill()
            self.cluster_.wait_for(self.job, "RECOVERING")
        self.running_on(2)
        self.assertEqual(self.cluster_.trainers("node-0"), survivor, "the survivor did not keep its process")
        self.assertEqual({member["worker"] for member in self.now()["members"]}, {"node-0", "node-2"})
        self.ends_as_the_quiet_run()
        self.no_checkpoint_was_read()


class Everything(Schedule):
    """Coordinator, agents and trainers die in the same moment, and are started again on the same folders."""

    def killed_at(self, checkpoints):
        """Kills everything once the job has so many checkpoints; the folders of those that are there then, newest first."""
        self.begin(workers=2)
        self.running_on(2)
        listed = until(lambda: len(found := self.cluster_.checkpoints(self.job)) >= checkpoints and found, f"{checkpoints} checkpoints")
        self.now()
        daemons = [self.cluster_.coordinator, *self.cluster_.workers.values()]
        trainers = [pid for worker in self.cluster_.workers for pid in self.cluster_.trainers(worker)]
        self.assertEqual(len(trainers), 2)
        # Stopped first, so that none of them sees another die.
        for how in (signal.SIGSTOP, signal.SIGKILL):
            for pid in [*trainers, *(daemon.pid for daemon in daemons)]:
                os.kill(pid, how)
        for daemon in daemons:
            daemon.close()
        until(lambda: all(map(ended, trainers)), "the trainers to be gone")
        return sorted(pathlib.Path(listed[0]["path"]).parent.glob("step-*"), reverse=True)

    def start_again(self):
        self.cluster_.start_coordinator()
        for worker in list(self.cluster_.workers):
            self.cluster_.start_worker(worker)
        self.running_on(2)

    def test_goes_on_from_the_newest_checkpoint(self):
        newest = self.killed_at(checkpoints=1)[0]
        self.start_again()
        self.ends_as_the_quiet_run()
        self.assertRegex(self.cluster_.logs(self.job), rf"starts from \S*/{newest.name}\b")

    def test_goes_on_from_the_checkpoint_before_a_damaged_one(self):
        newest, previous = self.killed_at(checkpoints=2)[:2]
        weights = newest / "model.safetensors"
        content = bytearray(weights.read_bytes())
        content[-5] ^= 0x10
        weights.write_bytes(content)
        self.start_again()
        self.ends_as_the_quiet_run()
        logs = self.cluster_.logs(self.job)
        self.assertRegex(logs, rf"starts from \S*/{previous.name}\b")
        self.assertNotRegex(logs, rf"starts from \S*/{newest.name}\b")
        self.assertSays(self.cluster_.coordinator.text(), newest.name, "checksum")
        self.cluster_.lockstep("checkpoint", "verify", self.job)


class Network(Schedule):
    def hosts(self, workers, *discipline):
        reason = why_not()
        if reason:
            self.skipTest(reason)
        cluster = self.cluster_ = self.started(NetworkCluster(workers))
        self.expected = Quiet.get(cluster)
        for worker in cluster.workers if discipline else ():
            try:
                cluster.worsen(worker, *discipline)
            except OSError as error:
                self.skipTest(str(error))
        self.job = cluster.submit(spec({"min": 1, "max": workers}))
        cluster.wait_step(self.job, 50)

    def test_a_node_that_is_cut_off_for_five_seconds_is_left_out_and_joins_again(self):
        self.hosts(2)
        self.running_on(2)
        self.cluster_.cut("node-1")
        self.running_on(1)
        time.sleep(3)
        self.cluster_.heal("node-1")
        self.running_on(2)
        self.ends_as_the_quiet_run()
        self.no_checkpoint_was_read()

    def test_delay_and_loss_change_nothing_but_the_time(self):
        self.hosts(2, "netem", "delay", "1ms", "loss", "0.5%")
        self.running_on(2)
        self.cluster_.lockstep("scale", self.job, "--workers", 1)
        self.ends_as_the_quiet_run()


if __name__ == "__main__":
    unittest.main()
