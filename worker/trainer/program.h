// What trainers run. The loop (generations, rendezvous, stops), the collective, checkpoints and newcomers
// know a program only through this interface; gradient descent is the first one.
//
// Life: Create (from an assignment) -> Restore? -> generations -> Finish; a generation is
// Form -> Settle -> { Contribute -> Complete -> Settle }*. All ranks hold the same state between steps; what
// differs between ranks is only which logical shards they work on.
//
// Form may come at any time, also after a collective call inside Settle or Finish has failed: a step that was
// contributed to but not completed is contributed again, Settle and Finish begin anew. So that no rank is
// left between two states, Complete makes no collective call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/checkpoint/checkpoint.h"
#include "common/numerics/reduction_tree.h"
#include "lockstep/v1/workers.pb.h"
#include "worker/collective/collective.h"
#include "worker/trainer/device_clock.h"
#include "worker/trainer/snapshot.h"

namespace lockstep {

class Program {
 public:
  virtual ~Program() = default;

  virtual int logical_shards() const = 0;
  // Floats summed over the shards in each step.
  virtual size_t reduction_size() const = 0;
  // So many of them are the loop's own (loop.cc).
  static constexpr int kLoopFlags = 20;

  // Where the sums of a step lie, and what the device's are queued on; see CollectiveOptions.
  virtual CollectiveOptions::Memory memory() const { return CollectiveOptions::Memory::kHost; }
  virtual kernels::Stream stream() const { return nullptr; }
  // A generation will form in which this rank works on `shards`. Before the others hear of it: the first
  // touch of much memory takes long.
  virtual absl::Status MakeRoom(ShardRange /*shards*/) { return absl::OkStatus(); }
  // A generation has formed: this rank works on `shards` from now on. `collective` lives until the next Form.
  virtual absl::Status Form(Collective* collective, ShardRange shards) = 0;

  virtual int64_t step() const = 0;  // steps done
  virtual bool done() const = 0;
  // Grows with each change of the state. Ranks at the same position hold the same bits; after a failure one
  // that is behind takes the state of one that is not.
  virtual int64_t position() const = 0;

  // Begins the sum of the floats [begin, begin + count) of each row: Collective::BeginSum.
  using PartReady = std::function<absl::Status(size_t begin, size_t count)>;
  // The local part of the next step, into node_sums(): (MaximalNodes of the shards, reduction_size()). On the
  // way it may call `ready` for parts that follow each other from 0 on; the loop's own numbers are in none.
  virtual absl::Status Contribute(const PartReady& ready) = 0;
  virtual float* node_sums() = 0;
  // The loop's own numbers: kLoopFlags of the first row, put in after Contribute, and taken out of the sum.
  virtual absl::Status PutFlags(const float* flags) = 0;
  virtual absl::Status GetFlags(float* flags) = 0;
  // The rest of it, from the sum over all shards in the first row (scratch afterwards): identical on each
  // rank. After GetFlags. A failure fails the job.
  virtual absl::Status Complete() = 0;
  // Collective: what a completed step still owes (a validation), if anything.
  virtual absl::Status Settle() = 0;
  // Did the last step end a unit (an epoch) after which a checkpoint is natural?
  virtual bool at_natural_boundary() const = 0;
  // Will the next one?
  virtual bool next_is_natural_boundary() const = 0;

  // Where training stands, for people: all fields but the times. Metric points since the last call.
  virtual void FillProgress(v1::JobProgress* progress) const = 0;
  virtual std::vector<v1::MetricPoint> TakePoints() = 0;
  // What is trained, for people; after Form.
  virtual v1::ModelSummary Summary() const = 0;
  virtual int64_t samples() const = 0;

  // The state, as StateBuffers and TakeSnapshot have it, is that of the last step from here on: a device's
  // has to be fetched first.
  virtual absl::Status FetchState() { return absl::OkStatus(); }
  // What was written into StateBuffers is what the next step starts from.
  virtual absl::Status StoreState() { return absl::OkStatus(); }

  // Equal on all ranks, unless the memory of one is corrupt: of what each step starts from, and of
  // everything. Of the state itself, where it is; after MakeRoom.
  virtual absl::StatusOr<uint64_t> StepHash() = 0;
  virtual absl::StatusOr<uint64_t> StateHash() = 0;

  // State to save, to restore, and to hand to newcomers: flat buffers of the same sizes on each rank, plus a
  // few named values. The snapshot, which is empty, gets what rank `rank` of `world` writes, and still reads
  // the state later: see snapshot.h.
  virtual void TakeSnapshot(int rank, int world, Snapshot* snapshot) = 0;
  virtual absl::Status Restore(const OpenedCheckpoint& checkpoint, bool weights_only) = 0;
  virtual std::vector<std::span<float>> StateBuffers() = 0;
  // The same where the state itself is, in memory(), after MakeRoom: what peers send and receive. With
  // kDevice it is apart from StateBuffers, and who received there says so by StateCame.
  virtual std::vector<std::span<float>> PeerBuffers() { return StateBuffers(); }
  virtual void StateCame() {}
  virtual std::string StateValues() const = 0;
  virtual absl::Status SetStateValues(const std::string& values) = 0;

  // Collective: after the last step. Rank 0 leaves the model in `model_directory` and returns the result; no
  // rank returns before the model is there.
  virtual absl::StatusOr<v1::TrainResult> Finish(const std::string& model_directory) = 0;

  // Contribute switches it to input and back to compute, and counts its batches there. It must outlive this.
  void set_clock(DeviceClock* clock) { clock_ = clock; }

 protected:
  DeviceClock* clock_ = nullptr;
};

}  // namespace lockstep
