// The threads that make datasets local while the loop goes on. A fetch is given up when it is cancelled; its
// result is then not delivered. Start and the destructor on the loop's thread; the destructor cancels and
// waits.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <thread>

#include "worker/agent/dataset_cache.h"
#include "worker/agent/loop.h"

namespace lockstep {

class Fetches {
 public:
  // Both must outlive this object.
  Fetches(DatasetCache* cache, Loop* loop) : cache_(cache), loop_(loop) {}
  ~Fetches();

  // `done` is a task on the loop. The result cancels.
  std::function<void()> Start(const v1::Dataset& dataset,
                              std::function<void(absl::StatusOr<v1::Dataset>)> done);

 private:
  struct Fetch {
    std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);
    std::shared_ptr<std::atomic<bool>> ended = std::make_shared<std::atomic<bool>>(false);
    std::thread thread;
  };

  DatasetCache* const cache_;
  Loop* const loop_;
  std::list<Fetch> fetches_;
};

}  // namespace lockstep
