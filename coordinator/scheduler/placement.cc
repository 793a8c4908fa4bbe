#include "coordinator/scheduler/placement.h"

#include <algorithm>
#include <map>
#include <string>

namespace lockstep {

std::vector<int> PickDevices(const std::vector<SchedulerDevice>& devices, const std::vector<int>& candidates,
                             int count) {
  std::map<std::string, std::vector<int>> by_node;
  for (const int device : candidates) by_node[devices[device].worker].push_back(device);

  // The tightest node that holds them all leaves the larger gaps to others.
  const std::vector<int>* fit = nullptr;
  for (const auto& [node, list] : by_node) {
    if (static_cast<int>(list.size()) >= count && (fit == nullptr || list.size() < fit->size())) fit = &list;
  }
  if (fit != nullptr) return std::vector<int>(fit->begin(), fit->begin() + count);

  std::vector<const std::vector<int>*> nodes;
  for (const auto& [node, list] : by_node) nodes.push_back(&list);
  std::stable_sort(nodes.begin(), nodes.end(), [](auto* a, auto* b) { return a->size() > b->size(); });
  std::vector<int> picked;
  for (const std::vector<int>* list : nodes) {
    for (const int device : *list) {
      if (static_cast<int>(picked.size()) == count) return picked;
      picked.push_back(device);
    }
  }
  return picked;
}

}  // namespace lockstep
