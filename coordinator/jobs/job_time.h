// Where a job's device-seconds went: what its devices report, added up. Reports are totals of a spell (a
// device's work for the job from taking it up to giving it back), so a lost, repeated or late one changes
// nothing, and it is kept with the job, so that a restart of the coordinator changes nothing either. Pure.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "lockstep/v1/goodput.pb.h"

namespace lockstep {

// False: it says nothing new.
bool NoteDeviceTime(const std::string& worker, const v1::DeviceTime& report, v1::JobTime* time);

// Over all spells.
v1::DeviceTime TotalTime(const v1::JobTime& time);

// Each kind's name and seconds, in the message's order.
std::array<std::pair<const char*, double>, 6> SecondsByKind(const v1::DeviceTime& time);

// The share of a job's seconds that goes into steps, in [0, 1]: compute and communication by all but idle, as
// deploy/prometheus/recording.yml has it. None: no such second yet.
std::optional<double> Goodput(const v1::DeviceTime& time);

}  // namespace lockstep
