// Evaluates one part of the dataset on all ranks together: each evaluates the logical shards it holds; totals
// are exchanged and added in shard order, so the metrics have the same bits on any number of ranks. A
// language model's loss is the mean over tokens.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/data/dataset.h"
#include "common/evaluation/totals.h"
#include "common/numerics/reduction_tree.h"
#include "worker/collective/collective.h"
#include "worker/trainer/step_engine.h"

namespace lockstep {

struct Evaluation {
  std::map<std::string, double> metrics;  // without a prefix: "loss", "accuracy", ...
  std::vector<int64_t> confusion;         // (classes, classes) row = truth; classification alone
};

// Owns its buffers, so that repeated evaluations allocate little. Not thread-safe.
class Evaluator {
 public:
  // `loss`: as trained, but without label smoothing, so that jobs can be compared.
  Evaluator(const PreparedDataset* dataset, v1::Loss loss, int logical_shards);

  // Collective. `shards` are this rank's.
  absl::StatusOr<Evaluation> Evaluate(Part part, StepEngine::Copy weights, StepEngine* engine,
                                      Collective* collective, ShardRange shards);

 private:
  // Adds up rows [first, first + count) of `part`.
  absl::Status AddRows(Part part, int64_t first, int64_t count, StepEngine::Copy weights, StepEngine* engine,
                       ShardTotals* sum, std::vector<int64_t>* confusion);
  absl::Status AddTokens(Part part, int64_t first, int64_t count, StepEngine::Copy weights,
                         StepEngine* engine, ShardTotals* sum);

  const PreparedDataset* const dataset_;
  const v1::Loss loss_;
  const int logical_shards_;
  const int64_t rows_per_call_;
  std::vector<float> x_, out_, targets_;  // language models: out_ and targets_ are losses and hits
  std::vector<int32_t> tokens_, classes_;
};

}  // namespace lockstep
