"""Our byte pairs against Hugging Face's `tokenizers`, both ways. Skipped where that package is not installed (peers.py)."""
import json
import os
import pathlib
import random
import subprocess
import tempfile
import unittest

from peers import Peer, needs_peer

BIN = os.environ.get("LOCKSTEP_BIN", "build/release/bin")
ROOT = pathlib.Path(__file__).resolve().parents[2]

# Runs in the other Python: trains or loads in `folder`; returns the ids of each text.
PEER = r"""
from tokenizers import ByteLevelBPETokenizer

def train(folder, vocabulary, texts):
    peer = ByteLevelBPETokenizer(add_prefix_space=False)
    # From a file it would take the lines one by one, and no piece of white space would cross their ends.
    text = open(folder + "/corpus.txt", newline="").read()
    peer.train_from_iterator([text], vocab_size=vocabulary, min_frequency=2, show_progress=False)
    peer.save_model(folder + "/theirs")
    return [peer.encode(text).ids for text in texts]

def load(folder, texts):
    peer = ByteLevelBPETokenizer(f"{folder}/vocab.json", f"{folder}/merges.txt", add_prefix_space=False)
    return [peer.encode(text).ids for text in texts]
"""


def texts():
    """Prose, code, and characters from everywhere, with the white space that decides where pieces end."""
    source = random.Random(7)
    some = ["", " ", "\n", "Hello world, it's 2024!!", "we'll  go\n\n\tnow  \n", "x=3.14é²½Ⅷ ٣", "日本語のテキスト。", "naïve café e\u0301",
            "\u00a0\u3000 \u2003a\u200bb", "👩‍👩‍👧 🇪🇺!", "don't DON'T 'tis o'clock 's"]
    alphabet = "ab \n\t'é²日٣!\u00a0\u3000\u0301Ⅷ😀"
    some += ["".join(source.choice(alphabet) for _ in range(200)) for _ in range(30)]
    some.append((ROOT / "common/text/byte_pair_training.cc").read_text())
    return some


@needs_peer("tokenizers")
class TokenizersAgree(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        (self.folder / "theirs").mkdir()
        corpus = "".join(path.read_text() for path in sorted((ROOT / "common").glob("*/*.cc"))) + "é日本 déjà vu " * 9
        (self.folder / "corpus.txt").write_text(corpus)
        self.texts = texts()
        self.peer = Peer("tokenizers", PEER)
        self.addCleanup(self.peer.close)

    def lockstep(self, *arguments, text=None):
        done = subprocess.run([f"{BIN}/lockstep", "tokenizer", *arguments], input=text, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout

    def ours(self, tokenizer):
        return [list(map(int, self.lockstep("encode", "--tokenizer", self.folder / tokenizer, text=text.encode()).split()))
                for text in self.texts]

    def test_same_training_gives_the_same_files_and_ids(self):
        theirs = self.peer.call("train", str(self.folder), 1500, self.texts)
        self.lockstep("train", self.folder / "corpus.txt", "--vocabulary", "1500", "--output", self.folder / "ours")
        self.assertEqual(json.loads((self.folder / "ours/vocab.json").read_text()),
                         json.loads((self.folder / "theirs/vocab.json").read_text()))
        merges = [(self.folder / name / "merges.txt").read_text().splitlines()[1:] for name in ("ours", "theirs")]
        self.assertEqual(*merges)
        self.assertEqual(self.ours("theirs"), theirs, "their files, read by us")
        self.assertEqual(self.peer.call("load", str(self.folder / "ours"), self.texts), theirs, "our files, read by them")

    def test_decoding_is_the_inverse_of_encoding(self):
        self.lockstep("train", self.folder / "corpus.txt", "--vocabulary", "600", "--output", self.folder / "ours")
        for text in self.texts:
            ids = self.lockstep("encode", "--tokenizer", self.folder / "ours", text=text.encode())
            self.assertEqual(self.lockstep("decode", "--tokenizer", self.folder / "ours", text=ids), text.encode())


if __name__ == "__main__":
    unittest.main()
