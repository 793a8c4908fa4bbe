#include "common/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "common/data/testing.h"
#include "nlohmann/json.hpp"

namespace lockstep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::JobSpec Job(double train, double validation, double test, uint64_t seed = 7) {
  v1::JobSpec spec;
  spec.set_seed(seed);
  v1::SplitSpec* split = spec.mutable_dataset()->mutable_split();
  split->set_train(train);
  split->set_validation(validation);
  split->set_test(test);
  return spec;
}

std::unique_ptr<PreparedDataset> Prepared(const v1::DatasetSpec& data, const v1::JobSpec& job) {
  absl::StatusOr<v1::Dataset> dataset = InspectDataset(data);
  EXPECT_TRUE(dataset.ok()) << dataset.status();
  if (!dataset.ok()) return nullptr;
  auto prepared = PreparedDataset::Prepare(*dataset, job);
  EXPECT_TRUE(prepared.ok()) << prepared.status();
  return prepared.ok() ? *std::move(prepared) : nullptr;
}

// x = 0..n-1, y = one of `classes` letters in turn.
std::string Letters(int n, int classes) {
  std::string text = "x,y\n";
  for (int i = 0; i < n; ++i)
    text += absl::StrCat(i, ",", std::string(1, static_cast<char>('a' + i % classes)), "\n");
  return text;
}

std::vector<float> AllFeatures(const PreparedDataset& data, Part part, int64_t epoch = 0) {
  std::vector<float> out(static_cast<size_t>(data.size(part) * data.features()));
  data.Fetch(part, epoch, 0, data.size(part), out.data(), nullptr, nullptr);
  return out;
}

TEST(PreparedDataset, PartsAreDisjointAndCoverEveryRecord) {
  TempDir dir;
  auto data = Prepared(CsvSpec(dir.Write("d.csv", Letters(1000, 3)), "y"), Job(0.7, 0.2, 0.1));
  std::set<int64_t> seen;
  for (Part part : {Part::kTrain, Part::kValidation, Part::kTest}) {
    for (int64_t i = 0; i < data->size(part); ++i)
      EXPECT_TRUE(seen.insert(data->RecordAt(part, 0, i)).second);
  }
  EXPECT_EQ(seen.size(), 1000u);
  EXPECT_EQ(data->size(Part::kTrain), 700);
  EXPECT_EQ(data->size(Part::kValidation), 200);
  EXPECT_EQ(data->size(Part::kTest), 100);
}

TEST(PreparedDataset, ReconstructionNeedsALabelOrLearnsFromIt) {
  TempDir dir;
  std::string text = "a,b,y\n";
  for (int i = 0; i < 50; ++i) text += absl::StrCat(i, ",", i % 7, ",", i % 2, "\n");
  const std::string path = dir.Write("d.csv", text);
  v1::JobSpec job = Job(0.8, 0.1, 0.1);
  job.mutable_dataset()->set_task(v1::TASK_RECONSTRUCTION);
  for (const std::string label : {"", "y"}) {
    v1::DatasetSpec spec = CsvSpec(path, label);
    spec.set_task(v1::TASK_RECONSTRUCTION);
    const auto data = Prepared(spec, job);
    ASSERT_NE(data, nullptr);
    EXPECT_EQ(data->task(), v1::TASK_RECONSTRUCTION);
    EXPECT_EQ(data->features(), label.empty() ? 3 : 2);
    EXPECT_EQ(data->outputs(), data->features());
    std::vector<float> x(5 * data->features()), targets(x.size(), -9);
    data->Fetch(Part::kTrain, 3, 7, 5, x.data(), nullptr, targets.data());
    EXPECT_EQ(targets, x);
    EXPECT_EQ(nlohmann::json::parse(data->PreprocessingJson())["task"], "reconstruction");
  }
  // A dataset that was registered as a classification task.
  const auto registered = Prepared(CsvSpec(path, "y"), job);
  ASSERT_NE(registered, nullptr);
  EXPECT_EQ(registered->task(), v1::TASK_RECONSTRUCTION);
  EXPECT_EQ(registered->outputs(), 2);
}

TEST(PreparedDataset, ReconstructionOfImagesNeedsLabels) {
  TempDir dir;
  std::string pixels = IdxHeader(8, {30, 2, 2});
  for (int i = 0; i < 120; ++i) pixels += static_cast<char>(i);
  v1::DatasetSpec spec = IdxSpec(dir.Write("x.idx", pixels), "");
  spec.set_task(v1::TASK_RECONSTRUCTION);
  v1::JobSpec job = Job(0.8, 0.1, 0.1);
  const auto data = Prepared(spec, job);
  ASSERT_NE(data, nullptr);
  EXPECT_EQ(data->outputs(), 4);
  spec.set_labels("y.idx");
  EXPECT_THAT(std::string(InspectDataset(spec).status().message()), HasSubstr("leave it out"));
}

TEST(PreparedDataset, EveryEpochIsAnotherOrderOfTheSameTrainingRecords) {
  TempDir dir;
  auto data = Prepared(CsvSpec(dir.Write("d.csv", Letters(200, 2)), "y"), Job(0.8, 0.1, 0.1));
  std::vector<std::vector<int64_t>> orders;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<int64_t>& order = orders.emplace_back();
    for (int64_t i = 0; i < 160; ++i) order.push_back(data->RecordAt(Part::kTrain, epoch, i));
  }
  EXPECT_NE(orders[0], orders[1]);
  EXPECT_NE(orders[1], orders[2]);
  for (auto& order : orders) std::sort(order.begin(), order.end());
  EXPECT_EQ(orders[0], orders[1]);
  EXPECT_EQ(AllFeatures(*data, Part::kTest, 0), AllFeatures(*data, Part::kTest, 5));
}

TEST(PreparedDataset, FetchGivesTheRowsOfRecordAt) {
  TempDir dir;
  v1::JobSpec job = Job(0.8, 0.1, 0.1);
  job.mutable_dataset()->set_scaling(v1::SCALING_NONE);
  auto data = Prepared(CsvSpec(dir.Write("d.csv", Letters(500, 4)), "y"), job);
  for (Part part : {Part::kTrain, Part::kValidation, Part::kTest}) {
    for (int64_t first : {int64_t{0}, int64_t{7}}) {
      const int64_t count = data->size(part) - first;
      std::vector<float> features(static_cast<size_t>(count));
      std::vector<int32_t> classes(static_cast<size_t>(count));
      data->Fetch(part, 3, first, count, features.data(), classes.data(), nullptr);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t record = data->RecordAt(part, 3, first + i);
        EXPECT_EQ(features[static_cast<size_t>(i)], static_cast<float>(record));
        EXPECT_EQ(classes[static_cast<size_t>(i)], record % 4);
      }
    }
  }
}

TEST(PreparedDataset, SameSeedGivesTheSameSplitAndAnotherSeedAnother) {
  TempDir dir;
  const v1::DatasetSpec spec = CsvSpec(dir.Write("d.csv", Letters(300, 3)), "y");
  auto a = Prepared(spec, Job(0.8, 0.1, 0.1, 1)), b = Prepared(spec, Job(0.8, 0.1, 0.1, 1));
  auto c = Prepared(spec, Job(0.8, 0.1, 0.1, 2));
  EXPECT_EQ(AllFeatures(*a, Part::kTrain), AllFeatures(*b, Part::kTrain));
  EXPECT_NE(AllFeatures(*a, Part::kTrain), AllFeatures(*c, Part::kTrain));
}

TEST(PreparedDataset, ScalingIsFittedOnTheTrainingPartAlone) {
  TempDir dir;
  const v1::DatasetSpec spec = CsvSpec(dir.Write("d.csv", Letters(100, 2)), "y");
  auto standard = Prepared(spec, Job(0.6, 0.2, 0.2));
  double mean = 0, square = 0;
  std::vector<float> train = AllFeatures(*standard, Part::kTrain);
  for (float x : train) mean += x, square += static_cast<double>(x) * x;
  EXPECT_NEAR(mean / 60, 0, 1e-6);
  EXPECT_NEAR(square / 60, 1, 1e-6);

  v1::JobSpec job = Job(0.6, 0.2, 0.2);
  job.mutable_dataset()->set_scaling(v1::SCALING_MINMAX);
  auto minmax = Prepared(spec, job);
  train = AllFeatures(*minmax, Part::kTrain);
  EXPECT_EQ(*std::min_element(train.begin(), train.end()), 0);
  EXPECT_EQ(*std::max_element(train.begin(), train.end()), 1);
}

TEST(PreparedDataset, ConstantColumnBecomesZeroNotNaN) {
  TempDir dir;
  std::string text = "x,k,y\n";
  for (int i = 0; i < 30; ++i) text += absl::StrCat(i, ",0.1,", i % 2 ? "a" : "b", "\n");
  auto data = Prepared(CsvSpec(dir.Write("d.csv", text), "y"), Job(0.8, 0.1, 0.1));
  const std::vector<float> train = AllFeatures(*data, Part::kTrain);
  for (size_t i = 1; i < train.size(); i += 2) EXPECT_EQ(train[i], 0);
  EXPECT_THAT(data->PreprocessingJson(), HasSubstr("\"scale\": 1.0"));
}

TEST(PreparedDataset, MissingNumberBecomesTheTrainingMean) {
  TempDir dir;
  std::string text = "x,y\n";
  for (int i = 0; i < 100; ++i)
    text += (i % 5 ? std::to_string(i) : std::string("NA")) + (i % 2 ? ",a\n" : ",b\n");
  auto data = Prepared(CsvSpec(dir.Write("d.csv", text), "y"), Job(0.8, 0.1, 0.1));
  for (Part part : {Part::kTrain, Part::kValidation, Part::kTest}) {
    const std::vector<float> x = AllFeatures(*data, part);
    for (int64_t i = 0; i < data->size(part); ++i) {
      if (data->RecordAt(part, 0, i) % 5 == 0) {
        EXPECT_EQ(x[static_cast<size_t>(i)], 0);
      }
    }
  }
}

TEST(PreparedDataset, OneHotHasTrainingCategoriesAndUnknownIsAllZeros) {
  TempDir dir;
  // Every record has its own colour but for `red`, so that the test part holds colours unseen in training.
  std::string text = "colour,y\n";
  for (int i = 0; i < 40; ++i)
    text += (i % 4 == 0 ? "red" : absl::StrCat("c", i)) + (i % 2 ? ",a\n" : ",b\n");
  text += ",a\n,b\n,a\n,b\n,a\n,b\n";
  auto data = Prepared(CsvSpec(dir.Write("d.csv", text), "y"), Job(0.7, 0.15, 0.15));
  const auto json = nlohmann::json::parse(data->PreprocessingJson());
  const std::vector<std::string> categories = json["columns"][0]["categories"];
  EXPECT_EQ(static_cast<int>(categories.size()), data->features());
  EXPECT_EQ(categories.back(), "") << "missing is a category of its own";
  int unknown = 0;
  for (Part part : {Part::kTrain, Part::kValidation, Part::kTest}) {
    const std::vector<float> x = AllFeatures(*data, part);
    for (int64_t i = 0; i < data->size(part); ++i) {
      const int64_t record = data->RecordAt(part, 0, i);
      const std::string colour = record >= 40 ? "" : record % 4 == 0 ? "red" : absl::StrCat("c", record);
      const auto found = std::find(categories.begin(), categories.end(), colour);
      unknown += found == categories.end();
      for (size_t k = 0; k < categories.size(); ++k) {
        EXPECT_EQ(x[static_cast<size_t>(i) * categories.size() + k],
                  found == categories.begin() + static_cast<int>(k));
      }
    }
    if (part == Part::kTrain) {
      EXPECT_EQ(unknown, 0);
    }
  }
  EXPECT_GT(unknown, 0);
}

TEST(PreparedDataset, RegressionTargetIsStandardisedAndCanBeBroughtBack) {
  TempDir dir;
  std::string text = "x,y\n";
  for (int i = 0; i < 200; ++i) text += absl::StrCat(i, ",", 1000 + 3 * i, ".5\n");
  auto data = Prepared(CsvSpec(dir.Write("d.csv", text), "y"), Job(0.8, 0.1, 0.1));
  EXPECT_EQ(data->task(), v1::TASK_REGRESSION);
  EXPECT_EQ(data->outputs(), 1);
  std::vector<float> targets(160);
  data->Fetch(Part::kTrain, 2, 0, 160, nullptr, nullptr, targets.data());
  double sum = 0;
  for (int64_t i = 0; i < 160; ++i) {
    const float t = targets[static_cast<size_t>(i)];
    sum += t;
    const double back = t * data->target_scale() + data->target_mean();
    EXPECT_NEAR(back, 1000.5 + 3.0 * static_cast<double>(data->RecordAt(Part::kTrain, 2, i)), 1e-3);
  }
  EXPECT_NEAR(sum, 0, 1e-3);
}

TEST(PreparedDataset, ChangedFileIsDataLoss) {
  TempDir dir;
  const std::string path = dir.Write("d.csv", Letters(100, 2));
  const auto dataset = InspectDataset(CsvSpec(path, "y"));
  ASSERT_TRUE(dataset.ok());
  dir.Write("d.csv", Letters(101, 2));
  const auto prepared = PreparedDataset::Prepare(*dataset, Job(0.8, 0.1, 0.1));
  EXPECT_EQ(prepared.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(prepared.status().message()), HasSubstr("has changed since"));
}

TEST(PreparedDataset, EmptyPartOfTheSplitIsRefusedWithTheSizes) {
  TempDir dir;
  const auto dataset = InspectDataset(CsvSpec(dir.Write("d.csv", Letters(5, 2)), "y"));
  ASSERT_TRUE(dataset.ok());
  const auto prepared = PreparedDataset::Prepare(*dataset, Job(0.9, 0.09, 0.01));
  EXPECT_EQ(prepared.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(prepared.status().message()), HasSubstr("d.csv"));
  EXPECT_THAT(std::string(prepared.status().message()), HasSubstr("of 5 records, train gets 5"));
}

TEST(PreparedDataset, ClassMissingFromTrainingIsRefused) {
  TempDir dir;
  std::string text = "x,y\n";
  for (int i = 0; i < 20; ++i) text += absl::StrCat("1,", i / 2, "\n");
  const auto dataset = InspectDataset(CsvSpec(dir.Write("d.csv", text), "y"));
  ASSERT_TRUE(dataset.ok());
  const auto prepared = PreparedDataset::Prepare(*dataset, Job(0.2, 0.4, 0.4));
  EXPECT_EQ(prepared.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(prepared.status().message()), HasSubstr("class '4' has 2 records and none"));
}

TEST(PreparedDataset, ValueTooLargeForAFloatNamesRowAndColumn) {
  TempDir dir;
  v1::JobSpec job = Job(0.8, 0.1, 0.1);
  job.mutable_dataset()->set_scaling(v1::SCALING_NONE);
  std::string text = Letters(20, 2) + "1e300,a\n";
  const auto dataset = InspectDataset(CsvSpec(dir.Write("d.csv", text), "y"));
  ASSERT_TRUE(dataset.ok());
  const auto prepared = PreparedDataset::Prepare(*dataset, job);
  EXPECT_THAT(std::string(prepared.status().message()), HasSubstr("row 21, column 'x': 1e+300"));
}

TEST(PreparedDataset, PreprocessingJsonHoldsWhatWasFitted) {
  TempDir dir;
  v1::DatasetSpec spec =
      CsvSpec(dir.Write("d.csv", "a,skip,kind,y\n1,2,u,no\n3,4,v,yes\n5,6,u,no\n7,8,v,yes\n"), "y");
  (*spec.mutable_columns())["skip"] = v1::COLUMN_TYPE_IGNORE;
  auto data = Prepared(spec, Job(1, 0, 0));
  const auto json = nlohmann::json::parse(data->PreprocessingJson());
  EXPECT_EQ(json["label"], "y");
  EXPECT_EQ(json["task"], "classification");
  EXPECT_EQ(json["classes"], nlohmann::json({"no", "yes"}));
  EXPECT_EQ(json["features"], 3);
  EXPECT_EQ(json["columns"].size(), 2u);
  EXPECT_EQ(json["columns"][0]["name"], "a");
  EXPECT_EQ(json["columns"][0]["offset"], 4.0);
  EXPECT_EQ(json["columns"][0]["scale"], std::sqrt(5.0));
  EXPECT_EQ(json["columns"][1]["categories"], nlohmann::json({"u", "v"}));
}

TEST(PreparedDataset, PixelsShareOneMeanAndDeviation) {
  TempDir dir;
  std::string pixels = IdxHeader(0x08, {10, 2, 2}), labels = IdxHeader(0x08, {10});
  for (int i = 0; i < 40; ++i) pixels += static_cast<char>(i * 6);
  for (int i = 0; i < 10; ++i) labels += static_cast<char>(i % 2);
  auto data = Prepared(IdxSpec(dir.Write("p.idx", pixels), dir.Write("l.idx", labels)), Job(1, 0, 0));
  ASSERT_NE(data, nullptr);
  EXPECT_EQ(data->features(), 4);
  EXPECT_EQ(data->outputs(), 2);
  const double mean = 117, deviation = 6 * std::sqrt((40.0 * 40 - 1) / 12);
  std::vector<float> x(40);
  data->Fetch(Part::kTrain, 0, 0, 10, x.data(), nullptr, nullptr);
  for (int i = 0; i < 10; ++i) {
    for (int e = 0; e < 4; ++e) {
      const double raw = 6.0 * (4.0 * static_cast<double>(data->RecordAt(Part::kTrain, 0, i)) + e);
      EXPECT_NEAR(x[static_cast<size_t>(i * 4 + e)], (raw - mean) / deviation, 1e-6);
    }
  }
}

// The examples that the documentation shows.
TEST(Examples, DigitsAreTenClassesOf64Pixels) {
  const auto dataset = InspectDataset(CsvSpec(LOCKSTEP_EXAMPLES "/digits.csv", "digit"));
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->records(), 1797);
  EXPECT_EQ(dataset->task(), v1::TASK_CLASSIFICATION);
  const auto prepared = PreparedDataset::Prepare(*dataset, Job(0.8, 0.1, 0.1));
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  EXPECT_EQ((*prepared)->features(), 64);
  EXPECT_EQ((*prepared)->outputs(), 10);
  EXPECT_EQ((*prepared)->size(Part::kTrain), 1437);
  EXPECT_EQ((*prepared)->size(Part::kTest), 180);
}

TEST(Examples, DiabetesIsARegressionInTenColumns) {
  v1::DatasetSpec spec = CsvSpec(LOCKSTEP_EXAMPLES "/diabetes.csv", "progression");
  (*spec.mutable_columns())["sex"] = v1::COLUMN_TYPE_CATEGORICAL;
  const auto dataset = InspectDataset(spec);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->records(), 442);
  EXPECT_EQ(dataset->task(), v1::TASK_REGRESSION);
  const auto prepared = PreparedDataset::Prepare(*dataset, Job(0.8, 0.1, 0.1));
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  EXPECT_EQ((*prepared)->features(), 11);
}

}  // namespace
}  // namespace lockstep
