// Who may have one more connection. Pure: told of connections that came and went, it decides by numbers
// alone.
//
// Not thread-safe.
#pragma once

#include <map>
#include <string>

namespace lockstep {

enum class Verdict { kAdmitted, kFull, kPeerFull };

class ConnectionTable {
 public:
  struct Limits {
    int all = 2048;
    int per_peer = 512;
  };
  explicit ConnectionTable(const Limits& limits) : limits_(limits) {}

  Verdict Decide(const std::string& peer) const {
    const auto found = of_peer_.find(peer);
    if (found != of_peer_.end() && found->second >= limits_.per_peer) return Verdict::kPeerFull;
    return all_ >= limits_.all ? Verdict::kFull : Verdict::kAdmitted;
  }
  void Add(const std::string& peer) {
    ++all_;
    ++of_peer_[peer];
  }
  // REQUIRES: it was added.
  void Remove(const std::string& peer) {
    --all_;
    const auto found = of_peer_.find(peer);
    if (--found->second == 0) of_peer_.erase(found);
  }
  int all() const { return all_; }

 private:
  const Limits limits_;
  int all_ = 0;
  std::map<std::string, int> of_peer_;  // of those alone that have some: bounded by limits_.all
};

}  // namespace lockstep
