#include "coordinator/server/agent_stream.h"

#include <utility>

#include "absl/time/clock.h"
#include "common/net/grpc_status.h"
#include "coordinator/http/rpc_metrics.h"

namespace lockstep {
namespace {

constexpr size_t kMaxOrderBytes = 64 << 20;  // an agent that does not read is as good as dead

}  // namespace

void AgentStream::Await(const ServiceContext& context, const Request& request,
                        grpc::ServerCompletionQueue* queue) {
  std::shared_ptr<AgentStream> stream(new AgentStream(context, request, queue));
  stream->self_ = stream;
  Call* call = stream->call_.get();
  call->context.AsyncNotifyWhenDone(&stream->over_);
  request(&call->context, &call->wire, queue, &stream->called_);
}

AgentStream::AgentStream(const ServiceContext& context, const Request& request,
                         grpc::ServerCompletionQueue* queue)
    : context_(context),
      request_(request),
      queue_(queue),
      call_(std::make_unique<Call>()),
      called_{[this](bool ok) { OnCalled(ok); }},
      read_{[this](bool ok) { OnRead(ok); }},
      written_{[this](bool ok) { OnWritten(ok); }},
      finish_{[this](bool) { OnFinished(); }},
      over_{[this](bool) { OnOver(); }} {}

void AgentStream::OnCalled(bool ok) {
  if (!ok) {  // the server is shut down; nothing else was begun
    const auto last = std::move(self_);
    return;
  }
  Await(context_, request_, queue_);
  since_ = absl::Now();
  if (context_.audit != nullptr) {
    call_->note.emplace(context_.authorizer, context_.audit, kMethod, &call_->context);
  }
  session_ = context_.controller->AgentConnected(shared_from_this());
  context_.live->Add(shared_from_this(), StreamOwnerOf(call_->context));
  ReadNext();
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

void AgentStream::OnRead(bool ok) {
  if (!ok) {  // half-closed or broken: an agent without a way to report is gone
    LeaveOnce();
    Close(absl::OkStatus());
    {
      absl::MutexLock lock(&mutex_);
      reading_ = false;
    }
    return GoIfDone();
  }
  if (!std::exchange(noted_, true) && call_->note.has_value()) call_->note->Opened(incoming_);
  context_.controller->AgentMessage(session_, std::move(incoming_));
  incoming_.Clear();
  ReadNext();
}

void AgentStream::ReadNext() {
  bool reads;
  {
    absl::MutexLock lock(&mutex_);
    reads = reading_ = !finishing_;
  }
  if (reads)
    return call_->wire.Read(&incoming_, &read_);  // ends with the call, whoever finishes it meanwhile
  GoIfDone();
}

void AgentStream::OnWritten(bool ok) {
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

void AgentStream::OnOver() {
  if (call_->context.IsCancelled()) {
    LeaveOnce();
    {
      absl::MutexLock lock(&mutex_);
      orders_.clear();
    }
    Close(absl::CancelledError("the agent is gone"));
  }
  {
    absl::MutexLock lock(&mutex_);
    is_over_ = true;
  }
  GoIfDone();
}

void AgentStream::OnFinished() {
  {
    absl::MutexLock lock(&mutex_);
    finished_ = true;
  }
  GoIfDone();
}

void AgentStream::WriteOrFinish() {
  std::optional<absl::Status> finish;
  {
    absl::MutexLock lock(&mutex_);
    if (writing_ || finishing_) return;
    if (!orders_.empty()) {
      outgoing_ = std::move(orders_.front());
      orders_.pop_front();
      order_bytes_ -= outgoing_.ByteSizeLong();
      writing_ = true;
    } else if (end_.has_value()) {
      finishing_ = true;
      finish = end_;
    } else {
      return;
    }
  }
  if (finish.has_value()) {
    Finish(*finish);
  } else {
    call_->wire.Write(outgoing_, &written_);
  }
}

// REQUIRES: this caller set finishing_.
void AgentStream::Finish(const absl::Status& status) {
  if (context_.metrics != nullptr) context_.metrics->Record(kMethod, status.code(), absl::Now() - since_);
  const auto send = [this, status] { call_->wire.Finish(ToGrpc(status), &finish_); };
  if (call_->note.has_value()) {
    call_->note->Ended(status, send);
  } else {
    send();
  }
}

void AgentStream::LeaveOnce() {
  {
    absl::MutexLock lock(&mutex_);
    if (left_) return;
    left_ = true;
  }
  context_.controller->AgentDisconnected(session_);
}

void AgentStream::GoIfDone() {
  {
    absl::MutexLock lock(&mutex_);
    if (reading_ || writing_ || !finished_ || !is_over_) return;
  }
  context_.live->Remove(this);
  LeaveOnce();
  call_.reset();
  const auto last = std::move(self_);
}

}  // namespace lockstep
