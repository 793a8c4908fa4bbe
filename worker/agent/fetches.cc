#include "worker/agent/fetches.h"

#include <utility>

namespace lockstep {

Fetches::~Fetches() {
  for (Fetch& fetch : fetches_) *fetch.cancelled = true;
  for (Fetch& fetch : fetches_) fetch.thread.join();
}

std::function<void()> Fetches::Start(const v1::Dataset& dataset,
                                     std::function<void(absl::StatusOr<v1::Dataset>)> done) {
  fetches_.remove_if([](Fetch& fetch) {
    if (!*fetch.ended) return false;
    fetch.thread.join();
    return true;
  });
  Fetch& fetch = fetches_.emplace_back();
  fetch.thread =
      std::thread([this, dataset, done = std::move(done), cancelled = fetch.cancelled, ended = fetch.ended] {
        auto result = cache_->Localize(dataset, *cancelled);
        loop_->Post([done, cancelled, result = std::move(result)]() mutable {
          if (!*cancelled) done(std::move(result));
        });
        *ended = true;
      });
  return [cancelled = fetch.cancelled] { *cancelled = true; };
}

}  // namespace lockstep
