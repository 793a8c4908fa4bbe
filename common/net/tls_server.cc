#include "common/net/tls_server.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/time/clock.h"

namespace lockstep {
namespace {

std::string Seen(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return "";
  return absl::StrCat(info.st_ino, ":", info.st_size, ":", info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec,
                      ";");
}

absl::Status Failed(const std::string& path) {
  char text[256] = "unknown error";
  if (const unsigned long code = ERR_peek_last_error(); code != 0)
    ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return absl::FailedPreconditionError(absl::StrCat(path, ": ", text));
}

absl::StatusOr<std::shared_ptr<SSL_CTX>> MakeContext(const TlsFiles& files) {
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
  if (context == nullptr) return Failed("TLS");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (SSL_CTX_use_certificate_chain_file(context.get(), files.cert.c_str()) != 1) return Failed(files.cert);
  if (SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context.get()) != 1) {
    return Failed(files.key);
  }
  return context;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TlsIdentity>> TlsIdentity::Load(const TlsFiles& files) {
  std::unique_ptr<TlsIdentity> identity(new TlsIdentity(files));
  ASSIGN_OR_RETURN(auto context, MakeContext(files));
  absl::MutexLock lock(&identity->mutex_);
  identity->context_ = std::move(context);
  identity->seen_ = Seen(files.cert) + Seen(files.key);
  return identity;
}

std::shared_ptr<SSL_CTX> TlsIdentity::Current() {
  absl::MutexLock lock(&mutex_);
  const absl::Time now = absl::Now();
  if (now - looked_ < absl::Seconds(1)) return context_;
  looked_ = now;
  if (const std::string seen = Seen(files_.cert) + Seen(files_.key); seen != seen_) {
    if (auto context = MakeContext(files_); context.ok()) {
      context_ = *std::move(context);
      seen_ = seen;
    }
  }
  return context_;
}

SocketStream::SocketStream(int fd, TlsIdentity* identity) : fd_(fd) {
  if (identity == nullptr) return;
  context_ = identity->Current();
  ssl_ = SSL_new(context_.get());
  if (ssl_ != nullptr) SSL_set_fd(ssl_, fd_);
}

SocketStream::~SocketStream() {
  SSL_free(ssl_);
  ::close(fd_);
}

// After a call that gave `result` <= 0: true once it can be tried again.
bool SocketStream::Wait(int result, short plain_event, absl::Time deadline) {
  short event = plain_event;
  if (ssl_ != nullptr) {
    const int error = SSL_get_error(ssl_, result);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return false;
    event = error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
  } else if (result == 0 || (errno != EAGAIN && errno != EINTR)) {
    return false;
  }
  for (;;) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return false;
    pollfd entry{fd_, event, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

bool SocketStream::Handshake(absl::Time deadline) {
  if (context_ == nullptr) return true;
  if (ssl_ == nullptr) return false;
  for (;;) {
    ERR_clear_error();
    const int result = SSL_accept(ssl_);
    if (result == 1) return true;
    if (!Wait(result, POLLIN, deadline)) return false;
  }
}

size_t SocketStream::Read(char* to, size_t size, absl::Time deadline) {
  for (;;) {
    if (absl::Now() >= deadline) return 0;
    ERR_clear_error();
    const int result = ssl_ != nullptr ? SSL_read(ssl_, to, static_cast<int>(size))
                                       : static_cast<int>(::recv(fd_, to, size, 0));
    if (result > 0) return static_cast<size_t>(result);
    if (!Wait(result, POLLIN, deadline)) return 0;
  }
}

bool SocketStream::Write(std::string_view bytes, absl::Time deadline) {
  constexpr size_t kAtOnce = size_t{1} << 20;
  while (!bytes.empty()) {
    const size_t size = std::min(bytes.size(), kAtOnce);
    ERR_clear_error();
    const int result = ssl_ != nullptr ? SSL_write(ssl_, bytes.data(), static_cast<int>(size))
                                       : static_cast<int>(::send(fd_, bytes.data(), size, MSG_NOSIGNAL));
    if (result > 0) {
      bytes.remove_prefix(static_cast<size_t>(result));
    } else if (!Wait(result, POLLOUT, deadline)) {
      return false;
    }
    if (absl::Now() >= deadline) return bytes.empty();
  }
  return true;
}

void SocketStream::Finish(absl::Time deadline) {
  if (ssl_ != nullptr) SSL_shutdown(ssl_);
  ::shutdown(fd_, SHUT_WR);
  char rest[4096];
  while (Read(rest, sizeof rest, deadline) > 0) {
  }
}

}  // namespace lockstep
