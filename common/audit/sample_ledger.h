// Which samples a job's steps used. Every trainer keeps one and enters a step when its effect is in the
// weights, never before; it is part of the state that newcomers get, and of each checkpoint and model, as
// ledger.csv. `lockstep audit` (audit.h) proves from it that each sample was used exactly once per epoch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/base/status.h"

namespace lockstep {

inline constexpr char kLedgerName[] = "ledger.csv";
inline constexpr int64_t kMaxLedgerBytes = int64_t{256} << 20;

// Steps [first_step, first_step + steps), counted from 0, used positions [first, first + samples) of the
// order of `epoch`, which has epoch_samples of them; `digest` is of the samples that were read there
// (sample_digest.h).
struct SampleRange {
  int64_t epoch = 0;
  int64_t epoch_samples = 0;
  int64_t first_step = 0;
  int64_t steps = 0;
  int64_t first = 0;
  int64_t samples = 0;
  uint64_t digest = 0;
};

class SampleLedger {
 public:
  // One that goes on where the last one ended, in its epoch, is joined to it: an undisturbed epoch is one
  // range.
  void Add(const SampleRange& range);
  const std::vector<SampleRange>& ranges() const { return ranges_; }

  // CSV: a header, then a line for each range, the digest in hexadecimal.
  std::string ToText() const;
  // DATA_LOSS names the line.
  static absl::StatusOr<SampleLedger> Parse(absl::string_view text);

 private:
  std::vector<SampleRange> ranges_;
};

}  // namespace lockstep
