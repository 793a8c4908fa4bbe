"""lockstep_devices_wanted, and --autoscale kubernetes against a server that speaks the scale subresource."""

import os
import re
import time
import unittest
import unittest.mock

from cluster import Cluster, EndToEndTest, digits_spec, metric, until
from kubernetes_api import FakeKubernetes


class Autoscale(EndToEndTest):
    def start(self, floor=1, ceiling=4, cooldown="1s", replicas=1):
        self.kubernetes = FakeKubernetes(self.folder / "serviceaccount", replicas)
        self.addCleanup(self.kubernetes.stop)
        patch = unittest.mock.patch.dict(os.environ, self.kubernetes.environment)
        patch.start()
        self.addCleanup(patch.stop)
        return self.cluster(workers=0, coordinator_flags=[
            "--autoscale", "kubernetes", "--autoscale-credentials", self.kubernetes.folder, "--autoscale-min", floor, "--autoscale-max", ceiling,
            "--autoscale-cooldown", cooldown])

    def until_replicas(self, count):
        until(lambda: self.kubernetes.replicas == count, lambda: f"{count} replicas; there are {self.kubernetes.replicas}")

    def value(self, cluster, name):
        return metric(cluster.coordinator.addresses["metrics"], name)

    def long_job(self, cluster, workers, **further):
        return cluster.submit(digits_spec(epochs=1000000, workers=workers, **further))

    def test_wanted_devices_are_what_jobs_that_wait_or_run_would_take(self):
        cluster = self.cluster(workers=1)

        def wanted(count):
            until(lambda: self.value(cluster, "lockstep_devices_wanted") == count,
                  lambda: f"{count} wanted; {self.value(cluster, 'lockstep_devices_wanted')}")

        wanted(0)
        first = self.long_job(cluster, {"min": 1, "max": 3})
        second = self.long_job(cluster, {"min": 2, "max": 4})
        wanted(7)
        cluster.wait_step(first, 1)
        cluster.lockstep("scale", second, "--workers", 2)
        wanted(5)
        cluster.lockstep("pause", first)
        wanted(2)
        cluster.kill_coordinator()
        cluster.start_coordinator()
        wanted(2)
        cluster.lockstep("resume", first)
        wanted(5)
        cluster.lockstep("cancel", first)
        cluster.lockstep("cancel", second)
        wanted(0)

    def test_workers_come_with_jobs_and_go_after_the_cooldown(self):
        cluster = self.start()
        job = self.long_job(cluster, {"min": 1, "max": 3})
        self.until_replicas(3)
        for number in range(3):
            cluster.start_worker(f"lockstep-worker-{number}")
        cluster.wait_step(job, 1)
        began = time.monotonic()  # before the cancellation: its client may take its time to end
        cluster.lockstep("cancel", job)
        self.until_replicas(1)
        self.assertGreater(time.monotonic() - began, 0.9)
        self.assertEqual(self.kubernetes.patches, [3, 1])
        until(lambda: self.value(cluster, "lockstep_autoscale_replicas") == 1, "the metric to say so")
        until(lambda: self.value(cluster, "lockstep_autoscale_changes_total") == 2, "both changes to be counted")

    def test_the_ceiling_holds_and_a_worker_with_a_job_is_not_taken(self):
        cluster = self.start(ceiling=3)
        many = self.long_job(cluster, {"min": 1, "max": 8})
        self.until_replicas(3)
        cluster.start_worker("lockstep-worker-2")  # the other two are slow to come
        cluster.wait_step(many, 1)
        cluster.lockstep("scale", many, "--workers", 1)
        seen = len(self.kubernetes.seen)
        until(lambda: len(self.kubernetes.seen) > seen + 2, "two more rounds, beyond the cool-down")
        self.assertEqual(self.kubernetes.replicas, 3, "worker 2 holds the job, and would be the first to go")
        cluster.lockstep("cancel", many)
        self.until_replicas(1)

    def test_a_token_and_an_authority_that_are_renewed_are_read_again(self):
        cluster = self.start()
        until(lambda: self.kubernetes.seen, "a first request")
        self.kubernetes.new_token("two")
        self.kubernetes.new_certificate()
        self.long_job(cluster, {"min": 1, "max": 2})
        self.until_replicas(2)
        self.assertEqual(self.kubernetes.seen[-1][1], "Bearer two")

    def test_a_server_that_the_authority_did_not_sign_gets_no_token(self):
        cluster = self.start()
        until(lambda: self.kubernetes.seen, "a first request")
        self.kubernetes.new_certificate(tell=False)
        self.kubernetes.seen.clear()
        until(lambda: self.value(cluster, "lockstep_autoscale_failures_total") >= 2, "failures to be counted")
        self.assertEqual(self.kubernetes.seen, [])
        until(lambda: re.search("autoscaling waits.*certificate", cluster.coordinator.text()), "the log to say why")

    def test_somebody_who_scales_at_the_same_time_is_not_overwritten_unseen(self):
        cluster = self.start()
        until(lambda: self.kubernetes.seen, "a first request")
        raced = []

        def race(method):
            if method == "PATCH" and not raced:
                raced.append(method)
                self.kubernetes.scale(4)  # between its GET and its PATCH

        self.kubernetes.misbehave = race
        self.long_job(cluster, {"min": 1, "max": 4})
        until(lambda: raced, "the race")
        self.until_replicas(4)
        until(lambda: self.value(cluster, "lockstep_autoscale_failures_total") == 1, "the conflict to be counted")
        self.assertEqual(self.kubernetes.patches, [])

    def test_a_cluster_that_refuses_fails_hangs_or_is_away_costs_nothing_but_a_metric(self):
        cluster = self.start()
        until(lambda: self.kubernetes.seen, "a first request")
        failures = 0
        for wish in (403, 500):
            self.kubernetes.misbehave = lambda method, wish=wish: wish
            until(lambda: self.value(cluster, "lockstep_autoscale_failures_total") > failures, f"{wish} to be counted")
            failures = self.value(cluster, "lockstep_autoscale_failures_total")
        until(lambda: re.search("/scale: 403: .*the service account needs get and patch", cluster.coordinator.text()),
              lambda: f"the log to say why: {cluster.coordinator.text()}")
        self.kubernetes.stop()
        until(lambda: self.value(cluster, "lockstep_autoscale_failures_total") > failures, "a refused connection to be counted")
        cluster.start_worker("node-0")
        cluster.run_to_end(digits_spec(epochs=2))
        hung = []
        self.kubernetes.misbehave = lambda method: hung.append(method) or time.sleep(600)
        self.kubernetes.new_certificate()
        until(lambda: hung, "it to hang")
        began = time.monotonic()
        self.assertEqual(cluster.coordinator.stop(), 0)
        self.assertLess(time.monotonic() - began, 5, "a cluster that hangs held up the coordinator's end")
        self.kubernetes.misbehave = lambda method: None
        cluster.start_coordinator()
        self.long_job(cluster, {"min": 1, "max": 2})
        self.until_replicas(2)

    def test_outside_a_pod_it_says_so(self):
        for missing, patterns in (("serviceaccount", ["cannot read .*namespace", "automountServiceAccountToken"]), ("host", ["is this a pod"])):
            environment = {} if missing == "host" else {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
            cluster = Cluster(workers=0, coordinator_flags=["--autoscale", "kubernetes", "--autoscale-max", "2"])
            self.addCleanup(cluster.close)
            with unittest.mock.patch.dict(os.environ, environment), self.assertRaises(AssertionError) as raised:
                if not environment:
                    os.environ.pop("KUBERNETES_SERVICE_HOST", None)
                cluster.start_coordinator()
            self.assertSays(str(raised.exception), *patterns)


if __name__ == "__main__":
    unittest.main()
