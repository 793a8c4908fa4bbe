// The coordinator's command line. Parsing decides nothing: it fills CoordinatorFlags, or says what to print
// and how to exit.
#pragma once

#include <string>
#include <variant>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/flags/command_line.h"

namespace lockstep {

struct CoordinatorFlags {
  std::string data_dir;       // store, lock; default: $XDG_STATE_HOME/lockstep or ~/.local/state/lockstep
  std::string artifact_root;  // checkpoints and models; default: <data_dir>/artifacts
  std::string listen = "127.0.0.1:7070";
  std::string metrics_listen = "127.0.0.1:7071";  // empty: none
  bool insecure = false;                          // serve other machines without TLS
  int ready_fd = -1;                              // told when serving; -1: nobody
  std::string log_level = "info";
  absl::Duration heartbeat_interval = absl::Milliseconds(200);
  absl::Duration worker_timeout = absl::Seconds(2);
  int quarantine_after = 3;  // failures of a worker within an hour; 0: never
};

std::variant<CoordinatorFlags, Exit> ParseFlags(int argc, const char* const* argv);

// FAILED_PRECONDITION: an address that other machines can reach, without --insecure.
absl::Status CheckExposure(const CoordinatorFlags& flags);

}  // namespace lockstep
