// What the builders of language models check alike.
#pragma once

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status.h"

namespace lockstep::engine {

// `model` is the spec's key, "gpt".
inline absl::Status CheckWindow(absl::string_view model, int steps, int context) {
  if (steps <= context) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("dataset.text.sequence_length: ", steps, " tokens are longer than model.", model,
                   ".context, which is ", context, "; shorten the sequence or enlarge the context"));
}

inline absl::Status CheckHeads(absl::string_view model, int heads, int width) {
  if (heads >= 1 && width >= 1 && width % heads == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("model.", model, ".heads: ", heads,
                                                 " heads do not divide width ", width,
                                                 "; each head is width / heads wide"));
}

// The spec's vocabulary, where it has one, holds all tokens of the data.
inline absl::Status CheckVocabulary(absl::string_view model, int wanted, int tokens) {
  if (wanted >= tokens) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("model.", model, ".vocabulary: ", wanted,
                                                 " is smaller than the dataset's vocabulary of ", tokens,
                                                 " tokens; leave it out to take the dataset's"));
}

}  // namespace lockstep::engine
