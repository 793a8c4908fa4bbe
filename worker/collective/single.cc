// One rank: it holds all shards, so its one maximal node is the root.
#include <atomic>
#include <cstring>

#include "worker/collective/backends.h"
#include "worker/collective/nccl_communicator.h"

namespace lockstep {
namespace {

class SingleCollective : public Collective {
 public:
  SingleCollective(const CollectiveOptions& options, CollectiveDevice* device, DeviceEvent done)
      : n_(options.n), stream_(options.stream), device_(device), done_(done) {}
  ~SingleCollective() override {
    if (device_ != nullptr) device_->DropEvent(done_);
  }
  int rank() const override { return 0; }
  int world() const override { return 1; }
  absl::Status OrderedSum(float* node_sums, float* out) override {
    RETURN_IF_ERROR(BeginSum(0, n_, node_sums, out));
    return FinishSum();
  }
  absl::Status BeginSum(size_t begin, size_t count, float* node_sums, float* out) override {
    RETURN_IF_ERROR(Copy(out + begin, node_sums + begin, count * sizeof(float)));
    return State();
  }
  absl::Status FinishSum() override {
    RETURN_IF_ERROR(AwaitDevice());
    return State();
  }
  absl::Status Broadcast(void*, size_t, int root) override {
    if (root != 0) return absl::InvalidArgumentError(absl::StrCat("root ", root, " in a world of 1"));
    return State();
  }
  absl::Status Transfer(void* data, size_t bytes, int root, const std::vector<int>&) override {
    return Broadcast(data, bytes, root);
  }
  absl::Status AllGather(const void* in, size_t bytes, void* out) override {
    RETURN_IF_ERROR(Copy(out, in, bytes));
    RETURN_IF_ERROR(AwaitDevice());
    return State();
  }
  const std::vector<double>& arriving() const override { return arriving_; }
  void Abort() override { aborted_ = true; }

 private:
  absl::Status State() const {
    return aborted_ ? absl::AbortedError("rank 0: the collective was aborted") : absl::OkStatus();
  }
  // On a device it is queued where the caller's own work is.
  absl::Status Copy(void* out, const void* in, size_t bytes) {
    if (bytes == 0 || out == in) return absl::OkStatus();
    if (device_ != nullptr && device_->Holds(out)) return device_->Copy(out, in, bytes, stream_);
    std::memmove(out, in, bytes);
    return absl::OkStatus();
  }

  // What the caller's stream holds is done on return, as with several ranks.
  absl::Status AwaitDevice() {
    if (device_ == nullptr) return absl::OkStatus();
    RETURN_IF_ERROR(device_->Record(done_, stream_));
    for (PollPause pause;; pause()) {
      ASSIGN_OR_RETURN(const bool passed, device_->Passed(done_));
      if (passed) return absl::OkStatus();
    }
  }

  const size_t n_;
  const kernels::Stream stream_;
  CollectiveDevice* const device_;
  const DeviceEvent done_;
  const std::vector<double> arriving_ = {0};
  std::atomic<bool> aborted_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Collective>> MakeSingle(const CollectiveOptions& options,
                                                       CollectiveDevice* device) {
  DeviceEvent done = nullptr;
  if (device != nullptr) {
    ASSIGN_OR_RETURN(done, device->MakeEvent());
  }
  return std::make_unique<SingleCollective>(options, device, done);
}

}  // namespace lockstep
