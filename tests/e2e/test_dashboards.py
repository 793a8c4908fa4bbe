"""deploy/grafana and deploy/prometheus against a real cluster, through a real Prometheus server: what they query is there."""

import json
import os
import re
import signal
import unittest

from cluster import EndToEndTest, digits_spec, http_get, metric, until
from prometheus_server import start_prometheus
from queries import GRAFANA, RULES, declared, metrics_in, recorded

# By (dashboard, title): what has no result in a healthy cluster, and why.
NEEDS_AN_EVENT = {
    ("fleet", "Stragglers"): "a rank that the others wait for; tests/e2e/test_stragglers.py makes one",
    ("fleet", "Coordinator starts"): "an annotation for each restart of the coordinator",
    ("fleet", "Autoscaling"): "a cluster that can be scaled",
    ("job", "Membership"): "an annotation for the minute after a change of members",
}
# What is there only where a cluster can be scaled (tests/e2e/test_autoscale.py scrapes it), or where there are GPUs.
WITH_A_FLAG = ("lockstep_autoscale_", "lockstep_worker_gpu_", "lockstep_job_energy_")


def always_declared():
    return {name: what for name, what in declared().items() if not name.startswith(WITH_A_FLAG)}


def expressions(dashboard):
    """[(title, PromQL)] of all panels, variables and annotations."""
    found = []
    for panel in dashboard["panels"]:
        found += [(panel["title"], target["expr"]) for target in panel.get("targets", [])]
    for annotation in dashboard["annotations"]["list"]:
        found.append((annotation["name"], annotation["expr"]))
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            found.append((variable["label"], re.fullmatch(r"label_values\((.*), \w+\)", variable["definition"]).group(1)))
    return found


class Layout(unittest.TestCase):
    maxDiff = None

    def test_panels_have_their_place_a_description_and_the_chosen_data_source(self):
        for path in sorted(GRAFANA.glob("*.json")):
            dashboard = json.loads(path.read_text())
            self.assertEqual(dashboard["templating"]["list"][0]["type"], "datasource")
            self.assertEqual(len({panel["id"] for panel in dashboard["panels"]}), len(dashboard["panels"]))
            taken = set()
            for panel in dashboard["panels"]:
                place = panel["gridPos"]
                cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
                self.assertFalse(taken & cells, f"{path.name}: '{panel['title']}' lies over another panel")
                self.assertLessEqual(place["x"] + place["w"], 24)
                taken |= cells
                if panel["type"] == "row":
                    continue
                self.assertTrue(panel["description"].endswith("."), f"{path.name}: '{panel['title']}' is not described")
                for source in [panel["datasource"], *(target["datasource"] for target in panel["targets"])]:
                    self.assertEqual(source, {"type": "prometheus", "uid": "${datasource}"})


class Live(EndToEndTest):
    def busy_cluster(self):
        """Three workers; a job on two of them that has lost a trainer and goes on, the third worker out of service; a namespace with quotas."""
        cluster = self.cluster(workers=3, threads=1, coordinator_flags=["--tensorboard-dir", self.folder / "board"])
        cluster.lockstep("namespace", "create", "team-a", "--devices", 2, "--jobs", 100, "--storage", "1GiB")
        job = cluster.submit(digits_spec(epochs=1000000, workers={"min": 1, "max": 2}, checkpoint={"every_steps": 100}))
        cluster.wait_step(job, 200)
        metrics = cluster.coordinator.addresses["metrics"]
        at_work = {member["worker"] for member in cluster.job(job)["members"]}
        idle = next(name for name in cluster.workers if name not in at_work)
        cluster.lockstep("cordon", idle, "--reason", "test")
        for pid in cluster.trainers(sorted(at_work)[0]):
            os.kill(pid, signal.SIGKILL)
        until(lambda: metric(metrics, "lockstep_trainer_crashes_total") == 1, "the crash to be counted")
        until(lambda: metric(metrics, "lockstep_job_ranks") == 2, "the job to be on two ranks again")
        return cluster, job

    def test_everything_that_is_queried_is_there(self):
        cluster, job = self.busy_cluster()
        daemons = [cluster.coordinator, *cluster.workers.values()]
        prometheus = start_prometheus(self, [daemon.addresses["metrics"] for daemon in daemons], RULES)
        dashboards = {path.stem: json.loads(path.read_text()) for path in sorted(GRAFANA.glob("*.json"))}
        self.assertEqual(set(dashboards), {"fleet", "job"})

        queried = metrics_in("".join(path.read_text() for path in RULES))
        for dashboard in dashboards.values():
            queried |= metrics_in("\n".join(text for _, text in expressions(dashboard)))
        self.assertGreater(len(queried), 40)
        missing = {name for name in queried if not name.startswith(WITH_A_FLAG)} | set(always_declared()) | recorded()

        def all_there():
            for name in sorted(missing):
                if prometheus.query(f'count({{__name__=~"{name}(_bucket)?"}})'):
                    missing.discard(name)
            return not missing

        until(all_there, lambda: f"these in Prometheus: {sorted(missing)}")

        def answer(text):
            return prometheus.query(text.replace("$job", job).replace("$name", ".*").replace("$__rate_interval", "10s"))

        empty = {(stem, title, text) for stem, dashboard in dashboards.items() for title, text in expressions(dashboard)
                 if (stem, title) not in NEEDS_AN_EVENT}

        def all_answered():
            empty.difference_update([entry for entry in empty if answer(entry[2])])
            return not empty

        until(all_answered, lambda: f"a result of: {sorted(empty)}")
        for stem, title in NEEDS_AN_EVENT:  # without a result, but right
            self.assertTrue([answer(text) for at, text in expressions(dashboards[stem]) if at == title], f"{stem} has no '{title}'")

        # Lockstep's label `job` is the training job's id, and a free device has none.
        self.assertEqual(len(prometheus.query(f'lockstep_device_info{{job="{job}"}}')), 2)
        self.assertEqual(len(prometheus.query('lockstep_device_info{job=""}')), 1)

    def test_live_pages_have_what_is_declared_and_nothing_else(self):
        cluster, _ = self.busy_cluster()
        known = always_declared()
        seen = {}

        def scrape():
            for daemon in [cluster.coordinator, *cluster.workers.values()]:
                page = http_get(daemon.addresses["metrics"])
                kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", page, re.MULTILINE))
                for name, labels in re.findall(r"^([a-z_]+)(?:\{(.*)\})? ", page, re.MULTILINE):
                    name = name if name in kinds else re.sub(r"_(bucket|sum|count)$", "", name)
                    if not name.startswith(("exposer_", "scrape_")):
                        seen[name] = (kinds[name], frozenset(re.findall(r'(\w+)="', labels)) - {"le"})
            return set(seen) >= set(known)

        until(scrape, lambda: f"these to be scraped: {sorted(set(known) - set(seen))}")
        self.assertEqual(seen, known)


if __name__ == "__main__":
    unittest.main()
