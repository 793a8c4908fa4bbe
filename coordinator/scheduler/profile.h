// Comparing numeric profiles, and saying to people how they differ.
#pragma once

#include <string>

#include "lockstep/v1/jobs.pb.h"

namespace lockstep {

// Equal keys: equal profiles.
std::string ProfileKey(const v1::NumericProfile& profile);

// "cpu avx512_core, oneDNN 2.6.3, 1 thread, Intel ..."
std::string DescribeProfile(const v1::NumericProfile& profile);

// "instruction_set is avx2 instead of avx512_core, threads is 2 instead of 1"; empty: equal.
std::string ProfileDifference(const v1::NumericProfile& wanted, const v1::NumericProfile& offered);

}  // namespace lockstep
