// One rank: it holds all shards, so its one maximal node is the root.
#include <atomic>
#include <cstring>

#include "worker/collective/backends.h"

namespace lockstep {
namespace {

class SingleCollective : public Collective {
 public:
  explicit SingleCollective(size_t n) : n_(n) {}
  int rank() const override { return 0; }
  int world() const override { return 1; }
  absl::Status OrderedSum(float* node_sums, float* out) override {
    if (n_ > 0 && out != node_sums) std::memmove(out, node_sums, n_ * sizeof(float));
    return State();
  }
  absl::Status Broadcast(void*, size_t, int root) override {
    if (root != 0) return absl::InvalidArgumentError(absl::StrCat("root ", root, " in a world of 1"));
    return State();
  }
  absl::Status AllGather(const void* in, size_t bytes, void* out) override {
    if (bytes > 0 && out != in) std::memmove(out, in, bytes);
    return State();
  }
  void Abort() override { aborted_ = true; }

 private:
  absl::Status State() const {
    return aborted_ ? absl::AbortedError("rank 0: the collective was aborted") : absl::OkStatus();
  }
  const size_t n_;
  std::atomic<bool> aborted_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Collective>> MakeSingle(const CollectiveOptions& options) {
  return std::make_unique<SingleCollective>(options.n);
}

}  // namespace lockstep
