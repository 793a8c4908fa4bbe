// Sums of v1::DeviceTime, for the agent's ledger and the coordinator's.
#pragma once

#include "lockstep/v1/goodput.pb.h"

namespace lockstep {

inline void AddTime(const v1::DeviceTime& more, v1::DeviceTime* sum) {
  sum->set_compute(sum->compute() + more.compute());
  sum->set_communication(sum->communication() + more.communication());
  sum->set_input(sum->input() + more.input());
  sum->set_checkpoint(sum->checkpoint() + more.checkpoint());
  sum->set_recovery(sum->recovery() + more.recovery());
  sum->set_idle(sum->idle() + more.idle());
  sum->set_steps(sum->steps() + more.steps());
  sum->set_samples(sum->samples() + more.samples());
  sum->set_tokens(sum->tokens() + more.tokens());
  sum->set_joules(sum->joules() + more.joules());
}

// Seconds.
inline double SumOfKinds(const v1::DeviceTime& time) {
  return time.compute() + time.communication() + time.input() + time.checkpoint() + time.recovery() +
         time.idle();
}

}  // namespace lockstep
