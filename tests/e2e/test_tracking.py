"""--tensorboard-dir and --mlflow, read back by their own readers where these are installed (peers.py), and by a server of ours that
counts what it is given."""

import contextlib
import json
import random
import sqlite3
import struct
import subprocess
import time
import unittest

from cluster import EndToEndTest, digits_spec, metric, until
from mlflow_server import FakeMlflow, RealMlflow
from peers import needs_peer, peer_python

READ_EVENTS = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator, STORE_EVERYTHING_SIZE_GUIDANCE
events = EventAccumulator(sys.argv[1], STORE_EVERYTHING_SIZE_GUIDANCE).Reload()
print(json.dumps({"scalars": {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]},
                  "spec": events.Tensors("spec/text_summary" if "spec/text_summary" in events.Tags()["tensors"] else "spec")[0]
                          .tensor_proto.string_val[0].decode()}))
"""
READ_RUNS = """
import json, sys
import mlflow
client = mlflow.MlflowClient(sys.argv[1])
experiment = client.get_experiment_by_name("lockstep")
out = []
for run in client.search_runs([experiment.experiment_id]) if experiment else []:
    out.append({"name": run.info.run_name, "status": run.info.status, "tags": dict(run.data.tags), "params": run.data.params, "metrics":
                [(key, m.step, m.timestamp, m.value) for key in run.data.metrics for m in client.get_metric_history(run.info.run_id, key)]})
print(json.dumps(out))
"""


def point_values(data):
    """The entries of v1.MetricPoint.values (field 3, all lengths below 128) without our own messages: this test must not read with what wrote."""
    at = 0
    while at < len(data):
        tag, at = data[at], at + 1
        if tag == 8:  # step, a varint
            while data[at] & 128:
                at += 1
            at += 1
        elif tag == 17:  # epoch, a double
            at += 8
        else:
            assert tag == 26, tag
            entry, at = data[at + 1:at + 1 + data[at]], at + 1 + data[at]
            name = entry[2:2 + entry[1]].decode()
            rest = entry[2 + entry[1]:]  # a 0.0 is left out
            yield name, struct.unpack("<d", rest[1:9])[0] if rest else 0.0


class Tracking(EndToEndTest):
    def run_python(self, python, *arguments):
        done = subprocess.run([python, "-c", *map(str, arguments)], text=True, capture_output=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        return json.loads(done.stdout)

    def fake(self):
        fake = FakeMlflow()
        self.addCleanup(fake.close)
        return fake

    def stored(self, cluster, job):
        """{(name, step): value} as the store has them, with the metrics of the test part at the last step."""
        described = cluster.job(job)
        with contextlib.closing(sqlite3.connect(f"file:{cluster.folder}/coordinator/state.db?mode=ro", uri=True)) as store:
            rows = store.execute("SELECT step, point FROM points WHERE job = ?", [job]).fetchall()
        values = {(name, step): value for step, point in rows for name, value in point_values(point)}
        step = int(described["progress"]["step"])
        values.update({(name, step): value for name, value in described.get("metrics", {}).items() if name.startswith("test/")})
        return values

    def until_sent(self, cluster, sink="mlflow"):
        address = cluster.coordinator.addresses["metrics"]
        until(lambda: metric(address, f'lockstep_tracking_lag_points{{sink="{sink}"}}') == 0, "all points to be sent")

    def assertWhole(self, cluster, job, metrics):
        """Each point once, none missing."""
        got = [(key, step) for key, step, *_ in metrics]
        self.assertEqual(sorted(got), sorted(set(got)), "a point stands there twice")
        self.assertEqual(sorted(got), sorted(self.stored(cluster, job)))

    def ended(self, fake, status="FINISHED"):
        until(lambda: fake.runs and all(run["status"] == status for run in list(fake.runs.values())), lambda: f"runs to end: {fake.runs}")

    @needs_peer("tensorboard")
    def test_tensorboard_reads_what_lockstep_stored(self):
        python = peer_python("tensorboard")
        board = self.folder / "board"
        cluster = self.cluster(coordinator_flags=["--tensorboard-dir", board])
        job = cluster.submit(digits_spec(epochs=6))
        cluster.wait_for(job, "SUCCEEDED")
        folder = board / f"digits-{job}"
        want = {name for name, _ in self.stored(cluster, job)}
        events = until(lambda: folder.exists() and (e := self.run_python(python, READ_EVENTS, folder)) and set(e["scalars"]) == want and e, "all tags")
        got = {(name, step): value for name, scalars in events["scalars"].items() for step, value in scalars}
        self.assertEqual(sum(map(len, events["scalars"].values())), len(got), "a point stands there twice")
        stored = self.stored(cluster, job)
        self.assertEqual(set(got), set(stored))
        for key, value in stored.items():
            self.assertAlmostEqual(got[key], value, delta=1e-6 * max(1, abs(value)), msg=str(key))
        self.assertIn("batch_size: 64", events["spec"])

    @needs_peer("tensorboard")
    def test_tensorboard_files_survive_sigkill_of_the_coordinator_without_gaps_or_duplicates(self):
        python = peer_python("tensorboard")
        board = self.folder / "board"
        cluster = self.cluster(coordinator_flags=["--tensorboard-dir", board])
        job = cluster.submit(digits_spec(epochs=3000))  # seconds of steps of 0.1 ms: it has to outlast three kills
        chance = random.Random(1)
        for _ in range(3):
            cluster.wait_step(job, 1)
            time.sleep(0.3 * chance.random())  # any moment will do
            cluster.kill_coordinator()
            cluster.start_coordinator()
        cluster.wait_for(job, "SUCCEEDED")
        want = self.stored(cluster, job)
        events = until(lambda: (e := self.run_python(python, READ_EVENTS, board / f"digits-{job}")) and "test/loss" in e["scalars"] and e, "the end")
        got = [(name, step) for name, scalars in events["scalars"].items() for step, _ in scalars]
        self.assertEqual(sorted(got), sorted(set(got)))
        self.assertEqual(sorted(got), sorted(want))

    @needs_peer("mlflow")
    def test_mlflow_has_params_tags_metrics_and_the_end_of_each_job(self):
        python = peer_python("mlflow")
        server = RealMlflow(python, self.folder).start()
        self.addCleanup(server.stop)
        cluster = self.cluster(coordinator_flags=["--mlflow", server.url])
        job = cluster.submit(digits_spec(epochs=6))
        cluster.wait_for(job, "SUCCEEDED")
        runs = until(lambda: (r := self.run_python(python, READ_RUNS, server.url)) and r[0]["status"] == "FINISHED" and r, "the run to end")
        self.assertEqual(len(runs), 1)
        run = runs[0]
        self.assertEqual(run["name"], "digits")
        self.assertEqual(run["tags"]["lockstep.job"], job)
        self.assertEqual(run["params"]["train.batch_size"], "64")
        self.assertEqual(run["params"]["model.mlp.dropout"], "0.1")
        self.assertWhole(cluster, job, run["metrics"])
        stored = self.stored(cluster, job)
        for key, step, _, value in run["metrics"]:
            self.assertEqual(value, stored[key, step], (key, step))

    @needs_peer("mlflow")
    def test_mlflow_that_is_away_and_comes_back_misses_nothing_and_holds_up_nothing(self):
        python = peer_python("mlflow")
        server = RealMlflow(python, self.folder)
        self.addCleanup(server.stop)
        cluster = self.cluster(coordinator_flags=["--mlflow", server.url])
        job = cluster.submit(digits_spec(epochs=6))
        cluster.wait_for(job, "SUCCEEDED")  # nobody listens there yet
        address = cluster.coordinator.addresses["metrics"]
        until(lambda: metric(address, "lockstep_tracking_failures_total") > 0, "a failure to be counted")
        self.assertGreater(metric(address, "lockstep_tracking_lag_points"), 0)
        server.start()
        runs = until(lambda: (r := self.run_python(python, READ_RUNS, server.url)) and r[0]["status"] == "FINISHED" and r, "the run to end")
        self.assertWhole(cluster, job, runs[0]["metrics"])
        self.assertEqual(metric(address, "lockstep_tracking_refused_points_total"), 0)

    def test_an_answer_that_is_lost_after_the_server_committed_doubles_nothing(self):
        fake = self.fake()
        dropped = []

        def lose(path, commit):
            if dropped.count(path) < 2:
                dropped.append(path)
                commit()
                return "drop"
            return None

        fake.misbehave = lose
        cluster = self.cluster(coordinator_flags=["--mlflow", fake.url])
        job = cluster.submit(digits_spec(epochs=20))
        cluster.wait_for(job, "SUCCEEDED")
        self.ended(fake)
        self.assertEqual(len(fake.runs), 1, "a run was made twice")
        self.assertIn("runs/create", dropped)
        self.assertIn("runs/log-batch", dropped)
        self.assertWhole(cluster, job, fake.runs["run0"]["metrics"])
        self.assertEqual(fake.runs["run0"]["tags"]["lockstep.job"], job)

    def test_sigkill_of_the_coordinator_in_the_middle_of_a_batch_doubles_nothing(self):
        fake = self.fake()
        cluster = self.cluster(coordinator_flags=["--mlflow", fake.url])
        kills = []

        def kill(path, commit):
            if path == "runs/log-batch" and len(kills) < 3:
                # One that was just started sends at once what is left, perhaps all of it, before the test knows its process.
                until(lambda: cluster.coordinator.alive(), "the coordinator to be known")
                if len(kills) % 2 == 0:
                    commit()
                kills.append(path)
                cluster.coordinator.process.kill()
                return "drop"
            return None

        fake.misbehave = kill
        job = cluster.submit(digits_spec(epochs=30))
        for count in (1, 2, 3):
            until(lambda: len(kills) == count, "a batch to be hit")
            cluster.coordinator.process.wait()
            cluster.start_coordinator()
        cluster.wait_for(job, "SUCCEEDED")
        self.ended(fake)
        self.assertEqual(len(fake.runs), 1)
        self.assertWhole(cluster, job, fake.runs["run0"]["metrics"])

    def test_a_server_that_fails_or_hangs_is_asked_again_and_jobs_go_on(self):
        fake = self.fake()
        state = {"bad": 503}
        fake.misbehave = lambda path, commit: state["bad"]
        cluster = self.cluster(coordinator_flags=["--mlflow", fake.url])
        job = cluster.submit(digits_spec(epochs=3))
        cluster.wait_for(job, "SUCCEEDED")
        until(lambda: metric(cluster.coordinator.addresses["metrics"], "lockstep_tracking_failures_total") >= 2, "it to be asked twice")
        fake.misbehave = lambda path, commit: time.sleep(600)  # accepts and never answers
        began = time.monotonic()
        self.assertEqual(cluster.coordinator.stop(), 0)
        self.assertLess(time.monotonic() - began, 5, "a tracker that hangs held up the coordinator's end")
        fake.misbehave = lambda path, commit: None
        cluster.start_coordinator()
        self.ended(fake)
        self.assertWhole(cluster, job, fake.runs["run0"]["metrics"])

    def test_a_run_that_somebody_deleted_is_left_out_and_the_others_go_on(self):
        fake = self.fake()
        cluster = self.cluster(coordinator_flags=["--mlflow", fake.url])
        lost = cluster.submit(digits_spec(epochs=1000000, name="lost"))
        until(lambda: any(run["metrics"] for run in list(fake.runs.values())), "its first points")
        fake.runs.clear()
        address = cluster.coordinator.addresses["metrics"]
        until(lambda: metric(address, "lockstep_tracking_refused_points_total") > 0, "its points to be refused")
        cluster.lockstep("cancel", lost)
        job = cluster.submit(digits_spec(epochs=2, name="other"))
        cluster.wait_for(job, "SUCCEEDED")
        self.ended(fake)
        self.assertEqual([run["name"] for run in fake.runs.values()], ["other"])

    def test_cancelled_and_resumed_jobs_say_so(self):
        fake = self.fake()
        cluster = self.cluster(coordinator_flags=["--mlflow", fake.url])
        job = cluster.submit(digits_spec(epochs=2000))
        until(lambda: any(run["metrics"] for run in list(fake.runs.values())), "its first points")
        cluster.lockstep("cancel", job)
        self.ended(fake, "KILLED")
        cluster.lockstep("resume", job)
        self.ended(fake, "RUNNING")
        cluster.lockstep("cancel", job)
        self.ended(fake, "KILLED")
        self.assertEqual(len(fake.runs), 1)
        self.assertWhole(cluster, job, fake.runs["run0"]["metrics"])


if __name__ == "__main__":
    unittest.main()
