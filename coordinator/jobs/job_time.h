// Where a job's device-seconds went: what its devices report, added up. Reports are totals of a spell (a
// device's work for the job from taking it up to giving it back), so a lost, repeated or late one changes
// nothing, and it is kept with the job, so that a restart of the coordinator changes nothing either. Pure.
#pragma once

#include <string>

#include "lockstep/v1/goodput.pb.h"

namespace lockstep {

// False: it says nothing new.
bool NoteDeviceTime(const std::string& worker, const v1::DeviceTime& report, v1::JobTime* time);

// Over all spells.
v1::DeviceTime TotalTime(const v1::JobTime& time);

}  // namespace lockstep
