"""Namespaces: quotas that hold through a kill of the coordinator, and tokens that are bound to one."""

import json
import os
import subprocess
import unittest
import urllib.error
import urllib.request

import grpc

from cluster import NOT_FOUND, PATIENCE, EndToEndTest, digits_spec, http_get, until
from secure_cluster import SecureCluster

LONG = 100_000  # epochs: the test ends it


def sample(cluster, name, namespace):
    """The value of a namespace's metric; None: there is none."""
    for line in http_get(cluster.coordinator.addresses["metrics"]).splitlines():
        if line.startswith(f'{name}{{namespace="{namespace}"}}'):
            return float(line.rsplit(" ", 1)[1])
    return None


class Quotas(EndToEndTest):
    def devices_of(self, cluster, namespace):
        return int(cluster.json("namespace", "describe", namespace).get("use", {}).get("devices", 0))

    def test_each_namespace_has_its_devices_and_no_more_also_when_the_coordinator_is_killed(self):
        cluster = self.cluster(workers=1, slots=3)
        for name in ("team-a", "team-b"):
            cluster.lockstep("namespace", "create", name, "--devices", "1", "--jobs", "3")
        submit = lambda team, **further: cluster.json("submit", cluster.write_spec(digits_spec(epochs=LONG, **further)), "-n", team)["id"]
        first, second = submit("team-a", workers={"min": 1, "max": 3}), submit("team-a")
        other, third = submit("team-b"), submit("team-b")
        for job in (first, other):
            cluster.wait_for(job, "RUNNING")
        # A third device is free, and neither growth nor the queue takes it.
        for job, team in ((second, "team-a"), (third, "team-b")):
            until(lambda: f"quota of namespace {team}" in cluster.job(job).get("reason", ""), f"why {job} waits")
            self.assertSays(cluster.job(job)["reason"], "1 of its 1 device in use", "needs 1")
        cluster.lockstep("scale", first, "--workers", "3")
        self.assertEqual(len(cluster.job(first)["members"]), 1)
        self.assertEqual(sum(bool(device["jobId"]) for device in cluster.list_workers()[0]["devices"]), 2)
        # A job in the namespace `default`, which has no quota, passes by.
        free = cluster.submit(digits_spec(epochs=1))
        cluster.wait_for(free, "SUCCEEDED")

        cluster.kill_coordinator()
        cluster.start_coordinator()
        for job in (first, other):
            cluster.wait_for(job, "RUNNING")
        self.assertEqual((self.devices_of(cluster, "team-a"), self.devices_of(cluster, "team-b")), (1, 1))
        self.assertEqual(cluster.job(second)["state"], "JOB_STATE_QUEUED")
        # What ends gives its device back: by cancellation, while the coordinator is away, and by failure.
        cluster.lockstep("cancel", first)
        cluster.wait_for(second, "RUNNING")
        self.assertEqual(self.devices_of(cluster, "team-a"), 1)
        cluster.lockstep("cancel", other)
        cluster.kill_coordinator()
        cluster.start_coordinator()
        cluster.wait_for(third, "RUNNING")
        self.assertEqual(self.devices_of(cluster, "team-b"), 1)
        metrics = {name: sample(cluster, f"lockstep_namespace_{name}", "team-b") for name in ("jobs", "devices", "quota_devices", "quota_jobs")}
        self.assertEqual(metrics, {"jobs": 1, "devices": 1, "quota_devices": 1, "quota_jobs": 3})
        listed = cluster.lockstep("jobs", "-n", "team-b").stdout
        self.assertSays(listed, third, "team-b")
        self.assertNotIn(second, listed)

    def test_a_quota_of_jobs_says_which_and_by_how_much_and_dead_jobs_hold_nothing(self):
        cluster = self.cluster(workers=1)
        cluster.lockstep("namespace", "create", "team-a", "--jobs", "1")
        spec = cluster.write_spec(digits_spec(epochs=LONG))
        running = cluster.json("submit", spec, "-n", "team-a")["id"]
        refused = lambda: cluster.lockstep("submit", spec, "--namespace", "team-a", expect=None).stderr
        self.assertSays(refused(), "namespace team-a", "unfinished jobs is 1", "1 are there", "1 too many", "lockstep namespace set team-a --jobs")
        cluster.wait_for(running, "RUNNING")
        cluster.kill_coordinator()
        cluster.start_coordinator()
        self.assertSays(refused(), "1 too many")
        cluster.lockstep("cancel", running)
        cluster.wait_for(running, "CANCELLED")
        # One that fails: its data make it diverge.
        failing = digits_spec(epochs=5, train={"epochs": 5, "batch_size": 64, "optimizer": {"sgd": {"learning_rate": 1e30}}})
        failed = cluster.json("submit", cluster.write_spec(failing), "-n", "team-a")["id"]
        until(lambda: cluster.job(failed)["state"] == "JOB_STATE_FAILED", "the job that fails")
        short = cluster.write_spec(digits_spec(epochs=1))
        done = cluster.json("submit", short, "--follow", "-n", "team-a")
        self.assertEqual(done["state"], "JOB_STATE_SUCCEEDED")
        self.assertEqual(int(cluster.json("namespace", "describe", "team-a")["use"].get("jobs", 0)), 0)
        # Storage: what the model takes is known, and refuses what is new.
        stored = int(cluster.json("namespace", "describe", "team-a")["use"]["storageBytes"])
        model = sum(file.stat().st_size for file in (cluster.artifact_root / "jobs" / done["id"] / "model").iterdir())
        self.assertEqual(int(done["modelBytes"]), model)
        self.assertGreaterEqual(stored, model)
        cluster.lockstep("namespace", "set", "team-a", "--storage", "1000")
        self.assertSays(refused(), "quota of storage is 1000 bytes", f"{stored - 1000} bytes beyond")
        cluster.lockstep("namespace", "set", "team-a", "--storage", "none")
        cluster.lockstep("submit", short, "-n", "team-a", "--follow")

    def test_namespaces_are_made_described_and_deleted(self):
        cluster = self.cluster(workers=0)
        spec = cluster.write_spec(digits_spec())
        missing = cluster.lockstep("submit", spec, "-n", "taem-a", expect=NOT_FOUND).stderr
        self.assertSays(missing, "no namespace 'taem-a'", "lockstep namespace create")
        cluster.lockstep("namespace", "create", "team-a", "--devices", "2", "--storage", "64MiB")
        self.assertSays(cluster.lockstep("submit", spec, "-n", "taem-a", expect=NOT_FOUND).stderr, "did you mean 'team-a'")
        self.assertSays(cluster.lockstep("jobs", "-n", "taem-a", expect=NOT_FOUND).stderr, "no namespace 'taem-a'")
        self.assertSays(cluster.lockstep("namespace", "create", "Team_A", expect=None).stderr, "such as team-a")
        self.assertSays(cluster.lockstep("namespace", "list").stdout, "default", "team-a +0 +0 +0 of 2 +0 .* of 64")
        done = subprocess.run(cluster.client("submit", spec), env={**cluster.environment(), "LOCKSTEP_NAMESPACE": "team-a"},
                              text=True, capture_output=True, timeout=PATIENCE)
        job = done.stdout.strip()
        self.assertEqual(cluster.job(job)["namespace"], "team-a")
        self.assertSays(cluster.lockstep("describe", "team-a/digits").stdout, job, "Namespace +team-a")
        self.assertSays(cluster.lockstep("describe", "digits", expect=NOT_FOUND).stderr, "no job")
        self.assertSays(cluster.lockstep("namespace", "delete", "team-a", expect=None).stderr, "1 unfinished job")
        too_wide = cluster.write_spec(digits_spec(workers={"min": 4, "max": 4}))
        self.assertSays(cluster.lockstep("submit", too_wide, "-n", "team-a", expect=None).stderr, "at once is 2", "at least 4", "2 too many")
        cluster.lockstep("cancel", "digits", "-n", "team-a")
        cluster.lockstep("namespace", "delete", "team-a")
        self.assertSays(cluster.lockstep("namespace", "describe", "team-a", expect=NOT_FOUND).stderr, "no namespace")


class Bound(EndToEndTest):
    """Every call with a token of team-a, about what is team-b's: as if it were not there."""

    def setUp(self):
        super().setUp()
        self.cluster_ = SecureCluster(workers=1, tls=False)
        self.addCleanup(self.cluster_.close)
        self.cluster_.start()
        for team in ("team-a", "team-b"):
            self.cluster_.lockstep("namespace", "create", team)
        self.token = self.cluster_.token("submitter", "ada", namespace="team-a")
        spec = self.cluster_.write_spec(digits_spec(epochs=1))
        self.mine = json.loads(self.as_ada("submit", spec, "--follow", "-o", "json").stdout)
        self.other = self.cluster_.json("submit", spec, "--follow", "-n", "team-b")
        self.assertEqual((self.mine["namespace"], self.other["namespace"]), ("team-a", "team-b"))

    def as_ada(self, *arguments, expect=0):
        environment = {**os.environ, "LOCKSTEP_COORDINATOR": self.cluster_.address, "NO_COLOR": "1", "LOCKSTEP_TOKEN": self.token}
        done = subprocess.run(self.cluster_.client(*arguments), env=environment, text=True, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, expect, f"{arguments}: {done.stdout}{done.stderr}")
        return done

    def test_what_is_of_another_namespace_is_not_there(self):
        client = self.cluster_.reflected(self.token)
        self.addCleanup(client.close)
        asked = 0
        for method in client.methods():
            service, name = method.split("/")
            if not service.startswith("lockstep.v1.") or "job" not in client.method(service, name).input_type.fields_by_name:
                continue
            asked += 1
            texts = set()
            for reference in (self.other["id"], "team-b/digits", "team-b/" + self.other["id"], "nothing", "team-x/digits"):
                with self.assertRaises(grpc.RpcError, msg=f"{method} of {reference}") as refused:
                    next(iter(client.call(service, name, timeout=20, job=reference)))
                self.assertEqual(refused.exception.code(), grpc.StatusCode.NOT_FOUND, f"{method} of {reference}: {refused.exception.details()}")
                texts.add(refused.exception.details().replace(reference, ""))
            self.assertEqual(len(texts), 1, f"{method} tells what there is from what there is not: {texts}")
        self.assertGreaterEqual(asked, 11)

    def test_lists_and_names_are_of_its_own_namespace(self):
        self.assertEqual([job["id"] for job in json.loads(self.as_ada("jobs", "-o", "json").stdout)["jobs"]], [self.mine["id"]])
        self.assertEqual([model["jobId"] for model in json.loads(self.as_ada("models", "-o", "json").stdout)["models"]], [self.mine["id"]])
        self.assertEqual([entry["name"] for entry in json.loads(self.as_ada("datasets", "-o", "json").stdout)["datasets"]], ["team-a/digits"])
        self.assertEqual([entry["name"] for entry in json.loads(self.as_ada("namespace", "list", "-o", "json").stdout)["namespaces"]], ["team-a"])
        self.assertSays(self.as_ada("describe", "digits").stdout, self.mine["id"])
        self.assertSays(self.as_ada("datasets", "describe", "digits").stdout, "team-a/digits@1")
        self.as_ada("datasets", "describe", "team-b/digits", expect=NOT_FOUND)
        self.as_ada("namespace", "describe", "team-b", expect=NOT_FOUND)
        self.assertSays(self.as_ada("jobs", "-n", "team-b", expect=1).stderr, "bound to the namespace team-a")
        spec = digits_spec(epochs=1)
        self.assertSays(self.as_ada("submit", self.cluster_.write_spec(spec), "-n", "team-b", expect=1).stderr, "bound to the namespace team-a")
        self.assertSays(self.as_ada("submit", self.cluster_.write_spec(spec), "-n", "team-x", expect=1).stderr, "bound to the namespace team-a")
        self.assertSays(self.as_ada("token", "list", expect=1).stderr, "needs the role admin")
        self.assertSays(self.as_ada("namespace", "create", "mine", expect=1).stderr, "needs the role admin")

    def test_nothing_of_another_namespace_is_trained_from(self):
        theirs = self.cluster_.artifact_root / "jobs" / self.other["id"]
        for change in ({"from": {"job": self.other["id"]}}, {"from": {"job": "team-b/digits"}}, {"from": {"path": str(theirs / "model")}},
                       {"from": {"path": str(theirs / "model" / ".." / "model")}},
                       {"dataset": {"name": "team-b/digits", "label": "digit"}},
                       {"dataset": {"path": str(theirs / "model" / "spec.yaml")}}):
            spec = self.cluster_.write_spec(digits_spec(epochs=1, **change))
            said = self.as_ada("submit", spec, expect=NOT_FOUND).stderr
            self.assertNotIn("test/accuracy", said)
        mine = self.cluster_.artifact_root / "jobs" / self.mine["id"] / "model"
        for origin in ({"job": "digits"}, {"path": str(mine)}):
            self.as_ada("submit", self.cluster_.write_spec(digits_spec(epochs=1, **{"from": origin})), "--follow")

    def test_workers_are_shared_and_do_not_tell_whose_job_they_run(self):
        spec = self.cluster_.write_spec(digits_spec(epochs=LONG))
        job = self.cluster_.json("submit", spec, "-n", "team-b")["id"]
        self.cluster_.wait_for(job, "RUNNING")
        seen = self.as_ada("workers", "-o", "json").stdout
        self.assertNotIn(job, seen)
        self.assertTrue(json.loads(seen)["workers"][0]["devices"][0]["taken"])
        self.assertIn(job, self.cluster_.lockstep("workers").stdout)
        page = self.cluster_.coordinator.addresses["http"]
        for path in ("/api/jobs", "/api/workers"):
            request = urllib.request.Request(f"http://{page}{path}", headers={"Authorization": f"Bearer {self.token}"})
            with urllib.request.urlopen(request, timeout=10) as response:
                text = response.read().decode()
                self.assertNotIn(job, text, path)
                self.assertNotIn(self.other["id"], text, path)
        request = urllib.request.Request(f"http://{page}/api/jobs/{job}", headers={"Authorization": f"Bearer {self.token}"})
        with self.assertRaises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        self.assertEqual(refused.exception.code, 404)

    def test_a_namespace_with_a_token_is_not_deleted_and_admins_are_not_bound(self):
        self.assertSays(self.cluster_.lockstep("namespace", "delete", "team-a", expect=None).stderr, "valid tokens: ada")
        self.cluster_.lockstep("token", "revoke", "ada")
        self.cluster_.lockstep("namespace", "delete", "team-a")
        for role in ("admin", "worker"):
            said = self.cluster_.lockstep("token", "create", "--role", role, "--name", "x", "--namespace", "team-b", expect=None).stderr
            self.assertSays(said, "viewers and submitters alone")
        missing = self.cluster_.lockstep("token", "create", "--role", "viewer", "--name", "x", "--namespace", "team-x", expect=None).stderr
        self.assertSays(missing, "no namespace 'team-x'")


if __name__ == "__main__":
    unittest.main()
