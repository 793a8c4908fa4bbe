// What a server stream sends, pulled message by message as the reader takes them, so that a slow reader holds
// back its own stream and nothing else. No gRPC in here.
#pragma once

#include "common/base/status.h"

namespace lockstep {

enum class Pull {
  kMessage,     // the message was filled in
  kNothingYet,  // ask again after the next wake-up
  kEnd,         // the stream ends with OK
};

// One caller at a time. An error ends the stream with that status.
template <typename Response>
class StreamSource {
 public:
  virtual ~StreamSource() = default;
  virtual absl::StatusOr<Pull> Next(Response* message) = 0;
};

}  // namespace lockstep
