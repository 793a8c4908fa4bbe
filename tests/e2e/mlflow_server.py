"""MLflow's tracking server for the tests: a small one of our own that can misbehave, and the real one where it is installed.

Ours speaks the calls that Lockstep makes and remembers every metric it was given, twice if it was given twice: MLflow's SQL store would hide
a repeated point, its file store would not.
"""

import http.server
import json
import os
import pathlib
import socket
import subprocess
import threading
import urllib.parse
import urllib.request

from cluster import PATIENCE, die_with_parent, until


class FakeMlflow:
    """`misbehave(path, commit)`: called for each POST before it is answered; it may call `commit` and then return "drop" (the connection
    is closed without an answer), a status code, or None (all is well)."""

    def __init__(self):
        self.experiments, self.runs, self.requests = {}, {}, []
        self.misbehave = lambda path, commit: None
        self.lock = threading.Lock()
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

            def do(self, body):
                url = urllib.parse.urlsplit(self.path)
                path = url.path.removeprefix("/api/2.0/mlflow/")
                query = {key: values[0] for key, values in urllib.parse.parse_qs(url.query).items()}
                done = []

                def commit():
                    if not done:
                        with fake.lock:
                            done.append(fake.serve(path, query, body))
                    return done[0]

                wish = fake.misbehave(path, commit) if body is not None else None
                if wish == "drop":
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                elif wish is not None:
                    self.answer(wish, {"error_code": "INTERNAL_ERROR", "message": "as the test wished"})
                else:
                    self.answer(*commit())

            def do_GET(self):
                self.do(None)

            def do_POST(self):
                self.do(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *arguments: None  # clients are killed here
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def serve(self, path, query, body):
        self.requests.append((path, body if body is not None else query))
        missing = 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"{path} {query}"}
        if path == "experiments/get-by-name":
            id = self.experiments.get(query["experiment_name"])
            return (200, {"experiment": {"experiment_id": id, "name": query["experiment_name"]}}) if id else missing
        if path == "experiments/create":
            self.experiments[body["name"]] = str(len(self.experiments) + 1)
            return 200, {"experiment_id": self.experiments[body["name"]]}
        if path == "runs/search":
            found = [run for run in self.runs.values() if any(f"tags.`{key}` = '{value}'" == body["filter"] for key, value in run["tags"].items())]
            return 200, {"runs": [{"info": {"run_id": run["id"]}} for run in found]}
        if path == "runs/create":
            id = f"run{len(self.runs)}"
            self.runs[id] = {"id": id, "name": body["run_name"], "tags": {tag["key"]: tag["value"] for tag in body["tags"]}, "params": {},
                             "metrics": [], "status": "RUNNING"}
            return 200, {"run": {"info": {"run_id": id}}}
        run = self.runs.get((body or query)["run_id"])
        if run is None:
            return missing
        if path == "runs/log-batch":
            assert len(body.get("metrics", ())) <= 1000 and len(body.get("params", ())) <= 100, "more than MLflow takes"
            run["metrics"] += [(metric["key"], metric["step"], metric["timestamp"], metric["value"]) for metric in body.get("metrics", ())]
            run["params"].update({param["key"]: param["value"] for param in body.get("params", ())})
            return 200, {}
        if path == "runs/update":
            run["status"] = body["status"]
            return 200, {}
        if path == "metrics/get-history":
            of_key = [metric for metric in run["metrics"] if metric[0] == query["metric_key"]]
            at = int(query.get("page_token", 0))  # small pages, so that there are several
            return 200, {"metrics": [{"key": key, "step": str(step), "timestamp": str(time), "value": value} for key, step, time, value
                                     in of_key[at:at + 20]], **({"next_page_token": str(at + 20)} if at + 20 < len(of_key) else {})}
        return missing


class RealMlflow:
    """`mlflow server` on loopback with a fresh SQLite file."""

    def __init__(self, python, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.python, self.folder, self.process = python, pathlib.Path(folder), None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        with open(self.folder / "mlflow.log", "ab") as log:
            self.process = subprocess.Popen(
                [self.python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
                 "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db", "--artifacts-destination", str(self.folder / "artifacts")],
                stdout=log, stderr=log, cwd=self.folder, start_new_session=True, preexec_fn=die_with_parent)
        until(self.healthy, lambda: f"mlflow to serve: {(self.folder / 'mlflow.log').read_text()[-2000:]}", 2 * PATIENCE)
        return self

    def healthy(self):
        try:
            return urllib.request.urlopen(self.url + "/health", timeout=2).status == 200
        except OSError:
            return False

    def stop(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, 15)
            self.process.wait(timeout=30)
