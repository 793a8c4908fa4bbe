#include "worker/trainer/evaluation.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lockstep {
namespace {

constexpr int64_t kRowsPerCall = 256;
constexpr int64_t kTokensPerCall = 16384;

int64_t RowsPerCall(const PreparedDataset& dataset) {
  if (dataset.task() != v1::TASK_LANGUAGE_MODEL) return kRowsPerCall;
  return std::clamp<int64_t>(kTokensPerCall / dataset.sequence_length(), 1, kRowsPerCall);
}

}  // namespace

Evaluator::Evaluator(const PreparedDataset* dataset, v1::Loss loss, int logical_shards)
    : dataset_(dataset), loss_(loss), logical_shards_(logical_shards), rows_per_call_(RowsPerCall(*dataset)) {
  const auto sized = [this](int64_t width) { return static_cast<size_t>(rows_per_call_ * width); };
  if (dataset->task() == v1::TASK_LANGUAGE_MODEL) {
    const int64_t length = dataset->sequence_length();
    tokens_.resize(sized(length));
    classes_.resize(sized(length));
    out_.resize(sized(length));
    targets_.resize(sized(length));
    return;
  }
  x_.resize(sized(dataset->features()));
  out_.resize(sized(dataset->outputs()));
  targets_.resize(sized(dataset->task() == v1::TASK_RECONSTRUCTION ? dataset->outputs() : 1));
  classes_.resize(sized(1));
}

absl::Status Evaluator::AddTokens(Part part, int64_t first, int64_t count, StepEngine::Copy weights,
                                  StepEngine* engine, ShardTotals* sum) {
  dataset_->FetchTokens(part, 0, first, count, tokens_.data(), classes_.data());
  RETURN_IF_ERROR(engine->TokenLosses(weights, tokens_.data(), classes_.data(), static_cast<int>(count),
                                      out_.data(), targets_.data()));
  const size_t predictions = static_cast<size_t>(count * dataset_->sequence_length());
  for (size_t i = 0; i < predictions; ++i) {
    sum->loss += out_[i];
    sum->correct += targets_[i];
  }
  sum->rows += static_cast<double>(predictions);
  return absl::OkStatus();
}

absl::Status Evaluator::AddRows(Part part, int64_t first, int64_t count, StepEngine::Copy weights,
                                StepEngine* engine, ShardTotals* sum, std::vector<int64_t>* confusion) {
  const bool classification = dataset_->task() == v1::TASK_CLASSIFICATION;
  const int outputs = dataset_->outputs();
  dataset_->Fetch(part, 0, first, count, x_.data(), classes_.data(), targets_.data());
  RETURN_IF_ERROR(engine->Predict(weights, x_.data(), static_cast<int>(count), out_.data()));
  for (int64_t row = 0; row < count; ++row) {
    sum->rows += 1;
    if (classification) {
      const int truth = classes_[row];
      const std::span<const float> scores(out_.data() + row * outputs, static_cast<size_t>(outputs));
      const RowOutcome outcome =
          loss_ == v1::LOSS_HINGE ? HingeRow(scores, truth) : ClassifyRow(scores, truth);
      sum->loss += outcome.loss;
      ++(*confusion)[static_cast<size_t>(truth) * outputs + outcome.predicted];
    } else if (dataset_->task() == v1::TASK_RECONSTRUCTION) {
      double squares = 0, distances = 0;
      for (int64_t i = row * outputs; i < (row + 1) * outputs; ++i) {
        const double error = double{out_[i]} - targets_[i];
        squares += error * error;
        distances += std::abs(error);
      }
      sum->loss += squares / outputs;
      sum->absolute_error += distances / outputs;
    } else {
      const double truth = targets_[row], value = out_[row];
      const double error = (value - truth) * dataset_->target_scale();
      const double target = truth * dataset_->target_scale() + dataset_->target_mean();
      sum->loss += (value - truth) * (value - truth);
      sum->absolute_error += std::abs(error);
      sum->squared_error += error * error;
      sum->target += target;
      sum->target_squared += target * target;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Evaluation> Evaluator::Evaluate(Part part, StepEngine::Copy weights, StepEngine* engine,
                                               Collective* collective, ShardRange shards) {
  const bool classification = dataset_->task() == v1::TASK_CLASSIFICATION;
  const int outputs = dataset_->outputs();
  const int64_t rows = dataset_->size(part);
  // One message per rank: the totals of its shards (room for the largest rank's), then its share of the
  // confusion matrix.
  const int room = (logical_shards_ + collective->world() - 1) / collective->world();
  const size_t cells = classification ? static_cast<size_t>(outputs) * outputs : 0;
  const size_t bytes = room * sizeof(ShardTotals) + cells * sizeof(int64_t);
  std::vector<char> mine(bytes, 0), all(bytes * collective->world());
  std::vector<ShardTotals> totals(room);
  std::vector<int64_t> confusion(cells, 0);

  for (int shard = shards.begin; shard < shards.end; ++shard) {
    ShardTotals& sum = totals[shard - shards.begin];
    const int64_t end = rows * (shard + 1) / logical_shards_;
    for (int64_t first = rows * shard / logical_shards_; first < end; first += rows_per_call_) {
      const int64_t count = std::min(rows_per_call_, end - first);
      if (dataset_->task() == v1::TASK_LANGUAGE_MODEL) {
        RETURN_IF_ERROR(AddTokens(part, first, count, weights, engine, &sum));
      } else {
        RETURN_IF_ERROR(AddRows(part, first, count, weights, engine, &sum, &confusion));
      }
    }
  }

  std::memcpy(mine.data(), totals.data(), room * sizeof(ShardTotals));
  if (cells > 0)
    std::memcpy(mine.data() + room * sizeof(ShardTotals), confusion.data(), cells * sizeof(int64_t));
  RETURN_IF_ERROR(collective->AllGather(mine.data(), bytes, all.data()));

  std::vector<ShardTotals> in_order;
  std::fill(confusion.begin(), confusion.end(), 0);
  for (int rank = 0; rank < collective->world(); ++rank) {
    const char* message = all.data() + rank * bytes;
    const int held = ShardsOfRank(logical_shards_, collective->world(), rank).size();
    for (int i = 0; i < held; ++i) {
      std::memcpy(&in_order.emplace_back(), message + i * sizeof(ShardTotals), sizeof(ShardTotals));
    }
    for (size_t cell = 0; cell < cells; ++cell) {
      int64_t count;
      std::memcpy(&count, message + room * sizeof(ShardTotals) + cell * sizeof(int64_t), sizeof(count));
      confusion[cell] += count;
    }
  }
  Evaluation evaluation;
  const ShardTotals sum = Add(in_order);
  switch (dataset_->task()) {
    case v1::TASK_CLASSIFICATION:
      evaluation.metrics = ClassificationMetrics(sum, confusion, outputs);
      break;
    case v1::TASK_LANGUAGE_MODEL:
      evaluation.metrics = LanguageModelMetrics(sum);
      break;
    case v1::TASK_RECONSTRUCTION:
      evaluation.metrics = ReconstructionMetrics(sum);
      break;
    default:
      evaluation.metrics = RegressionMetrics(sum);
  }
  evaluation.confusion = std::move(confusion);
  return evaluation;
}

}  // namespace lockstep
