// TLS 1.2 and newer for a server that is not gRPC's: the certificate, and the bytes of one connection. A file
// that changed is looked at every second and taken up for new connections; one that is half-written is not.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/net/tls_files.h"

namespace lockstep {

// The certificate and its key. Thread-safe.
class TlsIdentity {
 public:
  // `files.ca` is not used. FAILED_PRECONDITION: they cannot be read, or do not belong together.
  static absl::StatusOr<std::unique_ptr<TlsIdentity>> Load(const TlsFiles& files);

  std::shared_ptr<SSL_CTX> Current();

 private:
  explicit TlsIdentity(TlsFiles files) : files_(std::move(files)) {}

  const TlsFiles files_;
  absl::Mutex mutex_;
  std::shared_ptr<SSL_CTX> context_ ABSL_GUARDED_BY(mutex_);
  std::string seen_ ABSL_GUARDED_BY(mutex_);  // what stat says of the files that context_ is made of
  absl::Time looked_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

// A connected socket that does not block, plain or TLS. Every wait ends at a deadline. Not thread-safe.
class SocketStream {
 public:
  // Owns `fd`. `identity`: null for plain.
  SocketStream(int fd, TlsIdentity* identity);
  ~SocketStream();
  SocketStream(const SocketStream&) = delete;
  SocketStream& operator=(const SocketStream&) = delete;

  // False: it failed, or the deadline passed.
  bool Handshake(absl::Time deadline);
  // Up to `size` bytes; 0: the end, an error, or the deadline.
  size_t Read(char* to, size_t size, absl::Time deadline);
  bool Write(std::string_view bytes, absl::Time deadline);
  // Says that nothing more comes, and takes what still does for a while: closed at once, with bytes unread,
  // the answer could be lost on its way.
  void Finish(absl::Time deadline);

 private:
  bool Wait(int result, short plain_event, absl::Time deadline);

  const int fd_;
  SSL* ssl_ = nullptr;
  std::shared_ptr<SSL_CTX> context_;
};

}  // namespace lockstep
