"""Checkpoints that are damaged are refused and the one before is used; a full disk costs a checkpoint, not the job."""

import os
import pathlib
import subprocess
import unittest

from cluster import EndToEndTest, digits_spec, metric, until

EPOCHS = 400


def long_spec(**further):
    return digits_spec(epochs=EPOCHS, checkpoint={"every_steps": 200, "keep_last": 3}, **further)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 0x10
    path.write_bytes(content)


def truncate(path):
    os.truncate(path, path.stat().st_size - 100)


class Interval(EndToEndTest):
    def test_a_checkpoint_every_so_much_time_may_lie_within_an_epoch(self):
        cluster = self.cluster(workers=1)
        epochs = 1000000
        job = cluster.submit(digits_spec(epochs=epochs, checkpoint={"every": "50ms", "keep_last": 5}))
        epoch = int(cluster.wait_step(job, 1)["progress"]["totalSteps"]) // epochs
        # Without `every` they lie at the ends of epochs.
        seen = set()

        def within():
            seen.update((int(entry["step"]), entry["whole"]) for entry in cluster.checkpoints(job))
            return any(step % epoch and whole for step, whole in seen)

        until(within, lambda: f"a whole checkpoint within an epoch of {epoch} steps: {seen}")
        cluster.lockstep("cancel", job)
        cluster.wait_for(job, "CANCELLED")


class Damage(EndToEndTest):
    def paused_job(self, cluster):
        """A job with at least two checkpoints that stands still, and its checkpoints, newest first."""
        job = cluster.submit(long_spec())
        cluster.wait_step(job, 700)
        cluster.lockstep("pause", job)
        cluster.wait_for(job, "PAUSED")
        checkpoints = cluster.checkpoints(job)
        self.assertGreaterEqual(len(checkpoints), 2)
        self.assertTrue(all(entry["whole"] for entry in checkpoints), checkpoints)
        return job, checkpoints

    def refused_and_resumed_from_the_previous(self, damage, file, *patterns):
        cluster = self.cluster(workers=1)
        expected = cluster.run_to_end(long_spec())["modelSha256"]
        job, checkpoints = self.paused_job(cluster)
        newest, previous = pathlib.Path(checkpoints[0]["path"]), pathlib.Path(checkpoints[1]["path"])
        for path in newest.glob(file):
            damage(path)
        listed = cluster.checkpoints(job)
        self.assertFalse(listed[0]["whole"])
        self.assertSays(listed[0]["problem"], *patterns)
        self.assertTrue(listed[1]["whole"])
        verified = cluster.lockstep("checkpoint", "verify", job, expect=100)
        self.assertSays(verified.stdout, *patterns)
        self.assertSays(verified.stderr, "1 damaged")
        self.assertSays(cluster.lockstep("checkpoint", "verify", newest, expect=100).stdout, *patterns)
        self.assertSays(cluster.lockstep("checkpoint", "verify", previous).stderr, "1 whole, 0 damaged")
        # A new job that names the damaged one is refused, and told about the one before.
        spec = {**long_spec(), "from": {"path": str(newest)}}
        self.assertSays(cluster.refused(spec), *patterns, previous.name)
        done = cluster.lockstep("resume", job)
        finished = cluster.wait_for(job, "SUCCEEDED")
        self.assertEqual(finished["modelSha256"], expected)
        told = done.stdout + done.stderr + cluster.logs(job) + cluster.coordinator.text()
        self.assertSays(told, newest.name, *patterns)

    def test_bit_flip_in_the_weights_is_refused_by_checksum(self):
        self.refused_and_resumed_from_the_previous(flip_a_bit, "model.safetensors", "checksum", "model.safetensors")

    def test_truncated_optimizer_state_is_refused(self):
        self.refused_and_resumed_from_the_previous(truncate, "optimizer-*.safetensors", "optimizer", "bytes|size|truncated")

    def test_missing_manifest_is_refused(self):
        self.refused_and_resumed_from_the_previous(os.remove, "manifest.json", "manifest")

    def test_job_whose_checkpoints_are_all_damaged_is_not_started_from_nothing(self):
        cluster = self.cluster(workers=1)
        job, checkpoints = self.paused_job(cluster)
        for entry in checkpoints:
            flip_a_bit(pathlib.Path(entry["path"]) / "model.safetensors")
        done = cluster.lockstep("resume", job, expect=None)
        self.assertSays(done.stderr, "checksum", pathlib.Path(checkpoints[0]["path"]).name)
        self.assertEqual(cluster.job(job)["state"], "JOB_STATE_PAUSED")


class Audit(EndToEndTest):
    def test_a_job_under_way_is_audited_from_its_newest_checkpoint_and_a_finished_one_from_its_model(self):
        cluster = self.cluster(workers=2)
        self.assertSays(cluster.lockstep("audit", "nobody", expect=102).stderr, "nobody")
        job = cluster.submit(long_spec(workers={"min": 2, "max": 2}))
        cluster.wait_step(job, 700)
        cluster.lockstep("pause", job)
        cluster.wait_for(job, "PAUSED")
        newest = cluster.checkpoints(job)[0]
        audit = cluster.json("audit", job)
        self.assertTrue(audit["proved"])
        self.assertEqual(int(audit["steps"]), int(newest["step"]))
        self.assertEqual(audit["source"], newest["path"])
        self.assertEqual(int(audit["epochs"]), int(newest["step"]) // 23)
        self.assertEqual(int(audit.get("samplesOfLast", 0)), int(newest["step"]) % 23 * 64)
        cluster.lockstep("resume", job)
        finished = cluster.wait_for(job, "SUCCEEDED")
        audit = cluster.json("audit", job)
        self.assertEqual((int(audit["epochs"]), int(audit["samples"])), (EPOCHS, 1437))
        self.assertEqual(audit["source"], finished["modelPath"])
        self.assertSays(cluster.lockstep("checkpoint", "verify", finished["modelPath"]).stderr, "1 whole, 0 damaged")

    def test_a_record_that_was_altered_is_refused(self):
        cluster = self.cluster(workers=1)
        finished = cluster.run_to_end(digits_spec(epochs=3))
        ledger = pathlib.Path(finished["modelPath"]) / "ledger.csv"
        ledger.write_text(ledger.read_text().replace("0,1437,0,23", "0,1437,0,22"))
        self.assertSays(cluster.lockstep("audit", finished["id"], expect=1).stderr, "checksum", "ledger.csv")


class Retention(EndToEndTest):
    def test_keeps_the_last_k_and_the_best_and_no_leftovers(self):
        cluster = self.cluster(workers=1)
        spec = digits_spec(epochs=10, checkpoint={"every_steps": 20, "keep_last": 2})
        done = cluster.run_to_end(spec)
        folder = cluster.artifact_root / "jobs" / done["id"] / "checkpoints"
        names = sorted(path.name for path in folder.iterdir())
        self.assertTrue(2 <= len(names) <= 3, names)
        self.assertTrue(all(name.startswith("step-") for name in names), names)


class FullDisk(EndToEndTest):
    def mount(self, size):
        if os.geteuid() != 0:
            self.skipTest("needs root to mount a small file system")
        folder = self.folder / "small"
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "lockstep-test", str(folder)],
                              capture_output=True, text=True)
        if done.returncode != 0:
            self.skipTest(f"cannot mount a tmpfs here: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", str(folder)])
        return folder

    def fill(self, folder):
        filler = folder / "filler"
        with open(filler, "wb", buffering=0) as out:
            for block in (1 << 16, 1 << 12):
                try:
                    while True:
                        out.write(bytes(block))
                except OSError:
                    pass
        return filler

    def test_job_continues_and_says_so_and_the_previous_checkpoint_is_intact(self):
        root = self.mount("4m")
        cluster = self.cluster(workers=1, artifact_root=root)
        address = cluster.coordinator.addresses["metrics"]
        spec = digits_spec(epochs=1500, checkpoint={"every_steps": 200, "keep_last": 3})
        job = cluster.submit(spec)
        until(lambda: len(cluster.checkpoints(job)) >= 3, "three checkpoints")
        filler = self.fill(root)
        until(lambda: metric(address, "lockstep_checkpoint_failures_total"), "the failure to be counted")
        kept = cluster.checkpoints(job)
        self.assertTrue(kept and all(entry["whole"] for entry in kept), kept)
        before = int(cluster.job(job)["progress"]["step"])
        cluster.wait_step(job, before + 100)  # it continues
        self.assertSays(cluster.logs(job), "checkpoint", "space|disk|full")
        folder = pathlib.Path(kept[0]["path"]).parent
        until(lambda: not [path for path in folder.iterdir() if path.name.startswith(".tmp")], "no leftover of the failed write")
        filler.unlink()
        done = cluster.wait_for(job, "SUCCEEDED")
        newest = cluster.checkpoints(job)[0]
        self.assertGreater(int(newest["step"]), int(kept[0]["step"]), "no checkpoint after there was room again")
        self.assertTrue(newest["whole"])
        self.assertGreater(done["metrics"]["test/accuracy"], 0.9)


if __name__ == "__main__":
    unittest.main()
