#include "worker/trainer/checkpointer.h"

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <thread>

#include "common/checkpoint/checkpoint.h"
#include "gtest/gtest.h"
#include "worker/control/channel.h"

namespace lockstep {
namespace {

constexpr size_t kFloats =
    size_t{4} << 20;  // copied in a millisecond or more: a change comes first unless it waits

// A state of equal numbers, and nothing else.
class Constant : public Program {
 public:
  void Become(int64_t step, float value) {
    step_ = step;
    std::fill(state_.begin(), state_.end(), value);
  }

  int logical_shards() const override { return 1; }
  size_t reduction_size() const override { return 0; }
  absl::Status Form(Collective*, ShardRange) override { return absl::OkStatus(); }
  int64_t step() const override { return step_; }
  bool done() const override { return false; }
  int64_t position() const override { return step_; }
  absl::Status Contribute(const PartReady&) override { return absl::OkStatus(); }
  float* node_sums() override { return nullptr; }
  absl::Status PutFlags(const float*) override { return absl::OkStatus(); }
  absl::Status GetFlags(float*) override { return absl::OkStatus(); }
  absl::Status Complete() override { return absl::OkStatus(); }
  absl::Status Settle() override { return absl::OkStatus(); }
  bool at_natural_boundary() const override { return false; }
  bool next_is_natural_boundary() const override { return false; }
  void FillProgress(v1::JobProgress*) const override {}
  std::vector<v1::MetricPoint> TakePoints() override { return {}; }
  v1::ModelSummary Summary() const override { return {}; }
  int64_t samples() const override { return 0; }
  absl::StatusOr<uint64_t> StepHash() override { return 0; }
  absl::StatusOr<uint64_t> StateHash() override { return 0; }
  // Rank 0 writes the state, and each further rank a tensor of its own.
  void TakeSnapshot(int rank, int world, Snapshot* snapshot) override {
    snapshot->content.manifest.step = step_;
    const std::span<const float> all(state_);
    const size_t half = all.size() / 2;
    const float* data = snapshot->Add({all.first(half), all.subspan(half)});
    const std::vector<TensorView> tensors = {{rank == 0 ? "state" : absl::StrCat("state.", rank),
                                              DType::kF32,
                                              {static_cast<int64_t>(all.size())},
                                              data}};
    (rank == 0 ? snapshot->content.model : snapshot->content.optimizer) = tensors;
    snapshot->part = rank - 1;
    snapshot->parts = world - 1;
  }
  absl::Status Restore(const OpenedCheckpoint&, bool) override { return absl::OkStatus(); }
  std::vector<std::span<float>> StateBuffers() override { return {}; }
  std::string StateValues() const override { return ""; }
  absl::Status SetStateValues(const std::string&) override { return absl::OkStatus(); }
  absl::StatusOr<v1::TrainResult> Finish(const std::string&) override { return v1::TrainResult(); }

 private:
  int64_t step_ = 0;
  std::vector<float> state_ = std::vector<float>(kFloats);
};

class CheckpointerTest : public testing::Test {
 protected:
  CheckpointerTest() {
    char name[] = "/tmp/checkpointer-XXXXXX";
    directory_ = mkdtemp(name);
    const auto pair = Channel::MakePair();
    agent_ = std::make_unique<Channel>(pair->first);
    trainer_ = std::make_unique<Channel>(pair->second);
    reader_ = std::thread([this] {
      v1::FromTrainer message;
      while (agent_->Receive(&message).ok()) {
      }
    });
    reporter_ = std::make_unique<Reporter>(trainer_.get(), &clock_, v1::Assignment());
    spec_.set_every_steps(1);
    spec_.set_keep_last(10);
  }
  ~CheckpointerTest() override {
    agent_->Shutdown();
    reader_.join();
    std::filesystem::remove_all(directory_);
  }

  // The value that all of a checkpoint's numbers have; NaN if they differ.
  float ValueAt(int64_t step) {
    const auto all = ListCheckpoints(directory_, nullptr);
    for (const CheckpointInfo& info : *all) {
      if (info.manifest.step != step) continue;
      const auto opened = OpenCheckpoint(info.path);
      const float* data = static_cast<const float*>(opened->model.Find("state")->data);
      const bool same = std::all_of(data, data + kFloats, [&](float value) { return value == *data; });
      return same ? *data : std::numeric_limits<float>::quiet_NaN();
    }
    ADD_FAILURE() << "no checkpoint of step " << step;
    return std::numeric_limits<float>::quiet_NaN();
  }

  std::string directory_;
  std::unique_ptr<Channel> agent_, trainer_;
  std::thread reader_;
  DeviceClock clock_{TimeKind::kIdle};
  std::unique_ptr<Reporter> reporter_;
  v1::CheckpointSpec spec_;
  Constant program_;
};

TEST_F(CheckpointerTest, HoldsTheStateOfItsStepThoughTheNextChangesIt) {
  {
    Checkpointer checkpointer(spec_, directory_, reporter_.get());
    for (int64_t step = 1; step <= 5; ++step) {
      checkpointer.Confirm();
      ASSERT_TRUE(checkpointer.Due(program_));
      checkpointer.AwaitCopy();
      program_.Become(step, static_cast<float>(step));
      checkpointer.Take(program_);
    }
    checkpointer.Confirm();
    checkpointer.AwaitCopy();
    program_.Become(6, -1);
  }
  for (int64_t step = 1; step <= 5; ++step) EXPECT_EQ(ValueAt(step), static_cast<float>(step));
}

TEST_F(CheckpointerTest, TimeThatHasPassedMakesOneDueAtAnyStepAndTimeThatHasNotAtNone) {
  spec_.clear_every_steps();
  spec_.mutable_every()->set_nanos(1);
  Checkpointer passed(spec_, directory_ + "/passed", reporter_.get());
  spec_.mutable_every()->set_seconds(3600);
  Checkpointer waits(spec_, directory_ + "/waits", reporter_.get());
  ASSERT_FALSE(program_.next_is_natural_boundary());
  program_.Become(7, 7);
  EXPECT_TRUE(passed.Due(program_));
  EXPECT_FALSE(waits.Due(program_));
  passed.Take(program_);  // not yet confirmed: a slow disk spaces checkpoints out
  EXPECT_FALSE(passed.Due(program_));
  ASSERT_TRUE(passed.WriteNow(program_).ok());
  EXPECT_TRUE(passed.Due(program_));
}

TEST_F(CheckpointerTest, BothStepsAndTimeAreKept) {
  spec_.set_every_steps(10);
  spec_.mutable_every()->set_seconds(3600);
  Checkpointer checkpointer(spec_, directory_, reporter_.get());
  program_.Become(8, 8);
  EXPECT_FALSE(checkpointer.Due(program_));
  program_.Become(9, 9);
  EXPECT_TRUE(checkpointer.Due(program_));
}

TEST_F(CheckpointerTest, RoomThatWasMadeBeforehandHoldsAnotherState) {
  Checkpointer checkpointer(spec_, directory_, reporter_.get());
  checkpointer.Join(1, 0, 1);
  program_.Become(1, 1);
  checkpointer.MakeRoom(program_);
  program_.Become(2, 2);
  checkpointer.Take(program_);
  checkpointer.Confirm();
  checkpointer.AwaitCopy();
  program_.Become(3, 3);
  ASSERT_TRUE(checkpointer.WriteNow(program_).ok());
  EXPECT_EQ(ListCheckpoints(directory_, nullptr)->size(), 2u);
  EXPECT_EQ(ValueAt(2), 2.0f);
  EXPECT_EQ(ValueAt(3), 3.0f);
}

TEST_F(CheckpointerTest, OneThatTheRanksDoNotConfirmIsNotWritten) {
  {
    Checkpointer checkpointer(spec_, directory_, reporter_.get());
    for (int64_t step = 1; step <= 3; ++step) {
      program_.Become(step, static_cast<float>(step));
      checkpointer.Take(program_);
      checkpointer.AwaitCopy();
      step == 2 ? checkpointer.Discard() : checkpointer.Confirm();
    }
    program_.Become(4, 4);
    checkpointer.Take(program_);  // and one that nobody said anything about
  }
  const auto all = ListCheckpoints(directory_, nullptr);
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ(ValueAt(1), 1);
  EXPECT_EQ(ValueAt(3), 3);
}

TEST_F(CheckpointerTest, NothingToWaitForWithoutACheckpoint) {
  Checkpointer checkpointer(spec_, directory_, reporter_.get());
  checkpointer.AwaitCopy();
  program_.Become(3, 3);
  EXPECT_TRUE(checkpointer.WriteNow(program_).ok());
  EXPECT_EQ(ValueAt(3), 3);
}

TEST_F(CheckpointerTest, RanksWriteTheirPartsAndTheFirstCommits) {
  for (const int world : {1, 2, 3}) {
    std::vector<std::unique_ptr<Checkpointer>> ranks;
    for (int rank = 0; rank < world; ++rank) {
      ranks.push_back(std::make_unique<Checkpointer>(spec_, directory_, reporter_.get()));
      ranks.back()->Join(world, rank, world);
    }
    program_.Become(world, static_cast<float>(world));
    for (int rank = world - 1; rank >= 0; --rank) ranks[rank]->Take(program_);
    for (int rank = world - 1; rank >= 0; --rank) ranks[rank]->Confirm();
    ranks.clear();  // the first waits for the others' parts, which are theirs to finish
    EXPECT_EQ(ValueAt(world), static_cast<float>(world));
    const auto all = ListCheckpoints(directory_, nullptr);
    ASSERT_TRUE(VerifyCheckpoint(all->front().path).ok());
    const auto opened = OpenCheckpoint(all->front().path);
    ASSERT_EQ(opened->optimizer.size(), static_cast<size_t>(world - 1));
    for (int rank = 1; rank < world; ++rank) {
      EXPECT_NE(opened->optimizer[rank - 1].Find(absl::StrCat("state.", rank)), nullptr);
    }
  }
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_)) {
    EXPECT_NE(entry.path().filename().string().front(), '.') << entry.path();
  }
}

TEST_F(CheckpointerTest, PartsThatNeverComeAreGivenUpWhenTheGenerationBreaks) {
  Checkpointer first(spec_, directory_, reporter_.get()), second(spec_, directory_, reporter_.get());
  first.Join(1, 0, 3);
  second.Join(1, 1, 3);  // and the third has died
  program_.Become(7, 7);
  first.Take(program_);
  second.Take(program_);
  first.Confirm();
  second.Confirm();
  first.GiveUpOnOthers();
  first.Join(2, 0, 2);
  second.Join(2, 1, 2);
  ASSERT_TRUE(first.Due(program_)) << "and does not wait for them";
  EXPECT_TRUE(ListCheckpoints(directory_, nullptr)->empty());
  first.AwaitCopy();
  second.AwaitCopy();
  program_.Become(8, 8);
  first.Take(program_);
  second.Take(program_);
  first.Confirm();
  second.Confirm();
  EXPECT_TRUE(first.Due(program_));
  EXPECT_EQ(ValueAt(8), 8);
}

TEST_F(CheckpointerTest, AStateThatIsNotFiniteIsNotWritten) {
  Checkpointer checkpointer(spec_, directory_, reporter_.get());
  program_.Become(1, 1);
  ASSERT_TRUE(checkpointer.WriteNow(program_).ok());
  program_.Become(2, std::numeric_limits<float>::infinity());
  EXPECT_TRUE(absl::IsOutOfRange(checkpointer.WriteNow(program_)));
  EXPECT_EQ(ValueAt(1), 1);
  EXPECT_EQ(ListCheckpoints(directory_, nullptr)->size(), 1u);
}

}  // namespace
}  // namespace lockstep
