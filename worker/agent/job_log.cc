#include "worker/agent/job_log.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/time/time.h"
#include "common/logging/logging.h"

namespace lockstep {

void JobLog::Open(const std::string& directory, const v1::Assignment& assignment) {
  Close();
  const bool again = assignment.job_id() == last_job_id_ && assignment.generation() == generation_ &&
                     assignment.rank() == rank_;
  if (!again) sequence_ = 0;
  job_id_ = last_job_id_ = assignment.job_id();
  generation_ = assignment.generation();
  rank_ = assignment.rank();
  const std::string& job = assignment.job_id();
  const bool plain = std::all_of(
      job.begin(), job.end(), [](unsigned char c) { return absl::ascii_isalnum(c) || c == '-' || c == '_'; });
  if (directory.empty() || job.empty() || !plain) return;
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  const std::string path = absl::StrCat(directory, "/", job, "-", generation_, "-", rank_, ".log");
  file_.open(path, std::ios::app);
  if (!file_) {
    LogWarning("cannot write this log; the coordinator still gets its lines", {{"path", path}});
  }
}

void JobLog::Close() {
  job_id_.clear();
  file_.close();
  file_.clear();
}

v1::LogLine JobLog::Add(TrainerLine line) {
  if (file_.is_open()) {
    file_ << absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", line.time, absl::UTCTimeZone()) << ' ' << line.text
          << '\n';
  }
  v1::LogLine out;
  const timespec time = absl::ToTimespec(line.time);
  out.mutable_time()->set_seconds(time.tv_sec);
  out.mutable_time()->set_nanos(static_cast<int32_t>(time.tv_nsec));
  out.set_generation(generation_);
  out.set_rank(rank_);
  out.set_sequence(++sequence_);
  out.set_text(std::move(line.text));
  return out;
}

}  // namespace lockstep
