// The log of one rank of one generation: numbers the lines and writes them to
// <directory>/<job>-<generation>-<rank>.log beside. A file that cannot be written is reported once and then
// left out; the lines still go to the coordinator. Not thread-safe.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>

#include "lockstep/v1/jobs.pb.h"
#include "lockstep/v1/workers.pb.h"
#include "worker/agent/trainer_process.h"

namespace lockstep {

class JobLog {
 public:
  // The numbers go on if it is the same rank of the same generation again.
  void Open(const std::string& directory, const v1::Assignment& assignment);
  void Close();
  bool open() const { return !job_id_.empty(); }
  const std::string& job_id() const { return job_id_; }
  v1::LogLine Add(TrainerLine line);  // REQUIRES: open()
  void Flush() { file_.flush(); }

 private:
  std::string job_id_;
  std::string last_job_id_;
  std::ofstream file_;
  int64_t generation_ = 0;
  int32_t rank_ = 0;
  int64_t sequence_ = 0;
};

}  // namespace lockstep
