// What one device did with every second since its slot was made. A spell is the work for one job, from Begin
// to End; between spells the device is idle. The agent measures what is before and after the trainer's own
// account, so that the kinds of a spell add up to its wall clock:
//
//   Begin --the dataset comes: input--> Fetched --a trainer gets warm--> Given --its own account--> End
//                                          ^                               |
//                                          +---------- TakenBack ----------+
//
// What a trainer did not live to report is recovery. Times are those of a clock that is never set. Pure, not
// thread-safe.
#pragma once

#include <optional>

#include "absl/time/time.h"
#include "common/base/device_time.h"
#include "lockstep/v1/goodput.pb.h"
#include "lockstep/v1/workers.pb.h"

namespace lockstep {

class DeviceLedger {
 public:
  explicit DeviceLedger(absl::Duration now) : mark_(now) {}

  // `since`: by the calendar; it names the spell.
  void Begin(const v1::Assignment& order, absl::Time since, absl::Duration now);
  void Fetched(absl::Duration now);
  void Given(absl::Duration now);
  // The trainer's totals since Given.
  void Report(const v1::DeviceTime& trainer);
  // What the device has taken since any moment; a spell's share is from its first reading to its last.
  void Meter(double joules);
  // The trainer died with the order unread: the next one gets it.
  void TakenBack(absl::Duration now);
  // `lost`: the trainer did not end by itself.
  void End(bool lost, absl::Duration now);

  // The present spell as far as it is accounted for; nullopt: none. After End, the spell that it ended.
  std::optional<v1::DeviceTime> Spell() const;
  const std::optional<v1::DeviceTime>& ended() const { return ended_; }
  // Over all spells so far, idle included.
  v1::DeviceTime Totals(absl::Duration now) const;

 private:
  void Close(bool lost, absl::Duration now);  // of the trainer's account
  double Waiting(absl::Duration now);         // seconds since the mark, which moves

  absl::Duration mark_;                    // up to here it is accounted for, but for the trainer's part
  v1::DeviceTime done_;                    // spells that are over, and what is between them
  std::optional<double> first_reading_;    // of the present spell, in joules
  bool again_ = false;                     // the spell is not of the job's first generation
  std::optional<v1::DeviceTime> own_;      // of the present spell: the agent's part
  std::optional<v1::DeviceTime> trainer_;  // its trainer's part, while one has the order
  std::optional<v1::DeviceTime> ended_;
};

}  // namespace lockstep
