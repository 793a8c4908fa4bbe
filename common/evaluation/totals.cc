#include "common/evaluation/totals.h"

#include <cmath>
#include <cstddef>

namespace lockstep {

RowOutcome ClassifyRow(std::span<const float> logits, int truth) {
  RowOutcome outcome;
  for (size_t c = 1; c < logits.size(); ++c) {
    if (logits[c] > logits[outcome.predicted]) outcome.predicted = static_cast<int>(c);
  }
  const double largest = logits[outcome.predicted];
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  outcome.loss = std::log(sum) + largest - logits[truth];
  return outcome;
}

RowOutcome HingeRow(std::span<const float> scores, int truth) {
  RowOutcome outcome;
  for (size_t c = 0; c < scores.size(); ++c) {
    if (scores[c] > scores[outcome.predicted]) outcome.predicted = static_cast<int>(c);
    if (static_cast<int>(c) == truth) continue;
    const double margin = 1.0 + scores[c] - scores[truth];
    if (!(margin <= 0)) outcome.loss += margin;  // NaN too
  }
  return outcome;
}

ShardTotals Add(std::span<const ShardTotals> shards) {
  ShardTotals all;
  for (const ShardTotals& shard : shards) {
    all.rows += shard.rows;
    all.loss += shard.loss;
    all.absolute_error += shard.absolute_error;
    all.squared_error += shard.squared_error;
    all.target += shard.target;
    all.target_squared += shard.target_squared;
    all.correct += shard.correct;
  }
  return all;
}

std::map<std::string, double> ClassificationMetrics(const ShardTotals& totals,
                                                    std::span<const int64_t> confusion, int classes) {
  double correct = 0, precision = 0, recall = 0, f1 = 0;
  int counted = 0;
  for (int c = 0; c < classes; ++c) {
    double truths = 0, predictions = 0;
    for (int other = 0; other < classes; ++other) {
      truths += static_cast<double>(confusion[static_cast<size_t>(c) * classes + other]);
      predictions += static_cast<double>(confusion[static_cast<size_t>(other) * classes + c]);
    }
    const double hits = static_cast<double>(confusion[static_cast<size_t>(c) * classes + c]);
    correct += hits;
    if (truths + predictions == 0) continue;
    ++counted;
    precision += predictions > 0 ? hits / predictions : 0;
    recall += truths > 0 ? hits / truths : 0;
    f1 += 2 * hits / (truths + predictions);
  }
  const double rows = totals.rows > 0 ? totals.rows : 1;
  const double averaged = counted > 0 ? counted : 1;
  return {{"loss", totals.loss / rows},
          {"accuracy", correct / rows},
          {"precision", precision / averaged},
          {"recall", recall / averaged},
          {"f1", f1 / averaged}};
}

std::map<std::string, double> LanguageModelMetrics(const ShardTotals& totals) {
  const double rows = totals.rows > 0 ? totals.rows : 1;
  const double loss = totals.loss / rows;
  return {{"loss", loss}, {"perplexity", std::exp(loss)}, {"accuracy", totals.correct / rows}};
}

std::map<std::string, double> ReconstructionMetrics(const ShardTotals& totals) {
  const double rows = totals.rows > 0 ? totals.rows : 1;
  const double mse = totals.loss / rows;
  return {{"loss", mse}, {"mse", mse}, {"rmse", std::sqrt(mse)}, {"mae", totals.absolute_error / rows}};
}

std::map<std::string, double> RegressionMetrics(const ShardTotals& totals) {
  const double rows = totals.rows > 0 ? totals.rows : 1;
  const double spread = totals.target_squared - totals.target * totals.target / rows;
  return {{"loss", totals.loss / rows},
          {"rmse", std::sqrt(totals.squared_error / rows)},
          {"mae", totals.absolute_error / rows},
          {"r2", spread > 0 ? 1 - totals.squared_error / spread : 0}};
}

}  // namespace lockstep
