// A coordinator for tests of the agent: answers Register as told, keeps everything that agents send, sends
// what the test says, and serves the bytes of one dataset. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "lockstep/v1/workers.pb.h"

namespace lockstep {

class FakeCoordinator {
 public:
  struct Options {
    int port = 0;
    std::string artifact_root;  // told in Registered
    absl::Status refusal;       // not OK: each stream ends with it
    std::string dataset_bytes;  // what ReadShard serves
    bool check_root_id =
        false;  // refuse FAILED_PRECONDITION an artifact_root_id that begins with "unreachable"
  };
  explicit FakeCoordinator(const Options& options);
  ~FakeCoordinator();  // breaks streams, as a death would

  std::string address() const;
  int port() const;

  // Sends to the newest stream.
  void Send(const v1::ConnectResponse& message);
  // The first message so far or to come, in order of arrival over all streams, for which `matches` holds and
  // that no earlier Await returned; nullopt after 20 s.
  std::optional<v1::ConnectRequest> Await(const std::function<bool(const v1::ConnectRequest&)>& matches);
  std::optional<v1::AssignmentStatus> AwaitState(v1::AssignmentState state, int64_t generation = 1);
  // True once streams were opened so often.
  bool AwaitStreams(int count);
  // Everything that came so far.
  std::vector<v1::ConnectRequest> All();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep
