// A language model's training data: tokens, cut into samples. A pure function of (files, spec, seed), the
// same on every rank. Immutable; safe to read from several threads.
//
// The text (or the row of tokens) is split into three stretches, by the fractions of dataset.split: training
// first, test last. The tokenizer is fitted on the training stretch alone; each stretch is encoded on its
// own.
//
// A sample is a window of T tokens; its target is the window moved by one. In validation and test, window i
// begins at token i T of the stretch. In training, an epoch e has a cut of its own, o in [0, T), a function
// of (seed, e), and window i begins at o + i T: the windows of an epoch do not overlap, so no token is a
// target twice, and all but fewer than 2 T of the stretch's tokens are one. So that each epoch has as many
// windows, whatever its cut, there are floor(n / T) - 1 of n tokens (at least one: then o = 0).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/data/language_source.h"
#include "common/data/split.h"
#include "common/text/tokenizer.h"
#include "lockstep/v1/datasets.pb.h"
#include "lockstep/v1/job_spec.pb.h"
#include "nlohmann/json_fwd.hpp"

namespace lockstep {

class LanguageData {
 public:
  // `dataset` is registered, its fingerprint checked; `spec` is complete. INVALID_ARGUMENT: a part without a
  // window, a token outside the model's vocabulary (names shard and position), a tokenizer that is not one.
  static absl::StatusOr<std::unique_ptr<LanguageData>> Prepare(const v1::Dataset& dataset,
                                                               const v1::JobSpec& spec);

  int sequence_length() const { return sequence_length_; }
  int vocabulary() const { return vocabulary_; }
  const Tokenizer* tokenizer() const { return tokenizer_.get(); }  // null: token shards without one
  const std::string& fingerprint() const { return source_.fingerprint; }
  int64_t size(Part part) const { return stretch(part).windows; }

  // As PreparedDataset's.
  uint64_t FetchTokens(Part part, int64_t epoch, int64_t first, int64_t count, int32_t* tokens,
                       int32_t* targets) const;
  // Where in its stretch the sample at `position` begins.
  int64_t RecordAt(Part part, int64_t epoch, int64_t position) const {
    return Begin(part, epoch, WindowAt(part, epoch, position));
  }
  void DescribeTo(nlohmann::ordered_json* json) const;

 private:
  // One part's tokens: its own, or a range of the shards'.
  struct Stretch {
    std::vector<int32_t> tokens;
    int64_t first = 0;  // in the row of all shards' tokens
    int64_t size = 0;
    int64_t windows = 0;
  };
  LanguageData() = default;
  absl::Status EncodeText(const v1::Dataset& dataset, const v1::JobSpec& spec,
                          const std::array<int64_t, kParts>& sizes);
  absl::Status TakeShards(const v1::Dataset& dataset, const v1::JobSpec& spec,
                          const std::array<int64_t, kParts>& sizes);
  absl::Status CutWindows();
  const Stretch& stretch(Part part) const { return parts_[static_cast<size_t>(part)]; }
  int64_t WindowAt(Part part, int64_t epoch, int64_t position) const;
  int64_t Begin(Part part, int64_t epoch, int64_t window) const;  // its first token, in its stretch
  void Copy(const Stretch& from, int64_t at, int64_t count, int32_t* out) const;

  LanguageSource source_;
  std::vector<int64_t> shard_begins_;  // of each shard in the row of all tokens, and the end
  std::unique_ptr<Tokenizer> tokenizer_;
  std::array<Stretch, kParts> parts_;
  uint64_t seed_ = 0;
  int sequence_length_ = 0;
  int vocabulary_ = 0;
};

// Are all tokens of these shards below `bound`? INVALID_ARGUMENT names the first that is not: file, position,
// byte; `whose` ids they should be is for the message. Otherwise an error of a file.
absl::Status CheckTokenFiles(const v1::Dataset& dataset, int32_t bound, const std::string& whose);

// Whether the parts of `dataset` can hold a window each, as far as that is known before its text is encoded.
absl::Status CheckWindows(const v1::Dataset& dataset, const v1::JobSpec& spec);

}  // namespace lockstep
