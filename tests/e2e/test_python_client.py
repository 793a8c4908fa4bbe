"""Any gRPC client in any language can drive the coordinator from the proto alone: here Python, by reflection."""

import hashlib
import unittest

from cluster import Cluster, EndToEndTest, REPOSITORY

try:
    import grpc
    from google.protobuf import json_format

    import reflected
except ImportError as absent:
    grpc, missing = None, str(absent)

JOBS, DATASETS, MODELS, WORKERS = (f"lockstep.v1.{name}" for name in ("Jobs", "Datasets", "Models", "Workers"))


class PythonClient(EndToEndTest):
    @classmethod
    def setUpClass(cls):
        if grpc is None:
            raise unittest.SkipTest(f"python3-grpcio or python3-protobuf is not installed: {missing}")
        cls.shared = Cluster(workers=1).start()
        cls.addClassCleanup(cls.shared.close)
        cls.client = reflected.Client(cls.shared.address)
        cls.addClassCleanup(cls.client.close)

    def spec(self, **changes):
        self.client.method(JOBS, "SubmitJob")
        spec = {
            "name": "from-python", "dataset": {"path": str(REPOSITORY / "examples" / "digits.csv"), "label": "digit"},
            "model": {"mlp": {"hidden": [32]}}, "train": {"epochs": 6, "optimizer": {"adamw": {"learningRate": 1e-3}}},
            "workers": {"min": 1}, **changes}
        return json_format.ParseDict(spec, self.client.message("lockstep.v1.JobSpec"))

    def refused(self, code, service, name, /, *patterns, **fields):
        with self.assertRaises(grpc.RpcError) as raised:
            answer = self.client.call(service, name, **fields)
            for _ in answer if hasattr(answer, "__next__") else ():
                pass
        self.assertEqual(raised.exception.code(), code, raised.exception.details())
        self.assertSays(raised.exception.details(), *patterns)

    def test_reflection_lists_every_service(self):
        services = self.client.services()
        for service in (JOBS, DATASETS, MODELS, WORKERS, "grpc.health.v1.Health"):
            self.assertIn(service, services)

    def test_health_is_serving(self):
        # gRPC's own health service has no descriptor to reflect; the message is one field: status 1, SERVING.
        check = self.client.channel.unary_unary("/grpc.health.v1.Health/Check")
        self.assertEqual(check(b"", timeout=30), b"\x08\x01")

    def test_submit_watch_read_metrics_and_download(self):
        job = self.client.call(JOBS, "SubmitJob", spec=self.spec()).job
        states = [update.job.state for update in self.client.call(JOBS, "WatchJob", job=job.id)]
        self.assertEqual(states, sorted(states), "states went backwards")
        self.assertEqual(states[-1], 6, "not succeeded")
        final = self.client.call(JOBS, "GetJob", job=job.id).job
        self.assertGreater(final.metrics["test/accuracy"], 0.8)
        points = [point for answer in self.client.call(JOBS, "StreamMetrics", job=job.id) for point in answer.points]
        self.assertTrue(any("train/loss" in point.values for point in points))
        steps = [point.step for point in points]
        self.assertEqual(steps, sorted(steps))
        files = {}
        for chunk in self.client.call(MODELS, "DownloadModel", job=job.id):
            content = files.setdefault(chunk.file, bytearray())
            self.assertEqual(chunk.offset, len(content))
            content += chunk.data
        self.assertEqual(hashlib.sha256(files["model.safetensors"]).hexdigest(), final.model_sha256)
        self.assertEqual(len(self.client.call(WORKERS, "ListWorkers").workers), 1)

    def test_submit_is_idempotent_by_request_id(self):
        first = self.client.call(JOBS, "SubmitJob", spec=self.spec(), request_id="once").job
        again = self.client.call(JOBS, "SubmitJob", spec=self.spec(), request_id="once").job
        self.assertEqual(first.id, again.id)
        self.refused(grpc.StatusCode.ALREADY_EXISTS, JOBS, "SubmitJob", "once|request", spec=self.spec(seed=99), request_id="once")

    def test_datasets_are_registered_once_and_handed_out_in_shards(self):
        spec = self.spec().dataset
        first = self.client.call(DATASETS, "RegisterDataset", name="shards", spec=spec)
        again = self.client.call(DATASETS, "RegisterDataset", name="shards", spec=spec)
        self.assertEqual((first.created, again.created), (True, False))
        self.assertEqual(first.dataset.records, 1797)
        self.assertEqual(again.dataset, first.dataset)
        whole = bytearray()
        for shard in range(3):
            for answer in self.client.call(DATASETS, "ReadShard", dataset=f"shards@{first.dataset.version}", shard=shard, shards=3):
                whole += answer.data
        self.assertEqual(bytes(whole), (REPOSITORY / "examples" / "digits.csv").read_bytes())

    def test_a_changed_dataset_gets_a_new_version_and_the_old_one_is_lost_data(self):
        path = self.folder / "d.csv"
        rows = "".join(f"{i},{i % 2}\n" for i in range(40))
        path.write_text("x,y\n" + rows)
        spec = {"path": str(path), "label": "y"}
        self.client.method(DATASETS, "RegisterDataset")

        def register():
            return self.client.call(DATASETS, "RegisterDataset", name="changing", spec=spec).dataset.version

        first = register()
        path.write_text("x,y\n" + rows + "40,1\n")
        self.assertEqual(register(), first + 1)
        self.refused(grpc.StatusCode.DATA_LOSS, DATASETS, "ReadShard", "changed|fingerprint", dataset=f"changing@{first}", shards=1)

    def test_errors_have_the_codes_that_the_proto_promises(self):
        self.refused(grpc.StatusCode.NOT_FOUND, JOBS, "GetJob", "nobody", job="nobody")
        self.refused(grpc.StatusCode.NOT_FOUND, JOBS, "WatchJob", "nobody", job="nobody")
        self.refused(grpc.StatusCode.NOT_FOUND, JOBS, "StreamLogs", "nobody", job="nobody")
        self.refused(grpc.StatusCode.NOT_FOUND, MODELS, "DownloadModel", "nobody", job="nobody")
        self.refused(grpc.StatusCode.NOT_FOUND, DATASETS, "GetDataset", "nothing", dataset="nothing")
        self.refused(grpc.StatusCode.INVALID_ARGUMENT, JOBS, "SubmitJob", "model", spec=self.spec(model={}))
        self.refused(grpc.StatusCode.INVALID_ARGUMENT, JOBS, "SubmitJob", "epochs", spec=self.spec(train={"epochs": -1}))
        absent = self.spec(dataset={"path": "/nowhere/at/all.csv", "label": "y"})
        self.refused(grpc.StatusCode.NOT_FOUND, JOBS, "SubmitJob", "/nowhere/at/all.csv", spec=absent)
        done = self.client.call(JOBS, "SubmitJob", spec=self.spec(train={"epochs": 1})).job
        list(self.client.call(JOBS, "WatchJob", job=done.id))
        for name in ("PauseJob", "CancelJob", "ResumeJob"):
            self.refused(grpc.StatusCode.FAILED_PRECONDITION, JOBS, name, "succeeded", job=done.id)

    def test_a_message_over_the_limit_is_refused_and_the_server_lives(self):
        spec = self.spec(dataset={"path": "/" + "x" * (16 << 20), "label": "y"})
        self.refused(grpc.StatusCode.RESOURCE_EXHAUSTED, JOBS, "SubmitJob", "larger|limit|size", spec=spec)
        self.assertTrue(self.shared.coordinator.alive())
        self.client.call(JOBS, "ListJobs")

    def test_jobs_are_listed_newest_first_in_pages(self):
        made = [self.client.call(JOBS, "SubmitJob", spec=self.spec(train={"epochs": 1}, name="paged")).job.id for _ in range(5)]
        listed, token = [], ""
        while True:
            page = self.client.call(JOBS, "ListJobs", page_size=2, page_token=token)
            self.assertLessEqual(len(page.jobs), 2)
            listed += [job.id for job in page.jobs if job.id in made]
            token = page.next_page_token
            if not token:
                break
        self.assertEqual(listed, made[::-1])


if __name__ == "__main__":
    unittest.main()
