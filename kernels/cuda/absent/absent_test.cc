#include <gtest/gtest.h>

#include "kernels/tree_add.h"

namespace lockstep::kernels {
namespace {

TEST(AbsentCuda, LauncherDoesNotSayThatItIsAbsent) {
  EXPECT_EQ(cuda::TreeAddInto(0, nullptr, nullptr, nullptr).code(), absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace lockstep::kernels
