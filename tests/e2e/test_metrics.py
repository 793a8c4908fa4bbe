"""/metrics of both daemons, as Prometheus itself sees it."""

import json
import shutil
import socket
import subprocess
import unittest
import urllib.parse

from cluster import EndToEndTest, die_with_parent, digits_spec, http_get, until


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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
        for address in self.addresses(cluster):
            page = http_get(address)
            self.assertNotIn(job, page)
            for line in page.splitlines():
                if line and not line.startswith("#"):
                    self.assertRegex(line, r"^(lockstep_|process_|exposer_|scrape_)")

    def test_a_prometheus_server_scrapes_them(self):
        prometheus = shutil.which("prometheus")
        if not prometheus:
            self.skipTest("prometheus is not installed")
        cluster = self.busy_cluster()
        targets = self.addresses(cluster)
        config = self.folder / "prometheus.yml"
        config.write_text(json.dumps({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{"job_name": "lockstep", "static_configs": [{"targets": targets}]}]}))
        address = f"127.0.0.1:{free_port()}"
        with open(self.folder / "prometheus.log", "wb") as log:
            server = subprocess.Popen(
                [prometheus, f"--config.file={config}", f"--storage.tsdb.path={self.folder / 'tsdb'}",
                 f"--web.listen-address={address}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                preexec_fn=die_with_parent)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)

        def query(expression):
            try:
                answer = json.loads(http_get(address, "/api/v1/query?query=" + urllib.parse.quote(expression)))
            except OSError:
                return []
            return [float(sample["value"][1]) for sample in answer["data"]["result"]]

        until(lambda: query("sum(up)") == [3.0], lambda: "three targets up:\n" + (self.folder / "prometheus.log").read_text())
        self.assertEqual(query('sum(lockstep_jobs{state="succeeded"})'), [1.0])
        self.assertGreater(query("sum(lockstep_steps_total)")[0], 0)


if __name__ == "__main__":
    unittest.main()
