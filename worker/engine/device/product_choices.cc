#include "worker/engine/device/product_choices.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace lockstep::engine {
namespace {

constexpr absl::string_view kProductsTitle = "lockstep products 1";
constexpr size_t kWordDigits = 16;

absl::Status Damaged(size_t line, absl::string_view expected) {
  return absl::DataLossError(absl::StrCat("the record of products, line ", line + 1, ": expected ", expected,
                                          "; it is damaged or of another version"));
}

bool ParseAlgorithm(absl::string_view text, kernels::LtAlgorithm* algorithm) {
  constexpr size_t kWords = std::size(kernels::LtAlgorithm().data);
  if (text.size() != kWords * kWordDigits) return false;
  for (size_t i = 0; i < kWords; ++i) {
    if (!absl::SimpleHexAtoi(text.substr(i * kWordDigits, kWordDigits), &algorithm->data[i])) return false;
  }
  return true;
}

}  // namespace

bool ProductChoices::any() const {
  return std::any_of(of.begin(), of.end(), [](const auto& each) { return each.second.has_value(); });
}

std::string ProductChoices::ToText() const {
  std::string text = absl::StrCat(kProductsTitle, "\n", device, "\n");
  for (const auto& [shape, algorithm] : of) {
    absl::StrAppend(&text, shape, " ");
    if (!algorithm.has_value()) {
      absl::StrAppend(&text, "own");
    } else {
      for (const uint64_t word : algorithm->data) absl::StrAppendFormat(&text, "%016x", word);
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

absl::StatusOr<ProductChoices> ProductChoices::Parse(absl::string_view text) {
  std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  if (lines[0] != kProductsTitle) return Damaged(0, kProductsTitle);
  if (lines.size() < 3 || lines[1].empty()) return Damaged(1, "a device");
  if (!lines.back().empty()) return Damaged(lines.size() - 1, "the line's end");
  lines.pop_back();
  ProductChoices choices;
  choices.device = std::string(lines[1]);
  for (size_t i = 2; i < lines.size(); ++i) {
    const std::pair<absl::string_view, absl::string_view> words = absl::StrSplit(lines[i], ' ');
    kernels::LtAlgorithm algorithm;
    const bool own = words.second == "own";
    if (words.first.empty() || (!own && !ParseAlgorithm(words.second, &algorithm))) {
      return Damaged(i, "a shape, and 'own' or 128 hexadecimal digits");
    }
    auto& choice = choices.of[std::string(words.first)];
    if (!own) choice = algorithm;
  }
  return choices;
}

}  // namespace lockstep::engine
