#include "worker/inference/sampler.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/numerics/philox.h"

namespace lockstep {
namespace {

// In [0, 1).
double Uniform(uint64_t seed, int64_t position) {
  const uint64_t purpose = uint64_t{static_cast<uint32_t>(RandomPurpose::kSampling)} << 32;
  const PhiloxBlock block = Philox(seed, purpose, static_cast<uint64_t>(position));
  return static_cast<double>(uint64_t{block.value[0]} << 21 | block.value[1] >> 11) * 0x1p-53;
}

}  // namespace

absl::Status CheckSampling(const SamplingOptions& options) {
  if (!(std::isfinite(options.temperature) && options.temperature >= 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("temperature: expected a number of at least 0, got ", options.temperature));
  }
  if (options.top_k < 0) {
    return absl::InvalidArgumentError(absl::StrCat("top-k: expected 0 (all) or more, got ", options.top_k));
  }
  if (!(options.top_p > 0 && options.top_p <= 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("top-p: expected a number above 0 and up to 1, got ", options.top_p));
  }
  return absl::OkStatus();
}

absl::StatusOr<int32_t> SampleToken(std::span<const float> logits, const SamplingOptions& options,
                                    int64_t position) {
  struct Candidate {
    float logit;
    int32_t id;
    bool operator<(const Candidate& other) const {
      return logit != other.logit ? logit > other.logit : id < other.id;
    }
  };
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]) || logits[i] == INFINITY) {
      return absl::OutOfRangeError(absl::StrCat("the model's output for token ", i, " is ", logits[i],
                                                ", not a finite number; its weights are damaged"));
    }
    if (logits[i] != -INFINITY) candidates.push_back({logits[i], static_cast<int32_t>(i)});
  }
  if (candidates.empty()) return absl::OutOfRangeError("the model allows no token");
  if (options.temperature == 0) return std::min_element(candidates.begin(), candidates.end())->id;

  const size_t kept =
      options.top_k > 0 ? std::min(candidates.size(), static_cast<size_t>(options.top_k)) : candidates.size();
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(kept),
                    candidates.end());
  std::vector<double> weights(kept);
  double total = 0;
  for (size_t i = 0; i < kept; ++i) {
    total += weights[i] = std::exp((double{candidates[i].logit} - candidates[0].logit) / options.temperature);
  }
  double reached = 0;
  size_t last = 0;
  while (last + 1 < kept && reached + weights[last] < options.top_p * total) reached += weights[last++];
  reached += weights[last];
  const double drawn = Uniform(options.seed, position) * reached;
  double sum = 0;
  for (size_t i = 0; i < last; ++i) {
    sum += weights[i];
    if (drawn < sum) return candidates[i].id;
  }
  return candidates[last].id;
}

}  // namespace lockstep
