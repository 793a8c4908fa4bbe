// What an evaluation adds up, and the metrics that follow from it. Totals are kept per logical shard and
// added in shard order, so that metrics have the same bits on any number of ranks; training and `evaluate`
// share this code.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace lockstep {

// Cross-entropy of one row of logits (classes), in double, and the index of its largest logit (the first one
// of equals).
struct RowOutcome {
  double loss = 0;
  int predicted = 0;
};
RowOutcome ClassifyRow(std::span<const float> logits, int truth);
// The same with the multi-class hinge loss (kernels/hinge.h).
RowOutcome HingeRow(std::span<const float> scores, int truth);

// Sums over rows, one set per logical shard.
struct ShardTotals {
  double rows = 0;
  double loss = 0;            // sum of the loss as trained
  double absolute_error = 0;  // regression, in the target's own units, like the three below
  double squared_error = 0;
  double target = 0;
  double target_squared = 0;
  double correct = 0;  // language models
};

// Adds shards in order.
ShardTotals Add(std::span<const ShardTotals> shards);

// loss, accuracy, precision, recall, f1 (macro averages over the classes that occur in truth or prediction;
// an undefined ratio counts as 0). `confusion` is (classes, classes): row = truth, column = prediction.
std::map<std::string, double> ClassificationMetrics(const ShardTotals& totals,
                                                    std::span<const int64_t> confusion, int classes);

// loss (per token, in nats), perplexity (its exponential) and accuracy; the rows are tokens.
std::map<std::string, double> LanguageModelMetrics(const ShardTotals& totals);

// loss, mse (the same), rmse and mae of features as the model sees them, that is, scaled; each row's errors
// are the means over its features.
std::map<std::string, double> ReconstructionMetrics(const ShardTotals& totals);

// loss, rmse, mae, r2 (0 if all targets are equal).
std::map<std::string, double> RegressionMetrics(const ShardTotals& totals);

}  // namespace lockstep
