"""A token that is revoked ends every kind of stream; a worker whose certificates are wrong says so and waits."""

import contextlib
import queue
import shutil
import socket
import ssl
import time
import unittest

import grpc
from google.protobuf import descriptor_pb2

from certificates import Authority
from cluster import Program, digits_spec, until
from reflected import class_of
from test_security import SecurityTest


def is_stream(method):
    proto = descriptor_pb2.MethodDescriptorProto()
    method.CopyToProto(proto)
    return proto.server_streaming or proto.client_streaming


class EveryStream(SecurityTest):
    def setUp(self):
        super().setUp()
        data = self.folder / "data"
        data.mkdir()
        (data / "long.txt").write_text("All work and no play makes a long text.\n" * (1 << 20))  # 40 MiB: no window holds it
        self.running = self.secure(workers=1, tls=False, flags=["--data-root", data])
        admin = self.running.reflected(self.running.admin_token.read_text().strip())
        self.addCleanup(admin.close)
        # gRPC's own are health, which needs no token, and reflection, which shows nothing but the API.
        self.streams = [method for method in admin.methods() if method.startswith("lockstep.") and is_stream(admin.method(*method.split("/")))]
        admin.call("lockstep.v1.Datasets", "RegisterDataset", name="long", spec=admin.message(
            "lockstep.v1.DatasetSpec", path=str(data / "long.txt"), format="DATASET_FORMAT_TEXT"))
        large = digits_spec(epochs=1, name="large", model={"mlp": {"hidden": [4096, 2048]}}, train={
            "epochs": 1, "batch_size": 512, "optimizer": {"sgd": {"learning_rate": 0.01}}})
        self.running.run_to_end(large)
        self.waits = self.running.submit(digits_spec(epochs=100000))

    def opened(self, method, client):
        """A stream that is open and stays so: it has given its first message, and has more to come."""
        service, name = method.split("/")
        fields = {"WatchJob": {"job": self.waits}, "StreamLogs": {"job": self.waits, "follow": True},
                  "StreamMetrics": {"job": self.waits, "follow": True}, "DownloadModel": {"job": "large"},
                  "ReadShard": {"dataset": "long@1", "shard": 0, "shards": 1}}
        if name == "Connect":
            return self.connected(client)
        self.assertIn(name, fields, f"{method} is new: say here how it is opened, so that its end is tested")
        stream = client.call(service, name, **fields[name])
        next(stream)
        return stream

    def connected(self, client):
        method = client.method("lockstep.v1.Workers", "Connect")
        request, response = (class_of(client.pool, kind.full_name) for kind in (method.input_type, method.output_type))
        sent = queue.SimpleQueue()
        self.addCleanup(sent.put, None)
        first = request()
        first.register.name, first.register.incarnation, first.register.host = "stranger", "1", "test"
        device = first.register.devices.add(id="cpu:0", uuid="CPU-stranger-0")
        device.profile.device_kind = "cpu"
        sent.put(first)
        invoke = client.channel.stream_stream("/lockstep.v1.Workers/Connect", request_serializer=request.SerializeToString,
                                              response_deserializer=response.FromString)
        stream = invoke(iter(sent.get, None), timeout=120, metadata=client.metadata)
        self.assertTrue(next(stream).HasField("registered"))
        return stream

    def test_ends_unauthenticated_when_its_token_is_revoked(self):
        self.assertEqual(len(self.streams), 6, self.streams)
        for method in self.streams:
            with self.subTest(method=method):
                role = "worker" if method.split("/")[1] in ("ReadShard", "Connect") else "viewer"
                name = method.split("/")[1]
                token = self.running.token(role, name)
                client = self.running.reflected(self.running.admin_token.read_text().strip())
                self.addCleanup(client.close)
                client.method(*method.split("/"))  # what no worker may ask for
                client.use(token)
                stream = self.opened(method, client)
                self.running.lockstep("token", "revoke", name)
                with self.assertRaises(grpc.RpcError) as ended:
                    for _ in stream:
                        pass
                self.assertEqual(ended.exception.code(), grpc.StatusCode.UNAUTHENTICATED, ended.exception.details())
                self.assertSays(ended.exception.details(), f"{name} was revoked")
        self.assertEqual(self.running.job(self.waits)["state"], "JOB_STATE_RUNNING")


class WorkerCertificates(SecurityTest):
    def put(self, pair, places):
        for new, old in zip(pair, places):
            shutil.copy(new, f"{old}.new")
            shutil.move(f"{old}.new", old)

    def worker(self, cluster, name, ca, pair):
        token = cluster.folder / f"{name}.token"
        if not token.exists():
            token.write_text(cluster.token("worker", name))
        program = Program("lockstep-worker", [
            "--coordinator", cluster.address, "--name", name, "--gpus", "none", "--cpu-slots", "1", "--data-dir", cluster.folder / name,
            "--metrics-listen", "", "--token-file", token, "--tls-ca", ca, "--tls-cert", pair[0], "--tls-key", pair[1]],
            cluster.folder, wait_ready=False)
        self.addCleanup(program.close)
        return program

    def says(self, worker, *words):
        until(lambda: all(word in worker.text() for word in words), lambda: f"the worker to say {words}; it says:\n{worker.text()}")
        self.assertLess(len(worker.text().splitlines()), 20, "it says the same again and again")

    def test_a_coordinator_whose_certificate_is_wrong_is_named_and_waited_for(self):
        cluster = self.secure()
        cluster.folder.joinpath("extra").mkdir()
        mine = cluster.client_files("node")
        good = cluster.authority.issue("good", into=cluster.folder / "extra")
        token = cluster.folder / "node.token"
        token.write_text(cluster.token("worker", "node"))
        foreign = Authority(self.folder / "foreign", "foreign-ca").issue("intruder")
        for pair, words in (
                (cluster.authority.issue("old", expired=True, into=cluster.folder / "extra"), ["CN=old", "expired on 2020-02-01"]),
                (cluster.authority.issue("there", names="DNS:there.example", into=cluster.folder / "extra"),
                 ["there.example", "expected one for 127.0.0.1"]),
                (foreign, ["CN=intruder", "issued by CN=foreign-ca", "does not vouch"])):
            with self.subTest(words=words):
                self.put(pair, cluster.server)
                host, port = cluster.address.split(":")
                until(lambda: ssl.get_server_certificate((host, int(port))) == pair[0].read_text(), "the certificate to be taken up")
                worker = self.worker(cluster, "node", cluster.authority.certificate, mine)
                self.says(worker, *words)
                self.assertTrue(worker.alive())
                self.put(good, cluster.server)
                worker.wait_ready()
                self.assertEqual(worker.stop(), 0)
                self.assertTrue(cluster.coordinator.alive())

    def test_a_worker_that_was_there_first_says_what_is_wrong_when_the_coordinator_comes(self):
        cluster = self.secure()
        (cluster.folder / "extra").mkdir()
        mine = cluster.client_files("node")
        (cluster.folder / "node.token").write_text(cluster.token("worker", "node"))
        good = cluster.authority.issue("good", into=cluster.folder / "extra")
        cluster.kill_coordinator()
        worker = self.worker(cluster, "node", cluster.authority.certificate, mine)
        self.says(worker, "no coordinator yet")
        self.put(cluster.authority.issue("there", names="DNS:there.example", into=cluster.folder / "extra"), cluster.server)
        cluster.start_coordinator()
        self.says(worker, "there.example", "expected one for 127.0.0.1")
        self.put(good, cluster.server)
        worker.wait_ready()

    def test_a_worker_whose_own_certificate_is_wrong_is_told(self):
        cluster = self.secure()
        (cluster.folder / "extra").mkdir()
        ca = cluster.authority.certificate
        late = self.worker(cluster, "late", ca, cluster.authority.issue("late", expired=True, into=cluster.folder / "extra"))
        until(lambda: not late.alive(), "a worker with an expired certificate to end")
        self.assertEqual(late.process.returncode, 1)
        self.assertSays(late.text(), "CN=late expired on 2020-02-01")
        stranger = self.worker(cluster, "stranger", ca, Authority(self.folder / "foreign", "foreign-ca").issue("stranger"))
        self.says(stranger, "refused our certificate", "--tls-client-ca")
        self.assertTrue(stranger.alive())
        self.assertEqual(stranger.stop(), 0)
        self.assertEqual(cluster.list_workers(), [])

    def test_the_attempts_of_a_worker_that_is_not_let_in_are_ever_further_apart(self):
        authority = Authority(self.folder / "ca")
        pair = Authority(self.folder / "foreign", "foreign-ca").issue("coordinator")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(60)
            token = self.folder / "token"
            token.write_text("lockstep_" + "A" * 43)
            program = Program("lockstep-worker", [
                "--coordinator", f"127.0.0.1:{listener.getsockname()[1]}", "--name", "node", "--gpus", "none", "--cpu-slots", "1",
                "--data-dir", self.folder / "node", "--metrics-listen", "", "--token-file", token, "--tls-ca", authority.certificate],
                self.folder, wait_ready=False)
            self.addCleanup(program.close)
            arrived = []
            while len(arrived) < 12:
                connection, _ = listener.accept()
                arrived.append(time.monotonic())
                with contextlib.suppress(OSError), contextlib.closing(connection):
                    context.wrap_socket(connection, server_side=True).close()
        # 10 attempts and a look at why: at least half of 50, 100, 200, 400, 800 ms and some whole seconds. Slower is no fault.
        self.assertGreater(arrived[-1] - arrived[0], 2)
        self.assertTrue(program.alive())
        self.assertSays(program.text(), "CN=coordinator", "does not vouch")


if __name__ == "__main__":
    unittest.main()
