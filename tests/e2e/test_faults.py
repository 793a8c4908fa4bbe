"""Real kills: of the coordinator, of a trainer, of a worker. Nothing acknowledged is lost, and the bits do not change."""

import concurrent.futures
import os
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


class KilledCoordinator(EndToEndTest):
    def test_no_acknowledged_submit_is_lost(self):
        cluster = self.cluster(workers=0)
        spec = cluster.write_spec(digits_spec(epochs=1))
        acknowledged = []

        def submit(_):
            done = subprocess.run(cluster.client("submit", spec, "-o", "json"), env=cluster.environment(), text=True,
                                  capture_output=True, stdin=subprocess.DEVNULL)
            if done.returncode == 0:
                acknowledged.append(cluster.parse(done.stdout)["id"])

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            submits = [pool.submit(submit, index) for index in range(40)]
            until(lambda: len(acknowledged) >= 15, "fifteen acknowledged submits")
            cluster.kill_coordinator()
            for pending in submits:
                pending.cancel()
        self.assertLess(len(acknowledged), 40)
        cluster.start_coordinator()
        there = {job["id"] for job in cluster.jobs()}
        self.assertEqual(set(acknowledged) - there, set())
        # They are not only listed: a worker that comes now trains them.
        cluster.start_worker("late", slots=2)
        cluster.wait_for(acknowledged[0], "SUCCEEDED")
        cluster.wait_for(acknowledged[-1], "SUCCEEDED")

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
        job = cluster.submit(digits_spec(epochs=60))
        cluster.wait_step(job, 10)
        cluster.kill_coordinator()
        model = cluster.artifact_root / "jobs" / job / "model" / "manifest.json"
        until(model.exists, "the trainer to finish alone")
        cluster.start_coordinator()
        self.assertGreater(cluster.wait_for(job, "SUCCEEDED")["metrics"]["test/accuracy"], 0.9)


class KilledTrainer(EndToEndTest):
    def test_job_fails_with_signal_and_log_agent_lives_and_resume_gives_the_same_bits(self):
        cluster = self.cluster(workers=2)
        expected = Undisturbed.get(cluster)
        job = cluster.submit(long_spec(workers={"min": 2, "max": 2}))
        cluster.wait_step(job, 700)
        victim = cluster.trainers("node-1")
        self.assertEqual(len(victim), 1, "a worker with one slot has one trainer")
        os.kill(victim[0], signal.SIGKILL)
        failed = cluster.wait_for(job, "FAILED")
        self.assertSays(failed["reason"], "SIGKILL|signal 9|killed", "node-1")
        self.assertTrue(all(program.alive() for program in cluster.workers.values()))
        self.assertTrue(cluster.logs(job).strip(), "no log line of the crashed job")
        self.assertEqual({entry["state"] for entry in cluster.list_workers()}, {"WORKER_STATE_READY"})
        cluster.lockstep("resume", job)
        resumed = cluster.wait_for(job, "SUCCEEDED")
        self.assertEqual(resumed["modelSha256"], expected)
        self.assertGreater(int(resumed["generation"]), int(failed["generation"]))

    def test_crashes_are_counted_for_prometheus(self):
        cluster = self.cluster(workers=1)
        job = cluster.submit(long_spec())
        cluster.wait_step(job, 10)
        os.kill(cluster.trainers()[0], signal.SIGSEGV)
        failed = cluster.wait_for(job, "FAILED")
        self.assertSays(failed["reason"], "SIGSEGV|signal 11|segmentation")
        address = cluster.coordinator.addresses["metrics"]
        until(lambda: metric(address, "lockstep_trainer_crashes_total") == 1, "the crash to be counted")

    def test_an_idle_trainer_that_dies_is_replaced(self):
        cluster = self.cluster(workers=1)
        before = until(cluster.trainers, "a pre-warmed trainer")
        os.kill(before[0], signal.SIGKILL)
        until(lambda: cluster.trainers() and cluster.trainers() != before, "another trainer")
        cluster.run_to_end(digits_spec(epochs=1))


class KilledWorker(EndToEndTest):
    def test_job_fails_with_the_worker_named_and_resumes_elsewhere_with_the_same_bits(self):
        cluster = self.cluster(workers=2)
        expected = Undisturbed.get(cluster)
        job = cluster.submit(long_spec(workers={"min": 2, "max": 2}))
        cluster.wait_step(job, 700)
        cluster.workers["node-1"].kill()
        failed = cluster.wait_for(job, "FAILED")
        self.assertSays(failed["reason"], "node-1")
        cluster.start_worker("node-2")
        cluster.lockstep("resume", job)
        self.assertEqual(cluster.wait_for(job, "SUCCEEDED")["modelSha256"], expected)


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
