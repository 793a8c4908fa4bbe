// How a job is doing, in one line. ProgressLine and StateLine are pure; ProgressReporter decides which of
// them is due.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "client/render/text.h"
#include "lockstep/v1/jobs.pb.h"

namespace lockstep {

bool IsFinal(v1::JobState state);
std::string StateText(v1::JobState state);                         // "running"
std::string PaintedState(v1::JobState state, const Style& style);  // coloured by kind

// "digits  epoch 3.2/20  step 72/440  loss 0.2134  validation 0.3012 (0.9124)  51,200 samples/s  1.2 s left";
// with a bar in front where `bar`; cut to style.width where it is positive.
std::string ProgressLine(const v1::Job& job, const Style& style, bool bar);

// "digits is running (generation 1 on w1 cpu:0, w2 cpu:0)"; with the reason where there is one.
std::string StateLine(const v1::Job& job, const Style& style);

// Turns a stream of jobs into what is to be written to the screen. On a terminal the last line is redrawn at
// most ten times a second; elsewhere a plain line appears about once per epoch (at most one a second) or
// every five seconds. State changes always get a line of their own.
class ProgressReporter {
 public:
  ProgressReporter(Style style, bool live) : style_(style), live_(live) {}

  std::string Update(const v1::Job& job, absl::Time now);
  // What leaves the screen clean: to be written before other text, and at the end.
  std::string Clear();

 private:
  const Style style_;
  const bool live_;
  bool drawn_ = false;  // the live line is on the screen
  v1::JobState state_ = v1::JOB_STATE_UNSPECIFIED;
  int64_t generation_ = 0;
  std::string reason_;
  absl::Time last_ = absl::InfinitePast();
  int64_t last_step_ = -1;
  double last_epoch_ = 0;
};

}  // namespace lockstep
