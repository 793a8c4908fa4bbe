"""docs/operate.md, Upgrade: the coordinator is stopped by SIGTERM and another process takes up its store, then the workers go one at a time.
The same programs stand for the new version."""

import unittest

from cluster import digits_spec, until
from schedule import Schedule, step_of


class Upgrade(Schedule):
    def trainers(self):
        return {name: sorted(self.cluster_.trainers(name)) for name in self.cluster_.workers}

    def replace_coordinator(self):
        old = self.cluster_.coordinator
        self.assertEqual(old.stop(), 0, old.text())
        new = self.cluster_.start_coordinator()
        self.assertNotEqual(new.pid, old.pid)

    def running_at(self, step):
        def there():
            now = self.now()
            return now["state"] == "JOB_STATE_RUNNING" and step_of(now) >= step

        until(there, lambda: f"the job to run at step {step}: {self.cluster_.job(self.job)}")

    def test_another_coordinator_takes_up_the_store_while_a_job_runs_and_one_waits(self):
        self.begin(workers=2, minimum=2, maximum=2)
        waiting = self.cluster_.submit(digits_spec(epochs=1, name="waiting", workers={"min": 2, "max": 2}))
        self.cluster_.wait_for(waiting, "QUEUED")
        before, known, trainers = self.now(), self.cluster_.jobs(), self.trainers()
        self.replace_coordinator()
        self.running_at(step_of(before) + 100)
        after = self.now()
        self.assertIn("adopted after a coordinator restart", after["reason"])
        self.assertEqual(after["generation"], before["generation"], "the ranks had to gather again")
        self.assertEqual(self.trainers(), trainers, "a healthy trainer was ended or started twice")
        fixed = lambda jobs: [{key: job.get(key) for key in ("id", "name", "spec", "submitted", "modelSha256")} for job in jobs]
        self.assertEqual(fixed(self.cluster_.jobs()), fixed(known), "the store was not taken up as it was")
        self.ends_as_the_quiet_run()
        self.no_checkpoint_was_read()
        self.cluster_.wait_for(waiting, "SUCCEEDED")

    def test_the_coordinator_and_then_every_worker(self):
        self.begin(workers=2)
        self.running_on(2)
        self.replace_coordinator()
        self.running_at(step_of(self.now()) + 100)
        for name in list(self.cluster_.workers):
            self.assertEqual(self.cluster_.workers[name].stop(), 0)
            self.cluster_.start_worker(name)
            self.running_on(2)
        self.ends_as_the_quiet_run()
        self.no_checkpoint_was_read()


if __name__ == "__main__":
    unittest.main()
