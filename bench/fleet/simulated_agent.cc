#include "bench/fleet/simulated_agent.h"

#include <chrono>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockstep {
namespace {

int64_t NowNanos() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

SimulatedAgent::SimulatedAgent(v1::Workers::Stub* stub, const std::string& name, int devices,
                               const std::string& root_id, const std::string& token, FleetCounts* counts)
    : counts_(counts),
      until_asking_(static_cast<int>(std::hash<std::string>()(name) % FleetCounts::kAskEvery)) {
  v1::Register& registration = *registration_.mutable_register_();
  registration.set_name(name);
  registration.set_incarnation(absl::StrCat(name, "-", NowNanos()));
  registration.set_host("simulated");
  registration.set_version("bench");
  registration.set_artifact_root_id(root_id);
  for (int i = 0; i < devices; ++i) {
    v1::Device& device = *registration.add_devices();
    device.set_id(absl::StrCat("cpu:", i));
    device.set_uuid(absl::StrCat("CPU-", name, "-", i));
    device.mutable_profile()->set_device_kind("cpu");
    device.mutable_profile()->set_device_model("simulated");
    device.mutable_profile()->set_instruction_set("none");
  }
  if (!token.empty()) context_.AddMetadata("authorization", "Bearer " + token);
  stub->async()->Connect(&context_, this);
}

void SimulatedAgent::Start() {
  Push(std::move(registration_));
  StartRead(&incoming_);
  StartCall();
}

void SimulatedAgent::Heartbeat() {
  v1::ConnectRequest message;
  v1::Heartbeat& heartbeat = *message.mutable_heartbeat();
  if (--until_asking_ < 0) {
    until_asking_ = FleetCounts::kAskEvery - 1;
    heartbeat.set_echo(NowNanos());
  }
  if (counts_->hold) ReportTimes(&heartbeat);
  Push(std::move(message));
}

void SimulatedAgent::ReportTimes(v1::Heartbeat* heartbeat) {
  absl::MutexLock lock(&mutex_);
  if (++beats_ % 2 != 0) return;
  for (const auto& [device, assignment] : work_) {
    v1::RankTimes& rank = *heartbeat->add_times();
    rank.set_job_id(assignment.job_id());
    rank.set_generation(assignment.generation());
    rank.set_rank(assignment.rank());
    rank.mutable_step()->set_compute(0.01);
    v1::DeviceTime& time = *heartbeat->add_device_times();
    time.set_job_id(assignment.job_id());
    time.set_device(device);
    time.mutable_since()->set_seconds(1);
    time.set_compute(static_cast<double>(beats_));
    time.set_steps(100 * beats_);
  }
}

void SimulatedAgent::Push(v1::ConnectRequest message) {
  const v1::ConnectRequest* first = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;
    waiting_.push_back(std::move(message));
    if (waiting_.size() > 1) return;  // the first is being written; OnWriteDone takes the next
    first = &waiting_.front();
  }
  StartWrite(first);
}

void SimulatedAgent::OnWriteDone(bool ok) {
  const v1::ConnectRequest* next = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    if (!ok) return;
    waiting_.pop_front();
    if (!waiting_.empty()) next = &waiting_.front();
  }
  if (next != nullptr) StartWrite(next);
}

void SimulatedAgent::OnReadDone(bool ok) {
  if (!ok) return;
  Obey(incoming_);
  StartRead(&incoming_);
}

std::optional<v1::Assignment> SimulatedAgent::Work(const std::string& device, const std::string& job,
                                                   bool ends) {
  absl::MutexLock lock(&mutex_);
  const auto found = work_.find(device);
  if (found == work_.end() || found->second.job_id() != job) return std::nullopt;
  v1::Assignment work = found->second;
  if (ends) work_.erase(found);
  return work;
}

void SimulatedAgent::Obey(const v1::ConnectResponse& order) {
  switch (order.message_case()) {
    case v1::ConnectResponse::kRegistered:
      if (!std::exchange(ready_, true)) ++counts_->ready;
      return;
    case v1::ConnectResponse::kHeard:
      if (counts_->heard) counts_->heard(static_cast<double>(NowNanos() - order.heard().echo()) / 1e9);
      return;
    case v1::ConnectResponse::kAssignment: {
      const v1::Assignment& assignment = order.assignment();
      {
        absl::MutexLock lock(&mutex_);
        work_[assignment.device()] = assignment;
      }
      v1::ConnectRequest message;
      message.mutable_rendezvous()->set_job_id(assignment.job_id());
      message.mutable_rendezvous()->set_generation(assignment.generation());
      message.mutable_rendezvous()->set_rank(assignment.rank());
      message.mutable_rendezvous()->set_address("127.0.0.1:1");
      return Push(std::move(message));
    }
    case v1::ConnectResponse::kRendezvous: {
      const auto work = Work(order.rendezvous().device(), order.rendezvous().job_id(), !counts_->hold);
      if (!work.has_value()) return;
      Report(*work, v1::ASSIGNMENT_STATE_RUNNING);
      if (counts_->hold) return;
      Report(*work, v1::ASSIGNMENT_STATE_SUCCEEDED);
      ++counts_->succeeded;
      return;
    }
    case v1::ConnectResponse::kStop: {
      const auto work = Work(order.stop().device(), order.stop().job_id(), true);
      if (work.has_value()) Report(*work, v1::ASSIGNMENT_STATE_STOPPED);
      return;
    }
    default:
      return;
  }
}

void SimulatedAgent::Report(const v1::Assignment& assignment, v1::AssignmentState state) {
  v1::ConnectRequest message;
  v1::AssignmentStatus& status = *message.mutable_assignment();
  status.set_job_id(assignment.job_id());
  status.set_generation(assignment.generation());
  status.set_rank(assignment.rank());
  status.set_device(assignment.device());
  status.set_state(state);
  status.set_step(1);
  if (state == v1::ASSIGNMENT_STATE_SUCCEEDED) status.mutable_result()->set_stop_reason("simulated");
  Push(std::move(message));
}

void SimulatedAgent::OnDone(const grpc::Status& status) {
  if (status.error_code() != grpc::StatusCode::CANCELLED) {
    if (counts_->broken++ == 0) std::fprintf(stderr, "a stream ended: %s\n", status.error_message().c_str());
  }
  absl::MutexLock lock(&mutex_);
  ended_ = true;
}

void SimulatedAgent::AwaitEnd() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &SimulatedAgent::Ended));
}

}  // namespace lockstep
