"""Transfer learning: from one job's model to the next, with a new head, frozen layers and rates of their own; and the mistakes that
people make on the way."""

import array
import json
import unittest

from cluster import FAILED, NOT_FOUND, REPOSITORY, Cluster, EndToEndTest

SMALL = ["--set", "model.gpt.layers=2", "--set", "model.gpt.width=32", "--workers", "1"]


def tensors(folder):
    """Name to bytes."""
    data = (folder / "model.safetensors").read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    return {name: data[begin + entry["data_offsets"][0]:begin + entry["data_offsets"][1]]
            for name, entry in header.items() if name != "__metadata__"}


def floats(data):
    return array.array("f", data)


class Finetune(EndToEndTest):
    @classmethod
    def setUpClass(cls):
        cls.shared = Cluster(workers=0)
        cls.addClassCleanup(cls.shared.close)
        cls.shared.start()
        cls.pretrained = cls.shared.folder / "pretrained"
        cls.run_example("char-gpt.yaml", "--output", cls.pretrained, "--set", "train.max_steps=20")

    @classmethod
    def run_example(cls, name, *arguments, expect=0):
        return cls.shared.lockstep("run", REPOSITORY / "examples" / name, *SMALL, *arguments, expect=expect)

    def finetune(self, *sets, source=None, expect=0):
        further = [word for text in sets for word in ("--set", text)]
        return self.run_example("finetune.yaml", "--output", self.folder / "tuned", "--set",
                                f"from.safetensors={source or self.pretrained}", "--set", "train.max_steps=5", *further,
                                expect=expect).stderr

    def test_the_example_trains_what_it_says_and_nothing_else(self):
        self.finetune()
        before, after = tensors(self.pretrained), tensors(self.folder / "tuned")
        self.assertEqual(before.keys(), after.keys())
        same = {name for name in before if before[name] == after[name]}
        self.assertEqual(same, {name for name in before if name == "wpe.weight" or name.startswith("h.0.")})
        self.assertNotEqual(len(before["wte.weight"]), len(after["wte.weight"]), "other characters")

    def test_a_rate_of_its_own_moves_a_group_further(self):
        before = floats(tensors(self.pretrained)["h.1.mlp.c_fc.weight"])
        moved = {}
        for factor in (1, 10):
            self.finetune("train.max_steps=1", "train.schedule={constant: {}}", "train.gradient_clip={norm: 1e9}",
                          "train.optimizer={sgd: {learning_rate: 0.01}}",
                          f"train.groups=[{{pattern: h.1.mlp.*, learning_rate_factor: {factor}}}]")
            after = floats(tensors(self.folder / "tuned")["h.1.mlp.c_fc.weight"])
            moved[factor] = max(abs(a - b) for a, b in zip(after, before, strict=True))
        self.assertAlmostEqual(moved[10] / moved[1], 10, delta=0.1)

    def test_what_is_wrong_before_a_model_is_built_is_refused_at_submission(self):
        wrong = self.pretrained.parent / "pretraind"
        self.assertSays(self.finetune(source=wrong, expect=NOT_FOUND), "pretraind: no such file", f"Did you mean {self.pretrained}")
        pickle = self.folder / "pytorch_model.bin"
        pickle.write_bytes(b"PK\x03\x04")
        self.assertSays(self.finetune(source=pickle, expect=None), "PyTorch pickle", "save_pretrained")
        self.assertSays(self.finetune(source=self.folder, expect=NOT_FOUND), "neither model.safetensors", "save_pretrained")
        self.assertSays(self.finetune("model.gpt.heads=8", expect=None), "model.gpt.heads is 8, there 4")
        self.assertSays(self.finetune("model.gpt.heads=5", expect=None), "5 heads do not divide width 32")
        damaged = self.folder / "model.safetensors"
        damaged.write_bytes((self.pretrained / "model.safetensors").read_bytes()[:-4])
        self.assertSays(self.finetune(source=damaged, expect=None), "model.safetensors", "truncated")

    def test_what_does_not_fit_the_model_is_the_jobs_reason(self):
        self.assertSays(self.finetune("from.fresh=[]", expect=FAILED), r"wte.weight expects \(\d+, 32\), wte.weight has \(\d+, 32\)",
                        "vocabulary")
        self.assertSays(self.finetune("model.gpt.layers=3", expect=FAILED),
                        r"12 parameters are missing in the file: h.2.ln_1.weight \(nearest: h.0.ln_1.weight\)", "and 2 more")
        self.assertSays(self.finetune("model.gpt.layers=1", "train.freeze=[wpe.weight]", expect=FAILED), "12 tensors are left over: h.1")
        self.assertSays(self.finetune("train.freeze=[h.9.*]", expect=FAILED), "train.freeze", "no parameter's name matches 'h.9")
        self.assertSays(self.finetune("from.fresh=[wte.wieght]", expect=FAILED), "from.fresh", "nearest: wte.weight")


if __name__ == "__main__":
    unittest.main()
