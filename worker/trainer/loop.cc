#include "worker/trainer/loop.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <numeric>
#include <optional>
#include <span>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "spdlog/spdlog.h"
#include "worker/engine/device/device_profile.h"
#include "worker/engine/zeroed_floats.h"
#include "worker/trainer/gradient_descent.h"
#include "worker/trainer/replicas.h"

namespace lockstep {
namespace {

// The loop's numbers in each reduction: how many ranks wish it.
// kTake: rank 0 alone, a checkpoint after this step.
enum Flag { kChangeOver = 0, kPause = 1, kCancel = 2, kTake = 3, kReplica = 4 };
static_assert(kReplica + kReplicaFlags <= Program::kLoopFlags);

// The collective's way of saying that this generation cannot go on, whatever the reason. Programs do not use
// these codes.
bool IsInterruption(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsAborted(status);
}

// How long the parts of a longer work took, for its line in the log.
class Laps {
 public:
  void Add(absl::string_view part) {
    const auto now = std::chrono::steady_clock::now();
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(now - last_);
    absl::StrAppend(&parts_, parts_.empty() ? "" : ", ", part, " ", took.count(), " ms");
    last_ = now;
  }
  const std::string& parts() const { return parts_; }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  std::string parts_;
};

// What a failing memory cell does, for `lockstep chaos`.
void FlipABit(std::span<float> weights) {
  float& weight = weights[weights.size() / 2];
  const float before = weight;
  weight = std::bit_cast<float>(std::bit_cast<uint32_t>(weight) ^ (1u << 20));
  spdlog::warn("chaos: weight {} of {} was {} and is {} now, as ordered", weights.size() / 2, weights.size(),
               before, weight);
}

}  // namespace

TrainerLoop::TrainerLoop(const Options& options, Mailbox* mailbox, Channel* channel,
                         v1::Assignment assignment)
    : options_(options),
      mailbox_(mailbox),
      clock_(assignment.generation() > 1 ? TimeKind::kRecovery : TimeKind::kIdle),
      reporter_(channel, &clock_, assignment),
      pulse_(channel, &clock_, assignment.spec().workers()),
      assignment_(std::move(assignment)) {}

void TrainerLoop::Run() {
  reporter_.Status(v1::ASSIGNMENT_STATE_STARTING, 0);
  const absl::Status status = RunProgram();
  LeaveGeneration();
  checkpointer_.reset();
  if (status.ok()) return;
  const int64_t step = program_ ? program_->step() : 0;
  if (corrupt_) {
    spdlog::critical("job {}: {}", assignment_.job_name(), std::string(status.message()));
    return reporter_.Corrupt(step, std::string(status.message()));
  }
  spdlog::error("job {}: {}", assignment_.job_name(), std::string(status.message()));
  // A rank that never had the state is no witness against the job: like a process that died. Neither is a GPU
  // that failed: the job goes on without it, and its next trainer finds out whether it works again.
  const bool lost = (absl::IsDataLoss(status) && program_ && !holds_state_) ||
                    (absl::IsInternal(status) && options_.profile.device_kind() == engine::kGpuKind);
  reporter_.Status(lost ? v1::ASSIGNMENT_STATE_CRASHED : v1::ASSIGNMENT_STATE_FAILED, step,
                   std::string(status.message()));
}

absl::Status TrainerLoop::CheckProfile() const {
  if (!assignment_.spec().reproducible() || !assignment_.has_required_profile()) return absl::OkStatus();
  const v1::NumericProfile& want = assignment_.required_profile();
  if (want.SerializeAsString() == options_.profile.SerializeAsString()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the job's bits were begun on {", want.ShortDebugString(), "}, this device computes on {",
                   options_.profile.ShortDebugString(),
                   "}: run it on a matching worker, or submit it with `reproducible: false`"));
}

absl::Status TrainerLoop::RunProgram() {
  RETURN_IF_ERROR(CheckProfile());
  ASSIGN_OR_RETURN(program_, GradientDescent::Create(assignment_, options_.profile, options_.threads));
  program_->set_clock(&clock_);
  if (assignment_.survivors().empty()) {
    if (!assignment_.restore_from().empty()) {
      ASSIGN_OR_RETURN(const OpenedCheckpoint checkpoint, OpenCheckpoint(assignment_.restore_from()));
      RETURN_IF_ERROR(program_->Restore(checkpoint, assignment_.weights_only()));
      spdlog::info("starts from {} (step {})", assignment_.restore_from(), program_->step());
    }
    holds_state_ = true;
  } else {
    // A peer's state will come: the first touch of its memory takes long, and the others would wait for it.
    for (const std::span<float> buffer : program_->StateBuffers()) engine::TakeMemory(buffer);
  }
  while (true) {
    const absl::StatusOr<Outcome> outcome = RunGeneration();
    clock_.Switch(TimeKind::kRecovery);
    if (!outcome.ok()) {
      if (!IsInterruption(outcome.status())) return outcome.status();
      if (checkpointer_) checkpointer_->GiveUpOnOthers();
      LeaveGeneration();
      if (AwaitNextGeneration(outcome.status())) {
        TakeNextGeneration();
        continue;
      }
    } else if (*outcome == Outcome::kDone) {
      return absl::OkStatus();
    } else if (*outcome == Outcome::kNextGeneration) {
      spdlog::info("step {}: changes over", program_->step());
      reporter_.Step(*program_, arriving_, /*flush=*/true);
      LeaveGeneration();
      TakeNextGeneration();
      continue;
    } else {
      clock_.Switch(TimeKind::kCheckpoint);
      if (*outcome == Outcome::kPaused && assignment_.rank() == 0) {
        RETURN_IF_ERROR(program_->FetchState());
        RETURN_IF_ERROR(Annotate(checkpointer_->WriteNow(*program_),
                                 "the job was to pause but its checkpoint could not be written"));
      }
      reporter_.Step(*program_, arriving_, /*flush=*/true);
    }
    LeaveGeneration();
    checkpointer_.reset();  // what is being written is waited for: the process may be killed after its end
    reporter_.Status(v1::ASSIGNMENT_STATE_STOPPED, program_->step(), "stopped as ordered");
    return absl::OkStatus();
  }
}

absl::StatusOr<TrainerLoop::Outcome> TrainerLoop::RunGeneration() {
  RETURN_IF_ERROR(FormGeneration());
  RETURN_IF_ERROR(program_->Settle());  // which the generation before may not have come to
  ASSIGN_OR_RETURN(const Outcome outcome, StepUntilBoundary());
  if (outcome == Outcome::kDone || outcome == Outcome::kPaused) {
    RETURN_IF_ERROR(CheckReplicas());
    checkpointer_->Confirm();
  }
  if (outcome == Outcome::kDone) RETURN_IF_ERROR(Finish());
  return outcome;
}

void TrainerLoop::LeaveGeneration() {
  mailbox_->Unwatch();
  collective_.reset();
}

bool TrainerLoop::AwaitNextGeneration(const absl::Status& cause) {
  if (!mailbox_->HasAssignmentAbove(assignment_.generation())) {
    spdlog::warn("step {}: {}; waits for the next generation", program_->step(),
                 std::string(cause.message()));
    reporter_.Status(v1::ASSIGNMENT_STATE_INTERRUPTED, holds_state_ ? program_->step() : -1,
                     std::string(cause.message()));
  }
  return mailbox_->WaitForNextGeneration(assignment_.generation());
}

void TrainerLoop::TakeNextGeneration() {
  std::optional<v1::Assignment> next = mailbox_->TakeAssignmentAbove(assignment_.generation());
  spdlog::info("step {}: goes on in generation {} with {} ranks", program_->step(), next->generation(),
               next->world());
  assignment_ = *std::move(next);
  reporter_.SetAssignment(assignment_);
}

void TrainerLoop::AwaitCopy() {
  clock_.Switch(TimeKind::kCheckpoint);
  checkpointer_->AwaitCopy();
}

absl::Status TrainerLoop::FormGeneration() {
  Laps laps;
  const int shards = program_->logical_shards();
  CollectiveOptions options;
  options.rank = assignment_.rank();
  options.world = assignment_.world();
  options.shards = shards;
  options.n = program_->reduction_size();
  options.host = options_.host;
  if (options.world > 1) options.memory = program_->memory();  // alone it sums nothing
  options.stream = program_->stream();
  options.spin = assignment_.world() <= static_cast<int>(std::thread::hardware_concurrency());
  const ShardRange range = ShardsOfRank(shards, options.world, options.rank);
  // Before the others hear of this rank's address and come: the first touch of much memory takes long.
  RETURN_IF_ERROR(program_->MakeRoom(range));
  laps.Add("room");
  const int64_t generation = assignment_.generation();
  options.given_up = [this, generation] { return mailbox_->IsGivenUp(generation); };
  ASSIGN_OR_RETURN(collective_, MakeCollective(options, [&](const std::string& mine) {
                     reporter_.Rendezvous(mine);
                     return mailbox_->WaitForRendezvous(generation);
                   }));
  laps.Add("meeting");
  if (!checkpointer_) {
    checkpointer_ =
        std::make_unique<Checkpointer>(assignment_.spec().checkpoint(), CheckpointDirectory(), &reporter_);
  }
  checkpointer_->Join(generation, options.rank, options.world);
  mailbox_->Watch(generation, [collective = collective_.get(), checkpointer = checkpointer_.get()] {
    collective->Abort();
    checkpointer->GiveUpOnOthers();  // this rank may be waiting for them
  });
  AwaitCopy();
  clock_.Switch(assignment_.generation() > 1 ? TimeKind::kRecovery : TimeKind::kIdle);
  laps.Add("a checkpoint's copy");
  RETURN_IF_ERROR(ShareState());
  laps.Add("state");
  RETURN_IF_ERROR(program_->Form(collective_.get(), range));
  laps.Add("engine");
  RETURN_IF_ERROR(program_->FetchState());
  checkpointer_->MakeRoom(*program_);
  laps.Add("room for checkpoints");
  spdlog::info("generation {} formed: {}", generation, laps.parts());
  return absl::OkStatus();
}

absl::Status TrainerLoop::NameCorruptReplica(uint64_t mine) {
  std::vector<uint64_t> hashes(static_cast<size_t>(assignment_.world()));
  RETURN_IF_ERROR(collective_->AllGather(&mine, sizeof(mine), hashes.data()));
  std::vector<int> ranks(hashes.size());
  std::iota(ranks.begin(), ranks.end(), 0);
  return NameCorrupt(ranks, hashes);
}

absl::Status TrainerLoop::NameCorrupt(const std::vector<int>& ranks, const std::vector<uint64_t>& hashes) {
  if (checkpointer_) checkpointer_->Discard();
  const std::optional<std::vector<int>> odd = OddRanks(hashes);
  const std::string where = absl::StrCat("after step ", program_->step());
  if (!odd.has_value()) {
    holds_state_ = false;  // nobody can tell whose is right
    return absl::AbortedError(
        absl::StrCat(where, " the ranks hold different weights, and none that most of them share: ",
                     "corrupt memory on one of the devices; the newest whole checkpoint is right"));
  }
  std::vector<int> names;
  for (const int index : *odd) names.push_back(ranks[index]);
  const std::string who = absl::StrCat(names.size() == 1 ? "rank " : "ranks ", absl::StrJoin(names, ", "));
  corrupt_ = std::find(names.begin(), names.end(), assignment_.rank()) != names.end();
  if (!corrupt_) {
    return absl::AbortedError(absl::StrCat(where, " the weights of ", who, " are not those of the others"));
  }
  return absl::DataLossError(absl::StrCat(
      where, " this rank's weights are not those of the others (", who, " of ", hashes.size(),
      "): its memory, or its arithmetic, is corrupt; check the memory of this node before it is used again"));
}

absl::Status TrainerLoop::CheckReplicas() {
  ASSIGN_OR_RETURN(const uint64_t mine, program_->StateHash());
  std::vector<uint64_t> hashes(static_cast<size_t>(assignment_.world()));
  RETURN_IF_ERROR(collective_->AllGather(&mine, sizeof(mine), hashes.data()));
  const bool same = std::count(hashes.begin(), hashes.end(), mine) == std::ssize(hashes);
  // Each rank sees the same hashes, so all of them go this way or none.
  return same ? absl::OkStatus() : NameCorruptReplica(mine);
}

absl::Status TrainerLoop::ShareState() {
  const int64_t mine = holds_state_ ? program_->position() : -1;
  std::vector<int64_t> positions(static_cast<size_t>(assignment_.world()));
  RETURN_IF_ERROR(collective_->AllGather(&mine, sizeof(mine), positions.data()));
  const int64_t furthest = std::ranges::max(positions);
  if (furthest < 0) {
    return absl::DataLossError("no rank of this generation holds the job's state: its last holder is gone");
  }
  // Before anybody copies it: a newcomer with a corrupt state would make it the majority's.
  std::vector<int> holders, receivers;
  for (int rank = 0; rank < assignment_.world(); ++rank)
    (positions[rank] == furthest ? holders : receivers).push_back(rank);
  if (holders.size() > 1) RETURN_IF_ERROR(CompareHolders(holders));
  if (receivers.empty()) return absl::OkStatus();
  const int sender = holders.front();
  const bool takes = mine != furthest;
  const std::string what =
      absl::StrCat("its state from rank ", sender, " in generation ", assignment_.generation());
  if (assignment_.rank() == sender) {
    spdlog::info("step {}: gives its state to rank {} in generation {}", program_->step(),
                 absl::StrJoin(receivers, ", "), assignment_.generation());
  } else if (takes) {
    spdlog::info("takes {}", what);
  }
  // Its own state is worth more than half of another's: the sender may die on the way.
  const bool behind = mine >= 0 && takes;
  RETURN_IF_ERROR(TransferState(sender, receivers, behind));
  if (takes) spdlog::info("step {}: has {}", program_->step(), what);
  holds_state_ = true;
  return absl::OkStatus();
}

absl::Status TrainerLoop::CompareHolders(const std::vector<int>& holders) {
  const bool holds = std::ranges::count(holders, assignment_.rank()) > 0;
  uint64_t mine = 0;
  if (holds) {
    ASSIGN_OR_RETURN(mine, program_->StateHash());
  }
  std::vector<uint64_t> all(static_cast<size_t>(assignment_.world())), hashes;
  RETURN_IF_ERROR(collective_->AllGather(&mine, sizeof(mine), all.data()));
  for (const int rank : holders) hashes.push_back(all[rank]);
  const bool same = std::ranges::count(hashes, hashes.front()) == std::ssize(hashes);
  return same ? absl::OkStatus() : NameCorrupt(holders, hashes);
}

absl::Status TrainerLoop::TransferState(int root, const std::vector<int>& receivers,
                                        bool keep_mine_until_complete) {
  std::string values = program_->StateValues();
  uint64_t size = values.size();
  RETURN_IF_ERROR(collective_->Broadcast(&size, sizeof(size), root));
  values.resize(size);
  RETURN_IF_ERROR(collective_->Transfer(values.data(), size, root, receivers));
  RETURN_IF_ERROR(program_->memory() == CollectiveOptions::Memory::kDevice
                      ? TransferOnDevice(root, receivers, keep_mine_until_complete)
                      : TransferOnHost(root, receivers, keep_mine_until_complete));
  if (std::find(receivers.begin(), receivers.end(), assignment_.rank()) == receivers.end())
    return absl::OkStatus();
  program_->StateCame();
  return program_->SetStateValues(values);
}

absl::Status TrainerLoop::TransferOnHost(int root, const std::vector<int>& receivers,
                                         bool keep_mine_until_complete) {
  const std::vector<std::span<float>> buffers = program_->PeerBuffers();
  std::vector<std::vector<float>> copies;
  for (const std::span<float> buffer : buffers) {
    float* to = buffer.data();
    if (keep_mine_until_complete) to = copies.emplace_back(buffer.size()).data();
    RETURN_IF_ERROR(collective_->Transfer(to, buffer.size_bytes(), root, receivers));
  }
  for (size_t i = 0; i < copies.size(); ++i)
    std::copy(copies[i].begin(), copies[i].end(), buffers[i].begin());
  return absl::OkStatus();
}

// The host's copy is what is kept meanwhile.
absl::Status TrainerLoop::TransferOnDevice(int root, const std::vector<int>& receivers,
                                           bool keep_mine_until_complete) {
  if (keep_mine_until_complete) RETURN_IF_ERROR(program_->FetchState());
  for (const std::span<float> buffer : program_->PeerBuffers()) {
    const absl::Status status = collective_->Transfer(buffer.data(), buffer.size_bytes(), root, receivers);
    if (status.ok()) continue;
    if (keep_mine_until_complete) RETURN_IF_ERROR(program_->StoreState());
    return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<TrainerLoop::Outcome> TrainerLoop::StepUntilBoundary() {
  const bool together = assignment_.world() > 1;
  while (!program_->done()) {
    if (mailbox_->TakeCorruption()) {
      RETURN_IF_ERROR(program_->FetchState());
      FlipABit(program_->StateBuffers().front());
      RETURN_IF_ERROR(program_->StoreState());
    }
    clock_.Switch(TimeKind::kCheckpoint);
    const DeviceClock::Clock::time_point begin = clock_.switched();
    const bool due = assignment_.rank() == 0 && checkpointer_->Due(*program_);
    clock_.Switch(TimeKind::kCompute);
    pulse_.Begin();
    float* const sums = program_->node_sums();  // in place
    size_t begun = 0;                           // floats of each row whose sum is on its way
    const auto begin_sum = [&](size_t from, size_t count) {
      begun = from + count;
      return collective_->BeginSum(from, count, sums, sums);
    };
    RETURN_IF_ERROR(program_->Contribute(together ? begin_sum : Program::PartReady()));
    pulse_.End();
    float flags[Program::kLoopFlags] = {}, agreed[Program::kLoopFlags] = {};
    const v1::Stop::Mode stop = mailbox_->stop();
    const bool leaves = stop == v1::Stop::MODE_LEAVE;
    flags[kChangeOver] = leaves || mailbox_->HasAssignmentAbove(assignment_.generation()) ? 1.0f : 0.0f;
    flags[kPause] = stop == v1::Stop::MODE_PAUSE ? 1.0f : 0.0f;
    flags[kCancel] = stop == v1::Stop::MODE_CANCEL ? 1.0f : 0.0f;
    flags[kTake] = due ? 1.0f : 0.0f;
    const bool compares = together && assignment_.world() <= kMostComparedRanks;
    uint64_t hash = 0;
    if (compares) {
      ASSIGN_OR_RETURN(hash, program_->StepHash());
      PutReplicaHash(hash, flags + kReplica);
    }
    RETURN_IF_ERROR(program_->PutFlags(flags));
    clock_.Switch(TimeKind::kCommunication);
    if (together) {
      RETURN_IF_ERROR(begin_sum(begun, program_->reduction_size() - begun));
      RETURN_IF_ERROR(collective_->FinishSum());
    }
    RETURN_IF_ERROR(program_->GetFlags(agreed));
    const std::chrono::nanoseconds reduced = clock_.Switch(TimeKind::kCompute);
    if (compares && !ReplicasAgree(agreed + kReplica, assignment_.world())) return NameCorruptReplica(hash);
    checkpointer_->Confirm();
    const bool change_over = agreed[kChangeOver] == static_cast<float>(assignment_.world());
    const bool pause = agreed[kPause] > 0, cancel = agreed[kCancel] > 0, take = agreed[kTake] > 0;
    AwaitCopy();
    clock_.Switch(TimeKind::kCompute);
    RETURN_IF_ERROR(program_->Complete());
    RETURN_IF_ERROR(program_->Settle());
    arriving_ = collective_->arriving();
    clock_.Switch(TimeKind::kCheckpoint);
    if (take && !program_->done()) {
      RETURN_IF_ERROR(program_->FetchState());
      checkpointer_->Take(*program_);
    }
    clock_.Switch(TimeKind::kCompute);
    clock_.CountStep(clock_.switched() - begin, reduced);
    reporter_.Step(*program_, arriving_, /*flush=*/false);
    if (program_->done()) break;
    if (cancel) return Outcome::kStopped;
    if (pause) return Outcome::kPaused;
    if (change_over && take) {  // who leaves now has no further step to confirm it in
      RETURN_IF_ERROR(CheckReplicas());
      checkpointer_->Confirm();
    }
    if (change_over) return leaves ? Outcome::kStopped : Outcome::kNextGeneration;
  }
  return Outcome::kDone;
}

absl::Status TrainerLoop::Finish() {
  reporter_.Step(*program_, arriving_, /*flush=*/true);
  clock_.Switch(TimeKind::kCheckpoint);
  if (assignment_.rank() == 0) {
    RETURN_IF_ERROR(program_->FetchState());
    // The final checkpoint is a convenience (`from:` this job); the model below is the job's result.
    (void)checkpointer_->WriteNow(*program_);
  }
  clock_.Switch(TimeKind::kCompute);
  ASSIGN_OR_RETURN(const v1::TrainResult result, program_->Finish(assignment_.job_directory() + "/model"));
  if (assignment_.rank() == 0)
    spdlog::info("{}; the model is in {}/model", result.stop_reason(), assignment_.job_directory());
  reporter_.Status(v1::ASSIGNMENT_STATE_SUCCEEDED, program_->step(), result.stop_reason(), &result);
  return absl::OkStatus();
}

}  // namespace lockstep
