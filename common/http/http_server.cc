#include "common/http/http_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <list>
#include <map>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/http/http_exchange.h"
#include "common/net/address.h"
#include "common/net/gated_listener.h"
#include "common/net/tls_server.h"

namespace lockstep {

struct HttpServer::Impl {
  struct Connection {
    int fd = -1;
    GatedListener::Peer peer;
  };

  ~Impl() { Stop(); }

  void Start() {
    for (int i = 0; i < options.threads; ++i) threads.emplace_back([this] { Serve(); });
    listener->Start([this](int fd, int, const GatedListener::Peer& peer) {
      absl::MutexLock lock(&mutex);
      queue.push_back({fd, peer});
    });
  }

  void Stop() {
    if (listener == nullptr) return;
    listener->Stop();
    {
      absl::MutexLock lock(&mutex);
      stopping = true;
      for (const int fd : in_service) ::shutdown(fd, SHUT_RDWR);  // nobody's slowness is waited for
    }
    for (std::thread& thread : threads) thread.join();
    threads.clear();
    absl::MutexLock lock(&mutex);
    for (const Connection& connection : queue) ::close(connection.fd);
    listener.reset();
  }

  // The oldest connection of a peer that does not hold its share of the threads.
  std::list<Connection>::iterator Next() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const int share = std::max(1, options.threads / 2);
    auto at = queue.begin();
    for (; at != queue.end(); ++at) {
      const auto found = served.find(at->peer.network);
      if (found == served.end() || found->second < share) break;
    }
    return at;
  }
  bool Ready() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return stopping || Next() != queue.end(); }

  void Serve() {
    for (;;) {
      Connection connection;
      {
        absl::MutexLock lock(&mutex);
        mutex.Await(absl::Condition(this, &Impl::Ready));
        if (stopping) return;
        const auto next = Next();
        connection = *next;
        queue.erase(next);
        ++served[connection.peer.network];
        in_service.insert(connection.fd);
      }
      SocketStream stream(connection.fd, identity.get());
      ServeOnce(options, handler, connection.peer.address, &stream);
      absl::MutexLock lock(&mutex);
      in_service.erase(connection.fd);
      const auto found = served.find(connection.peer.network);
      if (--found->second == 0) served.erase(found);
    }
  }

  Options options;
  HttpHandler handler;
  HostPort address;
  std::unique_ptr<TlsIdentity> identity;  // null: plain HTTP
  std::unique_ptr<GatedListener> listener;
  std::vector<std::thread> threads;
  absl::Mutex mutex;
  std::list<Connection> queue ABSL_GUARDED_BY(mutex);
  std::set<int> in_service ABSL_GUARDED_BY(mutex);
  std::map<std::string, int> served ABSL_GUARDED_BY(mutex);  // by the peer's network
  bool stopping ABSL_GUARDED_BY(mutex) = false;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const Options& options, HttpHandler handler) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  impl->handler = std::move(handler);
  if (options.listen.empty()) return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
  ASSIGN_OR_RETURN(impl->address, ParseHostPort(options.listen));
  RETURN_IF_ERROR(CheckListenable(impl->address, options.what, options.flag));
  if (!options.tls.cert.empty()) {
    ASSIGN_OR_RETURN(impl->identity, TlsIdentity::Load(options.tls));
  }
  auto listener = GatedListener::Listen(
      {.address = impl->address, .limits = options.connections, .patience = options.request_timeout});
  if (!listener.ok()) {
    return absl::UnavailableError(absl::StrCat(options.what, " cannot be served on ", options.listen, ": ",
                                               listener.status().message(), "; set another address with ",
                                               options.flag));
  }
  impl->listener = *std::move(listener);
  impl->address.port = impl->listener->port();
  impl->Start();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

void HttpServer::Stop() { impl_->Stop(); }

std::string HttpServer::address() const {
  return impl_->listener == nullptr ? std::string() : impl_->address.ToString();
}

}  // namespace lockstep
