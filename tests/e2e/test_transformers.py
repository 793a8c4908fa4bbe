"""GPT-2 and Llama between Lockstep and Hugging Face's `transformers`, both ways: the same weights give the same logits.
Small models with random weights, made here. Skipped where torch and transformers are not installed (peers.py)."""

import random
import subprocess
import unittest

from cluster import BIN, Cluster, EndToEndTest, find_model
from peers import Peer, needs_peer

PACKAGES = "torch, transformers"
ALPHABET = "\n .abcdefghijklmnopqrstuvwxyz"
VOCABULARY = len(ALPHABET) + 1  # the last one stands for every other character
CONTEXT = 24
PROMPTS = ["a", "the cat sat on", "zebra. \nquiz jumps ove"]
TOLERANCE = 1e-4

PEER = r"""
import torch, transformers

# Every parameter is far from what a fresh model has, so that no bias of zero and no scale of one hides a mistake.
def make(folder, config, most_bytes, dtype):
    torch.manual_seed(7)
    model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(**config))
    for name, parameter in model.named_parameters():
        scale = 1.0 if name.endswith(("wte.weight", "embed_tokens.weight", "lm_head.weight")) else 0.2
        mean = 1.0 if "ln_" in name and name.endswith("weight") or "norm" in name else 0.0
        torch.nn.init.normal_(parameter, mean, scale)
    model.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size=most_bytes)

def load(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

# After each prompt's last token.
def logits(folder, prompts):
    model = load(folder)
    with torch.no_grad():
        return [model(torch.tensor([ids])).logits[0, -1].tolist() for ids in prompts]

def encode(folder, text):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return len(tokenizer), tokenizer(text).input_ids

# The number of parameters, and the largest difference between two of one name.
def compare(*folders):
    one, two = [dict(load(folder).named_parameters()) for folder in folders]
    assert one.keys() == two.keys(), one.keys() ^ two.keys()
    return len(one), max(float((one[name] - two[name]).abs().max()) for name in one)
"""


def gpt(**further):
    return {"layers": 2, "heads": 4, "width": 32, "context": CONTEXT, **further}


def llama(**further):
    return {"layers": 2, "heads": 6, "key_value_heads": 2, "width": 48, "hidden": 80, "context": CONTEXT, "rope_theta": 50000,
            "norm_epsilon": 1e-6, **further}


def hugging_face_gpt(**further):
    return {"model_type": "gpt2", "vocab_size": VOCABULARY, "n_positions": CONTEXT, "n_embd": 32, "n_layer": 2, "n_head": 4,
            "bos_token_id": None, "eos_token_id": None, **further}


def hugging_face_llama(**further):
    return {"model_type": "llama", "vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT, "hidden_size": 48,
            "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 2,
            "rope_parameters": {"rope_theta": 50000.0, "rope_type": "default"}, "rms_norm_eps": 1e-6, "bos_token_id": None,
            "eos_token_id": None, **further}


@needs_peer(PACKAGES)
class Transformers(EndToEndTest):
    @classmethod
    def setUpClass(cls):
        cls.shared = Cluster(workers=1).start()
        cls.addClassCleanup(cls.shared.close)
        cls.peer = Peer(PACKAGES, PEER)
        cls.addClassCleanup(cls.peer.close)

    def spec(self, model, **further):
        source = random.Random(5)
        path = self.folder / "text.txt"
        path.write_text("".join(source.choice(ALPHABET) for _ in range(4000)))
        return {"name": "exchange", "dataset": {"path": str(path)}, "model": model,
                "train": {"epochs": 1, "max_steps": 20, "batch_size": 16, "optimizer": {"adamw": {"learning_rate": 0.01}}}, **further}

    def unmoved(self, spec):
        """The spec with one step too small to change a weight: the model that comes out is the one that went in."""
        spec["train"].update({"max_steps": 1, "optimizer": {"sgd": {"learning_rate": 1e-30}}})
        return spec

    def model(self, spec):
        job = self.shared.run_to_end(spec)
        folder = self.folder / job["id"]
        self.shared.lockstep("download", job["id"], "--output", folder)
        find_model(folder)
        return folder

    def make(self, config, most="1GB", dtype="float32"):
        folder = self.folder / "theirs"
        self.peer.call("make", str(folder), config, most, dtype)
        return folder

    def exported(self, folder, name="exported"):
        output = self.folder / name
        self.shared.lockstep("export", folder, "--output", output)
        return output

    def our_logits(self, folder):
        said = [subprocess.run([BIN / "lockstep-model", "logits", folder, "--prompt", prompt], capture_output=True, text=True)
                for prompt in PROMPTS]
        self.assertEqual([done.returncode for done in said], [0] * len(PROMPTS), said)
        return [[float(value) for value in done.stdout.split()] for done in said]

    def assertSameLogits(self, ours, theirs):
        ids = [[ALPHABET.index(character) for character in prompt] for prompt in PROMPTS]
        their_logits = self.peer.call("logits", str(theirs), ids)
        for prompt, one, two in zip(PROMPTS, self.our_logits(ours), their_logits, strict=True):
            self.assertEqual(len(one), VOCABULARY)
            # The last id stands for no character; what generates text never takes it.
            worst = max(abs(a - b) for a, b in zip(one[:-1], two[:-1], strict=True))
            self.assertLess(worst, TOLERANCE, f"after {prompt!r}")
            self.assertGreater(max(one[:-1]) - min(one[:-1]), 0.1, "a model that says nothing is compared")

    def assertReadAsTheyCompute(self, config, model, **made):
        theirs = self.make(config, **made)
        ours = self.model(self.unmoved(self.spec(model, **{"from": {"safetensors": str(theirs)}})))
        self.assertSameLogits(ours, theirs)
        count, worst = self.peer.call("compare", str(theirs), str(self.exported(ours)))
        self.assertGreater(count, 10)
        self.assertEqual(worst, 0, "there and back, a weight changed")

    def assertExportedAsWeCompute(self, model):
        ours = self.model(self.spec(model))
        self.assertSameLogits(ours, self.exported(ours))

    def test_their_gpt2_is_read(self):
        self.assertReadAsTheyCompute(hugging_face_gpt(), {"gpt": gpt()})

    def test_their_gpt2_with_an_output_layer_of_its_own_is_read(self):
        self.assertReadAsTheyCompute(hugging_face_gpt(tie_word_embeddings=False), {"gpt": gpt(tie_weights=False)})

    def test_their_llama_with_grouped_queries_is_read_from_shards(self):
        self.assertReadAsTheyCompute(hugging_face_llama(), {"llama": llama()}, most="20KB")
        self.assertGreater(len(list((self.folder / "theirs").glob("model-*.safetensors"))), 2)

    def test_their_tied_llama_in_bfloat16_is_read(self):
        self.assertReadAsTheyCompute(hugging_face_llama(tie_word_embeddings=True), {"llama": llama(tie_weights=True)}, dtype="bfloat16")

    def test_our_gpt_is_exported(self):
        self.assertExportedAsWeCompute({"gpt": gpt()})

    def test_our_gpt_without_biases_and_with_an_output_layer_of_its_own_is_exported(self):
        self.assertExportedAsWeCompute({"gpt": gpt(bias=False, tie_weights=False)})

    def test_our_llama_with_grouped_queries_is_exported(self):
        self.assertExportedAsWeCompute({"llama": llama()})

    def test_our_tied_llama_is_exported(self):
        self.assertExportedAsWeCompute({"llama": llama(tie_weights=True)})

    def test_our_byte_pairs_go_along(self):
        for name, model in (("gpt", gpt()), ("llama", llama())):
            spec = self.spec({name: model})
            spec["dataset"]["text"] = {"tokenizer": {"bpe": {"vocabulary": 290}}}
            ours = self.model(spec)
            text = "zebra jumps. \n quiz é"
            ids = subprocess.run([BIN / "lockstep", "tokenizer", "encode", "--tokenizer", ours], input=text, text=True,
                                 capture_output=True, check=True).stdout
            exported = self.exported(ours, name)
            self.assertEqual(self.peer.call("encode", str(exported), text), [290, list(map(int, ids.split()))])

    def test_a_model_that_only_looks_like_theirs_is_refused(self):
        theirs = self.make(hugging_face_llama())
        said = self.shared.refused(self.spec({"llama": llama(norm_epsilon=1e-5, rope_theta=10000, tie_weights=True)},
                                             **{"from": {"safetensors": str(theirs)}}))
        self.assertSays(said, "norm_epsilon is 1e-05, rms_norm_eps is 1e-06", "rope_theta is 10000", "50000", "tie_weights is true")


if __name__ == "__main__":
    unittest.main()
