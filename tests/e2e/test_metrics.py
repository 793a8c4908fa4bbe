"""/metrics of both daemons, as Prometheus itself sees it."""

import shutil
import subprocess
import unittest

from cluster import BIN, REPOSITORY, EndToEndTest, digits_spec, http_get, metric, until
from prometheus_server import start_prometheus


class Metrics(EndToEndTest):
    def busy_cluster(self):
        cluster = self.cluster(workers=2)
        cluster.run_to_end(digits_spec(epochs=5, workers={"min": 2, "max": 2}))
        return cluster

    def addresses(self, cluster):
        return [cluster.coordinator.addresses["metrics"], *(worker.addresses["metrics"] for worker in cluster.workers.values())]

    def test_live_scrapes_pass_promtool(self):
        promtool = shutil.which("promtool")
        if not promtool:
            self.skipTest("promtool (package prometheus) is not installed")
        for address in self.addresses(self.busy_cluster()):
            page = http_get(address)
            self.assertIn("lockstep_", page)
            done = subprocess.run([promtool, "check", "metrics"], input=page, text=True, capture_output=True, timeout=60)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""), page)

    def test_every_metric_of_ours_has_our_prefix_and_no_job_in_a_label(self):
        cluster = self.busy_cluster()
        job = cluster.jobs()[0]["id"]
        coordinator = cluster.coordinator.addresses["metrics"]
        until(lambda: metric(coordinator, "lockstep_devices_busy") == 0, "the job's devices to be free")
        for address in self.addresses(cluster):
            page = http_get(address)
            self.assertNotIn(job, page)
            for line in page.splitlines():
                if line and not line.startswith("#"):
                    self.assertRegex(line, r"^(lockstep_|process_|exposer_|scrape_)")

    def test_a_prometheus_server_scrapes_them(self):
        cluster = self.busy_cluster()
        prometheus = start_prometheus(self, self.addresses(cluster))
        self.assertEqual(prometheus.values('sum(lockstep_jobs{state="succeeded"})'), [1.0])
        self.assertGreater(prometheus.values("sum(lockstep_steps_total)")[0], 0)

    def test_the_document_is_what_the_daemons_print(self):
        printed = subprocess.run([REPOSITORY / "tests" / "metrics-doc", BIN], text=True, capture_output=True, timeout=60)
        self.assertEqual(printed.returncode, 0, printed.stderr)
        self.assertEqual(printed.stdout, (REPOSITORY / "docs" / "metrics.md").read_text(),
                         "docs/metrics.md is old; run: tests/metrics-doc > docs/metrics.md")


if __name__ == "__main__":
    unittest.main()
