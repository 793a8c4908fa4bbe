"""Language models from text to text: register, train on any number of workers, generate from the model's folder."""

import unittest

from cluster import NOT_FOUND, REPOSITORY, USAGE, Cluster, EndToEndTest, find_model, sha256

TEXT = "".join(f"line {i} of the story: the cat sat on mat {i % 7}.\n" for i in range(300))


class Text(EndToEndTest):
    @classmethod
    def setUpClass(cls):
        cls.shared = Cluster(workers=2).start()
        cls.addClassCleanup(cls.shared.close)

    def spec(self, path, workers=1, **text):
        return {
            "name": "story",
            "dataset": {"path": str(path), "text": text},
            "model": {"gpt": {"layers": 1, "heads": 2, "width": 16, "context": 16}},
            "train": {"epochs": 1, "max_steps": 30, "batch_size": 16, "optimizer": {"adamw": {"learning_rate": 0.01}}},
            "workers": {"min": workers, "max": workers},
        }

    def story(self):
        path = self.folder / "story.txt"
        path.write_text(TEXT)
        return path

    def model(self, job):
        target = self.folder / f"model-{job['id']}"
        self.shared.lockstep("download", job["id"], "--output", target)
        return target

    def test_the_same_text_gives_the_same_bits_on_one_and_two_workers(self):
        story = self.story()
        one = self.shared.run_to_end(self.spec(story))
        two = self.shared.run_to_end(self.spec(story, workers=2))
        self.assertEqual(*[sha256(find_model(self.model(job))) for job in (one, two)])
        self.assertEqual(one["metrics"], two["metrics"])
        self.assertLess(one["metrics"]["test/loss"], 3.4, "better than the 40 characters' log")
        self.assertIn("test/perplexity", one["metrics"])

    def test_a_model_folder_generates_what_its_seed_says(self):
        folder = self.model(self.shared.run_to_end(self.spec(self.story())))
        generate = lambda *flags, **more: self.shared.lockstep("generate", folder, "--prompt", "the cat", *flags, **more).stdout
        first = generate("--tokens", "40", "--seed", "3")
        self.assertEqual(len(first), 41, "40 characters and the line's end")
        self.assertEqual(first, generate("--tokens", "40", "--seed", "3", "--threads", "1"))
        self.assertNotEqual(first, generate("--tokens", "40", "--seed", "4"))
        greedy = generate("--tokens", "40", "--temperature", "0", "--seed", "3")
        self.assertEqual(greedy, generate("--tokens", "40", "--top-k", "1", "--seed", "4"))
        self.assertLessEqual(set(first), set(TEXT), "characters of the text alone")

    def test_generation_refuses_what_it_cannot_do(self):
        folder = self.model(self.shared.run_to_end(self.spec(self.story())))
        refused = lambda expect, *arguments: self.shared.lockstep("generate", *arguments, expect=expect).stderr
        self.assertSays(refused(USAGE, folder, "--prompt", "the ☃"), "byte 4", "never seen the character '☃'")
        self.assertSays(refused(USAGE, folder), "--prompt is missing")
        self.assertSays(refused(USAGE, folder, "--prompt", "x", "--temperature", "-1"), "--temperature")
        self.assertSays(refused(NOT_FOUND, self.folder / "none", "--prompt", "x"), "none: no such folder")
        weights = folder / "model.safetensors"
        damaged = bytearray(weights.read_bytes())
        damaged[-1] ^= 1
        weights.write_bytes(damaged)
        self.assertSays(refused(1, folder, "--prompt", "x"), "model.safetensors")

    def test_byte_pairs_and_token_shards_train_and_generate(self):
        story, tokenizer, shard = self.story(), self.folder / "tokenizer", self.folder / "story.bin"
        self.shared.lockstep("tokenizer", "train", story, "--vocabulary", "300", "--output", tokenizer)
        self.shared.lockstep("tokenizer", "tokens", story, "--tokenizer", tokenizer, "--output", shard)
        named = {"tokenizer": {"bpe": {"path": str(tokenizer)}}}
        for path in (story, shard):
            folder = self.model(self.shared.run_to_end(self.spec(path, **named)))
            said = self.shared.lockstep("generate", folder, "--prompt", "the cat", "--tokens", "5", "--temperature", "0").stdout
            self.assertTrue(said.strip())

    def test_datasets_of_text_are_listed_and_described(self):
        done = self.shared.lockstep("datasets", "register", self.story(), "--name", "tale")
        self.assertSays(done.stderr, r"tale@1: [\d,]+ characters")
        self.assertSays(self.shared.lockstep("datasets").stdout, "tale", "text", "language_model")
        self.assertSays(self.shared.lockstep("datasets", "describe", "tale").stdout, "Characters", "language_model")

    def test_the_example_trains_on_this_repositorys_source(self):
        done = self.shared.lockstep("run", REPOSITORY / "examples/char-gpt.yaml", "--output", self.folder / "model", "--workers", "1",
                                    "--set", "train.max_steps=3", "--set", "model.gpt.layers=1", "--set", "model.gpt.width=32")
        self.assertSays(done.stdout + done.stderr, "succeeded")
        said = self.shared.lockstep("generate", self.folder / "model", "--prompt", "absl::Status ", "--tokens", "10")
        self.assertEqual(len(said.stdout), 11)


if __name__ == "__main__":
    unittest.main()
