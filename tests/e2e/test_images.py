"""Convolutional networks through the whole service: the same bits on any number of workers, good models, plain errors."""

import subprocess
import unittest

from cluster import BIN, PATIENCE, REPOSITORY, EndToEndTest, accuracy
from test_lockstep_bits import run

MNIST = REPOSITORY.parent / "shared" / "data"
IMAGES, LABELS = MNIST / "mnist10k-images-idx3-ubyte.gz", MNIST / "mnist10k-labels-idx1-ubyte.gz"

# The digits' 8x8 pixels as images; a spec is JSON, which is YAML.
DIGITS = """{
  "dataset": {"path": "%s", "label": "digit"},
  "model": {%s},
  "train": {"epochs": 2, "batch_size": 60, "optimizer": {"adamw": {"learning_rate": 0.003}}},
  "workers": {"min": 1, "max": 4}
}""" % (REPOSITORY / "examples" / "digits.csv", "%s")
CNN = """"cnn": {"input_shape": [8, 8, 1], "layers": [
  {"conv": {"channels": 16, "padding": 1, "activation": "relu"}}, {"batch_norm": {}}, {"max_pool": {}},
  {"conv": {"channels": 32, "activation": "relu"}}, {"dropout": {"probability": 0.2}}]}"""
RESNET = '"resnet": {"input_shape": [8, 8, 1], "depth": 8, "width": 8}'


class Images(EndToEndTest):
    def spec(self, model):
        path = self.folder / "job.yaml"
        path.write_text(DIGITS % model)
        return path

    def test_a_cnn_and_a_resnet_have_the_same_weights_on_1_2_and_3_workers(self):
        for name, model in (("cnn", CNN), ("resnet", RESNET)):
            spec, seen = self.spec(model), {}
            for workers in (1, 2, 3):
                job, digest = run(spec, self.folder / f"{name}{workers}", "--workers", str(workers))
                seen[workers] = (digest, accuracy(job))
            self.assertEqual(len(set(seen.values())), 1, f"{name}: weights or accuracy depend on the workers: {seen}")
            self.assertGreater(seen[1][1], 0.8, name)

    def test_a_layer_that_does_not_fit_is_named(self):
        layers = '"cnn": {"input_shape": [8, 8, 1], "layers": [{"max_pool": {"kernel": 4}}, {"conv": {"channels": 4}}]}'
        done = subprocess.run([str(BIN / "lockstep"), "run", str(self.spec(layers)), "--output", str(self.folder / "out")],
                              text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("model.cnn.layers[1] (conv.1): kernel 3 does not fit in 2x2", done.stdout + done.stderr)

    def test_rows_that_are_no_images_need_a_shape(self):
        layers = '"cnn": {"layers": [{"conv": {"channels": 4}}]}'
        done = subprocess.run([str(BIN / "lockstep"), "run", str(self.spec(layers)), "--output", str(self.folder / "out")],
                              text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("model.cnn.input_shape: missing", done.stdout + done.stderr)

    @unittest.skipUnless(IMAGES.exists(), f"{IMAGES} is not there")
    def test_mnist_example_takes_its_shape_from_the_images(self):
        job, _ = run(REPOSITORY / "examples" / "mnist-cnn.yaml", self.folder / "mnist", "--set", f"dataset.path={IMAGES}",
                     "--set", f"dataset.labels={LABELS}", "--set", "train.max_steps=30")
        self.assertGreater(accuracy(job), 0.5)


if __name__ == "__main__":
    unittest.main(verbosity=2)
