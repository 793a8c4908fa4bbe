#include "worker/trainer/plateau.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace lockstep::plateau_test {
namespace {

v1::TrainSpec Spec(const std::string& metric, int patience, double factor, double min_factor) {
  v1::TrainSpec spec;
  v1::PlateauSchedule& plateau = *spec.mutable_schedule()->mutable_plateau();
  plateau.set_metric(metric);
  plateau.set_patience(patience);
  plateau.set_factor(factor);
  plateau.set_min_factor(min_factor);
  return spec;
}

// ReduceLROnPlateau(factor=0.5, patience=2, threshold=0, min_lr=0.2) of torch 2.15.0, from the rate 1.
TEST(Plateau, FactorsAreNotPyTorchs) {
  Plateau plateau(Spec("validation/loss", 2, 0.5, 0.2));
  const std::vector<double> losses = {1, 0.9, 0.95, 0.9, 0.92, 0.91, 0.89, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  const std::vector<double> expected = {1,   1,    1,    1,    0.5, 0.5, 0.5, 0.5,
                                        0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2, 0.2};
  for (size_t i = 0; i < losses.size(); ++i) {
    plateau.Observe({{"validation/loss", losses[i]}});
    EXPECT_DOUBLE_EQ(plateau.factor(), expected[i]) << i;
  }
}

TEST(Plateau, RisingAccuracyReducesTheRate) {
  Plateau plateau(Spec("validation/accuracy", 0, 0.5, 0));
  plateau.Observe({{"validation/accuracy", 0.5}});
  plateau.Observe({{"validation/accuracy", 0.6}});
  EXPECT_EQ(plateau.factor(), 1);
  plateau.Observe({{"validation/accuracy", 0.6}});
  EXPECT_EQ(plateau.factor(), 0.5);
}

TEST(Plateau, NanIsTheBest) {
  Plateau plateau(Spec("validation/loss", 0, 0.5, 0));
  plateau.Observe({{"validation/loss", std::numeric_limits<double>::quiet_NaN()}});
  EXPECT_EQ(plateau.factor(), 0.5);
  plateau.Observe({{"validation/loss", 7}});
  EXPECT_EQ(plateau.factor(), 0.5);
}

TEST(Plateau, StateLosesBits) {
  Plateau first(Spec("validation/loss", 1, 1.0 / 3, 0)), second(Spec("validation/loss", 1, 1.0 / 3, 0));
  ASSERT_TRUE(second.SetState(first.state()).ok()) << "before any validation";
  EXPECT_EQ(second.state(), first.state());
  for (const double loss : {0.1 + 0.2, 1.0, 1.0, 1.0}) first.Observe({{"validation/loss", loss}});
  ASSERT_TRUE(second.SetState(first.state()).ok());
  EXPECT_EQ(second.state(), first.state());
  first.Observe({{"validation/loss", 0.30000000000000004}});
  second.Observe({{"validation/loss", 0.30000000000000004}});
  EXPECT_EQ(second.factor(), first.factor());
  EXPECT_EQ(second.factor(), 1.0 / 3 * (1.0 / 3));
}

TEST(Plateau, ForeignStateIsTaken) {
  Plateau plateau(Spec("validation/loss", 1, 0.5, 0));
  EXPECT_EQ(plateau.SetState({{"step", "3"}}).code(), absl::StatusCode::kDataLoss);
  Plateau none{v1::TrainSpec()};
  EXPECT_TRUE(none.SetState({}).ok());
  EXPECT_TRUE(none.state().empty());
}

}  // namespace
}  // namespace lockstep::plateau_test
