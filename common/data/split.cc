#include "common/data/split.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "common/numerics/philox.h"

namespace lockstep {
namespace {

using Counts = std::array<int64_t, kParts>;
using Fractions = std::array<double, kParts>;

// Fractions such as 0.7 are not exact: 0.7 * 10 must still count as 7.
int64_t Floor(double value) { return static_cast<int64_t>(std::floor(value + 1e-9)); }

double Remainder(int64_t count, double fraction) {
  const double exact = static_cast<double>(count) * fraction;
  return exact - static_cast<double>(Floor(exact));
}

// Largest remainder; the earlier part wins a tie.
Counts Apportion(int64_t count, const Fractions& fraction) {
  Counts sizes;
  int64_t left = count;
  for (int p = 0; p < kParts; ++p) left -= sizes[p] = Floor(static_cast<double>(count) * fraction[p]);
  std::array<int, kParts> order{0, 1, 2};
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return Remainder(count, fraction[a]) > Remainder(count, fraction[b]) + 1e-9;
  });
  for (int i = 0; left > 0; i = (i + 1) % kParts) {
    if (fraction[order[i]] > 0) {
      ++sizes[order[i]];
      --left;
    }
  }
  return sizes;
}

// Sizes of each class's parts. Every class takes the floor of its share; the records left over (fewer than
// kParts a class) go, one a part, where the whole still lacks most. Classes without a training record choose
// first.
std::vector<Counts> ApportionClasses(const std::vector<int64_t>& class_size, const Fractions& fraction,
                                     const Counts& total) {
  std::vector<Counts> sizes(class_size.size());
  std::vector<int64_t> left = class_size;
  Counts need = total;
  for (size_t c = 0; c < class_size.size(); ++c) {
    for (int p = 0; p < kParts; ++p) {
      sizes[c][p] = Floor(static_cast<double>(class_size[c]) * fraction[p]);
      left[c] -= sizes[c][p];
      need[p] -= sizes[c][p];
    }
  }
  const auto give = [&](size_t c, int p) {
    ++sizes[c][p];
    --left[c];
    --need[p];
  };
  const auto lacks_training = [&](size_t c) { return sizes[c][0] == 0 && class_size[c] > 0; };
  for (size_t c = 0; c < class_size.size(); ++c) {
    if (lacks_training(c) && left[c] > 0 && need[0] > 0) give(c, 0);
  }
  std::vector<size_t> order(class_size.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return left[a] > left[b]; });
  for (size_t c : order) {
    Counts took{};
    while (left[c] > 0) {
      int best = -1;
      for (int p = 0; p < kParts; ++p) {
        if (need[p] <= 0) continue;
        const auto better = [&](int q) {
          if (took[p] != took[q]) return took[p] < took[q];
          if (need[p] != need[q]) return need[p] > need[q];
          return Remainder(class_size[c], fraction[p]) > Remainder(class_size[c], fraction[q]);
        };
        if (best < 0 || better(best)) best = p;
      }
      ++took[best];
      give(c, best);
    }
  }
  return sizes;
}

Fractions FractionsOf(const v1::SplitSpec& spec) {
  return {spec.has_train() ? spec.train() : 0.8, spec.has_validation() ? spec.validation() : 0.1,
          spec.has_test() ? spec.test() : 0.1};
}

absl::Status CheckFractions(const Fractions& fraction) {
  double sum = 0;
  for (double f : fraction) {
    if (!(f >= 0 && f <= 1)) {
      return absl::InvalidArgumentError(absl::StrCat("dataset.split: each fraction must lie in 0..1, got ",
                                                     fraction[0], ", ", fraction[1], ", ", fraction[2]));
    }
    sum += f;
  }
  if (std::fabs(sum - 1) > 1e-6) {
    return absl::InvalidArgumentError(
        absl::StrCat("dataset.split: train, validation and test must sum to 1, but ", fraction[0], " + ",
                     fraction[1], " + ", fraction[2], " = ", sum));
  }
  return absl::OkStatus();
}

absl::Status CheckSizes(int64_t records, const Fractions& fraction, const Counts& total) {
  for (int p = 0; p < kParts; ++p) {
    if (total[p] > 0 || (fraction[p] == 0 && p != 0)) continue;
    const std::string name = PartName(static_cast<Part>(p));
    return absl::InvalidArgumentError(absl::StrCat(
        "dataset.split leaves the ", name, " part empty: of ", records, " records, train gets ", total[0],
        ", validation ", total[1], ", test ", total[2], "; raise dataset.split.", name, " (now ", fraction[p],
        ") to at least ", std::ceil(1000.0 / static_cast<double>(records)) / 1000, " or add records",
        p == 0 ? "" : ", or set it to exactly 0 to do without that part"));
  }
  return absl::OkStatus();
}

}  // namespace

const char* PartName(Part part) {
  switch (part) {
    case Part::kTrain:
      return "train";
    case Part::kValidation:
      return "validation";
    case Part::kTest:
      return "test";
  }
  return "?";
}

absl::Status CheckSplit(int64_t records, const v1::SplitSpec& spec) {
  const Fractions fraction = FractionsOf(spec);
  RETURN_IF_ERROR(CheckFractions(fraction));
  return CheckSizes(records, fraction, Apportion(records, fraction));
}

std::array<int64_t, kParts> PartSizes(int64_t records, const v1::SplitSpec& spec) {
  return Apportion(records, FractionsOf(spec));
}

absl::StatusOr<Split> SplitRecords(int64_t records, const std::vector<int32_t>& class_of, int classes,
                                   const v1::SplitSpec& spec, uint64_t seed) {
  RETURN_IF_ERROR(CheckSplit(records, spec));
  const Fractions fraction = FractionsOf(spec);
  const Counts total = Apportion(records, fraction);

  const size_t groups = class_of.empty() ? 1 : static_cast<size_t>(classes);
  std::vector<std::vector<std::pair<uint64_t, int64_t>>> drawn(groups);
  const uint64_t purpose = uint64_t{static_cast<uint32_t>(RandomPurpose::kSplit)} << 32;
  for (int64_t r = 0; r < records; ++r) {
    const PhiloxBlock block = Philox(seed, purpose, static_cast<uint64_t>(r));
    const uint64_t key = uint64_t{block.value[1]} << 32 | block.value[0];
    drawn[class_of.empty() ? 0 : static_cast<size_t>(class_of[static_cast<size_t>(r)])].emplace_back(key, r);
  }
  std::vector<int64_t> class_size;
  for (const auto& group : drawn) class_size.push_back(static_cast<int64_t>(group.size()));
  const std::vector<Counts> sizes = ApportionClasses(class_size, fraction, total);

  Split split;
  for (size_t c = 0; c < groups; ++c) {
    std::sort(drawn[c].begin(), drawn[c].end());
    size_t at = 0;
    for (int p = 0; p < kParts; ++p) {
      for (int64_t i = 0; i < sizes[c][p]; ++i) split.records[p].push_back(drawn[c][at++].second);
    }
  }
  for (std::vector<int64_t>& part : split.records) std::sort(part.begin(), part.end());
  return split;
}

}  // namespace lockstep
