"""/metrics of both daemons, as Prometheus itself sees it."""

import shutil
import ssl
import subprocess
import unittest
import urllib.error
import urllib.request

from certificates import Authority
from cluster import BIN, REPOSITORY, EndToEndTest, digits_spec, http_get, metric, until
from prometheus_server import start_prometheus
from secure_cluster import SecureCluster


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
                    self.assertRegex(line, r"^(lockstep_|process_)")

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


class Guarded(EndToEndTest):
    """TLS and a token: who has neither reads nothing, and a real Prometheus with both does."""

    def setUp(self):
        super().setUp()
        self.token = self.folder / "metrics-token"
        self.token.write_text("0123456789abcdef0123456789abcdef\n")

    def guarded(self, authority):
        certificate, key = authority.issue("metrics")
        return ["--metrics-tls-cert", certificate, "--metrics-tls-key", key, "--metrics-token-file", self.token]

    def status(self, address, authority, headers):
        request = urllib.request.Request(f"https://{address}/metrics", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60, context=ssl.create_default_context(cafile=authority.certificate)) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def test_a_prometheus_with_the_token_scrapes_them_and_nobody_else(self):
        authority = Authority(self.folder / "metrics-ca")
        cluster = self.started(SecureCluster(flags=self.guarded(authority), worker_flags=self.guarded(authority)))
        cluster.start_worker("node-0")
        addresses = [cluster.coordinator.addresses["metrics"], cluster.workers["node-0"].addresses["metrics"]]
        for address in addresses:
            with self.assertRaises(OSError):
                http_get(address)  # plain HTTP
            for wrong in ({}, {"Authorization": "Bearer 0123456789abcdef0123456789abcdeX"}):
                code, text = self.status(address, authority, wrong)
                self.assertEqual(code, 401)
                self.assertNotIn("lockstep_build_info", text)
            code, text = self.status(address, authority, {"Authorization": f"Bearer {self.token.read_text().strip()}"})
            self.assertEqual(code, 200)
            self.assertIn("lockstep_build_info", text)
        prometheus = start_prometheus(self, addresses, scrape={
            "scheme": "https", "tls_config": {"ca_file": str(authority.certificate)}, "authorization": {"credentials_file": str(self.token)}})
        self.assertEqual(len(prometheus.query("lockstep_build_info")), 2)

    def test_off_loopback_a_daemon_without_them_does_not_start(self):
        for program, further in (("lockstep-coordinator", ["--listen", "127.0.0.1:0", "--http-listen", ""]),
                                 ("lockstep-worker", ["--coordinator", "127.0.0.1:1", "--gpus", "none"])):
            done = subprocess.run([BIN / program, "--data-dir", self.folder / program, "--metrics-listen", "0.0.0.0:0", *further],
                                  text=True, capture_output=True, timeout=60)
            self.assertNotEqual(done.returncode, 0)
            self.assertSays(done.stdout + done.stderr, "--metrics-listen 0.0.0.0:0", "--metrics-token-file", "--insecure")


if __name__ == "__main__":
    unittest.main()
