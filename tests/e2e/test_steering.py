"""The queue, the gang start, growing, pausing, cancelling and deleting, seen from outside."""

import subprocess
import unittest

from cluster import CANCELLED, NOT_FOUND, PATIENCE, EndToEndTest, digits_spec, find_model, sha256, until


def long_job(**further):
    """3,450 steps of some milliseconds: three ranks on two processors do them as fast as one, where small steps would be all waiting."""
    return digits_spec(epochs=150, model={"mlp": {"hidden": [512, 512], "dropout": 0.1}}, **further)


class PauseAndResume(EndToEndTest):
    def test_paused_and_resumed_twice_gives_the_same_bits(self):
        cluster = self.cluster(workers=1)
        spec = long_job()
        expected = cluster.run_to_end(spec)["modelSha256"]
        job = cluster.submit(spec)
        for step in (300, 1500):
            cluster.wait_step(job, step)
            cluster.lockstep("pause", job)
            paused = cluster.wait_for(job, "PAUSED")
            until(lambda: all(not device.get("jobId") for worker in cluster.list_workers() for device in worker["devices"]),
                  "the devices to be free")
            newest = cluster.checkpoints(job)[0]
            self.assertTrue(newest["whole"])
            self.assertGreaterEqual(int(newest["step"]), step)
            self.assertEqual(int(paused["progress"]["step"]), int(newest["step"]))
            cluster.lockstep("resume", job)
        self.assertEqual(cluster.wait_for(job, "SUCCEEDED")["modelSha256"], expected)

    def test_resumes_on_another_number_of_workers_with_the_same_bits(self):
        cluster = self.cluster(workers=1)
        spec = long_job(workers={"min": 1, "max": 3})
        expected = cluster.run_to_end(spec)["modelSha256"]
        job = cluster.submit(spec)
        cluster.wait_step(job, 300)
        cluster.lockstep("pause", job)
        cluster.wait_for(job, "PAUSED")
        cluster.start_worker("node-1", slots=2)
        cluster.lockstep("resume", job)
        done = cluster.wait_for(job, "SUCCEEDED")
        self.assertEqual(len(done["members"]), 3)
        self.assertEqual(done["modelSha256"], expected)

    def test_a_queued_job_can_be_paused_and_resumed(self):
        cluster = self.cluster(workers=0)
        job = cluster.submit(digits_spec(epochs=1))
        cluster.lockstep("pause", job)
        cluster.wait_for(job, "PAUSED")
        cluster.start_worker("node-0")
        self.assertEqual(cluster.job(job)["state"], "JOB_STATE_PAUSED")
        cluster.lockstep("resume", job)
        cluster.wait_for(job, "SUCCEEDED")


class Cancel(EndToEndTest):
    def test_a_running_job_is_cancelled_and_its_device_is_free(self):
        cluster = self.cluster(workers=1)
        job = cluster.submit(digits_spec(epochs=5000))
        cluster.wait_step(job, 10)
        cluster.lockstep("cancel", job)
        cluster.wait_for(job, "CANCELLED")
        cluster.lockstep("wait", job, expect=CANCELLED)
        cluster.run_to_end(digits_spec(epochs=1))

    def test_a_queued_job_is_cancelled(self):
        cluster = self.cluster(workers=0)
        job = cluster.submit(digits_spec())
        cluster.lockstep("cancel", job)
        cluster.wait_for(job, "CANCELLED")


class Delete(EndToEndTest):
    def test_a_job_that_has_ended_is_deleted_with_its_files_and_its_quota_is_free(self):
        cluster = self.cluster(workers=1)
        done = cluster.run_to_end(digits_spec(epochs=2, checkpoint={"every_steps": 10}))
        kept = cluster.run_to_end(digits_spec(epochs=1, name="kept"))
        folder = cluster.artifact_root / "jobs" / done["id"]
        self.assertTrue(list(folder.rglob("*.safetensors")))
        used = lambda: int(cluster.json("namespace", "describe", "default")["use"].get("storageBytes", 0))
        before = used()
        said = cluster.lockstep("delete", "digits")
        self.assertEqual(said.stdout.strip(), done["id"])
        self.assertSays(said.stderr, "is deleted")
        self.assertFalse(folder.exists())
        self.assertLess(used(), before)
        for command in ("describe", "logs", "checkpoints", "delete"):
            self.assertSays(cluster.lockstep(command, done["id"], expect=NOT_FOUND).stderr, "no job")
        self.assertEqual([job["id"] for job in cluster.json("jobs")["jobs"]], [kept["id"]])
        cluster.lockstep("delete", kept["id"], "--keep-model")
        model = find_model(cluster.artifact_root)
        self.assertEqual(sha256(model), kept["modelSha256"])
        self.assertEqual(used(), 0)

    def test_a_job_that_runs_or_that_another_begins_from_stays(self):
        cluster = self.cluster(workers=1)
        source = cluster.run_to_end(digits_spec(epochs=1, name="source", checkpoint={"every_steps": 10}))["id"]
        running = cluster.submit(digits_spec(epochs=5000, name="running"))
        cluster.wait_step(running, 1)
        self.assertSays(cluster.lockstep("delete", running, expect=None).stderr, "running", f"lockstep cancel {running}")
        tuned = cluster.submit(digits_spec(epochs=1, name="tuned", **{"from": {"job": source}}))
        self.assertSays(cluster.lockstep("delete", source, expect=None).stderr, f"{tuned} .tuned.")
        cluster.lockstep("cancel", running)
        cluster.wait_for(tuned, "SUCCEEDED")
        cluster.lockstep("delete", source, running)

    def test_a_deletion_outlives_a_coordinator_that_is_killed(self):
        cluster = self.cluster(workers=1)
        jobs = [cluster.run_to_end(digits_spec(epochs=1, name=f"job-{i}", checkpoint={"every_steps": 2}))["id"] for i in range(4)]
        deleting = subprocess.Popen(cluster.client("delete", *jobs, "--connect-timeout", "1s"), env=cluster.environment(),
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deleting.stdout.readline()  # the first is gone, the next one is under way
        cluster.coordinator.kill()
        deleting.communicate(timeout=PATIENCE)
        cluster.start_coordinator()
        left = {job["id"] for job in cluster.json("jobs").get("jobs", [])}
        self.assertNotIn(jobs[0], left)
        for job in left:  # those that it had not come to, or is ending just now
            subprocess.run(cluster.client("delete", job), env=cluster.environment(), capture_output=True, timeout=PATIENCE)
        until(lambda: not cluster.json("jobs").get("jobs"), "all of them to be gone")
        self.assertEqual(list((cluster.artifact_root / "jobs").iterdir()), [])


class Queue(EndToEndTest):
    def test_higher_priority_starts_first(self):
        cluster = self.cluster(workers=1)
        running = cluster.submit(digits_spec(epochs=5000, name="running"))
        cluster.wait_step(running, 1)
        low = cluster.submit(digits_spec(epochs=1, name="low", priority=-1))
        high = cluster.submit(digits_spec(epochs=1, name="high", priority=5))
        cluster.lockstep("cancel", running)
        low, high = cluster.wait_for(low, "SUCCEEDED"), cluster.wait_for(high, "SUCCEEDED")
        self.assertLess(high["finishedAt"], low["startedAt"])

    def test_gang_waits_for_all_its_devices_and_says_so(self):
        cluster = self.cluster(workers=1)
        job = cluster.submit(digits_spec(epochs=1, workers={"min": 2, "max": 2}))
        queued = until(lambda: (lambda now: now.get("reason") and now)(cluster.job(job)), "a reason for waiting")
        self.assertEqual(queued["state"], "JOB_STATE_QUEUED")
        self.assertSays(queued["reason"], r"\b2\b", r"\b1\b|one")
        cluster.start_worker("node-1")
        done = cluster.wait_for(job, "SUCCEEDED")
        self.assertEqual({member["worker"] for member in done["members"]}, {"node-0", "node-1"})

    def test_two_jobs_run_at_once_on_disjoint_devices(self):
        cluster = self.cluster(workers=2)
        jobs = [cluster.submit(digits_spec(epochs=5000, name=name)) for name in ("one", "two")]
        for job in jobs:
            cluster.wait_step(job, 5)
        now = [cluster.job(job) for job in jobs]
        self.assertEqual([job["state"] for job in now], ["JOB_STATE_RUNNING"] * 2)
        self.assertEqual({job["members"][0]["worker"] for job in now}, {"node-0", "node-1"})
        for job in jobs:
            cluster.lockstep("cancel", job)
            cluster.wait_for(job, "CANCELLED")


class Grow(EndToEndTest):
    def test_a_running_job_grows_onto_workers_that_join_with_the_same_bits(self):
        cluster = self.cluster(workers=1)
        spec = long_job(workers={"min": 1, "max": 3})
        expected = cluster.run_to_end(spec)["modelSha256"]
        job = cluster.submit(spec)
        cluster.wait_step(job, 100)
        self.assertEqual(len(cluster.job(job)["members"]), 1)
        cluster.start_worker("node-1")
        cluster.start_worker("node-2")
        until(lambda: self._members_while_running(cluster, job) == 3, "the job to grow to three members")
        grown = cluster.job(job)
        self.assertEqual([member.get("rank", 0) for member in grown["members"]], [0, 1, 2])
        self.assertEqual(grown["members"][0]["worker"], "node-0", "old members keep their ranks")
        done = cluster.wait_for(job, "SUCCEEDED")
        self.assertEqual(done["modelSha256"], expected)
        self.assertGreater(int(done["generation"]), 1)

    def _members_while_running(self, cluster, job):
        now = cluster.job(job)
        self.assertNotIn(now["state"], ("JOB_STATE_FAILED", "JOB_STATE_SUCCEEDED"), now.get("reason"))
        return len(now["members"]) if now["state"] == "JOB_STATE_RUNNING" else 0


class WarmStart(EndToEndTest):
    def test_a_new_job_starts_from_another_jobs_checkpoint(self):
        cluster = self.cluster(workers=1)
        first = cluster.run_to_end(digits_spec(epochs=10, name="first"))
        second = cluster.run_to_end({**digits_spec(epochs=1, name="second"), "from": {"job": first["id"]}})
        fresh = cluster.run_to_end(digits_spec(epochs=1, name="fresh"))
        self.assertGreater(second["metrics"]["test/accuracy"], fresh["metrics"]["test/accuracy"])


if __name__ == "__main__":
    unittest.main()
