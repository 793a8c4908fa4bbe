#include "common/audit/audit.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "common/numerics/permutation.h"
#include "common/numerics/sample_digest.h"

namespace lockstep {
namespace {

// Above it, the search for the sample that explains a wrong digest would need too much memory.
constexpr int64_t kMostSearched = int64_t{1} << 24;

std::string Steps(const SampleRange& range) {
  if (range.steps == 1) return absl::StrCat("step ", range.first_step);
  return absl::StrCat("steps ", range.first_step, " to ", range.first_step + range.steps - 1);
}

// One sample too many, too few, or in another's place is told from the difference of the digests.
std::string ExplainDigest(const SampleRange& range, const Permutation& order, uint64_t expected) {
  const uint64_t difference = range.digest - expected;
  const std::string where = absl::StrCat("epoch ", range.epoch, ", ", Steps(range), ": ");
  if (range.epoch_samples <= kMostSearched) {
    std::unordered_map<uint64_t, int64_t> sample_of;
    sample_of.reserve(static_cast<size_t>(range.epoch_samples));
    for (int64_t sample = 0; sample < range.epoch_samples; ++sample)
      sample_of.emplace(SampleShare(sample), sample);
    if (const auto twice = sample_of.find(difference); twice != sample_of.end()) {
      return absl::StrCat(where, "sample ", twice->second, " was used once more than it should");
    }
    for (int64_t at = range.first; at < range.first + range.samples; ++at) {
      const int64_t missing = order.At(at);
      if (SampleShare(missing) + difference == 0) {
        return absl::StrCat(where, "sample ", missing, " (position ", at, ") was not used");
      }
      const auto instead = sample_of.find(SampleShare(missing) + difference);
      if (instead == sample_of.end()) continue;
      return absl::StrCat(where, "sample ", missing, " (position ", at, ") was not used, sample ",
                          instead->second, " was used in its place");
    }
  }
  return absl::StrCat(where, "the samples that were read are not those of positions ", range.first, " to ",
                      range.first + range.samples - 1, "; more than one differs");
}

class Auditor {
 public:
  explicit Auditor(uint64_t seed) : seed_(seed) {}

  void Take(const SampleRange& range) {
    if (range.first_step != audit_.steps) StepsDiffer(range);
    audit_.steps = range.first_step + range.steps;
    if (audit_.samples != 0 && range.epoch_samples != audit_.samples) {
      Problem(absl::StrCat(Steps(range), ": an epoch has ", range.epoch_samples, " samples, before it had ",
                           audit_.samples));
      return;
    }
    audit_.samples = range.epoch_samples;
    const Permutation order(seed_, static_cast<uint64_t>(range.epoch), range.epoch_samples);
    // In two conditions, so that no sum overflows.
    if (range.samples > range.epoch_samples || range.first > range.epoch_samples - range.samples) {
      Problem(absl::StrCat("epoch ", range.epoch, ", ", Steps(range), ": positions ", range.first, " to ",
                           range.first + range.samples - 1, " are beyond the epoch's ", range.epoch_samples));
      return;
    }
    PositionsFollow(range, order);
    epoch_ = range.epoch;
    next_ = range.first + range.samples;
    CheckDigest(range, order);
    if (next_ == range.epoch_samples) {
      ++audit_.epochs;
      ++epoch_;
      next_ = 0;
    }
  }

  Audit Finish(int64_t steps_done) {
    if (steps_done != audit_.steps) {
      Problem(absl::StrCat("the weights have ", steps_done, " steps in them, the ledger knows of ",
                           audit_.steps));
    }
    audit_.samples_of_last = next_;
    return std::move(audit_);
  }

 private:
  void Problem(std::string text) {
    if (audit_.problems.size() < Audit::kMostProblems) audit_.problems.push_back(std::move(text));
  }

  void StepsDiffer(const SampleRange& range) {
    if (range.first_step > audit_.steps) {
      Problem(absl::StrCat("steps ", audit_.steps, " to ", range.first_step - 1, " left no record"));
    } else {
      Problem(absl::StrCat("step ", range.first_step, " was done twice"));
    }
  }

  // The first sample that the change from (epoch_, next_) to the range leaves out or repeats.
  void PositionsFollow(const SampleRange& range, const Permutation& order) {
    if (range.epoch == epoch_ && range.first == next_) return;
    if (range.epoch > epoch_ || (range.epoch == epoch_ && range.first > next_)) {
      const Permutation left(seed_, static_cast<uint64_t>(epoch_), range.epoch_samples);
      Problem(absl::StrCat("epoch ", epoch_, ": sample ", left.At(next_), " (position ", next_,
                           ") was not used; it is the first that was not"));
    } else {
      Problem(absl::StrCat("epoch ", range.epoch, ", ", Steps(range), ": sample ", order.At(range.first),
                           " (position ", range.first, ") was used twice; it is the first that was"));
    }
  }

  void CheckDigest(const SampleRange& range, const Permutation& order) {
    uint64_t expected = 0;
    for (int64_t at = range.first; at < next_; ++at) expected += SampleShare(order.At(at));
    if (expected != range.digest) Problem(ExplainDigest(range, order, expected));
  }

  const uint64_t seed_;
  Audit audit_;
  int64_t epoch_ = 0;  // of the next sample that is due
  int64_t next_ = 0;   // its position
};

}  // namespace

Audit AuditSamples(const SampleLedger& ledger, uint64_t seed, int64_t steps_done) {
  Auditor auditor(seed);
  for (const SampleRange& range : ledger.ranges()) {
    if (range.samples > 0) auditor.Take(range);
  }
  return auditor.Finish(steps_done);
}

}  // namespace lockstep
