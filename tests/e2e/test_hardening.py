"""Hostile clients: paths that lead out, floods of connections, slow and oversized requests. Meanwhile a client's submit works."""

import contextlib
import os
import pathlib
import resource
import shutil
import socket
import ssl
import subprocess
import threading
import time
import unittest
import urllib.request

import grpc
from google.protobuf import json_format

import http2
from certificates import Authority
from cluster import BIN, PATIENCE, REPOSITORY, EndToEndTest, digits_spec, metric, until
from http2 import Http2
from reflected import Client
from secure_cluster import SecureCluster

JOBS = "lockstep.v1.Jobs"
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SOON = 20.0  # seconds that a normal client's submit may take while others misbehave


def setUpModule():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))  # this side of the floods


def connect(address, source=None):
    host, port = address.rsplit(":", 1)
    made = socket.socket()
    if source:
        made.bind((source, 0))
    made.settimeout(30)
    made.connect((host, int(port)))
    return made


def ask(address, data, patience=30):
    """What comes for these bytes until the other side closes."""
    heard = b""
    with contextlib.closing(connect(address)) as made:
        made.settimeout(patience)
        with contextlib.suppress(OSError):
            made.sendall(data)
        with contextlib.suppress(OSError):
            while piece := made.recv(65536):
                heard += piece
    return heard.decode(errors="replace")


def descriptors(program):
    return len(os.listdir(f"/proc/{program.pid}/fd"))


def resident(program):
    fields = pathlib.Path(f"/proc/{program.pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


class Paths(EndToEndTest):
    """Every field of a request that names a file, with every way out of a root that was ever seen to work somewhere."""

    def setUp(self):
        super().setUp()
        self.data = self.folder / "data"
        self.data.mkdir()
        shutil.copy(REPOSITORY / "examples" / "digits.csv", self.data / "digits.csv")
        (self.folder / "secret.csv").write_text("a,b\n" + "1,2\n" * 50)
        (self.data / "leaves.csv").symlink_to("../secret.csv")
        (self.data / "absolute.csv").symlink_to(self.data / "digits.csv")
        (self.data / "away").symlink_to("..")
        (self.data / "root").symlink_to("/proc/self/root")

    def ways_out(self):
        data = self.data
        return [f"{data}/../secret.csv", f"{data}/leaves.csv", f"{data}/absolute.csv", f"{data}/away/secret.csv", f"{data}/away/*.csv",
                f"{data}/root/etc/passwd", f"{data}/%2e%2e%2fsecret.csv", f"{data}/%2e%2e/secret.csv", f"{data}/..\\secret.csv",
                f"{data}/..%c0%afsecret.csv", str(self.folder / "secret.csv"), "/etc/passwd", "../secret.csv", "/proc/self/environ",
                f"{data}/digits.csv\0.png", f"{data}/" + "x" * 300, "/" + "x/" * 3000, str(self.folder / "data2" / ".." / "secret.csv")]

    def fields(self, path):
        """(field, spec) with `path` in each field of a spec that names a file; proto's names and enums, since no client of ours comes between."""
        csv = str(self.data / "digits.csv")
        digits, mlp = {"path": csv, "label": "digit"}, {"mlp": {"hidden": [8]}}
        gpt = {"gpt": {"layers": 1, "heads": 2, "width": 16, "context": 8}}
        text = {"path": csv, "format": "DATASET_FORMAT_TEXT", "text": {"tokenizer": {"bpe": {"path": path}}}}
        for field, dataset, model, source in (
                ("dataset.path", {**digits, "path": path}, mlp, None), ("dataset.labels", {"path": csv, "labels": path}, mlp, None),
                ("dataset.text.tokenizer.bpe.path", text, gpt, None), ("from.path", digits, mlp, {"path": path}),
                ("from.safetensors", digits, mlp, {"safetensors": path})):
            yield field, {"dataset": dataset, "model": model, "train": {"epochs": 1, "optimizer": {"sgd": {"learningRate": 0.1}}},
                          **({"from": source} if source else {})}

    def submit(self, api, spec):
        api.method(JOBS, "SubmitJob")
        return api.call(JOBS, "SubmitJob", json_format.ParseDict({"spec": spec}, api.message("lockstep.v1.SubmitJobRequest")))

    def test_no_field_of_a_request_leads_out_of_the_roots(self):
        cluster = self.cluster(workers=0, coordinator_flags=["--data-root", self.data])
        api = Client(cluster.address)
        self.addCleanup(api.close)
        for way in self.ways_out():
            for field, spec in self.fields(way):
                with self.subTest(field=field, path=way[:80]):
                    with self.assertRaises(grpc.RpcError) as refused:
                        self.submit(api, spec)
                    said = refused.exception.details()
                    self.assertIn(refused.exception.code(), (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND), said)
                    self.assertIn(field, said)
                    self.assertLess(len(said), 2000)
                    if refused.exception.code() != grpc.StatusCode.INVALID_ARGUMENT:
                        self.assertIn(f"--data-root {self.data}", said)
        self.assertEqual(cluster.jobs(), [])
        for name in ("dataset", "digits"):
            with self.assertRaises(grpc.RpcError) as refused:
                api.call("lockstep.v1.Datasets", "RegisterDataset", name=name, spec=api.message("lockstep.v1.DatasetSpec", path="/etc/passwd"))
            self.assertEqual(refused.exception.code(), grpc.StatusCode.PERMISSION_DENIED)
        for name in ("../x", "..", "/etc/passwd", "a/b", "%2e%2e", "x" * 64):
            with self.assertRaises(grpc.RpcError):
                api.call("lockstep.v1.Datasets", "RegisterDataset", name=name, spec=api.message("lockstep.v1.DatasetSpec", path=str(self.data / "digits.csv")))
        for reference in ("../../etc/passwd", "%2e%2e%2f", "..", "x" * 300):
            for service, method, field in (("Models", "DownloadModel", "job"), ("Datasets", "ReadShard", "dataset")):
                with self.assertRaises(grpc.RpcError) as refused:
                    list(api.call(f"lockstep.v1.{service}", method, **{field: reference}))
                self.assertIn(refused.exception.code(), (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT))
        cluster.submit(digits_spec(dataset={"path": str(self.data / "digits.csv"), "label": "digit"}))
        self.assertTrue(cluster.coordinator.alive())

    def test_nor_does_the_page(self):
        cluster = self.cluster(workers=0)
        job = cluster.submit(digits_spec())
        page = cluster.coordinator.addresses["http"]
        for path in ("/../../etc/passwd", "/..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/..\\..\\etc\\passwd", "/%00", "/index.html%00",
                     f"/api/jobs/{job}/../../../etc/passwd", f"/api/jobs/{job}%2f..%2f..", "/api/jobs/..", "/api/jobs/%2e%2e/logs", f"/api/jobs/{'x' * 4000}",
                     "http://localhost/", "file:///etc/passwd"):
            said = ask(page, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            self.assertRegex(said, r"^HTTP/1.1 40[04] ", path)
            self.assertNotIn("root:", said)
        self.assertRegex(ask(page, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), r"^HTTP/1.1 200 ")

    def test_with_tokens_the_data_folder_is_no_root(self):
        cluster = SecureCluster(tls=False)
        self.addCleanup(cluster.close)
        cluster.start()
        for name in ("admin.token", "auth.db", "audit.log", "state.db"):
            said = cluster.refused(digits_spec(dataset={"path": str(cluster.folder / "coordinator" / name), "label": "digit"}))
            self.assertSays(said, "dataset.path", "outside of the folders", "--data-root")
        cluster.submit(digits_spec())
        cluster.coordinator.stop()
        done = subprocess.run([BIN / "lockstep-coordinator", "--data-dir", cluster.folder / "coordinator", "--listen", "127.0.0.1:0", "--auth",
                               "--data-root", cluster.folder], text=True, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertSays(done.stderr, f"--data-root {cluster.folder} holds --data-dir")


class Floods(EndToEndTest):
    def submit_in_time(self, cluster):
        begin = time.monotonic()
        cluster.submit(digits_spec())
        self.assertLess(time.monotonic() - begin, SOON)

    def settle(self, program, before):
        """All that the hostile ones had open is closed again."""
        until(lambda: descriptors(program) <= before + 8, lambda: f"{descriptors(program)} descriptors to be {before} again", 60)

    def flood(self, address, number, source, first=b""):
        """As many connections from `source`, each of which says `first`."""
        made = []
        self.addCleanup(lambda: [one.close() for one in made])
        for _ in range(number):
            one = connect(address, source)
            with contextlib.suppress(ConnectionError):
                one.sendall(first)
            made.append(one)
        return made

    def test_two_thousand_connections_that_say_nothing(self):
        cluster = self.cluster(workers=0)
        self.submit_in_time(cluster)
        before, memory = descriptors(cluster.coordinator), resident(cluster.coordinator)
        made = self.flood(cluster.address, 2000, "127.0.0.1")
        self.submit_in_time(cluster)
        self.assertLess(descriptors(cluster.coordinator), before + 400)
        self.assertLess(resident(cluster.coordinator), memory + (64 << 20))
        for one in made:
            one.close()
        self.settle(cluster.coordinator, before)

    def test_two_thousand_connections_that_speak_hold_their_own_address_alone(self):
        cluster = self.cluster(workers=0, coordinator_flags=["--max-connections-per-peer", "100"])
        self.submit_in_time(cluster)
        before, memory = descriptors(cluster.coordinator), resident(cluster.coordinator)
        made = self.flood(cluster.address, 2000, "127.0.0.2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        self.submit_in_time(cluster)
        self.assertLess(descriptors(cluster.coordinator), before + 450)
        self.assertLess(resident(cluster.coordinator), memory + (64 << 20))
        metrics = cluster.coordinator.addresses["metrics"]
        until(lambda: metric(metrics, "lockstep_connections_refused_total") >= 1000, "refusals to be counted")
        for one in made:
            one.close()
        self.settle(cluster.coordinator, before)
        self.assertEqual(cluster.coordinator.stop(), 0)

    def test_without_descriptors_it_goes_on_once_there_are_some(self):
        cluster = self.cluster(workers=0)
        self.submit_in_time(cluster)
        before = descriptors(cluster.coordinator)
        subprocess.run(["prlimit", "--pid", str(cluster.coordinator.pid), f"--nofile={before + 20}"], check=True)
        made = self.flood(cluster.address, 300, "127.0.0.2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        time.sleep(1)
        for one in made:
            one.close()
        self.submit_in_time(cluster)

    def test_slow_large_and_broken_requests_to_the_page(self):
        cluster = self.cluster(workers=0)
        page, coordinator = cluster.coordinator.addresses["http"], cluster.coordinator
        get = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        self.assertRegex(ask(page, get), "^HTTP/1.1 200 ")
        before, memory = descriptors(coordinator), resident(coordinator)
        stop = threading.Event()

        def drip(source):
            with contextlib.closing(connect(page, source)) as slow, contextlib.suppress(OSError):
                for byte in b"GET / HTTP/1.1\r\nX: " + b"x" * 1000:
                    if stop.wait(1):
                        return
                    slow.send(bytes([byte]))

        drips = [threading.Thread(target=drip, args=("127.0.0.2",)) for _ in range(60)]
        for one in drips:
            one.start()
        self.addCleanup(stop.set)
        made = self.flood(page, 1000, "127.0.0.3", b"GET / HT")
        begin = time.monotonic()
        self.assertRegex(ask(page, get), "^HTTP/1.1 200 ")
        self.assertLess(time.monotonic() - begin, SOON, "another's flood held the page up")
        self.submit_in_time(cluster)
        self.assertRegex(ask(page, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (1 << 20) + b"\r\n\r\n"), "^(HTTP/1.1 431 |$)")
        head = b"POST /api/jobs/x/cancel HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 104857600\r\n\r\n"
        self.assertRegex(ask(page, head + b"x" * (100 << 20)), "^(HTTP/1.1 413 |$)")
        self.assertLess(resident(coordinator), memory + (64 << 20))
        for address in (cluster.address, coordinator.addresses["metrics"]):
            ask(address, b"X: " + b"x" * (4 << 20))
            self.submit_in_time(cluster)
        stop.set()
        for one in drips:
            one.join()
        for one in made:
            one.close()
        self.settle(coordinator, before)
        self.assertRegex(ask(page, get), "^HTTP/1.1 200 ")


class Metrics(EndToEndTest):
    """A scraper that comes from the address of the slow and the silent waits longer, and is served."""

    def drip(self, address, stop):
        """A header without an end, a byte now and then, and again on another connection once that is closed."""
        while not stop.is_set():
            with contextlib.suppress(OSError), contextlib.closing(connect(address)) as slow:
                for byte in b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 10000:
                    if stop.wait(0.5):
                        return
                    slow.send(bytes([byte]))

    def test_a_scrape_comes_through_slow_silent_and_broken_clients(self):
        cluster = self.cluster(workers=1)
        for program in (cluster.coordinator, cluster.workers["node-0"]):
            with self.subTest(program=program.name):
                address, stop = program.addresses["metrics"], threading.Event()
                self.assertIn("lockstep_build_info", ask(address, SCRAPE))
                before, memory = descriptors(program), resident(program)
                drips = [threading.Thread(target=self.drip, args=(address, stop)) for _ in range(20)]
                for one in drips:
                    one.start()
                self.addCleanup(stop.set)
                made = [connect(address) for _ in range(60)]
                self.assertIn("lockstep_build_info", ask(address, SCRAPE, patience=PATIENCE), "nobody may hold a scrape up for ever")
                for garbage in (b"\0" * 1000, b"GET " + b"/" * 100000, b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"\x16\x03\x01\x02\x00"):
                    self.assertNotIn("lockstep_build_info", ask(address, garbage, patience=PATIENCE))
                self.assertTrue(program.alive())
                self.assertLess(resident(program), memory + (64 << 20))
                stop.set()
                for one in [*drips]:
                    one.join()
                for one in made:
                    one.close()
                until(lambda: descriptors(program) <= before + 8, lambda: f"{descriptors(program)} descriptors to be {before} again", 60)
                self.assertIn("lockstep_build_info", ask(address, SCRAPE))
        cluster.submit(digits_spec())


class Streams(EndToEndTest):
    """More streams on one connection than it may have, by a client that keeps to the server's settings, and by ones that do not."""

    def setUp(self):
        super().setUp()
        self.running = self.cluster(workers=0)
        self.job = self.running.submit(digits_spec())  # waits for a worker for ever, and so does who watches it

    def connect(self, acknowledge):
        connection = Http2(self.running.address, acknowledge)
        self.addCleanup(connection.close)
        return connection

    def watch(self, connection):
        return connection.call(f"{JOBS}/WatchJob", b"\n" + bytes([len(self.job)]) + self.job.encode())

    def hear(self, connection, wanted):
        """Reads until `wanted` streams have answered: those that are open, and {stream: trailers} of those that ended."""
        opened, ended = set(), {}
        while len(opened | set(ended)) < wanted:
            kind, flags, stream, payload = connection.read()
            if kind == http2.HEADERS and flags & http2.END_STREAM:
                ended[stream] = payload
            elif kind == http2.HEADERS:
                opened.add(stream)
        return opened - set(ended), ended

    def test_the_limit_is_told_and_as_many_streams_are_served(self):
        connection = self.connect(acknowledge=True)
        limit = connection.settings[http2.MAX_CONCURRENT_STREAMS]
        self.assertEqual(limit, 128)
        for _ in range(limit):
            self.watch(connection)
        opened, ended = self.hear(connection, limit)
        self.assertEqual((len(opened), ended), (limit, {}))
        connection.cancel(1)
        again = self.watch(connection)
        while (frame := connection.read())[2] != again:
            pass
        self.assertEqual(frame[0], http2.HEADERS)

    def test_who_opens_more_than_it_was_told_loses_its_connection_alone(self):
        connection, other = self.connect(acknowledge=True), self.connect(acknowledge=True)
        with self.assertRaises(OSError):
            for _ in range(connection.settings[http2.MAX_CONCURRENT_STREAMS] + 1):
                self.watch(connection)
            while True:
                connection.read()
        self.watch(other)
        self.assertEqual(self.hear(other, 1), ({1}, {}))

    def test_who_never_takes_the_settings_has_a_limit_all_the_same(self):
        connection, wanted = self.connect(acknowledge=False), 600
        for _ in range(wanted):
            self.watch(connection)
        opened, ended = self.hear(connection, wanted)
        self.assertEqual((len(opened), len(ended)), (256, wanted - 256))
        for trailers in ended.values():
            self.assertIn(b"this connection has 256 open streams already", trailers)
        self.running.submit(digits_spec())
        for stream in opened:
            connection.cancel(stream)
        # Those that were cancelled count until the server is done with them.
        until(lambda: self.is_served(connection), "a stream to be served again")

    def is_served(self, connection):
        wanted = self.watch(connection)
        while True:
            kind, flags, stream, _ = connection.read()
            if stream == wanted and kind == http2.HEADERS:
                return not flags & http2.END_STREAM


class PageTls(EndToEndTest):
    def test_the_page_speaks_tls_and_takes_up_a_new_certificate(self):
        authority = Authority(self.folder / "ca")
        certificate, key = authority.issue("page")
        cluster = self.cluster(workers=0, coordinator_flags=["--http-tls-cert", certificate, "--http-tls-key", key])
        address = cluster.coordinator.addresses["http"]
        trust = ssl.create_default_context(cafile=str(authority.certificate))

        def seen():
            with contextlib.closing(connect(address)) as made, trust.wrap_socket(made, server_hostname="localhost") as tls:
                self.assertIn(tls.version(), ("TLSv1.2", "TLSv1.3"))
                return tls.getpeercert()["serialNumber"]

        with urllib.request.urlopen(f"https://localhost:{address.rsplit(':', 1)[1]}/", context=trust, timeout=30) as answer:
            self.assertIn("Lockstep", answer.read().decode())
        first = seen()
        self.assertNotIn("200 OK", ask(address, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), "plain HTTP was answered")
        old = ssl.create_default_context(cafile=str(authority.certificate))
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises((ssl.SSLError, ConnectionError)), contextlib.closing(connect(address)) as made:
            old.wrap_socket(made, server_hostname="localhost")
        for new, place in zip(authority.issue("page-2"), (certificate, key)):
            shutil.copy(new, f"{place}.new")
            os.replace(f"{place}.new", place)
        until(lambda: seen() != first, "the new certificate")
        self.assertEqual(cluster.coordinator.stop(), 0)


if __name__ == "__main__":
    unittest.main()
