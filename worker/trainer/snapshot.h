// A rank's share of a program's state on its way to a checkpoint. Taking it costs a step nothing: the state
// is copied by the thread that writes it, while the next step's gradient is computed, which only reads the
// state. Whoever changes the state waits until Copy has returned (Checkpointer::AwaitCopy).
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "common/checkpoint/checkpoint.h"

namespace lockstep {

class Snapshot {
 public:
  // Its tensors' data are there once Copy has returned. Of rank 0 everything but the optimizer's tensors of
  // others, of another rank those of its own and the step.
  CheckpointContent content;
  int part = -1;  // which of the optimizer's files this rank writes; -1: none
  int parts = 0;

  // Forgets what it holds and keeps the room for the next one of the same program: memory that is new has to
  // be found and cleared by the kernel as well.
  void Clear();

  // Room for what these hold, one after another; returns its beginning. Nothing is touched before Touch or
  // Copy.
  const float* Add(const std::vector<std::span<const float>>& sources);
  // Has the kernel find and clear the pages of what was added, which takes longer than copying into them.
  void Touch();
  void Copy();

  // What was added first; REQUIRES: Copy has returned, and something was added.
  std::span<const float> first() const { return {pieces_.front().room.get(), pieces_.front().size}; }

 private:
  struct Piece {
    std::vector<std::span<const float>> sources;
    std::unique_ptr<float[]> room;
    size_t size = 0;
  };
  std::vector<Piece> pieces_;
  size_t used_ = 0;  // of the pieces
};

}  // namespace lockstep
