"""A cluster with certificates and tokens, on loopback."""

import grpc

from certificates import Authority
from cluster import REPOSITORY, Cluster, Program
from reflected import Client


class SecureCluster(Cluster):
    """mTLS and tokens; `tls` False: tokens alone. The client's environment is the admin's."""

    def __init__(self, workers=0, tls=True, flags=(), worker_flags=(), **options):
        super().__init__(workers=workers, **options)
        self.tls = tls
        self.flags = list(flags)
        self.worker_flags = list(worker_flags)
        self.authority = Authority(self.folder / "ca") if tls else None
        self.server = self.authority.issue("coordinator") if tls else None
        self.pairs = {}

    def client_files(self, name):
        if name not in self.pairs:
            self.pairs[name] = self.authority.issue(name)
        return self.pairs[name]

    def start_coordinator(self):
        tls = ["--tls-cert", self.server[0], "--tls-key", self.server[1], "--tls-client-ca", self.authority.certificate] if self.tls else []
        self.coordinator = Program("lockstep-coordinator", [
            "--data-dir", self.folder / "coordinator", "--artifact-root", self.artifact_root, "--listen", self._listen,
            "--metrics-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--quarantine-after", "0", "--data-root", REPOSITORY / "examples", "--auth", *tls, *self.flags], self.folder)
        self._listen = self.address
        return self.coordinator

    @property
    def admin_token(self):
        return self.folder / "coordinator" / "admin.token"

    def token(self, role, name=None, ttl=None, namespace=None):
        further = [*(["--ttl", ttl] if ttl else []), *(["--namespace", namespace] if namespace else [])]
        return self.lockstep("token", "create", "--role", role, "--name", name or role, *further).stdout.strip()

    def access(self, name, token_file):
        arguments = ["--token-file", token_file]
        if self.tls:
            certificate, key = self.client_files(name)
            arguments += ["--tls-ca", self.authority.certificate, "--tls-cert", certificate, "--tls-key", key]
        return arguments

    def start_worker(self, name, slots=1, wait_ready=True):
        token = self.folder / f"{name}.token"
        token.write_text(self.token("worker", name) + "\n")
        self.workers[name] = Program("lockstep-worker", [
            "--coordinator", self.address, "--name", name, "--gpus", "none", "--cpu-slots", slots, "--data-dir", self.folder / name,
            "--metrics-listen", "127.0.0.1:0", "--threads-per-slot", "1", *self.access(name, token), *self.worker_flags], self.folder, wait_ready)
        return self.workers[name]

    def environment(self):
        environment = {**super().environment(), "LOCKSTEP_TOKEN_FILE": str(self.admin_token)}
        if self.tls:
            certificate, key = self.client_files("admin")
            environment.update(LOCKSTEP_TLS_CA=str(self.authority.certificate), LOCKSTEP_TLS_CERT=str(certificate),
                               LOCKSTEP_TLS_KEY=str(key))
        return environment

    def credentials(self):
        if not self.tls:
            return None
        certificate, key = self.client_files("python")
        return grpc.ssl_channel_credentials(self.authority.certificate.read_bytes(), key.read_bytes(), certificate.read_bytes())

    def reflected(self, token):
        return Client(self.address, self.credentials(), token)

    def audit_lines(self):
        return [self.parse(line) for line in (self.folder / "coordinator" / "audit.log").read_text().splitlines()]
