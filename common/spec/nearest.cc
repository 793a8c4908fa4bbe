#include <algorithm>
#include <numeric>

#include "absl/strings/ascii.h"
#include "common/spec/spec.h"

namespace lockstep {
namespace {

// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours cost 1 each.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), previous(b.size() + 1), current(b.size() + 1);
  std::iota(previous.begin(), previous.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        current[j] = std::min(current[j], before[j - 2] + 1);
      }
    }
    std::swap(before, previous);
    std::swap(previous, current);
  }
  return previous[b.size()];
}

std::string Normalised(std::string_view name) {
  std::string text = absl::AsciiStrToLower(absl::string_view(name.data(), name.size()));
  std::replace(text.begin(), text.end(), '-', '_');
  return text;
}

}  // namespace

std::string Nearest(std::string_view name, const std::vector<std::string>& candidates) {
  constexpr size_t kLongestName = 256;
  if (name.empty() || name.size() > kLongestName) return "";
  const std::string wanted = Normalised(name);
  std::string best;
  size_t best_distance = std::max<size_t>(1, wanted.size() * 2 / 5) + 1;
  for (const auto& candidate : candidates) {
    const size_t distance = EditDistance(wanted, Normalised(candidate));
    if (distance < best_distance && distance < candidate.size()) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace lockstep
