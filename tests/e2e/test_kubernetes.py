"""deploy/kubernetes: overlays render and validate, pods are locked up, and their command lines start the real daemons, locked up alike."""

import os
import pathlib
import re
import shutil
import subprocess
import unittest

from certificates import Authority
from cluster import BIN, REPOSITORY, EndToEndTest, Program, digits_spec, until
from manifests import KUBERNETES, OVERLAYS, all_variants, find, flags, pod, render, renderer, yaml
from network import NetworkCluster, why_not
from peers import needs_peer, peer_python

NAMES = ("lockstep-coordinator", "lockstep-worker")
SCALES = {"--autoscale", "--autoscale-set", "--autoscale-min", "--autoscale-max"}
LOCKED_UP = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


class Manifests(EndToEndTest):
    def setUp(self):
        super().setUp()
        if yaml is None:
            self.skipTest("PyYAML (package python3-yaml) is not installed")

    def test_overlays_render(self):
        if not renderer():
            self.skipTest("neither kubectl (1.22 or newer) nor kustomize is installed")
        for overlay in OVERLAYS:
            self.assertIn("kind: StatefulSet", render(overlay))

    @needs_peer("kubernetes_validate")
    def test_rendered_overlays_are_valid_for_kubernetes(self):
        if not renderer():
            self.skipTest("neither kubectl (1.22 or newer) nor kustomize is installed")
        for overlay in OVERLAYS:
            path = self.folder / f"{overlay}.yaml"
            path.write_text(render(overlay))
            done = subprocess.run([peer_python("kubernetes_validate"), "-m", "kubernetes_validate", "--strict", path], text=True, capture_output=True, timeout=300)
            said = done.stdout + done.stderr
            self.assertEqual(done.returncode, 0, said)
            self.assertGreaterEqual(said.count("passed for resource"), 11)
            unknown = set(re.findall(r"find schema for kind (\w+)", said))  # the Prometheus Operator's own
            self.assertLessEqual(unknown, {"ServiceMonitor", "PrometheusRule"}, said)

    def test_pods_are_locked_up_and_bounded(self):
        for variant, documents in all_variants().items():
            for name in NAMES:
                with self.subTest(variant=variant, pod=name):
                    spec = pod(documents, name)
                    security = spec["securityContext"]
                    self.assertTrue(security["runAsNonRoot"])
                    self.assertEqual(security["seccompProfile"], {"type": "RuntimeDefault"})
                    self.assertEqual(spec["automountServiceAccountToken"], (variant, name) == ("autoscale", NAMES[0]))
                    self.assertGreater(spec["terminationGracePeriodSeconds"], 10 + 5)  # the agent's drain_timeout, and its end
                    for container in spec["containers"]:
                        self.assertEqual(container["securityContext"], LOCKED_UP)
                        self.assertIn("memory", container["resources"]["limits"])
                        self.assertEqual(set(container["resources"]["requests"]) & {"cpu", "memory"}, {"cpu", "memory"})
                        self.assertEqual(container["command"], [name])

    def test_every_flag_exists(self):
        variants = all_variants()
        base = variants["base"]
        for variant, documents in variants.items():
            for name in NAMES:
                said = subprocess.run([BIN / name, "--help"], text=True, capture_output=True, timeout=60).stdout
                known = set(re.findall(r"--[a-z-]+", said))
                used = set(flags(pod(documents, name)["containers"][0]))
                if variant == "mtls":  # gives all of them anew
                    self.assertIn("--tls-cert", used)
                else:
                    added = {("autoscale", NAMES[0]): SCALES, ("gpu", NAMES[1]): {"--gpus"}}.get((variant, name), set())
                    taken = {"--cpu-slots"} if (variant, name) == ("gpu", NAMES[1]) else set()
                    self.assertEqual(used, set(flags(pod(base, name)["containers"][0])) - taken | added,
                                     f"{variant}: {name}: a patch hit another argument")
                self.assertGreater(len(used), 4)
                self.assertLessEqual(used, known, f"{variant}: {name}")

    def test_the_autoscaler_may_set_the_number_of_workers_and_nothing_else(self):
        variants = all_variants()
        if "autoscale" not in variants:
            self.skipTest("neither kubectl (1.22 or newer) nor kustomize is installed")
        documents = variants["autoscale"]
        role = find(documents, "Role", "lockstep-autoscale")
        self.assertEqual(role["rules"], [{"apiGroups": ["apps"], "resources": ["statefulsets/scale"], "verbs": ["get", "patch"],
                                          "resourceNames": [flags(pod(documents, NAMES[0])["containers"][0])["--autoscale-set"]]}])
        binding = find(documents, "RoleBinding", "lockstep-autoscale")
        account = pod(documents, NAMES[0])["serviceAccountName"]
        self.assertEqual(binding["roleRef"]["name"], role["metadata"]["name"])
        self.assertEqual(binding["subjects"], [{"kind": "ServiceAccount", "name": account, "namespace": role["metadata"]["namespace"]}])
        self.assertEqual(find(documents, "ServiceAccount", account)["metadata"]["namespace"], role["metadata"]["namespace"])
        self.assertEqual([kind["kind"] for kind in documents if kind["kind"] in ("ClusterRole", "ClusterRoleBinding")], [])

    def test_gpus_are_asked_for_where_they_are_meant(self):
        for variant, documents in all_variants().items():
            for name in NAMES:
                resources = pod(documents, name)["containers"][0]["resources"]
                wanted = "1" if (variant, name) == ("gpu", "lockstep-worker") else None
                for kind in ("requests", "limits"):
                    self.assertEqual(resources[kind].get("nvidia.com/gpu"), wanted, f"{variant}: {name}")
                given = flags(pod(documents, name)["containers"][0])
                self.assertEqual(given.get("--gpus"), wanted, f"{variant}: {name} offers what it is given")
                if wanted:
                    self.assertNotIn("--cpu-slots", given)  # which would add slots on cores

    def test_a_drain_takes_one_worker_at_a_time_and_is_never_held_up_by_the_coordinator(self):
        selects = lambda selector, labels: selector["matchLabels"].items() <= labels.items()
        for variant, documents in all_variants().items():
            with self.subTest(variant=variant):
                budget, = [document["spec"] for document in documents if document["kind"] == "PodDisruptionBudget"]
                self.assertEqual(budget["maxUnavailable"], 1)
                labels = {name: find(documents, "StatefulSet", name)["spec"]["template"]["metadata"]["labels"] for name in NAMES}
                self.assertTrue(selects(budget["selector"], labels["lockstep-worker"]), budget)
                self.assertFalse(selects(budget["selector"], labels["lockstep-coordinator"]), budget)

    def test_workers_are_spread_over_nodes_as_far_as_there_are_some(self):
        for variant, documents in all_variants().items():
            with self.subTest(variant=variant):
                workers = find(documents, "StatefulSet", "lockstep-worker")["spec"]["template"]
                spread, = workers["spec"]["topologySpreadConstraints"]
                self.assertEqual((spread["topologyKey"], spread["maxSkew"]), ("kubernetes.io/hostname", 1))
                # DoNotSchedule would leave a job's workers waiting on a cluster of few nodes.
                self.assertEqual(spread["whenUnsatisfiable"], "ScheduleAnyway")
                self.assertLessEqual(spread["labelSelector"]["matchLabels"].items(), workers["metadata"]["labels"].items(), "it counts other pods")

    def test_an_upgrade_replaces_pods_by_itself_and_no_two_coordinators_share_a_store(self):
        for variant, documents in all_variants().items():
            with self.subTest(variant=variant):
                for name in NAMES:
                    strategy = find(documents, "StatefulSet", name)["spec"].get("updateStrategy", {})
                    self.assertEqual(strategy.get("type", "RollingUpdate"), "RollingUpdate", name)
                    self.assertEqual(strategy.get("rollingUpdate", {}).get("partition", 0), 0, name)
                coordinator = find(documents, "StatefulSet", "lockstep-coordinator")["spec"]
                self.assertEqual(coordinator["replicas"], 1)
                self.assertIn("state", [claim["metadata"]["name"] for claim in coordinator["volumeClaimTemplates"]])

    def test_gpu_workers_have_shared_memory_for_nccl_within_their_limit(self):
        variants = all_variants()
        if "gpu" not in variants:
            self.skipTest("neither kubectl (1.22 or newer) nor kustomize is installed")
        spec = pod(variants["gpu"], NAMES[1])
        mounts = {mount["mountPath"]: mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
        volume = next(volume for volume in spec["volumes"] if volume["name"] == mounts["/dev/shm"])
        self.assertEqual(volume["emptyDir"]["medium"], "Memory")
        gibibytes = lambda text: int(re.fullmatch(r"(\d+)Gi", text)[1])
        self.assertLess(gibibytes(volume["emptyDir"]["sizeLimit"]), gibibytes(spec["containers"][0]["resources"]["limits"]["memory"]))

    def test_ports_of_containers_probes_services_and_policies_agree(self):
        for variant, documents in all_variants().items():
            with self.subTest(variant=variant):
                listens = {}
                for name in NAMES:
                    container = pod(documents, name)["containers"][0]
                    given = {int(value.rsplit(":", 1)[1]) for flag, value in flags(container).items() if flag in ("--listen", "--metrics-listen")}
                    declared = {port["name"]: port["containerPort"] for port in container["ports"]}
                    health = declared.pop("health", 7070)  # asked by the kubelet, which no policy stops
                    self.assertEqual(given, set(declared.values()))
                    service = find(documents, "Service", name)["spec"]
                    self.assertEqual(service["clusterIP"], "None")
                    self.assertEqual({port["targetPort"]: port["port"] for port in service["ports"]}, declared)
                    listens[name] = given
                    if name == NAMES[0]:
                        self.assertEqual(flags(container).get("--health-listen", "0.0.0.0:7070"), f"0.0.0.0:{health}")
                        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                            self.assertEqual(container[probe]["grpc"]["port"], health)
                worker = pod(documents, NAMES[1])
                self.assertEqual(flags(worker["containers"][0])["--coordinator"], "lockstep-coordinator:7070")
                low, high = (int(word) for word in worker["securityContext"]["sysctls"][0]["value"].split())
                for name in NAMES:
                    policy = find(documents, "NetworkPolicy", name)["spec"]
                    open_ports = {(port["port"], port.get("endPort")) for rule in policy["ingress"] for port in rule["ports"]}
                    between = {(low, high)} if name == NAMES[1] else set()
                    self.assertEqual(open_ports, {(port, None) for port in listens[name]} | between)
                egress = {(port["port"], port.get("endPort")) for rule in find(documents, "NetworkPolicy", NAMES[1])["spec"]["egress"] for port in rule["ports"]}
                self.assertEqual(egress, {(7070, None), (low, high), (53, None)})

    def test_no_two_addresses_of_a_daemon_meet_also_those_that_its_command_line_does_not_name(self):
        for variant, documents in all_variants().items():
            for name in NAMES:
                said = subprocess.run([BIN / name, "--help"], text=True, capture_output=True, timeout=60).stdout
                addresses = dict(re.findall(r"^  (--[a-z-]*listen) HOST:PORT \[(\S+)\]$", said, re.MULTILINE))
                self.assertLessEqual({"--metrics-listen"} | ({"--listen", "--http-listen"} if name == NAMES[0] else set()), set(addresses))
                addresses.update((flag, value) for flag, value in flags(pod(documents, name)["containers"][0]).items() if flag.endswith("listen"))
                ports = [address.rsplit(":", 1)[1] for address in addresses.values() if address]
                self.assertEqual(len(ports), len(set(ports)), f"{variant}: {name}: {addresses}")

    def test_the_prometheus_rule_is_that_of_deploy_prometheus(self):
        monitoring = KUBERNETES / "monitoring"
        printed = subprocess.run([monitoring / "generate"], text=True, capture_output=True, timeout=60)
        self.assertEqual(printed.returncode, 0, printed.stderr)
        self.assertEqual(printed.stdout, (monitoring / "prometheusrule.yaml").read_text(), f"run {monitoring}/generate > .../prometheusrule.yaml")
        groups = []
        for name in ("recording", "alerts"):
            groups += yaml.safe_load((KUBERNETES.parent / "prometheus" / f"{name}.yml").read_text())["groups"]
        self.assertEqual(yaml.safe_load(printed.stdout)["spec"]["groups"], groups)


class LockedUp(EndToEndTest):
    """The daemons as the pods would run them: their arguments, another user, no capability, a root that cannot be written."""

    def start(self, name, variant, replacements, spaces=("--mount",)):
        spec = pod(variant, name)
        container = spec["containers"][0]
        arguments = container["args"]
        for old, new in replacements.items():
            arguments = [argument.replace(old, str(new)) for argument in arguments]
        self.assertFalse([argument for argument in arguments if "$(" in argument])
        user = str(spec["securityContext"]["runAsUser"])
        box = (("ip link set lo up && " if "--net" in spaces else "") + "mount --make-rprivate / && mount --bind $0 $0 && mount -o remount,bind,ro / && "
               "exec setpriv --reuid $1 --regid $1 --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs \"${@:2}\"")
        program = Program(name, arguments, self.folder, before=["unshare", *spaces, "bash", "-c", box, str(self.folder), user])
        self.addCleanup(program.close)
        self.addCleanup(lambda: self._bad() > self._bad_before and print(program.text()))
        return program

    def need(self, *spaces):
        if yaml is None:
            self.skipTest("PyYAML (package python3-yaml) is not installed")
        if os.geteuid() != 0 or not shutil.which("setpriv") or subprocess.run(["unshare", *spaces, "true"], capture_output=True).returncode != 0:
            self.skipTest(f"namespaces of its own ({' '.join(spaces)}) are not allowed here")

    def test_with_certificates_the_coordinator_starts_on_the_ports_of_its_manifest(self):
        spaces = ("--mount", "--net")
        self.need(*spaces)
        variants = all_variants()
        if "mtls" not in variants or not shutil.which("openssl") or not shutil.which("ip"):
            self.skipTest("kubectl (1.22 or newer) or kustomize, openssl and ip are needed")
        user = pod(variants["mtls"], NAMES[0])["securityContext"]["runAsUser"]
        os.chmod(self.folder, 0o755)
        for volume in ("state", "shared", "tls"):
            (self.folder / volume).mkdir()
            os.chown(self.folder / volume, user, user)
        authority = Authority(self.folder / "authority")
        issued = authority.issue("lockstep-coordinator", "DNS:lockstep-coordinator")
        for file, name in ((issued[0], "tls.crt"), (issued[1], "tls.key"), (authority.certificate, "ca.crt")):
            shutil.copy(file, self.folder / "tls" / name)
            os.chown(self.folder / "tls" / name, user, user)
        (self.folder / "tls" / "token").write_text("0123456789abcdef\n")
        os.chown(self.folder / "tls" / "token", user, user)
        coordinator = self.start(NAMES[0], variants["mtls"], {
            "/shared": self.folder / "shared", "/var/lib/lockstep": self.folder / "state", "/tls/": f"{self.folder}/tls/",
            "/metrics-token/": f"{self.folder}/tls/"}, spaces)
        self.assertEqual(coordinator.addresses["grpc"], "0.0.0.0:7070")
        self.assertEqual(coordinator.stop(), 0)

    def test_the_manifests_command_lines_train_and_end_at_sigterm(self):
        self.need("--mount")
        variant = all_variants()["base"]
        user = pod(variant, NAMES[0])["securityContext"]["runAsUser"]
        os.chmod(self.folder, 0o755)
        for volume in ("state", "shared", "cache"):
            (self.folder / volume).mkdir()
            os.chown(self.folder / volume, user, user)
        shared = {"/shared": self.folder / "shared", "0.0.0.0:7070": "127.0.0.1:0", "0.0.0.0:7071": "127.0.0.1:0",
                  "0.0.0.0:7072": "127.0.0.1:0"}
        coordinator = self.start(NAMES[0], variant, {**shared, "/var/lib/lockstep": self.folder / "state"})
        worker = self.start(NAMES[1], variant, {
            **shared, "lockstep-coordinator:7070": coordinator.addresses["grpc"], "$(POD_NAME)": "lockstep-worker-0",
            "$(POD_IP)": "127.0.0.1", "/var/lib/lockstep-worker": self.folder / "cache"})
        status = pathlib.Path(f"/proc/{worker.pid}/status").read_text()
        self.assertSays(status, rf"Uid:\t{user}\t{user}", r"CapEff:\t0+\n", r"CapBnd:\t0+\n", r"NoNewPrivs:\t1")
        spec = self.folder / "spec.yaml"
        data = self.folder / "shared" / "digits.csv"
        shutil.copy(REPOSITORY / "examples" / "digits.csv", data)
        spec.write_text(yaml.safe_dump(digits_spec(epochs=5, checkpoint={"every_steps": 20}, dataset={"path": str(data), "label": "digit"})))
        environment = {**os.environ, "LOCKSTEP_COORDINATOR": coordinator.addresses["grpc"], "NO_COLOR": "1"}
        done = subprocess.run([BIN / "lockstep", "submit", spec, "--follow"], env=environment, text=True, capture_output=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(list((self.folder / "shared" / "artifacts").rglob("model.safetensors")))
        self.healthy(coordinator.addresses["grpc"])
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(coordinator.stop(), 0)

    def healthy(self, address):
        """What a kubelet's gRPC probe asks."""
        try:
            import grpc
        except ImportError:
            return
        with grpc.insecure_channel(address) as channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check", request_serializer=bytes, response_deserializer=bytes)
            self.assertEqual(check(b"", timeout=10), b"\x08\x01")


class BoundedPorts(NetworkCluster):
    """Nodes that hand out only the local ports that the workers' pods may."""

    ports = ""

    def _host(self, name):
        known = name in self._hosts
        host = super()._host(name)
        if not known:
            subprocess.run(["ip", "netns", "exec", host[0], "sh", "-c", f"echo {self.ports} > /proc/sys/net/ipv4/ip_local_port_range"], check=True)
        return host

    def sockets(self, name):
        """[(state, local port, remote address, remote port)] of the node's TCP sockets."""
        table = subprocess.run(["ip", "netns", "exec", self._host(name)[0], "cat", "/proc/net/tcp"], text=True, capture_output=True, check=True).stdout
        found = []
        for line in table.splitlines()[1:]:
            _, local, remote, state = line.split()[:4]
            found.append((int(state, 16), int(local.split(":")[1], 16), remote.split(":")[0], int(remote.split(":")[1], 16)))
        return found


class Ports(EndToEndTest):
    def test_trainers_keep_to_the_ports_that_the_network_policy_lets_through(self):
        reason = why_not() or ("PyYAML (package python3-yaml) is not installed" if yaml is None else "")
        if reason:
            self.skipTest(reason)
        BoundedPorts.ports = pod(all_variants()["base"], NAMES[1])["securityContext"]["sysctls"][0]["value"]
        low, high = (int(word) for word in BoundedPorts.ports.split())
        cluster = BoundedPorts(workers=2)
        self.addCleanup(cluster.close)
        cluster.start()
        job = cluster.submit(digits_spec(epochs=1000000, workers={"min": 2, "max": 2}))
        cluster.wait_step(job, 50)
        established, listening = 1, 10
        between = 0
        for name in cluster.workers:
            for state, local, _, remote in cluster.sockets(name):
                if state in (established, listening):
                    self.assertTrue(low <= local <= high, f"{name} uses port {local}")
                if state == established and remote != 7070:
                    self.assertTrue(low <= remote <= high, f"{name} talks to port {remote}")
                    between += 1
        self.assertGreater(between, 0, "no connection between the trainers was seen")


if __name__ == "__main__":
    unittest.main()
