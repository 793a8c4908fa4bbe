#include "worker/control/channel.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/string_view.h"

namespace lockstep {
namespace {

constexpr size_t kHeaderBytes = 4;
constexpr size_t kMaxMessageBytes = size_t{64} << 20;

absl::Status Gone(absl::string_view doing) {
  return absl::UnavailableError(
      absl::StrCat("control channel: the other process closed its end while ", doing));
}

absl::Status SystemError(absl::string_view call) {
  return absl::UnavailableError(absl::StrCat("control channel: ", call, ": ", std::strerror(errno)));
}

// Reads exactly `size` bytes. UNAVAILABLE at the end of the stream.
absl::Status ReadFully(int fd, char* data, size_t size, absl::string_view what) {
  while (size > 0) {
    const ssize_t got = ::recv(fd, data, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno != ECONNRESET) return SystemError("recv");
    if (got <= 0) return Gone(what);
    data += got;
    size -= static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

}  // namespace

Channel::Channel(int fd) : fd_(fd) {}

Channel::~Channel() { ::close(fd_); }

absl::StatusOr<std::pair<int, int>> Channel::MakePair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "cannot make a socket pair for a trainer: ", std::strerror(errno), "; check `ulimit -n`"));
  }
  return std::make_pair(fds[0], fds[1]);
}

absl::Status Channel::Send(const google::protobuf::MessageLite& message) {
  const size_t size = message.ByteSizeLong();
  if (size > kMaxMessageBytes) {
    return absl::InvalidArgumentError(absl::StrCat("control channel: a message of ", size,
                                                   " bytes is over the limit of ", kMaxMessageBytes));
  }
  std::string frame(kHeaderBytes + size, '\0');
  for (size_t i = 0; i < kHeaderBytes; ++i) frame[i] = static_cast<char>((size >> (8 * i)) & 0xff);
  message.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(frame.data() + kHeaderBytes));

  std::lock_guard<std::mutex> lock(send_mutex_);
  for (size_t sent = 0; sent < frame.size();) {
    // MSG_NOSIGNAL: a peer that has died is an error to report, not a SIGPIPE.
    const ssize_t n = ::send(fd_, frame.data() + sent, frame.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) return Gone("we were sending");
    if (n < 0) return SystemError("send");
    sent += static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

absl::Status Channel::Receive(google::protobuf::MessageLite* message) {
  char header[kHeaderBytes];
  RETURN_IF_ERROR(ReadFully(fd_, header, kHeaderBytes, "we waited for a message"));
  size_t size = 0;
  for (size_t i = 0; i < kHeaderBytes; ++i) size |= size_t{static_cast<uint8_t>(header[i])} << (8 * i);
  if (size > kMaxMessageBytes) {
    return absl::DataLossError(absl::StrCat("control channel: a message claims ", size,
                                            " bytes, the limit is ", kMaxMessageBytes,
                                            "; the other process does not speak this protocol, or wrote "
                                            "something else to the control socket"));
  }
  std::string body(size, '\0');
  RETURN_IF_ERROR(ReadFully(fd_, body.data(), size, "in the middle of a message"));
  if (!message->ParseFromString(body)) {
    return absl::DataLossError(absl::StrCat("control channel: ", size, " bytes do not parse as ",
                                            message->GetTypeName(),
                                            "; agent and trainer are probably of different versions"));
  }
  return absl::OkStatus();
}

void Channel::Shutdown() { ::shutdown(fd_, SHUT_RDWR); }

}  // namespace lockstep
