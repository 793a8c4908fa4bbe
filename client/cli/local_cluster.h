// A coordinator and its workers as children of this process, in a temporary folder, on loopback: what
// `lockstep run` runs on. They never outlive this process: a watched death signal takes them along even if it
// is killed.
//
//   Start (coordinator serves) -> AddWorkers -> ... -> Stop (or the destructor): workers, then coordinator,
//   then the folder
//
// Start, AddWorkers and Stop from one thread, which must live as long as the children. The callback for a
// child that dies early runs on a thread of its own.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "client/library/cancellation.h"
#include "common/base/status.h"
#include "common/process/child.h"

namespace lockstep {

class LocalCluster {
 public:
  struct Options {
    std::string binaries;          // folder with lockstep-coordinator and lockstep-worker
    std::string temporary_folder;  // where to make the folder
    absl::Duration start_timeout = absl::Seconds(20);
    absl::Duration stop_timeout = absl::Seconds(5);  // per round, then SIGKILL
    Cancellation* cancellation = nullptr;            // ends Start early
    std::function<void()> on_death;                  // a child ended that should not have; see Failure
  };

  // Returns when the coordinator serves. Errors end with the last lines of its log.
  static absl::StatusOr<std::unique_ptr<LocalCluster>> Start(const Options& options);
  ~LocalCluster();

  // Returns when they are started; they register with the coordinator by themselves.
  // Each with one slot that computes with `threads` threads.
  absl::Status AddWorkers(int count, int threads);

  const std::string& address() const { return address_; }

  // Which child died, how, and the last lines of its log; OK while all live.
  absl::Status Failure() const;

  void Stop();

 private:
  struct Member {
    std::string name;
    std::string log;
    std::unique_ptr<Child> child;
    int ready_fd = -1;
  };

  explicit LocalCluster(const Options& options) : options_(options) {}
  absl::Status StartCoordinator();
  absl::StatusOr<Member> Spawn(const std::string& name, const std::string& program,
                               std::vector<std::string> arguments);
  absl::StatusOr<std::string> AwaitReadyLine(Member* member);
  absl::Status Died(const Member& member, const std::string& how) const;
  void Watch();  // the watching thread
  void StopMembers(size_t begin, size_t end);

  const Options options_;
  std::string folder_;
  std::string address_;
  std::vector<std::unique_ptr<Member>> members_;  // the coordinator first
  std::thread watcher_;
  int wake_fd_ = -1;
  mutable std::mutex mutex_;
  absl::Status failure_;
};

// The folder of the running program, or LOCKSTEP_BIN_DIR where `override_folder` is not empty. NOT_FOUND
// names the program that is missing there.
absl::StatusOr<std::string> FindBinaries(const std::string& override_folder);

// The path of one program, looked for in the same place. FAILED_PRECONDITION: it is not there.
absl::StatusOr<std::string> FindBinary(const std::string& program, const std::string& override_folder);

}  // namespace lockstep
