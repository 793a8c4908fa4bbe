#include "worker/trainer/reporter.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/proto_time.h"
#include "spdlog/spdlog.h"

namespace lockstep {
namespace {

using Seconds = std::chrono::duration<double>;

void Send(Channel* channel, const v1::FromTrainer& message) {
  // A failed send means that the agent is gone; the mailbox's reader ends the process.
  if (const absl::Status status = channel->Send(message); !status.ok())
    spdlog::error("report to the agent: {}", std::string(status.message()));
}

}  // namespace

Reporter::Reporter(Channel* channel, const DeviceClock* clock, const v1::Assignment& assignment)
    : channel_(channel), clock_(clock) {
  SetAssignment(assignment);
}

void Reporter::SetAssignment(const v1::Assignment& assignment) {
  job_id_ = assignment.job_id();
  device_ = assignment.device();
  generation_ = assignment.generation();
  rank_ = assignment.rank();
  first_step_done_ = false;
}

void Reporter::Status(v1::AssignmentState state, int64_t step, const std::string& text,
                      const v1::TrainResult* result, const v1::ModelSummary* model) {
  v1::FromTrainer message;
  v1::AssignmentStatus& status = *message.mutable_status();
  status.set_job_id(job_id_);
  status.set_generation(generation_);
  status.set_rank(rank_);
  status.set_device(device_);
  status.set_state(state);
  status.set_step(step);
  status.set_message(text);
  clock_->Read(status.mutable_time());
  if (result != nullptr) *status.mutable_result() = *result;
  if (model != nullptr) *status.mutable_model() = *model;
  Send(channel_, message);
}

void Reporter::Corrupt(int64_t step, const std::string& text) {
  v1::FromTrainer message;
  v1::AssignmentStatus& status = *message.mutable_status();
  status.set_job_id(job_id_);
  status.set_generation(generation_);
  status.set_rank(rank_);
  status.set_device(device_);
  status.set_state(v1::ASSIGNMENT_STATE_CRASHED);
  status.set_step(step);
  status.set_message(text);
  status.set_corrupt(true);
  clock_->Read(status.mutable_time());
  Send(channel_, message);
}

void Reporter::Rendezvous(const std::string& address) {
  v1::FromTrainer message;
  message.mutable_rendezvous()->set_job_id(job_id_);
  message.mutable_rendezvous()->set_generation(generation_);
  message.mutable_rendezvous()->set_rank(rank_);
  message.mutable_rendezvous()->set_address(address);
  Send(channel_, message);
}

void Reporter::Checkpoint(const CheckpointInfo& info, const std::vector<std::string>& removed,
                          absl::Duration took) {
  v1::FromTrainer message;
  v1::CheckpointWritten& written = *message.mutable_checkpoint();
  written.set_job_id(job_id_);
  written.set_generation(generation_);
  v1::Checkpoint& checkpoint = *written.mutable_checkpoint();
  checkpoint.set_job_id(job_id_);
  checkpoint.set_step(info.manifest.step);
  checkpoint.set_epoch(info.manifest.epoch);
  checkpoint.set_path(info.path);
  *checkpoint.mutable_written_at() = ToProto(absl::FromUnixNanos(info.written_at_unix_nanos));
  checkpoint.set_bytes(info.bytes);
  checkpoint.set_best(info.manifest.best);
  checkpoint.mutable_metrics()->insert(info.manifest.metrics.begin(), info.manifest.metrics.end());
  checkpoint.set_whole(true);
  for (const std::string& path : removed) written.add_removed(path);
  *written.mutable_took() = ToProto(took);
  Send(channel_, message);
}

void Reporter::CheckpointProblem(int64_t step, const std::string& problem) {
  v1::FromTrainer message;
  message.mutable_checkpoint()->set_job_id(job_id_);
  message.mutable_checkpoint()->set_generation(generation_);
  message.mutable_checkpoint()->mutable_checkpoint()->set_step(step);
  message.mutable_checkpoint()->set_problem(problem);
  Send(channel_, message);
}

void Reporter::Step(Program& program, const std::vector<double>& arriving, bool flush) {
  const auto now = std::chrono::steady_clock::now();
  if (!first_step_done_) {
    first_step_done_ = true;
    first_step_at_ = absl::Now();
    generation_start_ = now;
    samples_at_start_ = program.samples();
    step_at_start_ = program.step();
    const v1::ModelSummary model = program.Summary();
    Status(v1::ASSIGNMENT_STATE_RUNNING, program.step(), "", nullptr, rank_ == 0 ? &model : nullptr);
    flush = true;
  }
  if (!flush && now - last_flush_ < kFlushInterval) return;
  last_flush_ = now;

  v1::DeviceTime time;
  clock_->Read(&time);
  v1::FromTrainer own;
  own.mutable_times()->set_job_id(job_id_);
  own.mutable_times()->set_input(time.input());
  own.mutable_times()->set_compute(time.compute());
  own.mutable_times()->set_communication(time.communication());
  own.mutable_times()->set_checkpoint(time.checkpoint());
  own.mutable_times()->set_steps(program.step());
  own.mutable_times()->set_samples(program.samples());
  own.mutable_times()->mutable_arriving()->Add(arriving.begin(), arriving.end());
  Send(channel_, own);
  if (rank_ != 0) return;

  v1::FromTrainer message;
  v1::Progress& report = *message.mutable_progress();
  report.set_job_id(job_id_);
  report.set_generation(generation_);
  v1::JobProgress& progress = *report.mutable_progress();
  program.FillProgress(&progress);
  *progress.mutable_first_step_at() = ToProto(first_step_at_);
  const double seconds = Seconds(now - generation_start_).count();
  const int64_t steps = program.step() - step_at_start_;
  if (seconds > 0 && steps > 0) {
    progress.set_samples_per_second(static_cast<double>(program.samples() - samples_at_start_) / seconds);
    const double left =
        seconds / static_cast<double>(steps) * static_cast<double>(progress.total_steps() - progress.step());
    *progress.mutable_remaining() = ToProto(absl::Seconds(left));
  }
  for (v1::MetricPoint& point : program.TakePoints()) *report.add_points() = std::move(point);
  Send(channel_, message);
}

}  // namespace lockstep
