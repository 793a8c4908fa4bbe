#include "coordinator/scheduler/turns.h"

#include <algorithm>
#include <limits>
#include <queue>

namespace lockstep {

void Turns::Add(const std::string& space, int priority, const std::string& id) {
  std::set<Turn>& queue = queues_[space];
  const Turn turn(-priority, id);
  if (!queue.empty()) {
    if (*queue.begin() < turn) {
      queue.insert(turn);
      return;
    }
    heads_.erase({*queue.begin(), space});
  }
  queue.insert(turn);
  heads_.emplace(*queue.begin(), space);
}

void Turns::Remove(const std::string& space, int priority, const std::string& id) {
  const auto queue = queues_.find(space);
  const Turn turn(-priority, id);
  if (queue == queues_.end() || !queue->second.contains(turn)) return;
  heads_.erase({*queue->second.begin(), space});
  queue->second.erase(turn);
  if (queue->second.empty()) {
    queues_.erase(queue);
  } else {
    heads_.emplace(*queue->second.begin(), space);
  }
}

std::vector<std::string> Turns::Take(int most, const Room& room) const {
  struct Lane {  // a namespace whose next job is `next`
    std::set<Turn>::const_iterator next, end;
    int startable;  // jobs that may start
    int explained;  // and those after them that are told why they wait
  };
  const auto later = [](const Lane& a, const Lane& b) { return *b.next < *a.next; };
  std::priority_queue<Lane, std::vector<Lane>, decltype(later)> lanes(later);
  std::vector<std::string> taken;
  int startable = 0, explained = 0;
  auto head = heads_.begin();
  while (startable < most) {
    // A namespace is opened when its first job's turn comes.
    for (; head != heads_.end() && (lanes.empty() || head->first < *lanes.top().next); ++head) {
      const int left = room(head->second);
      const auto& queue = queues_.find(head->second)->second;
      const int lane_startable = left == kNoQuota ? std::numeric_limits<int>::max() : std::max(0, left);
      lanes.push({queue.begin(), queue.end(), lane_startable, kExplained});
    }
    if (lanes.empty()) return taken;
    Lane lane = lanes.top();
    lanes.pop();
    int& left = lane.startable > 0 ? lane.startable : lane.explained;
    int& count = lane.startable > 0 ? startable : explained;
    if (&count == &explained && explained >= most) continue;  // nobody of this one is taken any more
    taken.push_back(lane.next->second);
    --left;
    ++count;
    if (++lane.next != lane.end && (lane.startable > 0 || lane.explained > 0)) lanes.push(lane);
  }
  return taken;
}

}  // namespace lockstep
