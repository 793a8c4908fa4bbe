// The metrics that every daemon has.
#pragma once

#include "common/metrics/declaration.h"

namespace lockstep {

inline constexpr MetricDeclaration kBuildInfo = {
    "lockstep_build_info", MetricType::kGauge, "1", "daemon, version",
    "Always 1; the labels tell which program and version this is."};
inline constexpr MetricDeclaration kResidentMemory = {"process_resident_memory_bytes", MetricType::kGauge,
                                                      "bytes", "", "Resident memory of this process."};
inline constexpr MetricDeclaration kStartTime = {"process_start_time_seconds", MetricType::kGauge,
                                                 "Unix seconds", "",
                                                 "When this process started, in Unix time."};
inline constexpr MetricDeclaration kCpuSeconds = {"process_cpu_seconds_total", MetricType::kCounter,
                                                  "seconds", "", "Processor time, user and system."};
inline constexpr MetricDeclaration kOpenFiles = {"process_open_fds", MetricType::kGauge, "descriptors", "",
                                                 "Open file descriptors."};

}  // namespace lockstep
