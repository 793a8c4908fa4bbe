"""As much of Kubernetes' API server as the autoscaler talks to: the scale subresource of one StatefulSet, by HTTPS, for bearers of a token."""

import contextlib
import http.server
import json
import pathlib
import socket
import ssl
import subprocess
import threading

PATH = "/apis/apps/v1/namespaces/lockstep/statefulsets/lockstep-worker/scale"


class FakeKubernetes:
    """`folder` becomes what a pod finds in /var/run/secrets/kubernetes.io/serviceaccount. `misbehave(method)`, called before a request is
    served: a status code to answer with, or None."""

    def __init__(self, folder, replicas=1):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        (self.folder / "namespace").write_text("lockstep")
        self.replicas, self.version = replicas, 1
        self.tokens, self.seen, self.patches = set(), [], []
        self.misbehave = lambda method: None
        self.server, self.port, self.connections = None, 0, []
        self.new_token("one")
        self.new_certificate()

    def new_token(self, token):
        """Only this one counts from now on."""
        (self.folder / "token").write_text(token + "\n")
        self.tokens = {f"Bearer {token}"}

    def new_certificate(self, tell=True):
        """Serves with a certificate of its own authority. tell: ca.crt says so."""
        self.stop()
        key, certificate = self.folder.parent / "key.pem", self.folder.parent / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test", "-addext",
                        "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate], check=True, capture_output=True)
        if tell:
            (self.folder / "ca.crt").write_bytes(certificate.read_bytes())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), self.handler())
        self.server.daemon_threads = True
        self.server.handle_error = lambda *arguments: None  # clients are killed here
        self.port = self.server.server_address[1]
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
        for connection in self.connections:  # those that are kept, too
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.connections.clear()

    @property
    def environment(self):
        return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.port)}

    def scale(self, replicas):
        """As a person would, with kubectl."""
        self.replicas, self.version = replicas, self.version + 1

    def handler(self):
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def answer(self, code, body):
                data = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def setup(self):
                super().setup()
                fake.connections.append(self.connection)

            def do(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fake.seen.append((self.command, self.headers.get("Authorization")))
                wish = fake.misbehave(self.command)
                if wish is not None:
                    return self.answer(wish, {"kind": "Status", "message": "as the test wished"})
                if self.headers.get("Authorization") not in fake.tokens:
                    return self.answer(401, {"kind": "Status", "message": "Unauthorized"})
                if self.path != PATH:
                    return self.answer(404, {"kind": "Status", "message": self.path})
                if self.command == "PATCH":
                    assert self.headers["Content-Type"] == "application/merge-patch+json"
                    patch = json.loads(body)
                    if patch["metadata"]["resourceVersion"] != str(fake.version):
                        return self.answer(409, {"kind": "Status", "message": "the object has been modified"})
                    fake.scale(patch["spec"]["replicas"])
                    fake.patches.append(fake.replicas)
                spec = {"replicas": fake.replicas} if fake.replicas else {}  # Kubernetes leaves 0 out
                return self.answer(200, {"kind": "Scale", "metadata": {"resourceVersion": str(fake.version)}, "spec": spec})

            do_GET = do_PATCH = do

        return Handler
