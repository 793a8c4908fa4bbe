#include "common/spec/spec.h"

#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

namespace lockstep {
namespace {

using google::protobuf::util::MessageDifferencer;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kDigits[] = R"(# the design's example
name: digits
dataset: { path: digits.csv, label: digit, split: { train: 0.8, validation: 0.1, test: 0.1 } }
model:   { mlp: { hidden: [128, 64], activation: relu, dropout: 0.1 } }
train:
  epochs: 20
  batch_size: 64
  optimizer: { adamw: { learning_rate: 1e-3 } }
  early_stopping: { patience: 3 }
workers: { min: 1, max: 4 }
seed: 7
)";

absl::StatusOr<v1::JobSpec> Parse(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
  return ParseSpec(yaml, "job.yaml", "", overrides);
}

std::string ParseError(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
  const auto spec = Parse(yaml, overrides);
  if (spec.ok()) return "(no error)";
  EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(spec.status().message());
}

v1::JobSpec Valid(const std::vector<std::string>& overrides = {}) {
  auto spec = Parse(kDigits, overrides);
  EXPECT_TRUE(spec.ok()) << spec.status();
  return spec.ok() ? *spec : v1::JobSpec();
}

std::string CompleteError(const std::vector<std::string>& overrides) {
  v1::JobSpec spec = Valid(overrides);
  const auto status = CompleteSpec(&spec);
  return status.ok() ? "(no error)" : std::string(status.message());
}

TEST(ParseSpec, TextOfEndlessDocumentsFillsTheMemory) {
  EXPECT_EQ(ParseError(",,{{"), "job.yaml: expected one YAML document, got several (separated by ---)");
}

TEST(ParseSpec, TextThatIsNoUtf8IsTaken) {
  EXPECT_EQ(ParseError("name: a\ndataset: { label: d\xEBgit }").substr(0, 58),
            "job.yaml: byte 27: expected UTF-8 text, got the byte 0xeb ");
  EXPECT_EQ(ParseError("name: a", {"dataset.label=d\xEBgit"}).substr(0, 41),
            "--set: byte 15: expected UTF-8 text, got ");
}

TEST(ParseSpec, ReadsTheDesignsExample) {
  const v1::JobSpec spec = Valid();
  EXPECT_EQ(spec.name(), "digits");
  EXPECT_EQ(spec.dataset().split().validation(), 0.1);
  EXPECT_THAT(spec.model().mlp().hidden(), ElementsAre(128, 64));
  EXPECT_EQ(spec.model().mlp().activation(), v1::ACTIVATION_RELU);
  EXPECT_EQ(spec.train().optimizer().adamw().learning_rate(), 1e-3);
  EXPECT_EQ(spec.train().early_stopping().patience(), 3);
  EXPECT_EQ(spec.workers().max(), 4);
  EXPECT_EQ(spec.seed(), 7u);
}

TEST(ParseSpec, UnknownFieldNamesLinePathAndNearest) {
  EXPECT_EQ(ParseError("name: a\ntrain:\n  optimzer: { sgd: {} }\n"),
            "job.yaml:3: train.optimzer: unknown field; did you mean 'optimizer'?");
}

TEST(ParseSpec, UnknownFieldWithoutANearNameListsThoseThatExist) {
  EXPECT_EQ(
      ParseError("workers: { zebra: 1 }"),
      "job.yaml:1: workers.zebra: unknown field; expected one of min, max, silence, step_limit, device");
  EXPECT_EQ(ParseError("model:\n  linear: { width: 3 }"),
            "job.yaml:2: model.linear.width: unknown field; no fields are expected here");
}

TEST(ParseSpec, WrongTypesSayExpectedAndGot) {
  EXPECT_EQ(ParseError("train:\n  epochs: many"),
            "job.yaml:2: train.epochs: expected an integer, got 'many'");
  EXPECT_EQ(ParseError("train: { epochs: '5' }"),
            "job.yaml:1: train.epochs: expected an integer, got the text '5'");
  EXPECT_EQ(ParseError("train: { epochs: 2.5 }"), "job.yaml:1: train.epochs: expected an integer, got '2.5'");
  EXPECT_EQ(ParseError("train: { epochs: [1] }"),
            "job.yaml:1: train.epochs: expected an integer, got a list");
  EXPECT_EQ(ParseError("train: { epochs: }"), "job.yaml:1: train.epochs: expected an integer, got nothing");
  EXPECT_EQ(ParseError("train: { l2: { a: 1 } }"), "job.yaml:1: train.l2: expected a number, got a mapping");
  EXPECT_EQ(ParseError("train: { l2: nan }"), "job.yaml:1: train.l2: expected a number, got 'nan'");
  EXPECT_EQ(ParseError("reproducible: maybe"),
            "job.yaml:1: reproducible: expected true or false, got 'maybe'");
  EXPECT_EQ(ParseError("name: [a]"), "job.yaml:1: name: expected text, got a list");
  EXPECT_EQ(ParseError("model: { mlp: { hidden: 64 } }"),
            "job.yaml:1: model.mlp.hidden: expected a list such as [128, 64], got '64'");
  EXPECT_EQ(ParseError("model: { mlp: { hidden: [64, wide] } }"),
            "job.yaml:1: model.mlp.hidden[1]: expected an integer, got 'wide'");
  EXPECT_THAT(
      ParseError("workers: 4"),
      StartsWith(
          "job.yaml:1: workers: expected a mapping with min, max, silence, step_limit, device, got '4'"));
  EXPECT_THAT(ParseError("- a\n- b"), HasSubstr("expected a mapping with name, dataset, model"));
}

TEST(ParseSpec, IntegersOutOfRangeAreNotTruncated) {
  EXPECT_THAT(ParseError("train: { epochs: 5000000000 }"),
              HasSubstr("from -2147483648 to 2147483647, got '5000000000'"));
  EXPECT_THAT(ParseError("seed: -1"), HasSubstr("from 0 to 18446744073709551615, got '-1'"));
  EXPECT_THAT(ParseError("train: { epochs: 1e3 }"), HasSubstr("plain digits"));
  EXPECT_EQ(Valid({"seed=18446744073709551615"}).seed(), 18446744073709551615u);
}

TEST(ParseSpec, EnumsAreLowerCaseWithoutPrefix) {
  EXPECT_EQ(
      ParseError("model: { mlp: { activation: rellu } }"),
      "job.yaml:1: model.mlp.activation: expected one of relu, tanh, sigmoid, gelu, silu, got 'rellu'; did "
      "you mean "
      "'relu'?");
  EXPECT_THAT(ParseError("model: { mlp: { activation: ACTIVATION_RELU } }"),
              HasSubstr("expected one of relu"));
  EXPECT_THAT(ParseError("model: { mlp: { activation: unspecified } }"), HasSubstr("expected one of relu"));
  EXPECT_EQ(Parse("dataset: { columns: { age: numeric, 'a.b': ignore } }")->dataset().columns().at("a.b"),
            v1::COLUMN_TYPE_IGNORE);
  EXPECT_THAT(ParseError("dataset:\n  columns:\n    age: number"),
              StartsWith("job.yaml:3: dataset.columns.age: expected one of numeric, categorical, ignore"));
}

TEST(ParseSpec, DurationsHaveUnits) {
  EXPECT_EQ(Parse("checkpoint: { every: 30s }")->checkpoint().every().seconds(), 30);
  EXPECT_EQ(Parse("checkpoint: { every: 5m }")->checkpoint().every().seconds(), 300);
  EXPECT_EQ(Parse("checkpoint: { every: 1500ms }")->checkpoint().every().nanos(), 500000000);
  EXPECT_EQ(ParseError("checkpoint: { every: 30 }"),
            "job.yaml:1: checkpoint.every: expected a duration such as 30s, 5m or 1h30m, got '30'");
  EXPECT_THAT(ParseError("checkpoint: { every: inf }"), HasSubstr("expected a duration"));
}

TEST(ParseSpec, TwoKeysOfOneOneofAreRefused) {
  EXPECT_EQ(
      ParseError("model:\n  mlp: { hidden: [3] }\n  softmax: {}\n"),
      "job.yaml:3: model.softmax: 'mlp' was already chosen in line 2; give only one of linear, softmax, mlp, "
      "svm, cnn, resnet, lstm, gru, gpt, llama, autoencoder, graph");
}

TEST(ParseSpec, NullAndEmptyMappingAreAnEmptyMessage) {
  EXPECT_TRUE(Parse("model: { softmax: {} }")->model().has_softmax());
  const auto bare = Parse("train:\n  optimizer:\n    adamw:\n");
  ASSERT_TRUE(bare.ok()) << bare.status();
  EXPECT_TRUE(bare->train().optimizer().has_adamw());
}

TEST(ParseSpec, ListsOfMappingsKeepOrderAndNameTheItem) {
  const auto spec = Parse("train:\n  groups:\n    - { pattern: a, weight_decay: 0 }\n    - pattern: b\n");
  ASSERT_TRUE(spec.ok()) << spec.status();
  ASSERT_EQ(spec->train().groups_size(), 2);
  EXPECT_TRUE(spec->train().groups(0).has_weight_decay());
  EXPECT_EQ(spec->train().groups(1).pattern(), "b");
  EXPECT_EQ(ParseError("train:\n  groups:\n    - { patern: a }\n"),
            "job.yaml:3: train.groups[0].patern: unknown field; did you mean 'pattern'?");
  EXPECT_EQ(ParseError("train: { groups: { pattern: a } }"),
            "job.yaml:1: train.groups: expected a list of mappings with pattern, learning_rate_factor, "
            "weight_decay, got a mapping");
  EXPECT_EQ(ParseError("train: { freeze: a }"),
            "job.yaml:1: train.freeze: expected a list such as [one, two], got 'a'");
}

TEST(ParseSpec, DuplicateKeysAreRefused) {
  EXPECT_EQ(ParseError("seed: 1\nname: a\nseed: 2\n"), "job.yaml:3: seed: given twice; first in line 1");
  EXPECT_EQ(ParseError("dataset:\n  columns:\n    a: numeric\n    a: ignore\n"),
            "job.yaml:4: dataset.columns.a: given twice; first in line 3");
}

TEST(ParseSpec, BrokenYamlIsAStatusWithALine) {
  EXPECT_THAT(ParseError("name: a\ntrain: { epochs: 5\n"),
              AllOf(StartsWith("job.yaml:"), HasSubstr("not valid YAML")));
  EXPECT_THAT(ParseError("a: b: c\n"), HasSubstr("not valid YAML"));
  EXPECT_THAT(ParseError("name: *nobody\n"), HasSubstr("not valid YAML"));
  EXPECT_THAT(ParseError("a: 1\n---\nb: 2\n"), HasSubstr("one YAML document, got several"));
  EXPECT_THAT(ParseError(""), HasSubstr("is empty"));
  EXPECT_THAT(ParseError("# nothing\n"), HasSubstr("is empty"));
  EXPECT_THAT(ParseError("? [a]\n: 1\n"), HasSubstr("expected a field name, got a list"));
}

TEST(ParseSpec, NestingBeyondAllReasonIsAnErrorAndNoCrash) {
  EXPECT_THAT(ParseError("name: " + std::string(100000, '[')), HasSubstr("job.yaml"));
}

TEST(Override, SetsFieldsByDottedPath) {
  const v1::JobSpec spec = Valid({"train.epochs=5", "model.mlp.hidden=[7]", "dataset.columns.a.b=ignore",
                                  "checkpoint.every=5m", "train.early_stopping.metric=validation/f1"});
  EXPECT_EQ(spec.train().epochs(), 5);
  EXPECT_EQ(spec.train().batch_size(), 64);  // its neighbour stays
  EXPECT_THAT(spec.model().mlp().hidden(), ElementsAre(7));
  EXPECT_EQ(spec.dataset().columns().at("a.b"), v1::COLUMN_TYPE_IGNORE);
  EXPECT_EQ(spec.checkpoint().every().seconds(), 300);
  EXPECT_EQ(spec.train().early_stopping().metric(), "validation/f1");
}

TEST(Override, LaterOnesWinAndOneofsSwitch) {
  EXPECT_EQ(Valid({"seed=1", "seed=2"}).seed(), 2u);
  const v1::JobSpec spec = Valid({"train.optimizer.sgd.momentum=0.9", "model={softmax: {}}"});
  EXPECT_TRUE(spec.train().optimizer().has_sgd());
  EXPECT_TRUE(spec.model().has_softmax());
}

TEST(Override, ErrorsNameTheOverride) {
  EXPECT_EQ(ParseError(kDigits, {"train.epohcs=5"}),
            "--set train.epohcs=5: train.epohcs: unknown field; did you mean 'epochs'?");
  EXPECT_EQ(ParseError(kDigits, {"train.epochs=x"}),
            "--set train.epochs=x: train.epochs: expected an integer, got 'x'");
  EXPECT_EQ(ParseError(kDigits, {"train.epochs.x=1"}),
            "--set train.epochs.x=1: train.epochs: has no fields, so '.x' cannot follow");
  EXPECT_EQ(ParseError(kDigits, {"train.epochs"}),
            "--set train.epochs: expected field=value, for example train.epochs=5");
  EXPECT_THAT(ParseError(kDigits, {"=5"}), HasSubstr("expected field=value"));
  EXPECT_THAT(ParseError(kDigits, {"train..epochs=5"}), HasSubstr("unknown field"));
  EXPECT_THAT(ParseError(kDigits, {"model.mlp.hidden=[1"}), HasSubstr("the value is not valid YAML"));
}

TEST(ReadSpec, RelativePathsAreResolvedAgainstTheSpecsFolder) {
  const std::string folder = ::testing::TempDir() + "/spec_test_folder";
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/job.yaml")
      << "dataset: { path: ../d.csv, labels: /abs/l.idx }\nfrom: { path: c }\n";
  const auto spec = ReadSpec(folder + "/job.yaml", {});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->dataset().path(),
            (std::filesystem::path(::testing::TempDir()) / "d.csv").lexically_normal().string());
  EXPECT_EQ(spec->dataset().labels(), "/abs/l.idx");
  EXPECT_EQ(spec->from().path(), std::filesystem::path(folder + "/c").lexically_normal().string());
}

TEST(ReadSpec, MissingFileAndFolderAreNamed) {
  const auto missing = ReadSpec("/nowhere/job.yaml", {});
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("/nowhere/job.yaml: no such file"));
  EXPECT_THAT(std::string(ReadSpec(::testing::TempDir(), {}).status().message()),
              HasSubstr("is a directory"));
}

TEST(CompleteSpec, FillsTheDefaultsOfTheProto) {
  auto spec = *Parse("dataset: { path: a.csv }\nmodel: { mlp: { hidden: [8] } }");
  ASSERT_TRUE(CompleteSpec(&spec).ok());
  EXPECT_EQ(spec.name(), "mlp");
  EXPECT_EQ(spec.dataset().split().train(), 0.8);
  EXPECT_EQ(spec.dataset().scaling(), v1::SCALING_STANDARD);
  EXPECT_EQ(spec.model().mlp().activation(), v1::ACTIVATION_RELU);
  EXPECT_EQ(spec.train().epochs(), 10);
  EXPECT_EQ(spec.train().batch_size(), 64);
  EXPECT_EQ(spec.train().logical_shards(), 8);
  EXPECT_EQ(spec.train().optimizer().adamw().weight_decay(), 0.01);
  EXPECT_TRUE(spec.train().schedule().has_constant());
  EXPECT_FALSE(spec.train().has_early_stopping());
  EXPECT_FALSE(spec.train().has_gradient_clip());
  EXPECT_FALSE(spec.train().has_max_steps());
  EXPECT_EQ(spec.workers().max(), 1);
  EXPECT_EQ(spec.seed(), 1u);
  EXPECT_EQ(spec.checkpoint().keep_last(), 3);
  EXPECT_TRUE(spec.reproducible());
  EXPECT_EQ(spec.train().loss(), v1::LOSS_UNSPECIFIED);
  EXPECT_EQ(spec.dataset().task(), v1::TASK_UNSPECIFIED);
}

TEST(CompleteSpec, IsIdempotent) {
  v1::JobSpec once = Valid();
  ASSERT_TRUE(CompleteSpec(&once).ok());
  v1::JobSpec twice = once;
  ASSERT_TRUE(CompleteSpec(&twice).ok());
  EXPECT_TRUE(MessageDifferencer::Equals(once, twice));
}

TEST(CompleteSpec, MaxFollowsMin) {
  auto spec = *Parse("dataset: { path: a }\nmodel: { softmax: }\nworkers: { min: 3 }");
  ASSERT_TRUE(CompleteSpec(&spec).ok());
  EXPECT_EQ(spec.workers().max(), 3);
}

TEST(CompleteSpec, ATrainersSilenceIsFiveSecondsUnlessTheSpecSaysMore) {
  v1::JobSpec spec = Valid();
  ASSERT_TRUE(CompleteSpec(&spec).ok());
  EXPECT_EQ(spec.workers().silence().seconds(), 5);
  EXPECT_FALSE(spec.workers().has_step_limit());
  spec.mutable_workers()->mutable_silence()->set_seconds(0);
  EXPECT_THAT(std::string(CompleteSpec(&spec).message()), HasSubstr("workers.silence: expected at least 1s"));
  spec = Valid();
  spec.mutable_workers()->mutable_step_limit()->set_seconds(-3);
  EXPECT_THAT(std::string(CompleteSpec(&spec).message()), HasSubstr("workers.step_limit"));
}

struct Case {
  std::vector<std::string> overrides;
  std::string error;  // part of it
};

void PrintTo(const Case& c, std::ostream* os) { *os << c.error; }

class RefusedSpec : public ::testing::TestWithParam<Case> {};

TEST_P(RefusedSpec, NamesTheFieldAndWhatIsExpected) {
  EXPECT_THAT(CompleteError(GetParam().overrides), HasSubstr(GetParam().error));
}

INSTANTIATE_TEST_SUITE_P(
    Ranges, RefusedSpec,
    ::testing::Values(
        Case{{"train.epochs=0"}, "train.epochs: expected an integer from 1 to 1000000, got 0"},
        Case{{"train.epochs=1000001"}, "train.epochs: expected"},
        Case{{"train.batch_size=0"}, "train.batch_size: expected an integer from 1 to 1000000, got 0"},
        Case{{"train.logical_shards=0"}, "train.logical_shards: expected"},
        Case{{"train.logical_shards=1025"}, "train.logical_shards: expected an integer from 1 to 1024"},
        Case{{"model.mlp.dropout=1"},
             "model.mlp.dropout: expected a number from 0 up to but not including 1, got 1"},
        Case{{"model.mlp.dropout=-0.1"}, "model.mlp.dropout: expected"},
        Case{{"model.mlp.hidden=[]"}, "model.mlp.hidden: expected at least one width"},
        Case{{"model.mlp.hidden=[8, 0]"}, "model.mlp.hidden[1]: expected an integer from 1 to 65536, got 0"},
        Case{{"model.mlp.hidden=[65537]"}, "model.mlp.hidden[0]: expected"},
        Case{{"train.optimizer.adamw.learning_rate=0"},
             "adamw.learning_rate: expected a finite number above 0"},
        Case{{"train.optimizer.adamw.beta2=1"}, "adamw.beta2: expected"},
        Case{{"train.optimizer.adam.epsilon=0"}, "adam.epsilon: expected"},
        Case{{"train.optimizer.sgd.learning_rate=-1"}, "sgd.learning_rate: expected"},
        Case{{"train.optimizer.sgd.momentum=1"}, "sgd.momentum: expected"},
        Case{{"train.optimizer.sgd.nesterov=true"}, "sgd.nesterov: needs a momentum"},
        Case{{"train.optimizer.sgd.weight_decay=-1"}, "sgd.weight_decay: expected"},
        Case{{"train.schedule.warmup_steps=-1"}, "train.schedule.warmup_steps: expected"},
        Case{{"train.schedule.step.every_epochs=0"},
             "every_epochs: expected an integer of at least 1, got 0"},
        Case{{"train.schedule.cosine.final_factor=2"}, "final_factor: expected a number from 0 to 1"},
        Case{{"train.l1=-1"}, "train.l1: expected"}, Case{{"train.l2=-1"}, "train.l2: expected"},
        Case{{"train.gradient_clip={}"}, "train.gradient_clip: expected 'norm' or 'value'"},
        Case{{"train.gradient_clip.norm=0"}, "gradient_clip.norm: expected"},
        Case{{"train.max_steps=0"}, "train.max_steps: expected"},
        Case{{"train.report_every_steps=0"}, "train.report_every_steps: expected"},
        Case{{"train.early_stopping.patience=0"}, "patience: expected"},
        Case{{"train.early_stopping.metric=validation/acuracy"}, "did you mean 'validation/accuracy'?"},
        Case{{"train.early_stopping.metric=loss"}, "did you mean 'validation/loss'?"},
        Case{{"workers.min=0"}, "workers.min: expected an integer of at least 1, got 0"},
        Case{{"workers.min=5"}, "workers.max: expected at least workers.min (5), got 4"},
        Case{{"workers.max=9"}, "a logical shard is the unit of work"},
        Case{{"dataset.split.train=0.7"}, "expected a sum of 1"},
        Case{{"dataset.split.test=0"}, "dataset.split.test: expected a fraction"},
        Case{{"dataset.name=digits"}, "dataset: expected either 'path' (a file) or 'name'"},
        Case{{"dataset.path="}, "(a registered dataset), got neither"},
        Case{{"name=Digits"}, "name: expected 1 to 63"}, Case{{"name=-a"}, "name: expected"},
        Case{{"priority=1001"}, "priority: expected an integer from -1000"},
        Case{{"checkpoint.keep_last=0"}, "checkpoint.keep_last: expected"},
        Case{{"checkpoint.every_steps=0"}, "checkpoint.every_steps: expected"},
        Case{{"checkpoint.every=0s"}, "checkpoint.every: expected"},
        Case{{"from={}"}, "from: expected one of 'job', 'path' and 'safetensors', got none"},
        Case{{"from.job=a", "from.step=3", "from.best=true"}, "from: expected either 'step' or 'best'"},
        Case{{"from.path=/a", "from.best=true"}, "'path' already names one"},
        Case{{"model={linear: {}}", "dataset.task=classification"},
             "model.linear: is for regression, but dataset.task"},
        Case{{"model={softmax: {}}", "train.loss=mean_squared_error"},
             "is for regression or reconstruction, but model.softmax"},
        Case{{"dataset.task=regression", "train.early_stopping.metric=validation/f1"},
             "is for classification"}));

TEST(CompleteSpec, MissingPartsAreNamed) {
  v1::JobSpec spec;
  EXPECT_THAT(std::string(CompleteSpec(&spec).message()), StartsWith("dataset: missing"));
  spec.mutable_dataset();
  EXPECT_THAT(std::string(CompleteSpec(&spec).message()), HasSubstr("got neither"));
  spec.mutable_dataset()->set_path("a");
  EXPECT_THAT(std::string(CompleteSpec(&spec).message()), StartsWith("model: missing"));
}

TEST(SpecToYaml, ReadsBackToAnEqualMessage) {
  v1::JobSpec spec =
      Valid({"checkpoint.every=90s", "from={job: j, best: true}", "dataset.columns={'a: b': ignore}",
             "dataset.label='it''s \"quoted\" #1'", "train.l2=0.1234567890123456789", "name=\"5\"",
             "train.gradient_clip.norm=1e-300", "dataset.labels='null'",
             "train.groups=[{pattern: 'h.*', weight_decay: 0}, {pattern: b}]", "train.freeze=['x?']"});
  ASSERT_TRUE(CompleteSpec(&spec).ok());
  const std::string yaml = SpecToYaml(spec);
  const auto again = Parse(yaml);
  ASSERT_TRUE(again.ok()) << again.status() << "\n" << yaml;
  EXPECT_TRUE(MessageDifferencer::Equals(spec, *again)) << yaml;
}

TEST(SpecHash, DependsOnWhatDecidesTheWeightsAlone) {
  const std::string hash = SpecHash(Valid());
  EXPECT_EQ(hash.size(), 16u);
  EXPECT_EQ(hash, SpecHash(Valid({"name=other", "workers.max=2", "priority=5", "checkpoint.keep_last=9"})));
  EXPECT_NE(hash, SpecHash(Valid({"seed=8"})));
  EXPECT_NE(hash, SpecHash(Valid({"train.epochs=21"})));
  EXPECT_NE(hash, SpecHash(Valid({"train.logical_shards=4"})));
}

TEST(Nearest, FindsTyposAndNothingFarAway) {
  const std::vector<std::string> names = {"epochs", "batch_size", "optimizer", "l1", "l2"};
  EXPECT_EQ(Nearest("epoch", names), "epochs");
  EXPECT_EQ(Nearest("batchsize", names), "batch_size");
  EXPECT_EQ(Nearest("batch-size", names), "batch_size");
  EXPECT_EQ(Nearest("Optimiser", names), "optimizer");
  EXPECT_EQ(Nearest("eopchs", names), "epochs");
  EXPECT_EQ(Nearest("zebra", names), "");
  EXPECT_EQ(Nearest("", names), "");
  EXPECT_EQ(Nearest(std::string(100000, 'a'), names), "");
}

}  // namespace
}  // namespace lockstep
