// A coordinator that does as the test says: in this process, on a free port of the loopback. For the tests of
// client and CLI. Thread-safe; the script is set before the calls that it is for.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "lockstep/v1/jobs.pb.h"
#include "lockstep/v1/models.pb.h"

namespace lockstep {

class FakeCoordinator {
 public:
  FakeCoordinator();
  ~FakeCoordinator();

  std::string address() const;

  // What WatchJob sends for `id`, in order. If the last state is not final the stream then stays open until
  // the client leaves or the job is cancelled. Also answers by name; the last one is GetJob's answer.
  void AddJob(const std::string& id, std::vector<v1::Job> states);
  void AddLogs(std::vector<v1::LogLine> lines);
  void AddMetrics(std::vector<v1::MetricPoint> points);
  void SetDownload(std::vector<v1::DownloadModelResponse> chunks);

  // SubmitJob answers with this job's first state.
  void SubmitMakes(const std::string& id);
  // The next `count` calls (of any kind) end with `status` at once.
  void FailNext(int count, absl::Status status);
  // The next stream breaks as UNAVAILABLE after `messages` messages.
  void BreakNextStreamAfter(int messages);
  // Runs when WatchJob has sent all that is there.
  void OnWatchDrained(std::function<void()> callback);

  std::vector<v1::SubmitJobRequest> submits() const;  // also those that were failed
  int cancels() const;
  int calls() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A job in `state` with name "digits".
v1::Job FakeJob(const std::string& id, v1::JobState state, const std::string& reason = "");

}  // namespace lockstep
