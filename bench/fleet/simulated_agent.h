// An agent as the coordinator sees one, without trainers behind it: it registers its devices, sends
// heartbeats, some of which ask to be heard, and does what it is ordered to in no time: a rendezvous, one
// step, success.
//
//   Start -> Register -> Registered -> ready -> Heartbeat..., Assignment -> RendezvousAddress ->
//   RendezvousReady
//                                                             -> RUNNING -> SUCCEEDED -> ForgetAssignment
//
// Thread-safe. gRPC's callback API: no thread of its own.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/synchronization/mutex.h"
#include "lockstep/v1/workers.grpc.pb.h"

namespace lockstep {

// What all agents of a run count together.
struct FleetCounts {
  std::atomic<int> ready{0};
  std::atomic<int> broken{0};
  std::atomic<int64_t> succeeded{0};    // ranks
  static constexpr int kAskEvery = 10;  // heartbeats; a real agent asks every ten seconds
  bool hold = false;                    // jobs run on and report what ranks report, instead of succeeding
  std::function<void(double seconds)> heard = {};  // a heartbeat's round trip; any thread
};

class SimulatedAgent : public grpc::ClientBidiReactor<v1::ConnectRequest, v1::ConnectResponse> {
 public:
  // Pointers must outlive the agent. `root_id`: of the coordinator's artifact root.
  SimulatedAgent(v1::Workers::Stub* stub, const std::string& name, int devices, const std::string& root_id,
                 const std::string& token, FleetCounts* counts);

  void Start();
  void Heartbeat();
  void Stop() { context_.TryCancel(); }
  void AwaitEnd();

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  void Push(v1::ConnectRequest message);
  // What ranks that run report, as often as real agents do: every two seconds.
  void ReportTimes(v1::Heartbeat* heartbeat);
  // What the device does for that job, if it does; `ends`: no longer.
  std::optional<v1::Assignment> Work(const std::string& device, const std::string& job, bool ends);
  void Obey(const v1::ConnectResponse& order);
  void Report(const v1::Assignment& assignment, v1::AssignmentState state);
  bool Ended() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return ended_; }

  FleetCounts* const counts_;
  grpc::ClientContext context_;
  v1::ConnectRequest registration_;
  v1::ConnectResponse incoming_;

  absl::Mutex mutex_;
  std::map<std::string, v1::Assignment> work_ ABSL_GUARDED_BY(mutex_);  // by device
  int64_t beats_ ABSL_GUARDED_BY(mutex_) = 0;
  int until_asking_;  // heartbeats; of the thread that calls Heartbeat
  std::deque<v1::ConnectRequest> waiting_ ABSL_GUARDED_BY(mutex_);  // the first is being written
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool ready_ = false;  // of the reading thread
};

}  // namespace lockstep
