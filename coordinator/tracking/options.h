// What may be said about tracking on the command line.
#pragma once

#include <string>

namespace lockstep {

struct TrackingOptions {
  std::string tensorboard_dir;  // empty: none
  std::string mlflow;           // URL of the tracking server; empty: none
  std::string mlflow_experiment = "lockstep";
};

}  // namespace lockstep
