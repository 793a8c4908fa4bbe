#include "common/metrics/metrics_server.h"

#include <netdb.h>
#include <prometheus/exposer.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <exception>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/version.h"
#include "common/metrics/process_metrics.h"
#include "common/net/address.h"

namespace lockstep {
namespace {

void Poke(const HostPort& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found) != 0) return;
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0) {
    connect(fd, found->ai_addr, found->ai_addrlen);
    close(fd);
  }
  freeaddrinfo(found);
}

// The web server looks whether it should stop only every two seconds, or when somebody connects.
void StopExposer(const HostPort& address, std::unique_ptr<prometheus::Exposer>* exposer) {
  if (*exposer == nullptr) return;
  std::atomic<bool> stopped = false;
  std::thread poker([&] {
    while (!stopped) {
      Poke(address);
      absl::SleepFor(absl::Milliseconds(5));
    }
  });
  exposer->reset();
  stopped = true;
  poker.join();
}

}  // namespace

struct MetricsServer::Impl {
  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  std::shared_ptr<prometheus::Collectable> process = MakeProcessMetrics();
  HostPort address;
  std::unique_ptr<prometheus::Exposer> exposer;  // last: stops before what it scrapes
};

MetricsServer::MetricsServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
MetricsServer::~MetricsServer() { Stop(); }

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(const Options& options) {
  auto impl = std::make_unique<Impl>();
  prometheus::BuildGauge()
      .Name("lockstep_build_info")
      .Help("Always 1; the labels tell which program and version this is.")
      .Register(*impl->registry)
      .Add({{"daemon", options.daemon}, {"version", Version()}})
      .Set(1);
  if (!options.listen.empty()) {
    ASSIGN_OR_RETURN(impl->address, ParseHostPort(options.listen));
    RETURN_IF_ERROR(CheckListenable(impl->address, "the metrics page", options.flag));
    try {  // the web server reports its failures by throwing
      // TCP_NODELAY and few threads: one scraper, a page of some kB.
      impl->exposer = std::make_unique<prometheus::Exposer>(std::vector<std::string>{
          "listening_ports", impl->address.ToString(), "num_threads", "2", "tcp_nodelay", "1"});
      const std::vector<int> ports = impl->exposer->GetListeningPorts();
      if (ports.empty()) return absl::InternalError("the metrics page is served on no port");
      impl->address.port = ports.front();
    } catch (const std::exception& error) {
      return absl::UnavailableError(absl::StrCat("the metrics page cannot be served on ", options.listen,
                                                 ": ", error.what(), "; set another address with ",
                                                 options.flag));
    }
    impl->exposer->RegisterCollectable(impl->registry);
    impl->exposer->RegisterCollectable(impl->process);
  }
  return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(impl)));
}

prometheus::Registry& MetricsServer::registry() { return *impl_->registry; }

void MetricsServer::Add(const std::shared_ptr<prometheus::Collectable>& collectable) {
  if (impl_->exposer != nullptr) impl_->exposer->RegisterCollectable(collectable);
}

void MetricsServer::Stop() { StopExposer(impl_->address, &impl_->exposer); }

int MetricsServer::port() const { return impl_->exposer == nullptr ? 0 : impl_->address.port; }

std::string MetricsServer::address() const {
  return impl_->exposer == nullptr ? std::string() : impl_->address.ToString();
}

}  // namespace lockstep
