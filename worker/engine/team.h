// The threads of one trainer, which run a step together: every member runs the same function and takes its
// share of the work. Shares are ranges of rows, columns or elements, whose bits do not depend on where they
// are cut.
//
//   Team team(2);
//   team.Run([&](const Member& member) { auto [begin, end] = member.Share(rows); ...; member.Barrier(); ...
//   });
//
// The caller of Run is member 0. Between runs the others sleep. Not thread-safe: one Run at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"

namespace lockstep::engine {

struct Range {
  int64_t begin = 0, end = 0;
  bool empty() const { return begin >= end; }
};

class Team;

class Member {
 public:
  int index = 0;
  int count = 1;

  // This member's part of [0, n), cut at multiples of `grain`.
  Range Share(int64_t n, int64_t grain = 1) const {
    const int64_t grains = (n + grain - 1) / grain;
    const int64_t begin = grains * index / count * grain, end = grains * (index + 1) / count * grain;
    return {begin < n ? begin : n, end < n ? end : n};
  }
  // Waits until every member is here.
  void Barrier() const;

 private:
  friend class Team;
  Team* team = nullptr;
};

class Team {
 public:
  explicit Team(int threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int size() const { return size_; }
  // From now on Run calls `work` on the calling thread alone, the others sleep on: for steps so short that
  // barriers cost more than a second thread brings.
  void SetAlone(bool alone) { alone_ = alone; }
  // Returns when all members have returned from `work`, which allocates nothing on its way.
  void Run(absl::FunctionRef<void(const Member&)> work);

 private:
  friend class Member;
  void Serve(int index);
  void Wait(const std::atomic<uint32_t>& value, uint32_t old) const;
  void Barrier();

  const int size_;
  bool alone_ = false;
  const absl::FunctionRef<void(const Member&)>* work_ = nullptr;
  std::atomic<uint32_t> runs_{0};      // raised to start a run
  std::atomic<uint32_t> arrived_{0};   // members at the barrier
  std::atomic<uint32_t> barriers_{0};  // raised when all are there
  std::atomic<bool> ending_{false};
  std::vector<std::thread> threads_;
};

}  // namespace lockstep::engine
