#include <gtest/gtest.h>

#include "kernels/cuda/launched.h"
#include "kernels/cuda/tree_add.h"

namespace lockstep::kernels {
namespace {

TEST(AbsentCuda, LauncherDoesNotSayThatItIsAbsent) {
  EXPECT_EQ(ToStatus(cuda::TreeAddInto(0, nullptr, nullptr, nullptr)).code(),
            absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace lockstep::kernels
