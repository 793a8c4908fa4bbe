"""deploy/Containerfile, as far as it can be checked without building it: its stages hang together, its sources and packages exist, the runtime
image has every library that the programs link, and the overlays name images that it makes."""

import functools
import re
import shlex
import shutil
import subprocess
import unittest

from cluster import BIN, REPOSITORY, EndToEndTest
from manifests import KUBERNETES, OVERLAYS, all_variants, pod, yaml

PATH = REPOSITORY / "deploy" / "Containerfile"
IN_EVERY_IMAGE = {"libc6", "libgcc-s1", "libstdc++6"}  # the last two come with whatever is C++
DEBIAN_12 = "VERSION_ID=\"12\"" in open("/etc/os-release").read()


class Stage:
    def __init__(self, name, base):
        self.name, self.base, self.lines = name, base, []

    def all(self, instruction):
        return [arguments for word, arguments in self.lines if word == instruction]


def read():
    """{name: Stage} in the file's order, and the arguments before the first of them."""
    text = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", PATH.read_text(), flags=re.MULTILINE))
    stages, before = {}, {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        word, arguments = line.split(None, 1)
        if word == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", arguments).groups()
            stages[name] = Stage(name, base)
        elif not stages:
            before.update([arguments.split("=", 1)])
        else:
            list(stages.values())[-1].lines.append((word, arguments))
    return stages, before


STAGES, ARGUMENTS = read()


def output(*command):
    return subprocess.run(list(map(str, command)), text=True, capture_output=True, timeout=120).stdout


def runtime_packages():
    return set(re.findall(r"^      (\S+) \\$", PATH.read_text(), re.MULTILINE))


@functools.cache
def package_of(library):
    real = output("readlink", "-f", library).strip()
    return (output("dpkg", "-S", real) or output("dpkg", "-S", real.removeprefix("/usr"))).split(":")[0]


class Image(EndToEndTest):
    def test_the_runtime_packages_hold_every_library_that_is_linked(self):
        if not shutil.which("dpkg") or not shutil.which("readelf") or not DEBIAN_12:
            self.skipTest("the image is Debian 12; this machine is not")
        installed = runtime_packages()
        self.assertGreater(len(installed), 10)
        for program in sorted(name for name in self.programs() if (BIN / name).exists()):
            places = dict(re.findall(r"^\s+(\S+) => (\S+) ", output("ldd", BIN / program), re.MULTILINE))
            for library in re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-d", BIN / program)):
                if library.startswith("ld-linux"):  # the loader itself, of libc6; ldd has no place for it
                    continue
                package = package_of(places[library])
                if package in IN_EVERY_IMAGE or package in {"libgrpc29"}:  # libgrpc++1.51 depends on it
                    continue
                self.assertIn(package, installed, f"{program} needs {library}")

    def test_debian_12_has_the_packages_of_both_stages(self):
        if not shutil.which("apt-cache") or not DEBIAN_12:
            self.skipTest("the image is Debian 12; this machine is not")
        if "Candidate: (none)" in output("apt-cache", "policy", "hello") or not output("apt-cache", "policy", "hello"):
            self.skipTest("apt's lists are not here: apt-get update")
        build = subprocess.run([REPOSITORY / "deploy" / "install", "--list", "build"], text=True, capture_output=True, check=True).stdout.split()
        wanted = sorted(runtime_packages() | set(build))
        known = set(re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: \d", output("apt-cache", "policy", *wanted), re.MULTILINE))
        self.assertEqual(set(wanted) - known, set(), "apt-cache does not know them")

    def test_stages_are_made_of_stages_above_them_and_of_files_that_exist(self):
        seen = set()
        for stage in STAGES.values():
            base = re.sub(r"\$\{(\w+)\}", lambda match: ARGUMENTS[match[1]], stage.base)
            self.assertTrue(base in seen or ":" in base, f"{stage.name} is made from {base}")
            for copy in stage.all("COPY"):
                *sources, _ = [word for word in shlex.split(copy) if not word.startswith("--")]
                origin = re.search(r"--from=(\S+)", copy)
                if origin:
                    self.assertIn(origin[1], seen, f"{stage.name}: COPY {copy}")
                else:
                    for source in sources:
                        self.assertTrue((REPOSITORY / source).exists(), f"{stage.name}: COPY {copy}")
            seen.add(stage.name)

    def test_the_cuda_target_compiles_with_nvcc_and_has_nccl_and_the_other_has_neither(self):
        text = lambda name: "\n".join(" ".join(line) for line in STAGES[name].lines)
        self.assertIn("-DLOCKSTEP_CUDA=OFF", text("build-cpu"))
        self.assertNotIn("-DLOCKSTEP_CUDA=OFF", text("build-cuda"))
        toolkit = next(copy.split()[-1] for copy in STAGES["build-cuda"].all("COPY") if "cuda-files" in copy)
        self.assertIn(f"CUDACXX={toolkit}/bin/nvcc", STAGES["build-cuda"].all("ENV"))
        # The version that is copied is the one of the image that it is copied from.
        version = dict(argument.split("=") for argument in STAGES["build-cuda"].all("ARG"))["CUDA_VERSION"]
        self.assertRegex(ARGUMENTS["CUDA_BASE"], rf"/cuda:{re.escape(version)}\.\d+-devel-")
        self.assertIn("libnccl.so.2", text("cuda"))
        self.assertNotIn("nccl", text("cpu"))
        for target in ("cpu", "cuda"):
            self.assertEqual(STAGES[target].base, "runtime")
            self.assertIn(f"--from=build-{target} /source/build/release/bin/lockstep* /usr/local/bin/", STAGES[target].all("COPY"))
        self.assertEqual(list(STAGES)[-1], "cpu", "what is built where no target is named")

    def test_it_runs_as_the_pods_user(self):
        if yaml is None:
            self.skipTest("PyYAML (package python3-yaml) is not installed")
        security = pod(all_variants()["base"], "lockstep-worker")["securityContext"]
        self.assertEqual(STAGES["runtime"].all("USER"), [f"{security['runAsUser']}:{security['runAsGroup']}"])

    def test_overlays_name_images_that_the_documented_commands_make_from_the_right_target(self):
        if yaml is None:
            self.skipTest("PyYAML (package python3-yaml) is not installed")
        for document in (PATH, REPOSITORY / "docs" / "operate.md"):
            for target in re.findall(r"podman build .*--target (\S+)", document.read_text()):
                self.assertIn(target, STAGES, document)
        built = {image: target for target, image in
                 re.findall(r"podman build -f deploy/Containerfile --target (\S+) -t (\S+) \.", (REPOSITORY / "docs" / "operate.md").read_text())}
        for overlay in OVERLAYS:
            text = (KUBERNETES / "overlays" / overlay / "kustomization.yaml").read_text()
            for image in yaml.safe_load(text).get("images", []):
                target = "cuda" if "nvidia.com/gpu" in text else "cpu"
                self.assertEqual(built.get(f"{image['newName']}:{image['newTag']}"), target, overlay)

    def programs(self):
        built = {tuple(re.search(r"--target ([^&]*)", " ".join(STAGES[name].all("RUN"))).group(1).split()) for name in ("build-cpu", "build-cuda")}
        self.assertEqual(len(built), 1, "the targets have different programs")
        return set(*built)


if __name__ == "__main__":
    unittest.main()
