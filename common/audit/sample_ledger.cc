#include "common/audit/sample_ledger.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace lockstep {
namespace {

constexpr char kHeader[] = "epoch,epoch_samples,first_step,steps,first,samples,digest";

// So that no sum of two overflows.
constexpr int64_t kLargest = int64_t{1} << 53;

bool ParseRange(absl::string_view line, SampleRange* range) {
  const std::vector<absl::string_view> cells = absl::StrSplit(line, ',');
  if (cells.size() != 7) return false;
  int64_t* const numbers[] = {&range->epoch, &range->epoch_samples, &range->first_step,
                              &range->steps, &range->first,         &range->samples};
  for (size_t i = 0; i < 6; ++i) {
    if (!absl::SimpleAtoi(cells[i], numbers[i]) || *numbers[i] < 0 || *numbers[i] > kLargest) return false;
  }
  return absl::SimpleHexAtoi(cells[6], &range->digest);
}

}  // namespace

void SampleLedger::Add(const SampleRange& range) {
  if (!ranges_.empty()) {
    SampleRange& last = ranges_.back();
    if (last.epoch == range.epoch && last.epoch_samples == range.epoch_samples &&
        last.first_step + last.steps == range.first_step && last.first + last.samples == range.first) {
      last.steps += range.steps;
      last.samples += range.samples;
      last.digest += range.digest;
      return;
    }
  }
  ranges_.push_back(range);
}

std::string SampleLedger::ToText() const {
  std::string text = absl::StrCat(kHeader, "\n");
  for (const SampleRange& range : ranges_) {
    absl::StrAppendFormat(&text, "%d,%d,%d,%d,%d,%d,%016x\n", range.epoch, range.epoch_samples,
                          range.first_step, range.steps, range.first, range.samples, range.digest);
  }
  return text;
}

absl::StatusOr<SampleLedger> SampleLedger::Parse(absl::string_view text) {
  SampleLedger ledger;
  int64_t number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (number == 1) {
      if (line == kHeader) continue;
      return absl::DataLossError(
          absl::StrCat(kLedgerName, ", line 1: expected '", kHeader, "': not a ledger"));
    }
    if (line.empty()) continue;
    SampleRange range;
    if (!ParseRange(line, &range)) {
      return absl::DataLossError(absl::StrCat(kLedgerName, ", line ", number, ": expected six numbers and a ",
                                              "hexadecimal digest, got '", line.substr(0, 120), "'"));
    }
    ledger.ranges_.push_back(range);
  }
  return ledger;
}

}  // namespace lockstep
