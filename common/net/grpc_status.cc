#include "common/net/grpc_status.h"

namespace lockstep {
namespace {

// A status travels in HTTP/2 trailers, of which peers take 8 KiB by default; each byte may become three.
constexpr size_t kMaxMessageText = 2000;

std::string Shortened(std::string text) {
  if (text.size() <= kMaxMessageText) return text;
  size_t end = kMaxMessageText;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;  // not within a UTF-8 character
  text.resize(end);
  return text + " ...";
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  std::string message(status.message());
  if (message.empty()) message = absl::StatusCodeToString(status.code());
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), Shortened(std::move(message)));
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace lockstep
