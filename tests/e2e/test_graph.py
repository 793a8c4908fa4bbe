"""Models that the spec lists layer by layer: the same bits on any number of workers, layers by their names, plain errors."""

import json
import struct
import unittest

from cluster import REPOSITORY, Cluster, EndToEndTest, accuracy, find_model, sha256
from test_lockstep_bits import run
from test_text import TEXT

EXAMPLE = REPOSITORY / "examples" / "graph.yaml"


def tensors(path):
    """name -> bytes of a safetensors file."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    body = data[8 + size:]
    return {name: body[slice(*entry["data_offsets"])] for name, entry in header.items() if name != "__metadata__"}


class Graphs(EndToEndTest):
    @classmethod
    def setUpClass(cls):
        cls.shared = Cluster(workers=2).start()
        cls.addClassCleanup(cls.shared.close)

    def spec(self, layers, name="graph", steps=30, workers=1, text=None, **train):
        dataset = ({"path": str(text), "text": {"sequence_length": 16}} if text else
                   {"path": str(REPOSITORY / "examples" / "digits.csv"), "label": "digit"})
        return {"name": name, "dataset": dataset, "model": {"graph": {"layers": layers}},
                "train": {"epochs": 1, "max_steps": steps, "batch_size": 16, "optimizer": {"adamw": {"learning_rate": 0.01}}, **train},
                "workers": {"min": workers, "max": workers}}

    def model(self, job):
        target = self.folder / f"model-{job['id']}"
        self.shared.lockstep("download", job["id"], "--output", target)
        return find_model(target)

    def test_the_example_has_the_same_weights_on_1_and_2_workers(self):
        seen = {}
        for workers in (1, 2):
            job, digest = run(EXAMPLE, self.folder / str(workers), "--workers", str(workers), "--set", "train.epochs=3")
            seen[workers] = (digest, accuracy(job))
        self.assertEqual(len(set(seen.values())), 1, f"weights or accuracy depend on the workers: {seen}")
        self.assertGreater(seen[1][1], 0.9)

    def test_a_language_model_has_the_same_weights_on_1_and_2_workers_and_generates(self):
        story = self.folder / "story.txt"
        story.write_text(TEXT)
        layers = [{"name": "tokens", "embedding": {"width": 16, "positions": 16, "initializer": {"normal": 0.1}}},
                  {"name": "norm", "layer_norm": {}},
                  {"name": "attend", "attention": {"heads": 2}},
                  {"name": "sum", "inputs": ["tokens", "attend"], "add": {}},
                  {"name": "head", "linear": {"tied": "tokens"}}]
        jobs = [self.shared.run_to_end(self.spec(layers, workers=workers, text=story)) for workers in (1, 2)]
        self.assertEqual(*[sha256(self.model(job)) for job in jobs])
        self.assertLess(jobs[0]["metrics"]["test/loss"], 3.4, "better than the 40 characters' log")
        said = self.shared.lockstep("generate", self.model(jobs[0]).parent, "--prompt", "the cat", "--tokens", "12").stdout
        self.assertEqual(len(said), 13, "12 characters and the line's end")

    def test_layers_are_described_frozen_and_saved_by_their_names(self):
        layers = [{"name": "left", "linear": {"width": 12, "activation": "relu"}},
                  {"name": "right", "inputs": ["input"], "linear": {"width": 12, "activation": "tanh"}},
                  {"name": "both", "inputs": ["left", "right"], "concat": {}},
                  {"name": "head", "linear": {}}]
        short, long = [self.shared.run_to_end(self.spec(layers, steps=steps, freeze=["left.*"])) for steps in (1, 5)]
        described = self.shared.lockstep("describe", long["id"]).stdout
        self.assertSays(described, r"left +linear +12", r"both +concat +24", r"head +linear +10")
        first, last = tensors(self.model(short)), tensors(self.model(long))
        self.assertEqual(sorted(first), ["head.bias", "head.weight", "left.bias", "left.weight", "right.bias", "right.weight"])
        changed = {name for name in first if first[name] != last[name]}
        self.assertEqual(changed, {"head.bias", "head.weight", "right.bias", "right.weight"})

    def test_a_layer_that_does_not_fit_is_named(self):
        for layers, message in (
            ([{"name": "a", "inputs": ["b"], "flatten": {}}, {"name": "b", "linear": {}}],
             r"model\.graph\.layers\[0\] \(a\): is part of a cycle: a -> b -> a"),
            ([{"name": "a", "linear": {"width": 5}}, {"name": "sum", "inputs": ["a", "input"], "add": {}}, {"linear": {}}],
             r"model\.graph\.layers\[1\] \(sum\): expected inputs of one shape, got 5 from 'a' and 64 from 'input'"),
            ([{"name": "top", "linear": {"width": 7}}],
             r"\(top\): is the output, for which expected 10 \(a score for each class of the label\), got 7"),
        ):
            path = self.folder / "bad.yaml"
            path.write_text(json.dumps(self.spec(layers)))
            done = self.shared.lockstep("run", path, "--output", self.folder / "out", expect=None)
            self.assertNotEqual(done.returncode, 0)
            self.assertSays(done.stdout + done.stderr, message)


if __name__ == "__main__":
    unittest.main(verbosity=2)
