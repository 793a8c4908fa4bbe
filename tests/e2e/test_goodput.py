"""Where device-seconds go: the ledger of a real job adds up, through live scrapes and a trainer that is killed."""

import os
import re
import signal
import time
import unittest

from cluster import EndToEndTest, digits_spec, http_get, metric, until

KINDS = {"compute", "communication", "input", "checkpoint", "recovery", "idle"}


def samples(address, name):
    """Labels and value of each current sample, all of one page."""
    found = []
    for line in http_get(address).splitlines():
        if match := re.match(re.escape(name) + r"\{(.*)\} (\S+)$", line):
            found.append((dict(re.findall(r'(\w+)="([^"]*)"', match[1])), float(match[2])))
    return found


class Goodput(EndToEndTest):
    def device_seconds(self, worker):
        """By kind, with the middle of the time in which the page was made. It holds what the trainer said last, a quarter of a second ago or
        more on a busy machine: so the next word is awaited."""
        def read():
            begin = time.monotonic()
            by_kind = {labels["kind"]: value for labels, value in samples(worker.addresses["metrics"], "lockstep_worker_device_seconds_total")}
            self.assertEqual(set(by_kind), KINDS)
            return by_kind, (begin + time.monotonic()) / 2

        old, _ = read()
        return until(lambda: (now := read())[0] != old and now, "the trainer to say more")

    def job_seconds(self, cluster, job):
        return {labels["kind"]: value for labels, value in
                samples(cluster.coordinator.addresses["metrics"], "lockstep_job_device_seconds_total") if labels["job"] == job}

    def test_every_device_second_is_of_one_kind_also_when_a_trainer_is_killed(self):
        cluster = self.cluster(workers=2)
        job = cluster.submit(digits_spec(epochs=1_000_000, workers={"min": 1, "max": 2}, checkpoint={"every": "2s"}))
        cluster.wait_for(job, "RUNNING")
        until(lambda: self.job_seconds(cluster, job).get("compute", 0) > 0, "the job's first report")
        first = {name: self.device_seconds(worker) for name, worker in cluster.workers.items()}
        restarts = lambda: samples(cluster.coordinator.addresses["metrics"], "lockstep_job_restarts_total")
        time.sleep(5)
        os.kill(cluster.trainers("node-1")[0], signal.SIGKILL)
        until(lambda: [labels["reason"] for labels, _ in restarts()] == ["trainer_crashed"], "the restart to be counted")
        until(lambda: metric(cluster.coordinator.addresses["metrics"], "lockstep_job_ranks") == 2, "two ranks again")
        time.sleep(25)  # against a report that is up to a quarter of a second old
        spent = dict.fromkeys(KINDS, 0.0)
        for name, worker in cluster.workers.items():
            (before, began), (after, ended) = first[name], self.device_seconds(worker)
            wall = ended - began
            self.assertAlmostEqual(sum(after.values()) - sum(before.values()), wall, delta=wall / 100, msg=f"{name}: {before} {after}")
            for kind in KINDS:
                self.assertGreaterEqual(after[kind], before[kind])
                spent[kind] += after[kind]
        self.assertGreater(spent["recovery"], 0)
        self.assertGreater(spent["compute"], spent["recovery"])
        self.assertGreaterEqual(metric(cluster.coordinator.addresses["metrics"], "lockstep_job_lost_steps_total"), 1)

        # The coordinator has the same, but for idle time without a job, and nothing is lost with it.
        def agrees():
            of_job = self.job_seconds(cluster, job)
            of_devices = dict.fromkeys(KINDS, 0.0)
            for worker in cluster.workers.values():
                for kind, seconds in self.device_seconds(worker)[0].items():
                    of_devices[kind] += seconds
            busy = KINDS - {"idle"}
            have, want = sum(of_job.get(kind, 0) for kind in busy), sum(of_devices[kind] for kind in busy)
            return abs(have - want) <= want / 50 + 4  # reports come every two seconds from each of two
        until(agrees, lambda: f"the coordinator's sums: {self.job_seconds(cluster, job)}")
        before = self.job_seconds(cluster, job)
        cluster.coordinator.kill()
        time.sleep(3)
        cluster.start_coordinator()
        until(lambda: self.job_seconds(cluster, job).get("compute", 0) > before["compute"], "the counters to go on")
        after = self.job_seconds(cluster, job)
        for kind in KINDS:
            self.assertGreaterEqual(after[kind], before[kind], f"{kind} went back with the coordinator")
        until(agrees, lambda: f"the coordinator's sums after its restart: {self.job_seconds(cluster, job)}")
        self.assertEqual([labels["reason"] for labels, _ in restarts()], ["trainer_crashed"])
        cluster.lockstep("cancel", job)

    def test_histograms_have_as_many_steps_as_were_done(self):
        cluster = self.cluster(workers=1)
        job = cluster.submit(digits_spec(epochs=1_000_000))
        address = cluster.workers["node-0"].addresses["metrics"]
        until(lambda: (metric(address, "lockstep_step_duration_seconds_count") or 0) > 100, "a hundred steps")
        page = http_get(address)
        self.assertIn(f'lockstep_step_duration_seconds_bucket{{job="{job}",device="cpu:0",le="+Inf"}}', page)
        self.assertIn(f'lockstep_allreduce_duration_seconds_count{{job="{job}",device="cpu:0"}}', page)
        self.assertRegex(page, r'lockstep_worker_device_info\{device="cpu:0",uuid="CPU-[0-9a-f-]{36}".*rank="0"\} 1')
        cluster.lockstep("cancel", job)
        until(lambda: job not in http_get(address), "the job's series to go")
        self.assertGreaterEqual(metric(cluster.coordinator.addresses["metrics"], "lockstep_queue_wait_seconds_count"), 1)


if __name__ == "__main__":
    unittest.main()
