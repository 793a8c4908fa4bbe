// For tests and benchmarks: one process per rank on this machine, which meet over a page of shared memory.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "worker/collective/collective.h"

namespace lockstep {

class ForkedRanks {
 public:
  // Runs `body(rank, exchange)` in `world` new processes.
  using Body = std::function<absl::Status(int rank, const ExchangeAddresses& exchange)>;
  // Longer than any body takes under a sanitizer, shorter than ctest's limit, which says nothing but that.
  static constexpr absl::Duration kPatience = absl::Seconds(120);
  ForkedRanks(int world, const Body& body, absl::Duration patience = kPatience);
  ~ForkedRanks();  // kills those that still run
  ForkedRanks(const ForkedRanks&) = delete;
  ForkedRanks& operator=(const ForkedRanks&) = delete;

  pid_t pid(int rank) const { return pids_[rank]; }
  // The body's status; UNKNOWN with the signal if the process was killed. Blocks. After `patience`:
  // DEADLINE_EXCEEDED, all that still run are killed, and what each of their threads waited for stands on
  // stderr.
  absl::Status Wait(int rank);
  // The first failure of all, in rank order.
  absl::Status WaitAll();
  // CLOCK_MONOTONIC seconds at which the body returned; after Wait.
  double EndedAt(int rank) const;

  // Inside a body: another rendezvous, of the ranks below `world`; one in a test.
  static absl::StatusOr<std::vector<std::string>> ExchangeAgain(int rank, int world, const std::string& mine);

  // Counters that all processes share, from zero.
  static constexpr int kCounters = 8;
  static void Add(int counter, int value);
  static int Get(int counter);
  static void AwaitAtLeast(int counter, int value);  // polls; for meeting, not for timing

 private:
  struct Shared;
  static Shared* shared_;
  absl::Status GiveUp(int rank);

  std::vector<pid_t> pids_;
  absl::Duration patience_;
};

}  // namespace lockstep
