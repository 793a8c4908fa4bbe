"""Schedules of joins, leaves and deaths. Whatever happens to the workers, the weights are those of the quiet run.

LOCKSTEP_NIGHTLY=1 makes the random plan five times as long; LOCKSTEP_SEED chooses another plan.
"""

import os
import random
import signal
import time
import unittest

from cluster import FINAL, EndToEndTest, digits_spec, until

NIGHTLY = os.environ.get("LOCKSTEP_NIGHTLY") == "1"
EPOCHS = 1200


def spec(workers, **further):
    return digits_spec(epochs=EPOCHS, workers=workers, checkpoint={"every_steps": 2000, "keep_last": 2}, **further)


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
        self.cluster_ = self.cluster(**cluster)
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
        self.begin(workers=2)
        self.running_on(2)
        for _ in range(5):
            self.kill_trainer("node-1")
            until(lambda: self.now()["reason"].find("growing") >= 0, "the replacement to join")
            self.kill_trainer("node-0")
            self.running_on(2)
        self.ends_as_the_quiet_run()

    def test_everybody_at_once_goes_on_from_the_newest_checkpoint(self):
        self.begin(workers=2)
        until(lambda: self.cluster_.checkpoints(self.job), "a checkpoint")
        for worker in ("node-0", "node-1"):
            self.kill_trainer(worker)
        self.ends_as_the_quiet_run()
        self.assertIn("starts from", self.cluster_.logs(self.job))


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
            fault = chance.choice(["kill", "kill", "kill", "segv", "both", "node", "drain", "coordinator", "pause"])
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
