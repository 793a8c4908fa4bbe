// One NCCL communicator, from its birth to its abort, for one generation. It never blocks inside NCCL: the
// waits are ours, so that a peer's death, an abort or a deadline ends them.
//
//   (none) ── Init ──▶ live ── Close ──▶ gone
//                       └─ Abort, ~ ──────┘
//
// What it relies on, by section of the NCCL user guide (docs.nvidia.com/deeplearning/nccl/user-guide):
//
//   "Creating a communicator with options": with blocking = 0 calls return ncclInProgress instead of waiting
//   "Nonblocking Group Operation": after ncclGroupEnd nothing may be taken for queued, and no other call be
//     made, before ncclCommGetAsyncError says ncclSuccess
//   "Asynchronous errors and error handling": ncclCommGetAsyncError is to be polled; after an error
//     ncclCommAbort is the only way on. A peer that dies without a word may leave no error at all: the mesh's
//     PeerWatch is what notices it
//   "Fault Tolerance": ncclCommAbort ends what runs on the device, without the peers
//   "Thread Safety": no two threads may be in calls of one communicator, so each call is made under a lock
//   "Finalizing a communicator": ncclCommFinalize lets what was queued reach the peers
//
// One thread calls; Abort() comes from any. A rebuilt generation has a new object with a new id.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "worker/collective/nccl_api.h"

namespace lockstep {

class NcclCommunicator {
 public:
  // Asked between two looks at something that is waited for; an error ends the wait.
  using GoOn = std::function<absl::Status()>;

  NcclCommunicator(const NcclCalls* nccl, int rank, int world);
  ~NcclCommunicator();
  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;

  // A new id, for rank 0 to publish.
  absl::StatusOr<NcclUniqueId> MakeId() const;
  // Blocks until all ranks have come.
  absl::Status Init(const NcclUniqueId& id, const GoOn& go_on);

  struct Message {
    int peer;
    void* data;  // of a send it is only read
    size_t count;
    NcclType type;
    bool sends;
  };
  // Queues the messages as one group, in which all progress together. Messages between two ranks arrive in
  // the order of each list. Blocks until they are queued.
  absl::Status Queue(const std::vector<Message>& messages, kernels::Stream stream, const GoOn& go_on);

  // What has gone wrong on the device or the network since.
  absl::Status AsyncError();

  // Lets what is queued reach the peers, and frees the communicator; not longer than until `deadline`.
  void Close(absl::Time deadline);
  // At once; what runs on the device ends.
  void Abort();

 private:
  absl::Status Explain(const char* call, NcclResult result);  // with mutex_ held
  absl::Status Aborted() const;
  // Until the last call is no longer in progress.
  absl::Status AwaitReady(const char* call, const GoOn& go_on);

  const NcclCalls* const nccl_;
  const std::string who_;
  const int rank_, world_;
  // A std::mutex, so that ThreadSanitizer can judge (tests/sanitizers/tsan.tests).
  std::mutex mutex_;
  bool aborted_ = false;  // guarded by mutex_, as is comm_
  ncclComm* comm_ = nullptr;
};

// Between two looks at what another rank or the device does: gives the core away, and after 100 us sleeps.
class PollPause {
 public:
  void operator()();

 private:
  int64_t begun_ = 0;  // nanoseconds
};

}  // namespace lockstep
