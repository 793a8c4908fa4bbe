#include "worker/collective/stand_in/nccl.h"

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "worker/collective/stand_in/connect.h"
#include "worker/collective/stand_in/device.h"
#include "worker/collective/stand_in/exchange.h"

namespace lockstep::stand_in {
namespace {

// Outlives its communicator where a thread or a stream still uses it.
struct State {
  std::atomic<bool> aborted = false;
  std::atomic<NcclResult> result = NcclResult::kInProgress;
  std::vector<int> sockets;  // by rank, -1: the own one; set before `result` says success
  std::atomic<int> queued = 0;

  ~State() {
    for (const int socket : sockets) {
      if (socket >= 0) close(socket);
    }
  }
};

}  // namespace
}  // namespace lockstep::stand_in

struct ncclComm {
  std::shared_ptr<lockstep::stand_in::State> state;
  std::thread connecting;
  std::atomic<bool> busy = false;
};

namespace lockstep::stand_in {
namespace {

std::mutex mutex;
std::string last_error;  // guarded by `mutex`, as is what follows
int version = 22809;
NcclResult unique_id = NcclResult::kSuccess;
int groups = 0, fault_group = 0;
std::function<void()> fault;
std::set<ncclComm*>& Live() {
  static auto* const live = new std::set<ncclComm*>;
  return *live;
}

thread_local bool in_group = false;
thread_local std::vector<Transfer> group;
thread_local ncclComm* group_comm = nullptr;
thread_local kernels::Stream group_stream = nullptr;

// One thread at a time is in a call of a communicator that was not freed.
class InCall {
 public:
  explicit InCall(ncclComm* comm) : comm_(comm) {
    std::lock_guard<std::mutex> lock(mutex);
    if (Live().count(comm) == 0) Die("a call of a communicator that is gone");
    if (comm->busy.exchange(true)) Die("two threads are in calls of one communicator");
  }
  ~InCall() {
    if (comm_ != nullptr) comm_->busy = false;
  }
  void Free() {  // the communicator; whoever calls it again is wrong
    {
      std::lock_guard<std::mutex> lock(mutex);
      Live().erase(comm_);
    }
    comm_->state->aborted = true;
    comm_->connecting.join();
    delete comm_;
    comm_ = nullptr;
  }

 private:
  [[noreturn]] static void Die(const char* why) {
    std::fprintf(stderr, "NCCL's stand-in: %s\n", why);
    std::abort();
  }
  ncclComm* comm_;
};

NcclResult GetVersion(int* of) {
  std::lock_guard<std::mutex> lock(mutex);
  *of = version;
  return NcclResult::kSuccess;
}

NcclResult GetUniqueId(NcclUniqueId* id) {
  std::lock_guard<std::mutex> lock(mutex);
  if (unique_id != NcclResult::kSuccess) return unique_id;
  std::random_device random;
  for (char& byte : id->internal) byte = static_cast<char>('a' + random() % 26);
  return NcclResult::kSuccess;
}

NcclResult CommInitRankConfig(ncclComm** comm, int world, NcclUniqueId id, int rank, NcclConfig* config) {
  if (config->magic != 0xcafebeef || config->blocking != 0) return NcclResult::kInvalidArgument;
  auto state = std::make_shared<State>();
  *comm = new ncclComm{state, {}, {}};
  (*comm)->connecting = std::thread([=] {
    const std::string name(id.internal, sizeof(id.internal) / 2);  // abstract names are short
    state->sockets = ConnectRanks(name, rank, world, state->aborted);
    if (!state->aborted) state->result = NcclResult::kSuccess;
  });
  std::lock_guard<std::mutex> lock(mutex);
  Live().insert(*comm);
  return NcclResult::kInProgress;
}

NcclResult CommGetAsyncError(ncclComm* comm, NcclResult* error) {
  InCall call(comm);
  *error = comm->state->result;
  return NcclResult::kSuccess;
}

// What was sent is in the sockets, which outlive their writer.
NcclResult CommFinalize(ncclComm* comm) {
  InCall call(comm);
  auto state = comm->state;
  state->result = NcclResult::kInProgress;
  comm->connecting.join();
  comm->connecting = std::thread([state] {
    while (state->queued > 0 && !state->aborted) usleep(100);
    state->result = NcclResult::kSuccess;
  });
  return NcclResult::kInProgress;
}

NcclResult FreeComm(ncclComm* comm) {
  InCall call(comm);
  call.Free();
  return NcclResult::kSuccess;
}

const char* GetErrorString(NcclResult result) {
  switch (result) {
    case NcclResult::kSystemError:
      return "unhandled system error";
    case NcclResult::kInvalidUsage:
      return "invalid usage";
    case NcclResult::kRemoteError:
      return "remote process exited or there was a network error";
    default:
      return "internal error";
  }
}

const char* GetLastError(ncclComm*) {
  std::lock_guard<std::mutex> lock(mutex);
  thread_local std::string copy;
  copy = last_error;
  return copy.c_str();
}

NcclResult GroupStart() {
  if (in_group) return NcclResult::kInvalidUsage;
  in_group = true;
  group.clear();
  group_comm = nullptr;
  return NcclResult::kSuccess;
}

NcclResult Add(const Transfer& transfer, ncclComm* comm, kernels::Stream stream) {
  InCall call(comm);
  if (!in_group) return NcclResult::kInvalidUsage;
  if (const NcclResult result = comm->state->result; result != NcclResult::kSuccess) return result;
  group_comm = comm;
  group_stream = stream;
  group.push_back(transfer);
  return NcclResult::kSuccess;
}

size_t SizeOf(NcclType type) { return type == NcclType::kFloat32 ? 4 : 1; }

NcclResult Send(const void* data, size_t count, NcclType type, int peer, ncclComm* comm,
                kernels::Stream stream) {
  char* const from = static_cast<char*>(const_cast<void*>(data));
  return Add({peer, from, count * SizeOf(type), true}, comm, stream);
}
NcclResult Recv(void* data, size_t count, NcclType type, int peer, ncclComm* comm, kernels::Stream stream) {
  return Add({peer, static_cast<char*>(data), count * SizeOf(type), false}, comm, stream);
}

void MeetFault() {
  std::function<void()> due;
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (++groups == fault_group) due = fault;
  }
  if (due) due();
}

NcclResult GroupEnd() {
  in_group = false;
  if (group_comm == nullptr) return NcclResult::kSuccess;
  InCall call(group_comm);
  auto state = group_comm->state;
  MeetFault();
  // Queued later, by a thread of NCCL's: until then the communicator is in progress.
  NcclResult ready = NcclResult::kSuccess;
  if (!state->result.compare_exchange_strong(ready, NcclResult::kInProgress)) return ready;
  ++state->queued;
  group_comm->connecting.join();
  group_comm->connecting = std::thread([state, transfers = group, stream = group_stream] {
    Enqueue(stream, [state, transfers] {
      ExchangeAll(state->sockets, transfers, state->aborted);
      --state->queued;
    });
    NcclResult expected = NcclResult::kInProgress;
    state->result.compare_exchange_strong(expected, NcclResult::kSuccess);
  });
  return NcclResult::kInProgress;
}

}  // namespace

const NcclCalls* Nccl() {
  static const NcclCalls calls = {
      GetVersion,     GetUniqueId,  CommInitRankConfig, CommFinalize, FreeComm, FreeComm, CommGetAsyncError,
      GetErrorString, GetLastError, GroupStart,         GroupEnd,     Send,     Recv};
  return &calls;
}

void SetVersion(int to) {
  std::lock_guard<std::mutex> lock(mutex);
  version = to;
}

void SetFault(int group, std::function<void()> to) {
  std::lock_guard<std::mutex> lock(mutex);
  fault_group = group;
  fault = std::move(to);
}

void FailUniqueId(NcclResult result, const std::string& text) {
  std::lock_guard<std::mutex> lock(mutex);
  unique_id = result;
  last_error = text;
}

void FailAsynchronously(NcclResult result, const std::string& text) {
  std::lock_guard<std::mutex> lock(mutex);
  last_error = text;
  for (ncclComm* const comm : Live()) comm->state->result = result;
}

}  // namespace lockstep::stand_in
