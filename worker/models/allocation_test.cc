// Nothing is allocated on the step path. A program of its own: it replaces operator new.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "worker/engine/engine.h"
#include "worker/models/test_job.h"

namespace {
std::atomic<int64_t> allocations{0};

void* Counted(std::size_t size, std::size_t alignment) {
  ++allocations;
  void* block = alignment == 0
                    ? std::malloc(size)
                    : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (block == nullptr) std::abort();
  return block;
}
}  // namespace

void* operator new(std::size_t size) { return Counted(size, 0); }
void* operator new[](std::size_t size) { return Counted(size, 0); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return Counted(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return Counted(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete[](void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
void operator delete[](void* block, std::size_t) noexcept { std::free(block); }
void operator delete(void* block, std::align_val_t) noexcept { std::free(block); }
void operator delete[](void* block, std::align_val_t) noexcept { std::free(block); }

namespace lockstep::engine {
namespace {

TEST(Allocation, StepPathAllocates) {
  for (const char* kind : {"relu", "gelu"}) {
    TestJob job({.kind = kind,
                 .features = 64,
                 .outputs = 10,
                 .hidden = {128, 64},
                 .dropout = 0.1,
                 .rows_per_shard = 8});
    job.spec.mutable_train()->mutable_gradient_clip()->set_norm(1);
    job.spec.mutable_train()->set_l2(0.1);
    const std::unique_ptr<Executor> executor = job.MakeRank({0, 8});
    for (const bool adam : {true, false}) {
      if (adam) {
        job.spec.mutable_train()->mutable_optimizer()->mutable_adamw();
      } else {
        job.spec.mutable_train()->mutable_optimizer()->mutable_sgd()->set_momentum(0.9);
      }
      const std::unique_ptr<Optimizer> optimizer = *MakeOptimizer(job.spec.train(), *job.model);
      std::vector<float> sums(job.model->gradient_size()), out(10 * 10);
      const int64_t before = allocations;
      EXPECT_GT(before, 0) << "the counter counts nothing";
      for (int step = 1; step <= 3; ++step) {  // the first one too
        executor->SetRows(7, step);
        executor->Gradient(job.weights.data(), step, 57 + step, sums.data());
        const double rate = LearningRate(job.spec.train(), step, 10, 100);
        optimizer->Apply(sums.data(), job.weights.data(), step, rate);
        executor->Predict(job.weights.data(), job.x.data(), 10, out.data());
      }
      EXPECT_EQ(allocations, before) << kind;
    }
  }
}

}  // namespace
}  // namespace lockstep::engine
