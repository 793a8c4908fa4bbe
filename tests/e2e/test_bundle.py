"""deploy/bundle: a folder with all programs that runs wherever it is unpacked, and holds what a plain machine lacks."""

import os
import re
import shutil
import subprocess
import unittest

from cluster import BIN, REPOSITORY, EndToEndTest

# glibc's: the target has its own, and it must be that one.
SYSTEM = re.compile(r"(linux-vdso|ld-linux-x86-64|lib(c|m|mvec|dl|rt|pthread|resolv))\.so")


@unittest.skipUnless(shutil.which("patchelf"), "patchelf is not installed: deploy/install test")
@unittest.skipIf("asan" in str(BIN) or "tsan" in str(BIN), "a sanitizer's build is not shipped")
class Bundles(EndToEndTest):
    def bundle(self, *arguments):
        return subprocess.run([REPOSITORY / "deploy" / "bundle", *arguments], text=True, capture_output=True, timeout=600)

    def test_an_unpacked_bundle_trains_in_another_folder_with_its_own_libraries(self):
        packed = self.folder / "lockstep.tar.gz"
        made = self.bundle("--programs", BIN, packed)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertLess(packed.stat().st_size, 60e6)
        elsewhere = self.folder / "some where"
        elsewhere.mkdir()
        subprocess.run(["tar", "-C", elsewhere, "-xzf", packed], check=True)
        root = elsewhere / "lockstep"
        programs = sorted((root / "bin").iterdir())
        self.assertEqual(len(programs), 5)
        libraries = sorted((root / "lib").iterdir())
        for file in programs + libraries:
            found = subprocess.run(["ldd", file], env={}, text=True, capture_output=True, check=True).stdout
            for line in found.splitlines():
                if "statically linked" in line:  # it needs nothing
                    continue
                self.assertNotIn("not found", line, file)
                self.assertTrue(SYSTEM.search(line) or str(root / "lib") in os.path.normpath(line.split("=>")[-1].strip()),
                                f"{file.name} takes from the system: {line.strip()}")
        self.assertFalse([library for library in libraries if SYSTEM.match(library.name)], "glibc's are the target's")
        self.assertGreaterEqual(len(list((root / "licences").iterdir())), 10)
        shutil.copy(REPOSITORY / "examples" / "digits.csv", elsewhere)
        shutil.copy(REPOSITORY / "examples" / "digits.yaml", elsewhere)
        ran = subprocess.run([root / "bin" / "lockstep", "run", "digits.yaml", "--workers", "2", "--output", "out", "--set", "train.epochs=2"],
                             cwd=elsewhere, env={"HOME": str(elsewhere), "PATH": "/nowhere"}, text=True, capture_output=True, timeout=120)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        self.assertIn("digits succeeded", ran.stdout)

    def test_what_is_missing_is_named(self):
        made = self.bundle("--programs", self.folder, self.folder / "x.tar.gz")
        self.assertEqual(made.returncode, 1)
        self.assertIn("lockstep is missing", made.stderr)
        self.assertFalse((self.folder / "x.tar.gz").exists())


if __name__ == "__main__":
    unittest.main()
