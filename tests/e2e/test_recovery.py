"""Schedules of joins, leaves and deaths. Whatever happens to the workers, the weights are those of the quiet run.

LOCKSTEP_NIGHTLY=1 makes the random plan five times as long; LOCKSTEP_SEED chooses another plan.
"""

import os
import random
import signal
import time
import unittest

from cluster import FINAL, EndToEndTest, digits_spec, until
from network import NetworkCluster, why_not

NIGHTLY = os.environ.get("LOCKSTEP_NIGHTLY") == "1"
EPOCHS = 1000 if NIGHTLY else 200


def spec(workers, **further):
    """Steps of three milliseconds or so on one thread, 23 in an epoch: long enough for a schedule."""
    return digits_spec(epochs=EPOCHS, workers=workers, checkpoint={"every_steps": 1000, "keep_last": 2},
                       model={"mlp": {"hidden": [512, 512], "dropout": 0.1}}, **further)


class Quiet:
    """The SHA-256 of the job when nothing happens to it; computed once."""

    digest = None

    @classmethod
    def get(cls, cluster):
        if cls.digest is None:
            cls.digest = cluster.run_to_end(spec({"min": 1, "max": 1}, name="quiet"))["modelSha256"]
        return cls.digest


class Schedule(EndToEndTest):
    def begin(self, minimum=1, maximum=4, **cluster):
        self.cluster_ = self.cluster(threads=1, **cluster)
        self.expected = Quiet.get(self.cluster_)
        self.job = self.cluster_.submit(spec({"min": minimum, "max": maximum}))
        self.cluster_.wait_step(self.job, 200)

    def now(self):
        now = self.cluster_.job(self.job)
        self.assertNotIn(now["state"], FINAL, f"the job ended before the schedule did: {now.get('reason')}")
        return now

    def running_on(self, workers):
        """Waits until the job runs on so many devices and has made 100 further steps there."""
        def there():
            now = self.now()
            return now["state"] == "JOB_STATE_RUNNING" and len(now["members"]) == workers and now["reason"].startswith(
                f"running on {workers} device") and "growing" not in now["reason"] and "shrinking" not in now["reason"] and now

        now = until(there, lambda: f"the job to run on {workers}; it says {self.cluster_.job(self.job)}")
        self.cluster_.wait_step(self.job, int(now["progress"]["step"]) + 100)

    def kill_trainer(self, worker, how=signal.SIGKILL):
        for pid in self.cluster_.trainers(worker):
            os.kill(pid, how)

    def ends_as_the_quiet_run(self):
        done = self.cluster_.wait_for(self.job, "SUCCEEDED")
        self.assertEqual(done["modelSha256"], self.expected)
        return done

    def no_checkpoint_was_read(self):
        self.assertNotIn("starts from", self.cluster_.logs(self.job), "the state was read from disk instead of a peer")


class JoinsAndLeaves(Schedule):
    def test_one_two_three_one(self):
        self.begin(workers=1)
        self.cluster_.start_worker("node-1")
        self.running_on(2)
        self.cluster_.start_worker("node-2")
        self.running_on(3)
        self.assertEqual(self.cluster_.workers["node-0"].stop(), 0)
        self.assertEqual(self.cluster_.workers["node-1"].stop(), 0)
        self.running_on(1)
        self.ends_as_the_quiet_run()
        self.no_checkpoint_was_read()
        self.assertNotIn("waits for the next generation", self.cluster_.logs(self.job), "a clean leave cost a step")

    def test_four_two_three(self):
        self.begin(workers=4)
        self.running_on(4)
        self.cluster_.workers["node-0"].kill()
        self.cluster_.workers["node-3"].kill()
        self.running_on(2)
        self.cluster_.start_worker("node-4")
        self.running_on(3)
        self.ends_as_the_quiet_run()
        self.no_checkpoint_was_read()


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

    def test_half_the_nodes_at_once(self):
        self.begin(workers=4)
        self.running_on(4)
        for worker in ("node-0", "node-1"):
            self.cluster_.workers[worker].kill()
        self.running_on(2)
        self.ends_as_the_quiet_run()
        self.no_checkpoint_was_read()

    def test_the_rank_that_a_newcomer_copies_from(self):
        # The first rank dies in the moments in which a replacement is made ready and given the state.
        self.begin(workers=3)
        self.running_on(3)
        for _ in range(3):
            self.kill_trainer("node-2")
            until(lambda: "growing" in self.now()["reason"] or len(self.now()["members"]) == 3, "the replacement to join")
            first = self.now()["members"][0]["worker"]
            self.kill_trainer(first)
            self.running_on(3)
        self.ends_as_the_quiet_run()
        self.no_checkpoint_was_read()

    def test_everybody_at_once_goes_on_from_the_newest_checkpoint(self):
        self.begin(workers=2)
        until(lambda: self.cluster_.checkpoints(self.job), "a checkpoint")
        for worker in ("node-0", "node-1"):
            self.kill_trainer(worker)
        self.ends_as_the_quiet_run()
        self.assertIn("starts from", self.cluster_.logs(self.job))


class Scale(Schedule):
    def test_down_and_up_by_hand_without_doing_a_step_twice(self):
        self.begin(workers=3, maximum=2)
        self.running_on(2)
        for workers in (1, 3, 2):
            self.cluster_.lockstep("scale", self.job, "--workers", workers)
            self.running_on(workers)
        self.assertSays(self.cluster_.lockstep("scale", self.job, "--workers", 9, expect=None).stderr, "expected 1 to 8")
        done = self.ends_as_the_quiet_run()
        self.assertEqual(int(done["workersWanted"]), 2)
        self.assertNotIn("waits for the next generation", self.cluster_.logs(self.job), "a clean leave cost a step")
        self.cluster_.lockstep("scale", self.job, "--workers", 1, expect=None)

    def test_a_higher_priority_shrinks_the_others_and_they_grow_again(self):
        self.begin(workers=2)
        self.running_on(2)
        urgent = self.cluster_.run_to_end(digits_spec(epochs=1, name="urgent", priority=10))
        self.assertEqual(len(urgent["members"]), 1)
        self.running_on(2)
        self.ends_as_the_quiet_run()
        self.assertNotIn("waits for the next generation", self.cluster_.logs(self.job), "a clean leave cost a step")


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


class Network(Schedule):
    def hosts(self, workers, *netem):
        reason = why_not()
        if reason:
            self.skipTest(reason)
        cluster = self.cluster_ = NetworkCluster(workers)
        self.addCleanup(cluster.close)
        self.addCleanup(lambda: self._bad() > self._bad_before and print(cluster.all_logs()))
        cluster.start()
        self.expected = Quiet.get(cluster)
        for worker in cluster.workers if netem else ():
            try:
                cluster.worsen(worker, *netem)
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
        self.hosts(2, "delay", "1ms", "loss", "0.5%")
        self.running_on(2)
        self.cluster_.lockstep("scale", self.job, "--workers", 1)
        self.ends_as_the_quiet_run()


class Coordinator(Schedule):
    def test_a_death_while_the_coordinator_is_away(self):
        self.begin(workers=3)
        self.running_on(3)
        self.cluster_.kill_coordinator()
        self.kill_trainer("node-1")
        time.sleep(1)
        self.cluster_.start_coordinator()
        self.running_on(3)
        self.ends_as_the_quiet_run()
        self.no_checkpoint_was_read()

    def test_killed_again_and_again(self):
        self.begin(workers=2)
        self.running_on(2)
        trainers = self.cluster_.trainers("node-0") + self.cluster_.trainers("node-1")
        for _ in range(15 if NIGHTLY else 4):
            self.cluster_.kill_coordinator()
            self.cluster_.start_coordinator()
            time.sleep(1)
        self.assertEqual(self.cluster_.trainers("node-0") + self.cluster_.trainers("node-1"), trainers)
        done = self.ends_as_the_quiet_run()
        self.assertEqual(len(done["members"]), 2)


class RandomPlan(Schedule):
    def test_random_faults(self):
        seed = int(os.environ.get("LOCKSTEP_SEED", "1"))
        chance = random.Random(seed)
        self.begin(workers=3)
        faults, added, told = 100 if NIGHTLY else 20, 0, []
        for index in range(faults):
            if self.cluster_.job(self.job)["state"] in FINAL:
                break
            workers = sorted(self.cluster_.workers)
            victim = chance.choice(workers)
            fault = chance.choice(["kill", "kill", "segv", "both", "node", "drain", "scale", "coordinator", "nothing"])
            told.append(f"{index}: {fault} {victim}")
            if fault in ("kill", "segv"):
                self.signal_trainer(victim, signal.SIGKILL if fault == "kill" else signal.SIGSEGV)
            elif fault == "both":
                self.signal_trainer(victim, signal.SIGKILL)
                self.signal_trainer(chance.choice(workers), signal.SIGKILL)
            elif fault in ("node", "drain"):
                program = self.cluster_.workers.pop(victim)
                if fault == "node":
                    program.kill()
                else:
                    self.assertEqual(program.stop(), 0)
                program.close()
                added += 1
                self.cluster_.start_worker(f"added-{added}")
            elif fault == "scale":
                self.cluster_.lockstep("scale", self.job, "--workers", chance.choice([1, 2, 3, 4]))
            elif fault == "coordinator":
                self.cluster_.kill_coordinator()
                self.cluster_.start_coordinator()
            time.sleep(chance.random() * 0.6)
        print(f"seed {seed}, {len(told)} of {faults} faults: {told}", flush=True)
        self.assertGreaterEqual(len(told), faults // 2, "the job ended long before the plan did")
        self.ends_as_the_quiet_run()

    def signal_trainer(self, worker, how):
        for pid in self.cluster_.trainers(worker):
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                pass


if __name__ == "__main__":
    unittest.main()
