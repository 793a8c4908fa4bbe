// Nothing is allocated on the step path. A program of its own: operator new is replaced.
#include <gtest/gtest.h>

#include "worker/engine/engine.h"
#include "worker/models/count_allocations.h"
#include "worker/models/test_job.h"

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
    for (const char* name : {"sgd", "adamw", "adagrad", "rmsprop", "lion", "muon"}) {
      v1::OptimizerSpec& spec = *job.spec.mutable_train()->mutable_optimizer();
      spec.GetReflection()->MutableMessage(&spec, v1::OptimizerSpec::descriptor()->FindFieldByName(name));
      const std::unique_ptr<Optimizer> optimizer = *MakeOptimizer(job.spec.train(), *job.model);
      std::vector<float> sums(job.model->gradient_size()), out(10 * 10);
      const int64_t before = AllocationsSoFar();
      EXPECT_GT(before, 0) << "the counter counts nothing";
      for (int step = 1; step <= 3; ++step) {  // the first one too
        executor->SetRows(7, step);
        executor->Gradient(job.weights.data(), step, 57 + step, sums.data());
        const double rate = LearningRate(job.spec.train(), step, 10, 100);
        optimizer->Apply(sums.data(), job.weights.data(), step, rate);
        executor->Predict(job.weights.data(), job.x.data(), 10, out.data());
      }
      EXPECT_EQ(AllocationsSoFar(), before) << kind << ", " << name;
    }
  }
}

}  // namespace
}  // namespace lockstep::engine
