// The collectives over a Mesh. Long vectors go in pieces of one message, and the sum of a piece is made while
// it is in the cache. OrderedSum has two ways; every rank chooses the same from (n, world, shards):
//
//   one round  each rank sends its rows to every other, and all add everything. One latency.
//   slices     each rank owns a slice of the vector. The rows of a slice go to its owner, who adds them in
//   the tree's
//              order and sends the result to all. Two latencies, but with whole subtrees only 2n(W-1)/W
//              floats sent and as many received, whatever W. The second phase of one piece runs with the
//              first phase of the next.
//
// Both move the same bytes between two ranks; see UseSlices for the measured choice.
#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "worker/collective/backends.h"
#include "worker/collective/mesh.h"
#include "worker/collective/ordered_sum.h"

namespace lockstep {
namespace {

enum Operation : uint32_t { kSum = 1, kSlice = 2, kSliceResult = 3, kAllGather = 4, kBroadcast = 16 };

struct Piece {
  size_t begin = 0;
  size_t size = 0;
};

// Measured on loopback between 2 ranks on 2 cores (bench/collective): one round 17, 47, 83 us and slices 31,
// 50, 97 us at 64, 17,248 and 32,768 floats; at 65,536 slices begin to win (165 us), at 25 million by far (81
// ms to 280 ms). With more ranks one round sends world / 2 times the bytes of slices, so they win earlier (by
// that count; not measured).
bool UseSlices(size_t n, int world) { return n >= (world == 2 ? 65'536 : 32'768); }

class GlooCollective : public Collective {
 public:
  GlooCollective(const CollectiveOptions& options, std::shared_ptr<Mesh> mesh)
      : n_(options.n),
        rank_(options.rank),
        world_(options.world),
        mesh_(std::move(mesh)),
        plan_(PlanOrderedSum(options.shards, options.world)),
        rows_(plan_.first_row.back()),
        columns_(Mesh::kPayloadBytes / sizeof(float) / plan_.max_rows) {}

  int rank() const override { return rank_; }
  int world() const override { return world_; }
  const std::vector<double>& arriving() const override { return mesh_->arriving(); }
  void Abort() override { mesh_->Abort(); }

  absl::Status OrderedSum(float* node_sums, float* out) override { return BeginSum(0, n_, node_sums, out); }
  absl::Status BeginSum(size_t begin, size_t count, float* node_sums, float* out) override {
    call_ = mesh_->NextCall();
    part_ = {begin, count};
    return UseSlices(count, world_) ? SumInSlices(node_sums, out) : SumInOneRound(node_sums, out);
  }
  absl::Status FinishSum() override { return absl::OkStatus(); }

  absl::Status Broadcast(void* data, size_t bytes, int root) override {
    std::vector<int> receivers;
    for (int i = 1; i < world_; ++i) receivers.push_back((root + i) % world_);
    return Transfer(data, bytes, root, receivers);
  }

  absl::Status Transfer(void* data, size_t bytes, int root, const std::vector<int>& receivers) override {
    if (root < 0 || root >= world_) {
      return absl::InvalidArgumentError(absl::StrCat("root ", root, " in a world of ", world_));
    }
    call_ = mesh_->NextCall();
    const bool receives = std::find(receivers.begin(), receivers.end(), rank_) != receivers.end();
    if (rank_ != root && !receives) return absl::OkStatus();
    const Mesh::Header header = {kBroadcast + static_cast<uint32_t>(root), call_, bytes};
    char* at = static_cast<char*>(data);
    size_t left = bytes;
    do {  // an empty one travels too, so that a difference is seen
      const size_t size = std::min(left, Mesh::kPayloadBytes);
      if (rank_ == root) {
        if (size > 0) std::memcpy(mesh_->outgoing(), at, size);
        for (const int peer : receivers) RETURN_IF_ERROR(mesh_->Send(peer, header, size));
      } else {
        ASSIGN_OR_RETURN(const char* got, mesh_->Receive(root, header));
        if (size > 0) std::memcpy(at, got, size);
      }
      at += size;
      left -= size;
    } while (left > 0);
    return absl::OkStatus();
  }

  absl::Status AllGather(const void* in, size_t bytes, void* out) override {
    call_ = mesh_->NextCall();
    const Mesh::Header header = {kAllGather, call_, bytes};
    const char* from = static_cast<const char*>(in);
    char* to = static_cast<char*>(out);
    if (bytes > 0) std::memmove(to + rank_ * bytes, from, bytes);
    size_t begin = 0;
    do {
      const size_t size = std::min(bytes - begin, Mesh::kPayloadBytes);
      if (size > 0) std::memcpy(mesh_->outgoing(), to + rank_ * bytes + begin, size);
      RETURN_IF_ERROR(SendToAll(header, size));
      for (int i = 1; i < world_; ++i) {
        const int peer = PeerAt(i);
        ASSIGN_OR_RETURN(const char* got, mesh_->Receive(peer, header));
        if (size > 0) std::memcpy(to + peer * bytes + begin, got, size);
      }
      begin += size;
    } while (begin < bytes);
    return absl::OkStatus();
  }

 private:
  // The others, each rank beginning with its right neighbour, so that not all talk to rank 0 first.
  int PeerAt(int i) const { return (rank_ + i) % world_; }

  // The part's size, and where it begins for those that do not begin at 0: peers must agree about both.
  uint64_t PartTag() const { return part_.size + (uint64_t{part_.begin} << 32); }

  Piece Slice(int rank) const {
    const size_t begin = part_.size * rank / world_;
    return {part_.begin + begin, part_.size * (rank + 1) / world_ - begin};
  }
  // The k-th piece of `rank`'s slice; size 0 beyond its end.
  Piece SlicePiece(int rank, size_t k) const {
    const Piece slice = Slice(rank);
    const size_t skip = std::min(k * columns_, slice.size);
    return {slice.begin + skip, std::min(columns_, slice.size - skip)};
  }

  absl::Status SendToAll(const Mesh::Header& header, size_t bytes) {
    for (int i = 1; i < world_; ++i) RETURN_IF_ERROR(mesh_->Send(PeerAt(i), header, bytes));
    return absl::OkStatus();
  }

  // Puts this rank's rows of `piece` together for sending; returns their bytes.
  size_t Pack(const float* node_sums, Piece piece) {
    const size_t bytes = piece.size * sizeof(float);
    for (int row = 0; row < plan_.rows(rank_); ++row) {
      std::memcpy(mesh_->outgoing() + row * bytes, node_sums + row * n_ + piece.begin, bytes);
    }
    return plan_.rows(rank_) * bytes;
  }

  // Receives everybody's rows of `piece` and adds them all into `out`.
  absl::Status AddAll(const Mesh::Header& header, float* node_sums, Piece piece, float* out) {
    for (int row = 0; row < plan_.rows(rank_); ++row) {
      rows_[plan_.first_row[rank_] + row] = node_sums + row * n_ + piece.begin;
    }
    for (int i = 1; i < world_; ++i) {
      const int peer = PeerAt(i);
      ASSIGN_OR_RETURN(char* got, mesh_->Receive(peer, header));
      for (int row = 0; row < plan_.rows(peer); ++row) {
        rows_[plan_.first_row[peer] + row] = reinterpret_cast<float*>(got) + row * piece.size;
      }
    }
    AddInTreeOrder(plan_.schedule, rows_, out + piece.begin, piece.size);
    return absl::OkStatus();
  }

  absl::Status SumInOneRound(float* node_sums, float* out) {
    const Mesh::Header header = {kSum, call_, PartTag()};
    const size_t end = part_.begin + part_.size;
    const auto piece = [&](size_t begin) { return Piece{begin, std::min(columns_, end - begin)}; };
    if (part_.size > 0) RETURN_IF_ERROR(SendToAll(header, Pack(node_sums, piece(part_.begin))));
    for (size_t begin = part_.begin; begin < end; begin += columns_) {
      // One piece ahead of what is received, so that a peer that wakes late does not stop this rank.
      const size_t next = begin + columns_;
      if (next < end) RETURN_IF_ERROR(SendToAll(header, Pack(node_sums, piece(next))));
      RETURN_IF_ERROR(AddAll(header, node_sums, piece(begin), out));
    }
    return absl::OkStatus();
  }

  absl::Status SumInSlices(float* node_sums, float* out) {
    const Mesh::Header gather = {kSlice, call_, PartTag()}, result = {kSliceResult, call_, PartTag()};
    const size_t longest = (part_.size + world_ - 1) / world_;
    const size_t pieces = (longest + columns_ - 1) / columns_;
    for (size_t k = 0; k <= pieces; ++k) {
      for (int i = 1; i < world_; ++i) {
        const Piece piece = SlicePiece(PeerAt(i), k);
        if (piece.size > 0) RETURN_IF_ERROR(mesh_->Send(PeerAt(i), gather, Pack(node_sums, piece)));
      }
      if (const Piece mine = k > 0 ? SlicePiece(rank_, k - 1) : Piece(); mine.size > 0) {
        std::memcpy(mesh_->outgoing(), out + mine.begin, mine.size * sizeof(float));
        RETURN_IF_ERROR(SendToAll(result, mine.size * sizeof(float)));
      }
      if (const Piece mine = SlicePiece(rank_, k); mine.size > 0) {
        RETURN_IF_ERROR(AddAll(gather, node_sums, mine, out));
      }
      for (int i = 1; k > 0 && i < world_; ++i) {
        const Piece piece = SlicePiece(PeerAt(i), k - 1);
        if (piece.size == 0) continue;
        ASSIGN_OR_RETURN(const char* got, mesh_->Receive(PeerAt(i), result));
        std::memcpy(out + piece.begin, got, piece.size * sizeof(float));
      }
    }
    return absl::OkStatus();
  }

  const size_t n_;
  const int rank_;
  const int world_;
  const std::shared_ptr<Mesh> mesh_;
  const OrderedSumPlan plan_;
  std::vector<float*> rows_;
  const size_t columns_;  // floats of one row in one message
  uint32_t call_ = 0;
  Piece part_;  // of the sum that is under way
};

}  // namespace

absl::StatusOr<std::unique_ptr<Collective>> MakeGloo(const CollectiveOptions& options,
                                                     const ExchangeAddresses& exchange) {
  ASSIGN_OR_RETURN(std::unique_ptr<Mesh> mesh, Mesh::Connect(options, exchange));
  return MakeGlooOver(options, std::move(mesh));
}

std::unique_ptr<Collective> MakeGlooOver(const CollectiveOptions& options, std::shared_ptr<Mesh> mesh) {
  return std::make_unique<GlooCollective>(options, std::move(mesh));
}

}  // namespace lockstep
