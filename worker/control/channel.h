// The socket pair between an agent and a trainer: length-prefixed protobuf messages (uint32 little-endian,
// then the bytes; at most 64 MiB). Send is safe from several threads; Receive from one at a time.
#pragma once

#include <memory>
#include <mutex>
#include <utility>

#include "common/base/status.h"
#include "google/protobuf/message_lite.h"

namespace lockstep {

class Channel {
 public:
  // Takes ownership of `fd`, a connected stream socket.
  explicit Channel(int fd);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // Two connected sockets (close-on-exec); the second is meant for the child.
  static absl::StatusOr<std::pair<int, int>> MakePair();

  // Blocks until written. UNAVAILABLE: the other side is gone.
  absl::Status Send(const google::protobuf::MessageLite& message);
  // Blocks for the next message. UNAVAILABLE: the other side closed. DATA_LOSS: not our framing.
  absl::Status Receive(google::protobuf::MessageLite* message);
  // Wakes a blocked Receive; both sides then see UNAVAILABLE.
  void Shutdown();
  int fd() const { return fd_; }

 private:
  int fd_;
  std::mutex send_mutex_;
};

}  // namespace lockstep
