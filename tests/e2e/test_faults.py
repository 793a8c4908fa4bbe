"""Real kills: of the coordinator, of a trainer, of a worker. Nothing acknowledged is lost, and the bits do not change."""

import concurrent.futures
import contextlib
import os
import re
import signal
import subprocess
import unittest

from cluster import EndToEndTest, digits_spec, metric, until

# Long enough to be disturbed in the middle, short enough for a test.
EPOCHS = 400
CHECKPOINT = {"every_steps": 500}


def long_spec(**further):
    return digits_spec(epochs=EPOCHS, checkpoint=CHECKPOINT, **further)


class Undisturbed:
    """The SHA-256 of the long job when nothing happens to it; computed once."""

    digest = None

    @classmethod
    def get(cls, cluster):
        if cls.digest is None:
            cls.digest = cluster.run_to_end(long_spec(name="undisturbed"))["modelSha256"]
        return cls.digest


class Submits:
    """Clients, each a process, that submit one spec until cancelled; `acknowledged`: the ids they were given."""

    def __init__(self, cluster, spec, pool, count):
        self.cluster, self.spec, self.acknowledged = cluster, cluster.write_spec(spec), []
        self.pending = [pool.submit(self.one) for _ in range(count)]

    def one(self):
        done = subprocess.run(self.cluster.client("submit", self.spec, "-o", "json"), env=self.cluster.environment(), text=True,
                              capture_output=True, stdin=subprocess.DEVNULL)
        if done.returncode == 0:
            self.acknowledged.append(self.cluster.parse(done.stdout)["id"])

    def all_done(self):
        return all(submit.done() for submit in self.pending)

    def cancel(self):
        for submit in self.pending:
            submit.cancel()


class KilledCoordinator(EndToEndTest):
    def test_no_acknowledged_submit_is_lost(self):
        cluster = self.cluster(workers=0)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            submits = Submits(cluster, digits_spec(epochs=1), pool, 2000)  # more than are ever made before the kill
            acknowledged = submits.acknowledged
            until(lambda: len(acknowledged) >= 15, "fifteen acknowledged submits")
            cluster.kill_coordinator()
            submits.cancel()
        self.assertLess(len(acknowledged), 2000)
        cluster.start_coordinator()
        there = {job["id"] for job in cluster.jobs()}
        self.assertEqual(set(acknowledged) - there, set())
        # They are not only listed: a worker that comes now trains them.
        cluster.start_worker("late", slots=2)
        cluster.wait_for(acknowledged[0], "SUCCEEDED")
        cluster.wait_for(acknowledged[-1], "SUCCEEDED")

    def test_none_of_a_thousand_is_lost_to_kill_after_kill(self):
        cluster = self.cluster(workers=0)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            submits = Submits(cluster, digits_spec(epochs=1), pool, 2000)
            acknowledged = submits.acknowledged
            for kill_at in range(200, 1001, 200):
                until(lambda: len(acknowledged) >= kill_at or submits.all_done(), lambda: f"{kill_at} acknowledged; there are {len(acknowledged)}")
                cluster.kill_coordinator()
                cluster.start_coordinator()
            submits.cancel()
        self.assertGreaterEqual(len(acknowledged), 1000)
        self.assertEqual(len(set(acknowledged)), len(acknowledged), "two submits were given one job")
        there = {job["id"] for job in cluster.json("jobs", "--limit", 10000)["jobs"]}
        self.assertEqual(set(acknowledged) - there, set())

    def test_a_running_job_keeps_stepping_and_is_adopted(self):
        cluster = self.cluster(workers=2)
        expected = Undisturbed.get(cluster)
        job = cluster.submit(long_spec(workers={"min": 2, "max": 2}))
        cluster.wait_step(job, 200)
        cluster.kill_coordinator()
        cluster.start_coordinator()
        done = cluster.wait_for(job, "SUCCEEDED")
        self.assertEqual(done["modelSha256"], expected)
        self.assertEqual(int(done["generation"]), 1, "the job was started again instead of adopted")

    def test_a_job_that_ends_while_the_coordinator_is_down_is_not_lost(self):
        cluster = self.cluster(workers=1)
        job = cluster.submit(digits_spec(epochs=1000))
        cluster.wait_step(job, 10)
        cluster.kill_coordinator()
        model = cluster.artifact_root / "jobs" / job / "model" / "manifest.json"
        until(model.exists, "the trainer to finish alone")
        cluster.start_coordinator()
        self.assertGreater(cluster.wait_for(job, "SUCCEEDED")["metrics"]["test/accuracy"], 0.9)


class KilledTrainer(EndToEndTest):
    def test_the_survivor_keeps_its_process_and_the_bits_do_not_change(self):
        cluster = self.cluster(workers=2)
        expected = Undisturbed.get(cluster)
        job = cluster.submit(long_spec(workers={"min": 1, "max": 2}))
        cluster.wait_step(job, 700)
        survivor, victim = cluster.trainers("node-0"), cluster.trainers("node-1")
        self.assertEqual(len(victim), 1, "a worker with one slot has one trainer")
        os.kill(victim[0], signal.SIGKILL)
        until(lambda: int(cluster.job(job)["generation"]) > 1, "the next generation")
        self.assertTrue(all(program.alive() for program in cluster.workers.values()))
        done = cluster.wait_for(job, "SUCCEEDED")
        self.assertEqual(done["modelSha256"], expected)
        self.assertEqual(len(done["members"]), 2, "the replacement did not join")
        self.assertSays(cluster.coordinator.text(), "running -> recovering: .*node-1.*(SIGKILL|signal 9)")
        self.assertSays(cluster.logs(job), "goes on in generation 2 with 1 rank")
        self.assertNotIn("starts from", cluster.logs(job), "a checkpoint was read although a survivor had the state")
        until(lambda: cluster.trainers("node-0") and cluster.trainers("node-0") != survivor, "a fresh trainer: one serves one job")

    def test_a_job_on_one_worker_goes_on_from_its_newest_checkpoint(self):
        cluster = self.cluster(workers=1)
        expected = Undisturbed.get(cluster)
        job = cluster.submit(long_spec())
        cluster.wait_step(job, 700)
        os.kill(cluster.trainers()[0], signal.SIGSEGV)
        done = cluster.wait_for(job, "SUCCEEDED")
        self.assertEqual(done["modelSha256"], expected)
        self.assertSays(cluster.logs(job), r"starts from .*step-0*(500|[1-9]\d{3})")
        self.assertSays(cluster.coordinator.text(), "recovering|queued again.*SIGSEGV")
        address = cluster.coordinator.addresses["metrics"]
        until(lambda: metric(address, "lockstep_trainer_crashes_total") == 1, "the crash to be counted")

    def test_a_trainer_that_always_dies_fails_the_job_with_the_reason(self):
        cluster = self.cluster(workers=1)
        job = cluster.submit(digits_spec(epochs=100000))

        def killed_again():
            # Those at work alone: if those that are only just starting die as well, again and again, the slot counts as broken.
            at_work = set(map(int, re.findall(r"assignment begins .*\bpid=(\d+)", cluster.workers["node-0"].text())))
            for pid in at_work.intersection(cluster.trainers()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return cluster.job(job)["state"] == "JOB_STATE_FAILED"

        cluster.wait_step(job, 10)
        until(killed_again, "the job to give up")
        self.assertSays(cluster.job(job)["reason"], "gave up after 6 failures in a row", "SIGKILL|signal 9", "node-0")

    def test_an_idle_trainer_that_dies_is_replaced(self):
        cluster = self.cluster(workers=1)
        before = until(cluster.trainers, "a pre-warmed trainer")
        os.kill(before[0], signal.SIGKILL)
        until(lambda: cluster.trainers() and cluster.trainers() != before, "another trainer")
        cluster.run_to_end(digits_spec(epochs=1))


class KilledWorker(EndToEndTest):
    def test_the_job_waits_with_its_state_until_a_worker_comes(self):
        cluster = self.cluster(workers=2)
        expected = Undisturbed.get(cluster)
        job = cluster.submit(long_spec(workers={"min": 2, "max": 2}))
        cluster.wait_step(job, 700)
        trainers = cluster.trainers("node-0")
        cluster.workers["node-1"].kill()
        waiting = cluster.wait_for(job, "RECOVERING")
        until(lambda: "waiting for" in cluster.job(job)["reason"], "the reason for waiting")
        self.assertSays(cluster.job(job)["reason"], "node-1", "1 left")
        self.assertEqual(cluster.trainers("node-0"), trainers, "the survivor did not keep its process")
        cluster.start_worker("node-2")
        done = cluster.wait_for(job, "SUCCEEDED")
        self.assertEqual(done["modelSha256"], expected)
        self.assertGreater(int(done["generation"]), int(waiting["generation"]))
        self.assertNotIn("starts from", cluster.logs(job), "a checkpoint was read although a survivor had the state")


class DivergingJob(EndToEndTest):
    def test_nan_loss_fails_with_step_and_cause_and_keeps_the_last_good_checkpoint(self):
        cluster = self.cluster(workers=1)
        spec = digits_spec(name="diverges")
        spec["dataset"] = {"path": spec["dataset"]["path"].replace("digits.csv", "diabetes.csv"), "label": "progression",
                           "task": "regression"}
        spec["model"] = {"linear": {}}
        # The rate climbs from harmless to absurd, so that some checkpoints are good.
        spec["train"] = {"epochs": 200, "batch_size": 32, "optimizer": {"sgd": {"learning_rate": 1000.0}},
                         "schedule": {"warmup_steps": 20000}}
        spec["checkpoint"] = {"every_steps": 2, "keep_last": 2}
        failed = cluster.wait_for(cluster.submit(spec), "FAILED")
        self.assertSays(failed["reason"], r"step \d+", "learning rate|learning_rate", "nan|finite")
        checkpoints = cluster.checkpoints(failed["id"])
        self.assertTrue(checkpoints, "no checkpoint was kept")
        self.assertTrue(all(entry["whole"] for entry in checkpoints), checkpoints)
        # The worker is as good as new.
        cluster.run_to_end(digits_spec(epochs=1))


if __name__ == "__main__":
    unittest.main()
