"""The coordinator is away for a while: the job keeps stepping in the same processes and the same generation, and is adopted again."""

import time
import unittest

from cluster import metric, until
from schedule import NIGHTLY, Schedule, spec, step_of


class Away(Schedule):
    def processes(self):
        return {name: sorted(self.cluster_.trainers(name)) for name in self.cluster_.workers}

    def steps(self):
        return {name: metric(worker.addresses["metrics"], "lockstep_worker_steps_total")
                for name, worker in self.cluster_.workers.items()}

    def away_for(self, seconds):
        before, processes, steps = self.now(), self.processes(), self.steps()
        self.cluster_.kill_coordinator()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(min(2, seconds))
            later = self.steps()
            for name in steps:
                self.assertGreater(later[name], steps[name], f"{name} stood still while the coordinator was away")
            steps = later
        self.cluster_.start_coordinator()
        until(lambda: self.now()["state"] == "JOB_STATE_RUNNING" and step_of(self.now()) > step_of(before) + 100,
              lambda: f"the job to be adopted; it says {self.cluster_.job(self.job)}")
        self.assertEqual(self.now()["generation"], before["generation"], "the ranks had to gather again")
        self.assertEqual(len(self.now()["members"]), len(before["members"]))
        self.assertEqual(self.processes(), processes, "a healthy trainer was killed or started twice")

    def test_for_a_moment_and_for_long(self):
        self.cluster_ = self.cluster(threads=1, workers=2)
        endless = spec({"min": 2, "max": 2})
        endless["train"] = {**endless["train"], "epochs": 1000000}
        self.job = self.cluster_.submit(endless)
        self.cluster_.wait_step(self.job, 200)
        for seconds in [0, 20, 60] if NIGHTLY else [0, 20]:
            with self.subTest(seconds=seconds):
                self.away_for(seconds)
        self.cluster_.lockstep("pause", self.job)
        self.cluster_.wait_for(self.job, "PAUSED")
        self.assertSays(self.cluster_.lockstep("audit", self.job).stdout, "proved")


if __name__ == "__main__":
    unittest.main()
