#include "worker/collective/nccl_communicator.h"

#include <sched.h>
#include <time.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace lockstep {
namespace {

constexpr int64_t kSpinNanoseconds = 100'000;
constexpr timespec kSleep = {0, 50'000};

}  // namespace

void PollPause::operator()() {
  const int64_t now = absl::GetCurrentTimeNanos();
  if (begun_ == 0) begun_ = now;
  if (now - begun_ < kSpinNanoseconds) {
    sched_yield();
  } else {
    nanosleep(&kSleep, nullptr);
  }
}

NcclCommunicator::NcclCommunicator(const NcclCalls* nccl, int rank, int world)
    : nccl_(nccl), who_(absl::StrCat("rank ", rank, " of ", world)), rank_(rank), world_(world) {}

NcclCommunicator::~NcclCommunicator() { Abort(); }

absl::Status NcclCommunicator::Explain(const char* call, NcclResult result) {
  return ExplainNccl(*nccl_, who_, call, result, comm_);
}

absl::Status NcclCommunicator::Aborted() const {
  return absl::AbortedError(absl::StrCat(who_, ": the collective was aborted"));
}

absl::StatusOr<NcclUniqueId> NcclCommunicator::MakeId() const {
  NcclUniqueId id;
  const NcclResult result = nccl_->GetUniqueId(&id);
  if (result != NcclResult::kSuccess) return ExplainNccl(*nccl_, who_, "ncclGetUniqueId", result, nullptr);
  return id;
}

absl::Status NcclCommunicator::Init(const NcclUniqueId& id, const GoOn& go_on) {
  constexpr char kCall[] = "ncclCommInitRankConfig";
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (aborted_) return Aborted();
    NcclConfig config;
    const NcclResult result = nccl_->CommInitRankConfig(&comm_, world_, id, rank_, &config);
    if (result != NcclResult::kSuccess && result != NcclResult::kInProgress) return Explain(kCall, result);
  }
  return AwaitReady(kCall, go_on);
}

absl::Status NcclCommunicator::AwaitReady(const char* call, const GoOn& go_on) {
  for (PollPause pause;; pause()) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (comm_ == nullptr) return Aborted();
      NcclResult state = NcclResult::kSuccess;
      const NcclResult result = nccl_->CommGetAsyncError(comm_, &state);
      if (result != NcclResult::kSuccess) return Explain("ncclCommGetAsyncError", result);
      if (state == NcclResult::kSuccess) return absl::OkStatus();
      if (state != NcclResult::kInProgress) return Explain(call, state);
    }
    RETURN_IF_ERROR(go_on());
  }
}

absl::Status NcclCommunicator::Queue(const std::vector<Message>& messages, kernels::Stream stream,
                                     const GoOn& go_on) {
  if (messages.empty()) return absl::OkStatus();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (comm_ == nullptr) return Aborted();
    NcclResult first = nccl_->GroupStart();
    if (first != NcclResult::kSuccess) return Explain("ncclGroupStart", first);
    const char* failed = "";
    for (const Message& message : messages) {
      const NcclResult result =
          message.sends ? nccl_->Send(message.data, message.count, message.type, message.peer, comm_, stream)
                        : nccl_->Recv(message.data, message.count, message.type, message.peer, comm_, stream);
      if (result == NcclResult::kSuccess || result == NcclResult::kInProgress) continue;
      first = result;
      failed = message.sends ? "ncclSend" : "ncclRecv";
      break;
    }
    const NcclResult end = nccl_->GroupEnd();  // a group that was begun must be ended
    if (first != NcclResult::kSuccess) return Explain(failed, first);
    if (end != NcclResult::kSuccess && end != NcclResult::kInProgress) return Explain("ncclGroupEnd", end);
  }
  return AwaitReady("ncclGroupEnd", go_on);
}

absl::Status NcclCommunicator::AsyncError() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (comm_ == nullptr) return Aborted();
  NcclResult state = NcclResult::kSuccess;
  const NcclResult result = nccl_->CommGetAsyncError(comm_, &state);
  if (result != NcclResult::kSuccess) return Explain("ncclCommGetAsyncError", result);
  if (state == NcclResult::kSuccess || state == NcclResult::kInProgress) return absl::OkStatus();
  return Explain("asynchronous error", state);
}

void NcclCommunicator::Close(absl::Time deadline) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (comm_ == nullptr) return;
    const NcclResult result = nccl_->CommFinalize(comm_);
    if (result != NcclResult::kSuccess && result != NcclResult::kInProgress) return;  // ~ aborts
  }
  const absl::Status flushed = AwaitReady("ncclCommFinalize", [deadline] {
    return absl::Now() < deadline ? absl::OkStatus() : absl::DeadlineExceededError("not flushed in time");
  });
  std::lock_guard<std::mutex> lock(mutex_);
  if (!flushed.ok() || comm_ == nullptr) return;
  nccl_->CommDestroy(std::exchange(comm_, nullptr));
}

void NcclCommunicator::Abort() {
  std::lock_guard<std::mutex> lock(mutex_);
  aborted_ = true;
  if (comm_ != nullptr) nccl_->CommAbort(std::exchange(comm_, nullptr));
}

}  // namespace lockstep
