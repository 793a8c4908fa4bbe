// What `lockstep` returns to the shell.
#pragma once

namespace lockstep {

inline constexpr int kExitSucceeded = 0;
inline constexpr int kExitError = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitFailed = 100;       // the job failed
inline constexpr int kExitNotFinished = 101;  // stopped waiting; the job goes on
inline constexpr int kExitNotFound = 102;
inline constexpr int kExitCancelled = 103;  // the job was cancelled

}  // namespace lockstep
