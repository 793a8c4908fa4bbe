#include "worker/agent/faults.h"

#include <signal.h>
#include <unistd.h>

#include "absl/time/clock.h"
#include "common/base/proto_time.h"
#include "common/logging/logging.h"

namespace lockstep {
namespace {

// The one that the fault names, or the first with work.
Slot* Find(const v1::Fault& fault, const std::vector<std::unique_ptr<Slot>>& slots) {
  for (const auto& slot : slots) {
    if (fault.device().empty() ? slot->busy() : slot->device() == fault.device()) return slot.get();
  }
  return nullptr;
}

}  // namespace

void DoFault(const v1::Fault& fault, const std::string& worker, Loop* loop,
             const std::vector<std::unique_ptr<Slot>>& slots) {
  const absl::Duration duration = FromProto(fault.duration());
  if (fault.kind() == v1::FAULT_KIND_KILL_WORKER) {
    ::kill(::getpid(), SIGKILL);
  } else if (fault.kind() == v1::FAULT_KIND_CUT) {
    for (const auto& slot : slots) slot->SignalTrainer(SIGSTOP);
    absl::SleepFor(duration);
    for (const auto& slot : slots) slot->SignalTrainer(SIGCONT);
  } else if (Slot* slot = Find(fault, slots); slot == nullptr) {
    LogWarning("no fault was done: no device here has work",
               {{"worker", worker}, {"device", fault.device()}});
  } else if (fault.kind() == v1::FAULT_KIND_KILL) {
    slot->SignalTrainer(SIGKILL);
  } else if (fault.kind() == v1::FAULT_KIND_STOP) {
    slot->SignalTrainer(SIGSTOP);
    // Another trainer by then does not mind.
    loop->PostAfter(duration, [slot] { slot->SignalTrainer(SIGCONT); });
  } else if (fault.kind() == v1::FAULT_KIND_CORRUPT) {
    slot->CorruptWeights();
  }
}

}  // namespace lockstep
