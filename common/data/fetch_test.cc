// Fetch runs on the step path: it must not allocate.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "common/data/dataset.h"
#include "common/data/testing.h"

namespace {
std::atomic<int64_t> allocations{0};
}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace lockstep {
namespace {

TEST(Fetch, DoesNotAllocate) {
  TempDir dir;
  std::string text = "x,kind,y\n";
  for (int i = 0; i < 300; ++i) text += absl::StrCat(i, ",", i % 3 ? "u" : "v", ",", i % 2 ? "a" : "b", "\n");
  const auto dataset = InspectDataset(CsvSpec(dir.Write("d.csv", text), "y"));
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  const auto prepared = PreparedDataset::Prepare(*dataset, v1::JobSpec());
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  std::vector<float> features(64 * 3), targets(64);
  std::vector<int32_t> classes(64);
  const int64_t before = allocations;
  ASSERT_GT(before, 0) << "the counter counts";
  for (int64_t epoch = 0; epoch < 10; ++epoch) {
    (*prepared)->Fetch(Part::kTrain, epoch, 3, 64, features.data(), classes.data(), targets.data());
    (*prepared)->Fetch(Part::kTest, epoch, 0, 10, features.data(), classes.data(), nullptr);
  }
  EXPECT_EQ(allocations, before);
}

TEST(Fetch, TokensDoNotAllocateEither) {
  TempDir dir;
  v1::DatasetSpec spec;
  spec.set_path(dir.Write("t.txt", std::string(1000, 'x') + std::string(1000, 'y')));
  const auto dataset = InspectDataset(spec);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  v1::JobSpec job;
  job.mutable_dataset()->mutable_text()->set_sequence_length(8);
  const auto prepared = PreparedDataset::Prepare(*dataset, job);
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  std::vector<int32_t> tokens(64 * 8), targets(64 * 8);
  const int64_t before = allocations;
  for (int64_t epoch = 0; epoch < 10; ++epoch) {
    (*prepared)->FetchTokens(Part::kTrain, epoch, 3, 64, tokens.data(), targets.data());
    (*prepared)->FetchTokens(Part::kTest, epoch, 0, 10, tokens.data(), nullptr);
  }
  EXPECT_EQ(allocations, before);
}

}  // namespace
}  // namespace lockstep
