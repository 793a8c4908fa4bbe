"""The same job gives the same bits on any number of workers, and a model that is any good."""

import json
import os
import pathlib
import subprocess
import unittest

from cluster import BIN, PATIENCE, REPOSITORY, EndToEndTest, accuracy, find_model, sha256
from peers import needs_peer, peer_python


def run(spec, output, *arguments):
    """`lockstep run`, embedded; returns (job, sha of the model)."""
    done = subprocess.run([str(BIN / "lockstep"), "run", str(spec), "--output", str(output), "-o", "json", *arguments],
                          text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=3 * PATIENCE,
                          env={**os.environ, "NO_COLOR": "1"})
    if done.returncode != 0:
        raise AssertionError(f"lockstep run: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return json.loads(done.stdout), sha256(find_model(output))


class LockstepBits(EndToEndTest):
    def test_digits_has_the_same_weights_on_1_2_3_and_4_workers(self):
        seen = {}
        for workers in (1, 2, 3, 4):
            job, digest = run(REPOSITORY / "examples" / "digits.yaml", self.folder / str(workers), "--workers", str(workers))
            self.assertEqual(digest, job["modelSha256"])
            self.assertEqual(len(job["members"]), workers)
            seen[workers] = (digest, accuracy(job))
        self.assertEqual(len(set(seen.values())), 1, f"weights or accuracy depend on the number of workers: {seen}")
        self.assertGreater(seen[1][1], 0.94)

    def test_another_seed_gives_other_weights(self):
        spec = REPOSITORY / "examples" / "digits.yaml"
        _, one = run(spec, self.folder / "1", "--set", "train.epochs=1")
        _, two = run(spec, self.folder / "2", "--set", "train.epochs=1", "--set", "seed=8")
        self.assertNotEqual(one, two)

    def test_diabetes_regression_explains_a_sane_share_on_1_and_2_workers(self):
        spec = REPOSITORY / "examples" / "diabetes.yaml"
        job, one = run(spec, self.folder / "1", "--workers", "1")
        _, two = run(spec, self.folder / "2", "--workers", "2")
        self.assertEqual(one, two)
        # Ordinary least squares reaches 0.52 on all of it; a tenth as test part varies around that.
        self.assertTrue(0.2 < job["metrics"]["test/r2"] < 0.75, job["metrics"])
        self.assertTrue(35 < job["metrics"]["test/rmse"] < 75, job["metrics"])
        self.assertGreater(job["metrics"]["test/rmse"], job["metrics"]["test/mae"])

    def test_classification_metrics_agree_with_the_confusion_matrix(self):
        job, _ = run(REPOSITORY / "examples" / "digits.yaml", self.folder / "m", "--set", "train.epochs=3")
        matrix = [int(count) for count in job["confusionMatrix"]["counts"]]
        classes = len(job["confusionMatrix"]["classes"])
        self.assertEqual(classes, 10)
        right = sum(matrix[i * classes + i] for i in range(classes))
        self.assertAlmostEqual(accuracy(job), right / sum(matrix), places=9)
        recalls = [matrix[i * classes + i] / sum(matrix[i * classes:(i + 1) * classes]) for i in range(classes)]
        self.assertAlmostEqual(job["metrics"]["test/recall"], sum(recalls) / classes, places=9)

    def test_an_embedded_run_leaves_no_process_behind(self):
        run(REPOSITORY / "examples" / "digits.yaml", self.folder / "out", "--set", "train.epochs=1")
        left = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and str(self.folder) in (entry / "cmdline").read_text():
                    left.append((entry / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        self.assertEqual(left, [])

    def test_a_cluster_gives_the_bits_of_an_embedded_run(self):
        spec = REPOSITORY / "examples" / "digits.yaml"
        _, embedded = run(spec, self.folder / "out", "--set", "train.epochs=2")
        cluster = self.cluster(workers=1, slots=2)
        job = cluster.json("submit", spec, "--set", "train.epochs=2", "--set", "workers.min=2")
        job = cluster.wait_for(job["id"], "SUCCEEDED")
        self.assertEqual(job["modelSha256"], embedded)


class ForeignReaders(EndToEndTest):
    @needs_peer("safetensors.numpy")
    def test_python_safetensors_opens_the_model(self):
        run(REPOSITORY / "examples" / "digits.yaml", self.folder / "out", "--set", "train.epochs=1")
        ask = ("import json, sys, safetensors.numpy as s; "
               "print(json.dumps([list(t.shape) for t in s.load_file(sys.argv[1]).values()]))")
        done = subprocess.run([peer_python("safetensors.numpy"), "-c", ask, str(find_model(self.folder / "out"))], text=True, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(json.loads(done.stdout)), sorted([[128, 64], [128], [64, 128], [64], [10, 64], [10]]))

    def test_the_model_is_a_plain_safetensors_file(self):
        # The format by hand, so that it is checked everywhere: header length, JSON header, data without a gap.
        run(REPOSITORY / "examples" / "digits.yaml", self.folder / "out", "--set", "train.epochs=1")
        content = find_model(self.folder / "out").read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8:8 + length])
        header.pop("__metadata__", None)
        end = 0
        for name, tensor in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            first, last = tensor["data_offsets"]
            self.assertEqual((first, tensor["dtype"]), (end, "F32"), name)
            size = 4
            for extent in tensor["shape"]:
                size *= extent
            self.assertEqual(last - first, size, name)
            end = last
        self.assertEqual(8 + length + end, len(content))


if __name__ == "__main__":
    unittest.main()
