// The collectives of ranks on GPUs. Three things are shared out:
//
//   NCCL        vectors on the device: rows of sums, and state that is handed to newcomers
//   the mesh    everything of the host's (flags, hashes, small gathers: gloo.cc over the same sockets); who
//   is
//               alive; and a header for each call on the device, so that ranks which make different calls
//               learn of it, where NCCL alone would wait for ever
//   the device  the additions
//
// A part of a sum, [begin, begin + count), on a stream of our own behind what the caller's stream holds:
//
//   1  each rank owns a slice. Rows of each slice go to its owner:      send and receive, one group
//   2  the owner adds them in the tree's order                          TreeAddInto
//   3  its slice of the result goes to all                              send and receive, one group
//
// So each addition is made once, in an order that no message can change: the bits are those of gloo.cc for
// every number of ranks. Nothing is copied on the way but an owner's result, where the tree's order leaves it
// in a row that came.
//
// The host waits for the end (FinishSum), as it looks after what no stream would: a peer that dies leaves its
// part unsent, and what would then be queued behind the sum must not run.
#include <algorithm>
#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "worker/collective/backends.h"
#include "worker/collective/mesh.h"
#include "worker/collective/nccl_blob.h"
#include "worker/collective/nccl_communicator.h"
#include "worker/collective/ordered_sum.h"

namespace lockstep {
namespace {

using Message = NcclCommunicator::Message;

enum DeviceOperation : uint32_t { kDeviceSum = 1 << 16, kDeviceAllGather, kDeviceTransfer = 1 << 17 };

// How long an error of NCCL's may wait for the mesh to say which rank was lost: its sockets end at the same
// moment.
constexpr absl::Duration kWhoWasLost = absl::Milliseconds(30);
// For messages that are queued to reach the peers, when a healthy collective is dropped.
constexpr absl::Duration kFlush = absl::Seconds(1);
// For the device to come to an end after an abort, before memory that it may write is left to it.
constexpr absl::Duration kDrain = absl::Seconds(5);

// Slices begin at whole cache lines, so that the additions move 16 bytes at a time.
constexpr size_t kSliceFloats = 32;

struct Slice {
  size_t begin = 0;
  size_t size = 0;
};

// `rank`'s of [begin, begin + count).
Slice SliceOf(int rank, int world, size_t begin, size_t count) {
  const size_t each = (count + world - 1) / world;
  const size_t longest = (each + kSliceFloats - 1) / kSliceFloats * kSliceFloats;
  const size_t from = std::min(rank * longest, count);
  return {begin + from, std::min(longest, count - from)};
}

class NcclCollective : public Collective {
 public:
  NcclCollective(const CollectiveOptions& options, std::shared_ptr<Mesh> mesh,
                 std::shared_ptr<NcclCommunicator> communicator, CollectiveDevice* device)
      : n_(options.n),
        rank_(options.rank),
        world_(options.world),
        callers_(options.stream),
        device_(device),
        communicator_(std::move(communicator)),
        mesh_(std::move(mesh)),
        host_(MakeGlooOver(options, mesh_)),
        plan_(PlanOrderedSum(options.shards, options.world)),
        rows_(plan_.first_row.back()) {}

  absl::Status Allocate() {
    ASSIGN_OR_RETURN(stream_, device_->MakeStream());
    ASSIGN_OR_RETURN(ready_, device_->MakeEvent());
    ASSIGN_OR_RETURN(done_, device_->MakeEvent());
    const size_t theirs = rows_.size() - plan_.rows(rank_);
    const size_t slice = SliceOf(0, world_, 0, n_).size;
    const size_t floats = std::max(theirs * slice, static_cast<size_t>(2 * world_));
    ASSIGN_OR_RETURN(void* const memory, device_->Allocate(floats * sizeof(float)));
    received_ = static_cast<float*>(memory);
    return absl::OkStatus();
  }

  // NCCL connects two ranks when they first send to each other: better now, where a peer that cannot be
  // reached is expected, than in a step.
  absl::Status ConnectPairs(const NcclCommunicator::GoOn& go_on) {
    std::vector<Message> messages;
    for (const int peer : AllPeers()) {
      messages.push_back({peer, received_ + rank_, 1, NcclType::kFloat32, true});
      messages.push_back({peer, received_ + world_ + peer, 1, NcclType::kFloat32, false});
    }
    RETURN_IF_ERROR(communicator_->Queue(messages, stream_, go_on));
    return AwaitStream(go_on);
  }

  ~NcclCollective() override {
    if (mesh_->Check().ok()) {
      communicator_->Close(absl::Now() + kFlush);
    }
    communicator_->Abort();
    const bool drained = stream_ == nullptr || done_ == nullptr || Drained(absl::Now() + kDrain);
    if (ready_ != nullptr) device_->DropEvent(ready_);
    if (done_ != nullptr) device_->DropEvent(done_);
    if (stream_ != nullptr) device_->DropStream(stream_);
    if (received_ != nullptr && drained) device_->Free(received_);
  }

  int rank() const override { return rank_; }
  int world() const override { return world_; }
  const std::vector<double>& arriving() const override { return mesh_->arriving(); }
  void Abort() override {
    mesh_->Abort();
    communicator_->Abort();
  }

  absl::Status OrderedSum(float* node_sums, float* out) override {
    RETURN_IF_ERROR(BeginSum(0, n_, node_sums, out));
    return FinishSum();
  }

  absl::Status BeginSum(size_t begin, size_t count, float* node_sums, float* out) override {
    if (!device_->Holds(node_sums)) return host_->BeginSum(begin, count, node_sums, out);
    RETURN_IF_ERROR(mesh_->Check());
    parts_ = (parts_ * 0x9E3779B97F4A7C15u + begin) * 0xBF58476D1CE4E5B9u + count + 1;
    return FailUnless(QueuePart(begin, count, node_sums, out));
  }

  absl::Status FinishSum() override {
    if (parts_ == 0) return host_->FinishSum();  // all were the host's
    const Mesh::Header header = {kDeviceSum, mesh_->NextCall(), std::exchange(parts_, 0)};
    return FailUnless(Meet(header, AllPeers(), AllPeers()));
  }

  absl::Status Broadcast(void* data, size_t bytes, int root) override {
    std::vector<int> receivers;
    for (int i = 1; i < world_; ++i) receivers.push_back((root + i) % world_);
    return Transfer(data, bytes, root, receivers);
  }

  absl::Status Transfer(void* data, size_t bytes, int root, const std::vector<int>& receivers) override {
    const bool receives = std::find(receivers.begin(), receivers.end(), rank_) != receivers.end();
    if ((rank_ != root && !receives) || !device_->Holds(data)) {
      return host_->Transfer(data, bytes, root, receivers);
    }
    RETURN_IF_ERROR(mesh_->Check());
    const Mesh::Header header = {kDeviceTransfer + static_cast<uint32_t>(root), mesh_->NextCall(), bytes};
    const std::vector<int> peers = rank_ == root ? receivers : std::vector<int>{root};
    std::vector<Message> messages;
    for (const int peer : peers) {
      if (bytes > 0) messages.push_back({peer, data, bytes, NcclType::kInt8, rank_ == root});
    }
    return FailUnless(QueueAndMeet(messages, header, peers));
  }

  absl::Status AllGather(const void* in, size_t bytes, void* out) override {
    if (!device_->Holds(out)) return host_->AllGather(in, bytes, out);
    RETURN_IF_ERROR(mesh_->Check());
    const Mesh::Header header = {kDeviceAllGather, mesh_->NextCall(), bytes};
    char* const to = static_cast<char*>(out);
    char* const mine = to + rank_ * bytes;
    std::vector<Message> messages;
    for (const int peer : AllPeers()) {
      if (bytes == 0) break;
      messages.push_back({peer, mine, bytes, NcclType::kInt8, true});
      messages.push_back({peer, to + peer * bytes, bytes, NcclType::kInt8, false});
    }
    if (bytes > 0 && in != mine) {
      RETURN_IF_ERROR(FailUnless(device_->Copy(mine, in, bytes, callers_)));
    }
    return FailUnless(QueueAndMeet(messages, header, AllPeers()));
  }

 private:
  std::vector<int> AllPeers() const {  // each rank beginning with its right neighbour
    std::vector<int> peers;
    for (int i = 1; i < world_; ++i) peers.push_back((rank_ + i) % world_);
    return peers;
  }

  // What runs on our stream from here on comes after what the caller's holds.
  absl::Status FollowCaller() {
    RETURN_IF_ERROR(device_->Record(ready_, callers_));
    return device_->Await(stream_, ready_);
  }

  absl::Status Queue(const std::vector<Message>& messages) {
    return communicator_->Queue(messages, stream_, alive_);
  }

  absl::Status QueuePart(size_t begin, size_t count, float* node_sums, float* out) {
    RETURN_IF_ERROR(FollowCaller());
    const Slice mine = SliceOf(rank_, world_, begin, count);
    std::vector<Message> messages;
    const auto add = [&messages](int peer, float* data, size_t floats, bool sends) {
      if (floats > 0) messages.push_back({peer, data, floats, NcclType::kFloat32, sends});
    };
    float* received = received_;
    for (int row = 0; row < plan_.rows(rank_); ++row) {
      rows_[plan_.first_row[rank_] + row] = node_sums + row * n_ + mine.begin;
    }
    for (const int peer : AllPeers()) {
      const Slice theirs = SliceOf(peer, world_, begin, count);
      for (int row = 0; row < plan_.rows(rank_); ++row) {
        add(peer, node_sums + row * n_ + theirs.begin, theirs.size, true);
      }
      for (int row = 0; row < plan_.rows(peer); ++row, received += mine.size) {
        rows_[plan_.first_row[peer] + row] = received;
        add(peer, received, mine.size, false);
      }
    }
    RETURN_IF_ERROR(Queue(messages));

    for (const TreeAdd& each : plan_.schedule.adds) {
      if (mine.size == 0) break;
      RETURN_IF_ERROR(device_->AddInto(mine.size, rows_[each.source], rows_[each.target], stream_));
    }
    if (const float* sum = rows_[plan_.schedule.result]; mine.size > 0 && sum != out + mine.begin) {
      RETURN_IF_ERROR(device_->Copy(out + mine.begin, sum, mine.size * sizeof(float), stream_));
    }

    messages.clear();
    for (const int peer : AllPeers()) {
      const Slice theirs = SliceOf(peer, world_, begin, count);
      add(peer, out + mine.begin, mine.size, true);
      add(peer, out + theirs.begin, theirs.size, false);
    }
    return Queue(messages);
  }

  absl::Status QueueAndMeet(const std::vector<Message>& messages, const Mesh::Header& header,
                            const std::vector<int>& peers) {
    RETURN_IF_ERROR(FollowCaller());
    // First the header: a call that the peers do not make would never be queued.
    for (const int peer : peers) RETURN_IF_ERROR(mesh_->Send(peer, header, 0));
    for (const int peer : peers) RETURN_IF_ERROR(mesh_->Receive(peer, header).status());
    RETURN_IF_ERROR(Queue(messages));
    return AwaitStream(alive_);
  }

  // Waits until the peers have made the same call, and then for what our stream holds.
  absl::Status Meet(const Mesh::Header& header, const std::vector<int>& to, const std::vector<int>& from) {
    for (const int peer : to) RETURN_IF_ERROR(mesh_->Send(peer, header, 0));
    for (const int peer : from) RETURN_IF_ERROR(mesh_->Receive(peer, header).status());
    return AwaitStream(alive_);
  }

  absl::Status AwaitStream(const NcclCommunicator::GoOn& go_on) {
    RETURN_IF_ERROR(device_->Record(done_, stream_));
    for (PollPause pause;; pause()) {
      ASSIGN_OR_RETURN(const bool passed, device_->Passed(done_));
      // Looked at last: a stream that was aborted has passed everything as well.
      RETURN_IF_ERROR(go_on());
      RETURN_IF_ERROR(communicator_->AsyncError());
      if (passed) return absl::OkStatus();
    }
  }

  // Makes the collective dead if `status` is an error; returns who is to blame.
  absl::Status FailUnless(const absl::Status& status) {
    if (status.ok()) return status;
    for (const absl::Time deadline = absl::Now() + kWhoWasLost; absl::Now() < deadline;) {
      if (!absl::IsUnavailable(status) || !mesh_->Check().ok()) break;
      absl::SleepFor(absl::Milliseconds(1));
    }
    const absl::Status why = mesh_->Fail(status);
    communicator_->Abort();
    // The caller may reuse its buffers from here on.
    if (!Drained(absl::Now() + kDrain)) {
      return Annotate(why, absl::StrCat("rank ", rank_, ": the GPU goes on with a sum that was aborted"));
    }
    return why;
  }

  // Whether our stream has come to its end.
  bool Drained(absl::Time deadline) {
    if (!device_->Record(done_, stream_).ok()) return true;  // the device is gone, nothing runs on it
    for (PollPause pause; absl::Now() < deadline; pause()) {
      const absl::StatusOr<bool> passed = device_->Passed(done_);
      if (!passed.ok() || *passed) return true;
    }
    return false;
  }

  const size_t n_;
  const int rank_;
  const int world_;
  const kernels::Stream callers_;
  CollectiveDevice* const device_;
  const std::shared_ptr<NcclCommunicator> communicator_;  // the mesh's watch may abort it
  const std::shared_ptr<Mesh> mesh_;
  const std::unique_ptr<Collective> host_;
  const OrderedSumPlan plan_;
  std::vector<float*> rows_;
  kernels::Stream stream_ = nullptr;
  DeviceEvent ready_ = nullptr, done_ = nullptr;
  float* received_ = nullptr;  // (rows of the others, floats of the longest slice)
  const NcclCommunicator::GoOn alive_ = [this] { return mesh_->Check(); };
  uint64_t parts_ = 0;  // which were begun since FinishSum; 0: none
};

}  // namespace

absl::StatusOr<std::unique_ptr<Collective>> MakeNccl(const CollectiveOptions& options,
                                                     const ExchangeAddresses& exchange, const NcclCalls* nccl,
                                                     CollectiveDevice* device) {
  auto communicator = std::make_shared<NcclCommunicator>(nccl, options.rank, options.world);
  NcclRendezvous mine, of_rank_0;
  if (const NcclResult result = nccl->GetVersion(&mine.version); result != NcclResult::kSuccess) {
    return ExplainNccl(*nccl, absl::StrCat("rank ", options.rank), "ncclGetVersion", result, nullptr);
  }
  if (options.rank == 0) {
    ASSIGN_OR_RETURN(mine.id, communicator->MakeId());
  }
  ASSIGN_OR_RETURN(std::shared_ptr<Mesh> mesh,
                   Mesh::Connect(options, WithNccl(options.rank, mine, exchange, &of_rank_0),
                                 [communicator] { communicator->Abort(); }));
  const absl::Time deadline = absl::Now() + options.connect_timeout;
  const auto go_on = [&]() -> absl::Status {
    RETURN_IF_ERROR(mesh->Check());
    if (options.given_up()) {
      return absl::AbortedError(absl::StrCat("rank ", options.rank, ": this generation was given up"));
    }
    if (absl::Now() < deadline) return absl::OkStatus();
    return absl::UnavailableError(absl::StrCat(
        "rank ", options.rank, " of ", options.world, ": NCCL did not connect within ",
        absl::FormatDuration(options.connect_timeout),
        " though all ranks are there: does NCCL_SOCKET_IFNAME name an interface that they reach, "
        "is a firewall between? NCCL_DEBUG=INFO makes NCCL say more"));
  };
  auto collective = std::make_unique<NcclCollective>(options, mesh, communicator, device);
  absl::Status status = communicator->Init(of_rank_0.id, go_on);
  if (status.ok()) status = collective->Allocate();
  if (status.ok()) status = collective->ConnectPairs(go_on);
  if (!status.ok()) return mesh->Fail(status);
  return collective;
}

}  // namespace lockstep
