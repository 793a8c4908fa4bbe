"""TLS, tokens, roles and the audit log, with real certificates."""

import os
import re
import shutil
import socket
import subprocess
import time
import unittest

import grpc

from certificates import Authority
from cluster import BIN, PATIENCE, REPOSITORY, EndToEndTest, digits_spec, until
from secure_cluster import SecureCluster

ROLES = ("viewer", "submitter", "worker", "admin")
# Who may call what, said once more, apart from the table in the coordinator. None: anyone.
VIEWERS, SUBMITTERS, WORKERS, ADMINS = {"viewer", "submitter", "admin"}, {"submitter", "admin"}, {"worker", "admin"}, {"admin"}
ALLOWED = {
    **{f"lockstep.v1.Jobs/{name}": VIEWERS for name in (
        "GetJob", "ListJobs", "WatchJob", "StreamLogs", "StreamMetrics", "ListCheckpoints", "AuditJob")},
    **{f"lockstep.v1.Jobs/{name}": SUBMITTERS for name in ("SubmitJob", "CancelJob", "PauseJob", "ResumeJob", "ScaleJob", "DeleteJob")},
    **{f"lockstep.v1.Datasets/{name}": VIEWERS for name in ("GetDataset", "ListDatasets")},
    "lockstep.v1.Datasets/RegisterDataset": SUBMITTERS,
    "lockstep.v1.Datasets/ReadShard": WORKERS,
    **{f"lockstep.v1.Models/{name}": VIEWERS for name in ("ListModels", "DownloadModel")},
    "lockstep.v1.Workers/ListWorkers": VIEWERS,
    **{f"lockstep.v1.Workers/{name}": ADMINS for name in ("CordonWorker", "UncordonWorker")},
    "lockstep.v1.Workers/Connect": WORKERS,
    "lockstep.v1.Chaos/InjectFault": ADMINS,
    **{f"lockstep.v1.Namespaces/{name}": VIEWERS for name in ("GetNamespace", "ListNamespaces")},
    **{f"lockstep.v1.Namespaces/{name}": ADMINS for name in ("CreateNamespace", "SetNamespace", "DeleteNamespace")},
    **{f"lockstep.v1.Tokens/{name}": ADMINS for name in ("CreateToken", "ListTokens", "RevokeToken")},
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": VIEWERS,
    "grpc.health.v1.Health/Check": None,
    "grpc.health.v1.Health/Watch": None,
}


def call_anything(channel, method, token=None, message=b"", timeout=60, metadata=()):
    """Status code and message of a call with one message, whatever the method's kind. `timeout`: short for streams that may stay silent."""
    metadata = [*metadata, *([("authorization", f"Bearer {token}")] if token else [])]
    invoke = channel.stream_stream(f"/{method}", request_serializer=bytes, response_deserializer=bytes)
    call = invoke(iter([message]), timeout=timeout, metadata=metadata)
    try:
        next(iter(call), None)
        call.cancel()
        return grpc.StatusCode.OK, ""
    except grpc.RpcError as error:
        return error.code(), error.details()


class SecurityTest(EndToEndTest):
    def secure(self, *arguments, **options):
        cluster = SecureCluster(*arguments, **options)
        self.addCleanup(cluster.close)
        self.addCleanup(lambda: self._bad() > self._bad_before and print(cluster.all_logs()))
        return cluster.start()

    def lockstep(self, cluster, *arguments, expect=0, **variables):
        environment = {**os.environ, "LOCKSTEP_COORDINATOR": cluster.address, "NO_COLOR": "1", **{k: str(v) for k, v in variables.items()}}
        done = subprocess.run(cluster.client(*arguments), env=environment, text=True, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=PATIENCE)
        self.assertEqual(done.returncode == 0, expect == 0, done.stdout + done.stderr)
        return done


class Training(SecurityTest):
    def test_a_job_trains_on_two_workers_by_mtls_and_tokens(self):
        cluster = self.secure(workers=2)
        submitter = cluster.folder / "submitter.token"
        submitter.write_text(cluster.token("submitter", "ci"))
        spec = cluster.write_spec(digits_spec(epochs=5, workers={"min": 2, "max": 2}))
        done = cluster.lockstep("--token-file", submitter, "submit", spec, "--follow", "-o", "json")
        job = next(entry for entry in cluster.jobs())
        self.assertEqual(job["state"], "JOB_STATE_SUCCEEDED", done.stderr)
        cluster.lockstep("--token-file", submitter, "download", job["id"], "--output", self.folder / "model")
        plain = self.cluster(workers=1).run_to_end(digits_spec(epochs=5))
        self.assertEqual(job["modelSha256"], plain["modelSha256"])
        # What was done stands in the audit log, with who and from where; what may not be in any file is in none.
        submitted = [line for line in cluster.audit_lines() if line["rpc"].endswith("/SubmitJob")]
        self.assertEqual(len(submitted), 1, submitted)
        self.assertEqual({key: submitted[0][key] for key in ("who", "role", "job", "outcome")},
                         {"who": "ci", "role": "submitter", "job": job["id"], "outcome": "OK"})
        self.assertIn("CN=admin", submitted[0]["certificate"])
        self.assertIn("127.0.0.1", submitted[0]["peer"])
        self.assertEqual({line["target"] for line in cluster.audit_lines() if line["outcome"] == "OPENED"}, {"node-0", "node-1"})
        secrets = [submitter.read_text(), cluster.admin_token.read_text().strip(), (cluster.folder / "node-0.token").read_text().strip()]
        for file in cluster.folder.rglob("*"):
            if file.is_file() and file.suffix != ".token":
                content = file.read_bytes()
                for secret in secrets:
                    self.assertNotIn(secret.encode(), content, file)

    def test_tokens_work_on_loopback_without_tls(self):
        cluster = self.secure(workers=1, tls=False)
        cluster.run_to_end(digits_spec(epochs=1))
        self.assertSays(self.lockstep(cluster, "jobs", expect=1).stderr, "a token is needed", "--token-file")


class Roles(SecurityTest):
    def test_every_call_needs_its_role_and_nothing_is_open_by_default(self):
        cluster = self.secure()
        tokens = {role: cluster.token(role) for role in ROLES if role != "admin"}
        tokens["admin"] = cluster.admin_token.read_text().strip()
        client = cluster.reflected(tokens["admin"])
        self.addCleanup(client.close)
        methods = client.methods()
        self.assertEqual(set(methods), set(ALLOWED), "a method is new or gone: say here and in coordinator/auth/rules.cc who may call it")
        for method in methods:
            allowed = ALLOWED[method]
            for token in (None, "lockstep_" + "A" * 43):
                code, said = call_anything(client.channel, method, token)
                if allowed is None:
                    self.assertNotIn(code, (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED), f"{method}: {said}")
                else:
                    self.assertEqual(code, grpc.StatusCode.UNAUTHENTICATED, f"{method} with {token}: {said}")
            for role in ROLES:
                allows = allowed is None or role in allowed
                code, said = call_anything(client.channel, method, tokens[role], timeout=1 if allows else 60)
                if allows:
                    self.assertNotIn(code, (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED), f"{method} as {role}: {said}")
                else:
                    self.assertEqual(code, grpc.StatusCode.PERMISSION_DENIED, f"{method} as {role}: {said}")
                    self.assertSays(said, "needs the role", role)

    def test_what_is_not_a_method_is_denied(self):
        cluster = self.secure()
        with grpc.secure_channel(cluster.address, cluster.credentials()) as channel:
            admin = cluster.admin_token.read_text().strip()
            for method in ("lockstep.v1.Jobs/Nothing", "lockstep.v1.Jobs/../Chaos/InjectFault", "x", "lockstep.v1.Jobs%2FGetJob"):
                self.assertEqual(call_anything(channel, method)[0], grpc.StatusCode.UNAUTHENTICATED, method)
                code, said = call_anything(channel, method, admin)
                self.assertEqual(code, grpc.StatusCode.PERMISSION_DENIED, method)
                self.assertSays(said, "no rule")
            # Two tokens are none.
            code, _ = call_anything(channel, "lockstep.v1.Jobs/ListJobs", admin, metadata=[("authorization", "Bearer x")])
            self.assertEqual(code, grpc.StatusCode.UNAUTHENTICATED)

    def test_tokens_are_made_shown_once_listed_and_revoked(self):
        cluster = self.secure(tls=False)
        secret = cluster.token("viewer", "ada", ttl="30d")
        self.assertRegex(secret, r"^lockstep_[A-Za-z0-9_-]{43}$")
        self.lockstep(cluster, "jobs", LOCKSTEP_TOKEN=secret)
        listed = cluster.lockstep("token", "list").stdout
        self.assertSays(listed, "ada +viewer")
        self.assertNotIn(secret, listed)
        self.assertSays(self.lockstep(cluster, "token", "list", expect=1, LOCKSTEP_TOKEN=secret).stderr, "needs the role admin", "ada has viewer")
        cluster.lockstep("token", "revoke", "ada")
        self.assertSays(self.lockstep(cluster, "jobs", expect=1, LOCKSTEP_TOKEN=secret).stderr, "ada was revoked")
        cluster.kill_coordinator()
        cluster.start_coordinator()
        self.assertSays(self.lockstep(cluster, "jobs", expect=1, LOCKSTEP_TOKEN=secret).stderr, "ada was revoked")
        self.assertEqual(oct((cluster.admin_token).stat().st_mode & 0o777), "0o600")


class OpenStreams(SecurityTest):
    def long_job(self, cluster):
        job = cluster.submit(digits_spec(epochs=100000))
        cluster.wait_for(job, "RUNNING")
        return job

    def watch(self, cluster, token, job):
        client = cluster.reflected(token)
        self.addCleanup(client.close)
        stream = client.call("lockstep.v1.Jobs", "WatchJob", job=job)
        next(stream)
        return stream

    def end_of(self, stream):
        with self.assertRaises(grpc.RpcError) as caught:
            for _ in stream:
                pass
        return caught.exception

    def test_a_token_revoked_ends_its_streams_and_no_others(self):
        cluster = self.secure(workers=1)
        job = self.long_job(cluster)
        cluster_tokens = {name: cluster.token("viewer", name) for name in ("ada", "bob")}
        ada, bob = (self.watch(cluster, cluster_tokens[name], job) for name in ("ada", "bob"))
        cluster.lockstep("token", "revoke", "ada")
        revoked = time.monotonic()
        error = self.end_of(ada)
        self.assertLess(time.monotonic() - revoked, 5)
        self.assertEqual(error.code(), grpc.StatusCode.UNAUTHENTICATED)
        self.assertSays(error.details(), "ada was revoked")
        next(bob)

    def test_a_token_that_expires_ends_its_streams(self):
        cluster = self.secure(workers=1)
        job = self.long_job(cluster)
        error = self.end_of(self.watch(cluster, cluster.token("viewer", "short", ttl="8s"), job))
        self.assertEqual(error.code(), grpc.StatusCode.UNAUTHENTICATED)
        self.assertSays(error.details(), "short expired on")

    def test_a_workers_token_revoked_and_replaced_in_its_file(self):
        cluster = self.secure(workers=1)
        self.assertEqual(len(cluster.list_workers()), 1)
        cluster.lockstep("token", "revoke", "node-0")
        until(lambda: "was revoked" in cluster.workers["node-0"].text(), "the worker to say why it is out")
        (cluster.folder / "node-0.token").write_text(cluster.token("worker", "node-0"))
        cluster.run_to_end(digits_spec(epochs=1))


class Certificates(SecurityTest):
    def replace(self, cluster, pair):
        for new, old in zip(pair, cluster.server):
            shutil.copy(new, old.with_suffix(".new"))
            os.replace(old.with_suffix(".new"), old)

    def until_client_says(self, cluster, *words):
        def said():
            done = subprocess.run(cluster.client("jobs"), env=cluster.environment(), text=True, capture_output=True, timeout=PATIENCE)
            return all(word in done.stderr for word in words) and (done.returncode == 0) == (not words) and (done.stderr or "nothing")
        return until(said, f"the client to say {words}")

    def test_a_certificate_is_replaced_without_a_restart(self):
        cluster = self.secure(workers=1)
        pid = cluster.coordinator.pid
        other = self.folder / "other"
        other.mkdir()
        self.replace(cluster, cluster.authority.issue("old", expired=True, into=other))
        self.until_client_says(cluster, "CN=old", "expired on 2020-02-01", "CN=test-ca")
        self.replace(cluster, cluster.authority.issue("elsewhere", names="DNS:elsewhere.example,IP:192.0.2.7", into=other))
        said = self.until_client_says(cluster, "elsewhere.example, 192.0.2.7", "expected one for 127.0.0.1")
        self.assertNotIn("is lockstep-coordinator running", said)
        self.replace(cluster, cluster.authority.issue("renewed", into=other))
        self.until_client_says(cluster)
        self.assertTrue(cluster.coordinator.alive() and cluster.coordinator.pid == pid)
        cluster.run_to_end(digits_spec(epochs=1))  # the worker's connection never broke

    def test_who_is_not_of_the_authority_is_turned_away_and_told(self):
        cluster = self.secure()
        mine = {"LOCKSTEP_TLS_CA": cluster.authority.certificate, "LOCKSTEP_TOKEN_FILE": cluster.admin_token}
        foreign = Authority(self.folder / "foreign", "foreign-ca")
        certificate, key = foreign.issue("intruder")
        expired = cluster.authority.issue("late", expired=True, into=self.folder)
        own = cluster.client_files("admin")
        for variables, patterns in (
                ({**mine}, ["wants a certificate", "--tls-cert"]),
                ({**mine, "LOCKSTEP_TLS_CERT": certificate, "LOCKSTEP_TLS_KEY": key}, ["refused our certificate", "--tls-client-ca"]),
                ({**mine, "LOCKSTEP_TLS_CERT": expired[0], "LOCKSTEP_TLS_KEY": expired[1]}, ["CN=late expired on 2020-02-01"]),
                ({**mine, "LOCKSTEP_TLS_CERT": own[0], "LOCKSTEP_TLS_KEY": key}, ["is not the key of"]),
                ({**mine, "LOCKSTEP_TLS_CERT": own[0]}, ["go together"]),
                ({"LOCKSTEP_TLS_CA": foreign.certificate, "LOCKSTEP_TLS_CERT": own[0], "LOCKSTEP_TLS_KEY": own[1]},
                 ["CN=coordinator, issued by CN=test-ca", "does not vouch"]),
                ({}, ["speaks TLS", "--tls-ca"]),
                ({"LOCKSTEP_TLS_CA": self.folder / "nothing"}, ["cannot be read"]),
                ({"LOCKSTEP_TLS_CA": cluster.admin_token}, ["expected a certificate in PEM"])):
            said = self.lockstep(cluster, "jobs", expect=1, **variables).stderr
            self.assertSays(said, *patterns)

    def test_tls_to_a_coordinator_without_it_is_told(self):
        cluster = self.cluster(workers=0)
        authority = Authority(self.folder / "ca")
        self.assertSays(self.lockstep(cluster, "jobs", expect=1, LOCKSTEP_TLS_CA=authority.certificate).stderr, "does not speak TLS")

    def test_health_is_told_without_a_certificate_on_a_port_of_its_own(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        cluster = self.secure(flags=["--health-listen", f"127.0.0.1:{port}"])
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check", request_serializer=bytes, response_deserializer=bytes)
            self.assertEqual(check(b"", timeout=30), b"\x08\x01")  # SERVING
            self.assertEqual(call_anything(channel, "lockstep.v1.Jobs/ListJobs")[0], grpc.StatusCode.UNIMPLEMENTED)
        with grpc.insecure_channel(cluster.address) as channel:
            self.assertEqual(call_anything(channel, "grpc.health.v1.Health/Check")[0], grpc.StatusCode.UNAVAILABLE)


class Refusals(SecurityTest):
    def refused(self, program, *arguments):
        done = subprocess.run([str(BIN / program), *map(str, arguments)], text=True, capture_output=True, stdin=subprocess.DEVNULL,
                              timeout=PATIENCE)
        self.assertGreater(done.returncode, 0)
        return done.stderr

    def test_daemons_do_not_start_in_the_open(self):
        coordinator = ["lockstep-coordinator", "--data-dir", self.folder / "c", "--metrics-listen", ""]
        self.assertSays(self.refused(*coordinator, "--listen", "0.0.0.0:0"), "--tls-cert", "--insecure")
        self.assertSays(self.refused(*coordinator, "--listen", "0.0.0.0:0", "--insecure", "--auth"), "for all to read")
        authority = Authority(self.folder / "ca")
        certificate, key = authority.issue("old", expired=True)
        self.assertSays(self.refused(*coordinator, "--tls-cert", certificate, "--tls-key", key), "CN=old expired on 2020-02-01", "test-ca")
        self.assertSays(self.refused(*coordinator, "--tls-cert", certificate), "go together")
        self.assertSays(self.refused(*coordinator, "--tls-client-ca", authority.certificate), "needs TLS")
        worker = ["lockstep-worker", "--coordinator", "192.0.2.1:7070", "--data-dir", self.folder / "w", "--metrics-listen", ""]
        self.assertSays(self.refused(*worker), "--tls-ca", "--insecure")
        token = self.folder / "token"
        token.write_text("lockstep_x")
        self.assertSays(self.refused(*worker, "--insecure", "--token-file", token), "read the token")

    def test_a_client_does_not_send_a_token_in_the_clear(self):
        done = subprocess.run([str(BIN / "lockstep"), "--coordinator", "192.0.2.1:7070", "jobs"], text=True, capture_output=True,
                              env={**os.environ, "LOCKSTEP_TOKEN": "lockstep_x"}, timeout=PATIENCE)
        self.assertEqual(done.returncode, 1)
        self.assertSays(done.stderr, "not sent", "--tls-ca")


class Limits(SecurityTest):
    def test_floods_and_oversized_headers_are_refused_and_outlived(self):
        cluster = self.secure(flags=["--calls-per-second", "5"])
        admin = cluster.admin_token.read_text().strip()
        with grpc.secure_channel(cluster.address, cluster.credentials()) as channel:
            answers = [call_anything(channel, "lockstep.v1.Jobs/ListJobs", admin) for _ in range(100)]
            limited = [said for code, said in answers if code == grpc.StatusCode.RESOURCE_EXHAUSTED]
            self.assertTrue(limited and "--calls-per-second" in limited[0], answers[-1])
            self.assertEqual(answers[0][0], grpc.StatusCode.OK)
            self.assertEqual(call_anything(channel, "lockstep.v1.Jobs/ListJobs", "x" * 100000)[0], grpc.StatusCode.RESOURCE_EXHAUSTED)
        with grpc.secure_channel(cluster.address, cluster.credentials(), [("grpc.use_local_subchannel_pool", 1)]) as channel:
            self.assertEqual(call_anything(channel, "lockstep.v1.Jobs/ListJobs", "x" * 4000)[0], grpc.StatusCode.UNAUTHENTICATED)
        # Connections that never speak do not keep others out.
        host, port = cluster.address.split(":")
        silent = [socket.create_connection((host, int(port))) for _ in range(200)]
        time.sleep(2)  # the bucket fills again
        cluster.lockstep("jobs")
        for connection in silent:
            connection.close()
        self.assertTrue(cluster.coordinator.alive())


class AuditLog(SecurityTest):
    def test_a_changed_line_is_found_by_verify(self):
        cluster = self.secure(tls=False)
        log = cluster.folder / "coordinator" / "audit.log"
        for name in ("a", "b", "c"):
            cluster.token("viewer", name)
        self.lockstep(cluster, "cancel", "x", expect=1, LOCKSTEP_TOKEN="lockstep_" + "B" * 43)
        until(lambda: cluster.audit_lines()[-1]["outcome"] == "UNAUTHENTICATED", "the call that was turned away to be noted")
        cluster.lockstep("cancel", "nothing", expect=None)
        lines = cluster.audit_lines()
        self.assertEqual([(line["rpc"].split("/")[1], line["outcome"], line.get("job") or line.get("target")) for line in lines], [
            ("CreateToken", "OK", "a"), ("CreateToken", "OK", "b"), ("CreateToken", "OK", "c"),
            ("CancelJob", "UNAUTHENTICATED", None), ("CancelJob", "NOT_FOUND", "nothing")])
        cluster.kill_coordinator()
        cluster.start_coordinator()
        cluster.token("viewer", "d")
        checked = cluster.lockstep("auditlog", "verify", log).stdout
        self.assertSays(checked, "^6 lines")
        head = checked.split()[-1]
        whole = log.read_text().splitlines(keepends=True)
        tampered = self.folder / "audit.log"
        tampered.write_text("".join([whole[0], whole[1].replace('"b"', '"x"'), *whole[2:]]))
        self.assertSays(cluster.lockstep("auditlog", "verify", tampered, expect=None).stderr, "line 2 was changed")
        tampered.write_text("".join([*whole[:3], *whole[4:]]))
        self.assertSays(cluster.lockstep("auditlog", "verify", tampered, expect=None).stderr, "line 4 has the number 5")
        tampered.write_text("".join(whole[:-1]))
        self.assertSays(cluster.lockstep("auditlog", "verify", tampered, "--noted", head, expect=None).stderr, "cut off")
        cluster.lockstep("auditlog", "verify", log, "--noted", head)


    def test_one_that_is_long_goes_on_in_another_file(self):
        cluster = self.secure(tls=False, flags=["--audit-file-mib", "1", "--calls-per-second", "100000"])
        log = cluster.folder / "coordinator" / "audit.log"
        client = cluster.reflected(cluster.admin_token.read_text().strip())
        self.addCleanup(client.close)
        request = client.method("lockstep.v1.Jobs", "CancelJob") and client.message("lockstep.v1.CancelJobRequest", job="x" * 200)
        cancel = client.channel.unary_unary("/lockstep.v1.Jobs/CancelJob", request_serializer=lambda one: one.SerializeToString(), response_deserializer=bytes)
        # Calls that come together share an fsync.
        while not log.with_name("audit.log.2").exists():
            answers = [cancel.future(request, timeout=120, metadata=client.metadata) for _ in range(100)]
            self.assertEqual({answer.code() for answer in answers}, {grpc.StatusCode.NOT_FOUND})
        # Backed up and restored by its pattern, as docs/operate.md says.
        backup = self.folder / "backup"
        backup.mkdir()
        for file in log.parent.glob("audit.log*"):
            shutil.copy(file, backup)
        self.assertSays(cluster.lockstep("auditlog", "verify", backup / "audit.log").stdout, "in 3 files")
        cluster.kill_coordinator()
        for file in log.parent.glob("audit.log*"):
            file.unlink()
        for file in backup.iterdir():
            shutil.copy(file, log.parent)
        cluster.start_coordinator()
        cluster.token("viewer", "after")
        self.assertLess(max(path.stat().st_size for path in log.parent.glob("audit.log*")), 2 << 20)
        checked = cluster.lockstep("auditlog", "verify", log).stdout
        self.assertSays(checked, "in 3 files, the last with SHA-256")
        oldest = log.with_name("audit.log.1")
        whole = oldest.read_text()
        oldest.write_text(whole.replace("NOT_FOUND", "OK", 1))
        self.assertSays(cluster.lockstep("auditlog", "verify", log, expect=None).stderr, r"audit\.log\.1: line 1 was changed")
        oldest.unlink()
        self.assertSays(cluster.lockstep("auditlog", "verify", log, expect=None).stderr, r"audit\.log\.1 is missing")
        oldest.write_text(whole)
        cluster.lockstep("auditlog", "verify", log, "--noted", checked.split()[-1])


class Document(SecurityTest):
    def test_the_commands_of_the_document_do_what_it_says(self):
        commands = re.findall(r"^    (.*)$", (REPOSITORY / "docs" / "security.md").read_text(), re.MULTILINE)
        if os.geteuid() != 0 or subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode != 0:
            self.skipTest("a network namespace of its own is not allowed here")
        lines = ["set -eE", "ip link set lo up", "ip address add 10.0.9.1/32 dev lo", "trap 'kill $(jobs -p); wait' EXIT"]
        for number, command in enumerate(commands):
            daemon = command.startswith(("lockstep-coordinator", "lockstep-worker"))
            lines.append(f"{command} 2> daemon-{number}.log &" if daemon else command)
            if command.startswith("lockstep-coordinator"):  # people are slower
                lines.append("for i in $(seq 200); do [ -s state/admin.token ] && break; sleep 0.1; done")
        lines.append("for i in $(seq 100); do lockstep workers | grep node-1 && exit 0; sleep 0.1; done; cat *.log; exit 1")
        script = self.folder / "script"
        script.write_text("\n".join(lines))
        environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(self.folder), "NO_COLOR": "1"}
        done = subprocess.run(["unshare", "--net", "bash", script], cwd=self.folder, env=environment, text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=PATIENCE)
        logs = "".join(path.read_text() for path in self.folder.glob("*.log"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr + logs)
        self.assertSays(done.stdout, "lockstep_", "ci +submitter", "lines, the last with SHA-256", "node-1")


if __name__ == "__main__":
    unittest.main()
