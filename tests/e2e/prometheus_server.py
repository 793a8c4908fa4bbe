"""A real Prometheus server that scrapes the daemons of a test."""

import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse

from cluster import die_with_parent, http_get, until


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_prometheus(test, targets, rule_files=(), scrape=None):
    """Scrapes and evaluates every second, until the test ends; `scrape`: more settings of the scrape. Skips the test where Prometheus is not installed."""
    program = shutil.which("prometheus")
    if not program:
        test.skipTest("prometheus is not installed")
    return PrometheusServer(test, program, targets, rule_files, scrape or {})


class PrometheusServer:
    def __init__(self, test, program, targets, rule_files, scrape):
        config = test.folder / "prometheus.yml"
        config.write_text(json.dumps({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path) for path in rule_files],
            "scrape_configs": [{"job_name": "lockstep", "honor_labels": True, "static_configs": [{"targets": targets}], **scrape}]}))
        self.address = f"127.0.0.1:{free_port()}"
        self.log = test.folder / "prometheus.log"
        with open(self.log, "wb") as log:
            server = subprocess.Popen(
                [program, f"--config.file={config}", f"--storage.tsdb.path={test.folder / 'tsdb'}",
                 f"--web.listen-address={self.address}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=test.folder,
                preexec_fn=die_with_parent)
        test.addCleanup(server.wait)
        test.addCleanup(server.kill)
        until(lambda: len(self.query("up == 1")) == len(targets),
              lambda: f"{len(targets)} targets up:\n" + self.log.read_text())

    def query(self, expression):
        """What the expression gives now: a list of {"metric": labels, "value": [time, text]}. A wrong expression fails the test."""
        try:
            answer = http_get(self.address, "/api/v1/query?query=" + urllib.parse.quote(expression))
        except urllib.error.HTTPError as error:
            if error.code == 503:  # it is starting
                return []
            raise AssertionError(f"Prometheus refuses {expression}: {error.read().decode()}") from error
        except OSError:
            return []
        return json.loads(answer)["data"]["result"]

    def values(self, expression):
        return [float(sample["value"][1]) for sample in self.query(expression)]
