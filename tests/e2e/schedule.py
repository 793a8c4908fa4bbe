"""What schedules of joins, leaves and deaths share: a job that is long enough, and the weights of its quiet run, whatever happens.

LOCKSTEP_NIGHTLY=1 makes the random plan five times as long, and the job fifteen times: it must outlast a minute of kills on a fast machine.
"""

import os
import signal

from cluster import FINAL, PATIENCE, EndToEndTest, digits_spec, until

NIGHTLY = os.environ.get("LOCKSTEP_NIGHTLY") == "1"
EPOCHS = 3000 if NIGHTLY else 200
JOB_PATIENCE = 15 * PATIENCE if NIGHTLY else PATIENCE


def spec(workers, **further):
    """Steps of three milliseconds or so on one thread, 23 in an epoch: long enough for a schedule."""
    return digits_spec(epochs=EPOCHS, workers=workers, checkpoint={"every_steps": 1000, "keep_last": 2},
                       model={"mlp": {"hidden": [512, 512], "dropout": 0.1}}, **further)


def step_of(job):
    """0: it runs and has told of no step yet."""
    return int(job.get("progress", {}).get("step", 0))


class Quiet:
    """The SHA-256 of the job when nothing happens to it; computed once."""

    digest = None

    @classmethod
    def get(cls, cluster):
        if cls.digest is None:
            quiet = cluster.run_to_end(spec({"min": 1, "max": 1}, name="quiet"), patience=JOB_PATIENCE)
            cls.digest = quiet["modelSha256"]
        return cls.digest


class Schedule(EndToEndTest):
    def begin(self, minimum=1, maximum=4, **cluster):
        self.begin_on(self.cluster(threads=1, **cluster), {"min": minimum, "max": maximum})

    def begin_on(self, cluster, workers):
        self.cluster_ = cluster
        self.expected = Quiet.get(cluster)
        self.job = cluster.submit(spec(workers))
        cluster.wait_step(self.job, 200)

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
        self.cluster_.wait_step(self.job, step_of(now) + 100)

    def kill_trainer(self, worker, how=signal.SIGKILL):
        for pid in self.cluster_.trainers(worker):
            os.kill(pid, how)

    def ends_as_the_quiet_run(self, epochs=EPOCHS):
        done = self.cluster_.wait_for(self.job, "SUCCEEDED", patience=JOB_PATIENCE)
        self.assertEqual(done["modelSha256"], self.expected)
        self.assertSays(self.cluster_.lockstep("audit", self.job).stdout, "proved", "1,437 samples", f"each of {epochs:,} epochs")
        return done

    def no_checkpoint_was_read(self):
        self.assertNotIn("starts from", self.cluster_.logs(self.job), "the state was read from disk instead of a peer")
