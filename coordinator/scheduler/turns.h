// The queued jobs, by namespace, each namespace's in the order of their turn (rule 1 of scheduler.h), and
// which of them a pass has to look at: 15,000 jobs of 1,000 namespaces wait, and a pass may not look at all
// of them, nor only at the first ones, which may all be of one namespace that has used its quota up.
//
// It keeps ids alone: who is queued and who is not is its caller's to say. Not thread-safe.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {

class Turns {
 public:
  // Both harmless if repeated; O(log jobs).
  void Add(const std::string& space, int priority, const std::string& id);
  void Remove(const std::string& space, int priority, const std::string& id);
  bool empty() const { return heads_.empty(); }

  // Devices that a namespace may still take; kNoQuota: any number.
  using Room = std::function<int(const std::string& space)>;
  static constexpr int kNoQuota = -1;

  // In the order of their turn: up to `most` jobs that may start, of a namespace with room for n devices its
  // first n (each takes one at least). Among them, up to `most` more that their quota makes wait, kExplained
  // of a namespace, so that people are told why. It costs O(most + namespaces with a job that waits), and a
  // logarithm for each job taken.
  std::vector<std::string> Take(int most, const Room& room) const;
  static constexpr int kExplained = 8;

 private:
  using Turn = std::pair<int, std::string>;       // -priority, id
  std::map<std::string, std::set<Turn>> queues_;  // none is empty
  std::set<std::pair<Turn, std::string>> heads_;  // the first of each, with its namespace
};

}  // namespace lockstep
