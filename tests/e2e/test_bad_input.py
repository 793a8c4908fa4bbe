"""Bad specs and bad data are refused with an error that says where, what was expected and what to do."""

import os
import struct
import unittest

from cluster import Cluster, EndToEndTest, digits_spec

NOBODY = 65534

CSV = """height,weight,colour,kind
1.5,10,red,a
1.6,11,blue,b
1.7,12,red,a
1.8,13,blue,b
"""


class BadSpec(EndToEndTest):
    @classmethod
    def setUpClass(cls):
        cls.shared = Cluster(workers=0).start()
        cls.addClassCleanup(cls.shared.close)

    def refused(self, spec):
        before = len(self.shared.jobs())
        said = self.shared.refused(spec)
        self.assertEqual(len(self.shared.jobs()), before, "a refused spec left a job")
        return said

    def with_data(self, text, label="kind", **further):
        path = self.folder / "data.csv"
        path.write_text(text)
        spec = digits_spec(dataset={"path": str(path), "label": label, **further})
        spec["model"] = {"softmax": {}}
        return spec

    def test_unknown_field_names_file_line_and_the_nearest_name(self):
        text = "name: x\ndataset: { path: d.csv, label: y }\nmodel: { softmax: {} }\ntrain:\n  epochs: 3\n  optimzer: { adamw: {} }\n"
        said = self.refused(text)
        self.assertSays(said, r"spec-\d+\.yaml:6", "optimzer", "did you mean.*optimizer")

    def test_wrong_type_names_file_line_and_what_was_expected(self):
        said = self.refused("name: x\ndataset: { path: d.csv, label: y }\nmodel: { softmax: {} }\ntrain:\n  epochs: many\n")
        self.assertSays(said, r"spec-\d+\.yaml:5", "epochs", "number|integer", "many")

    def test_unknown_enum_value_names_the_nearest_one(self):
        spec = digits_spec()
        spec["model"]["mlp"]["activation"] = "rellu"
        self.assertSays(self.refused(spec), "activation", "rellu", "relu")

    def test_value_out_of_range_names_the_field(self):
        spec = digits_spec()
        spec["model"]["mlp"]["dropout"] = 1.5
        self.assertSays(self.refused(spec), "dropout", r"1\.5")

    def test_override_that_names_no_field_is_refused(self):
        path = self.shared.write_spec(digits_spec())
        done = self.shared.lockstep("submit", path, "--set", "train.epoch=5", expect=None)
        self.assertSays(done.stderr, "epoch", "did you mean.*epochs")

    def test_missing_spec_file_is_named(self):
        done = self.shared.lockstep("submit", self.folder / "absent.yaml", expect=None)
        self.assertSays(done.stderr, "absent.yaml")

    def test_broken_yaml_names_the_line(self):
        self.assertSays(self.refused("name: x\nmodel: { mlp: [\n"), r"spec-\d+\.yaml:\d+")

    def test_missing_dataset_is_named(self):
        spec = digits_spec()
        spec["dataset"]["path"] = str(self.folder / "absent.csv")
        self.assertSays(self.refused(spec), "absent.csv", "no such file|not found|does not exist")

    def test_a_folder_is_not_a_dataset(self):
        spec = digits_spec()
        spec["dataset"]["path"] = str(self.folder)
        self.assertSays(self.refused(spec), str(self.folder))

    def test_unreadable_dataset_is_named(self):
        spec = self.with_data(CSV)
        os.chmod(self.folder, 0o755)
        os.chmod(self.folder / "data.csv", 0)
        cluster = self.shared
        if os.geteuid() == 0:  # root reads everything: the coordinator must be somebody else
            try:
                cluster = self.cluster(workers=0, user=NOBODY)
            except PermissionError as error:
                self.skipTest(f"another user cannot run the programs here: {error}")
        self.assertSays(cluster.refused(spec), "data.csv", "permission")

    def test_ragged_row_names_the_row(self):
        said = self.refused(self.with_data(CSV + "1.9,14,red\n"))
        self.assertSays(said, r"row 5", r"\b3\b", r"\b4\b")

    def test_non_numeric_cell_names_row_and_column(self):
        spec = self.with_data(CSV.replace("1.7,12", "1.7,heavy"), columns={"weight": "numeric"})
        self.assertSays(self.refused(spec), r"row 3", "weight", "heavy")

    def test_absent_label_column_names_the_nearest(self):
        self.assertSays(self.refused(self.with_data(CSV, label="knd")), "knd", "kind")

    def test_empty_file_is_refused(self):
        self.assertSays(self.refused(self.with_data("")), "data.csv", "empty")

    def test_header_without_rows_is_refused(self):
        self.assertSays(self.refused(self.with_data("height,weight,colour,kind\n")), "data.csv", "no data|no rows")

    def test_split_that_leaves_a_part_empty_is_refused(self):
        spec = self.with_data(CSV, split={"train": 0.98, "validation": 0.01, "test": 0.01})
        self.assertSays(self.refused(spec), "validation|test", "empty")

    def test_split_that_does_not_sum_to_one_is_refused(self):
        spec = digits_spec()
        spec["dataset"]["split"] = {"train": 0.8, "validation": 0.1, "test": 0.3}
        self.assertSays(self.refused(spec), "split", "1")

    def test_model_that_does_not_fit_the_task_is_refused(self):
        spec = digits_spec(model={"linear": {}})
        self.assertSays(self.refused(spec), "linear", "classification|regression")

    def test_more_workers_than_logical_shards_are_refused(self):
        spec = digits_spec(workers={"min": 1, "max": 9})
        self.assertSays(self.refused(spec), "max", "logical_shards", "8")

    def test_message_over_the_size_limit_is_refused_by_name(self):
        spec = digits_spec()
        spec["dataset"]["path"] = "/" + "x" * (8 << 20)
        self.assertSays(self.refused(spec)[-4000:], "larger|limit|size")

    def language(self, path, **model):
        spec = digits_spec(dataset={"path": str(path)}, model={"gpt": {"layers": 1, "heads": 2, "width": 16, "context": 8, **model}})
        return spec

    def test_a_token_out_of_the_vocabulary_names_file_and_position(self):
        tokens = [index % 50 for index in range(2000)]
        tokens[1234] = 77
        path = self.folder / "story.bin"
        path.write_bytes(struct.pack("<iii", 20240520, 1, len(tokens)).ljust(1024, b"\0") + struct.pack(f"<{len(tokens)}H", *tokens))
        said = self.refused(self.language(path, vocabulary=60))
        self.assertSays(said, r"token 1235 of 2000 in .*story.bin \(byte 3492\) is 77", "model's vocabulary has the ids 0 .. 59")

    def test_a_sequence_longer_than_the_context_is_refused(self):
        path = self.folder / "story.txt"
        path.write_text("once upon a time " * 100)
        spec = self.language(path)
        spec["dataset"]["text"] = {"sequence_length": 9}
        self.assertSays(self.refused(spec), "sequence_length", r"\b9\b", r"context \(8\)")

    def test_heads_that_do_not_divide_the_width_are_refused(self):
        path = self.folder / "story.txt"
        path.write_text("once upon a time " * 100)
        self.assertSays(self.refused(self.language(path, heads=3)), "model.gpt.heads", "3 heads do not divide width 16")

    def test_coordinator_survives_all_that(self):
        self.assertTrue(self.shared.coordinator.alive())
        self.assertSays(self.refused("name: [\n"), "yaml")


if __name__ == "__main__":
    unittest.main()
