#include "coordinator/server/agent_stream.h"

#include <utility>

#include "common/net/grpc_status.h"

namespace lockstep {
namespace {

constexpr size_t kMaxOrderBytes = 64 << 20;  // an agent that does not read is as good as dead

}  // namespace

AgentStream* AgentStream::Start(Controller* controller, LiveStreams* live, const std::string& owner) {
  std::shared_ptr<AgentStream> stream(new AgentStream(controller, live));
  stream->self_ = stream;
  stream->session_ = controller->AgentConnected(stream);
  live->Add(stream, owner);
  stream->StartRead(&stream->incoming_);
  return stream.get();
}

void AgentStream::Send(v1::ConnectResponse message) {
  {
    absl::MutexLock lock(&mutex_);
    if (end_.has_value()) return;
    order_bytes_ += message.ByteSizeLong();
    orders_.push_back(std::move(message));
    if (order_bytes_ > kMaxOrderBytes) {
      orders_.clear();
      end_ =
          absl::ResourceExhaustedError("this agent does not read its orders: more than 64 MiB were waiting");
    }
  }
  WriteOrFinish();
}

void AgentStream::Close(absl::Status status) {
  {
    absl::MutexLock lock(&mutex_);
    if (end_.has_value()) return;
    end_ = std::move(status);
  }
  WriteOrFinish();
}

void AgentStream::OnReadDone(bool ok) {
  if (!ok) {  // half-closed or broken: an agent without a way to report is gone
    LeaveOnce();
    Close(absl::OkStatus());
    return;
  }
  controller_->AgentMessage(session_, std::move(incoming_));
  incoming_.Clear();
  StartRead(&incoming_);
}

void AgentStream::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok) {
      orders_.clear();
      if (!end_.has_value()) end_ = absl::CancelledError("the agent is gone");
    }
  }
  WriteOrFinish();
}

void AgentStream::OnCancel() {
  LeaveOnce();
  {
    absl::MutexLock lock(&mutex_);
    orders_.clear();
  }
  Close(absl::CancelledError("the agent is gone"));
}

void AgentStream::OnDone() {
  live_->Remove(this);
  LeaveOnce();
  const auto last = std::move(self_);
}

void AgentStream::WriteOrFinish() {
  std::optional<absl::Status> finish;
  {
    absl::MutexLock lock(&mutex_);
    if (writing_ || finished_) return;
    if (!orders_.empty()) {
      outgoing_ = std::move(orders_.front());
      orders_.pop_front();
      order_bytes_ -= outgoing_.ByteSizeLong();
      writing_ = true;
    } else if (end_.has_value()) {
      finished_ = true;
      finish = end_;
    } else {
      return;
    }
  }
  if (finish.has_value()) {
    Finish(ToGrpc(*finish));
  } else {
    StartWrite(&outgoing_);
  }
}

void AgentStream::LeaveOnce() {
  {
    absl::MutexLock lock(&mutex_);
    if (left_) return;
    left_ = true;
  }
  controller_->AgentDisconnected(session_);
}

}  // namespace lockstep
