"""deploy/Containerfile, as far as it can be checked without building it: the runtime image has every library that the programs link."""

import functools
import re
import shutil
import subprocess
import unittest

from cluster import BIN, REPOSITORY, EndToEndTest
from manifests import all_variants, pod, yaml

CONTAINERFILE = (REPOSITORY / "deploy" / "Containerfile").read_text()
RUNTIME = CONTAINERFILE.split("\nFROM ")[2]
IN_EVERY_IMAGE = {"libc6", "libgcc-s1", "libstdc++6"}  # the last two come with whatever is C++


def output(*command):
    return subprocess.run(list(map(str, command)), text=True, capture_output=True, timeout=120).stdout


@functools.cache
def package_of(library):
    real = output("readlink", "-f", library).strip()
    return (output("dpkg", "-S", real) or output("dpkg", "-S", real.removeprefix("/usr"))).split(":")[0]


class Image(EndToEndTest):
    def test_the_runtime_packages_hold_every_library_that_is_linked(self):
        if not shutil.which("dpkg") or not shutil.which("readelf") or "VERSION_ID=\"12\"" not in open("/etc/os-release").read():
            self.skipTest("the image is Debian 12; this machine is not")
        installed = set(re.findall(r"^      (\S+) \\$", RUNTIME, re.MULTILINE))
        self.assertGreater(len(installed), 10)
        for program in self.programs():
            places = dict(re.findall(r"^\s+(\S+) => (\S+) ", output("ldd", BIN / program), re.MULTILINE))
            for library in re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-d", BIN / program)):
                if library.startswith("ld-linux"):  # the loader itself, of libc6; ldd has no place for it
                    continue
                package = package_of(places[library])
                if package in IN_EVERY_IMAGE or package in {"libgrpc29"}:  # libgrpc++1.51 depends on it
                    continue
                self.assertIn(package, installed, f"{program} needs {library}")

    def test_it_runs_as_the_pods_user(self):
        if yaml is None:
            self.skipTest("PyYAML (package python3-yaml) is not installed")
        security = pod(all_variants()["base"], "lockstep-worker")["securityContext"]
        self.assertIn(f"USER {security['runAsUser']}:{security['runAsGroup']}\n", RUNTIME)

    def programs(self):
        built = set(re.search(r"--target ([^\\]*)\\", CONTAINERFILE).group(1).split())
        copied = set(re.findall(r"/source/build/release/bin/(\S+)", RUNTIME))
        self.assertEqual(built, copied)
        return sorted(name for name in copied if (BIN / name).exists())


if __name__ == "__main__":
    unittest.main()
