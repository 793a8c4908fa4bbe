#include "common/metrics/metrics_server.h"

#include <prometheus/exposer.h>
#include <prometheus/registry.h>

#include <atomic>
#include <exception>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/version.h"
#include "common/metrics/common_metrics.h"
#include "common/metrics/families.h"
#include "common/metrics/process_metrics.h"
#include "common/net/address.h"

namespace lockstep {
namespace {

// The web server looks whether it should stop only every two seconds, or when somebody connects.
void StopExposer(const HostPort& address, std::unique_ptr<prometheus::Exposer>* exposer) {
  if (*exposer == nullptr) return;
  std::atomic<bool> stopped = false;
  std::thread poker([&] {
    while (!stopped) {
      ConnectAndClose(address);
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
  RegisterGauge(kBuildInfo, impl->registry.get())
      .Add({{"daemon", options.daemon}, {"version", Version()}})
      .Set(1);
  if (!options.listen.empty()) {
    ASSIGN_OR_RETURN(impl->address, ParseHostPort(options.listen));
    RETURN_IF_ERROR(CheckListenable(impl->address, "the metrics page", options.flag));
    try {  // the web server reports its failures by throwing
      // One scraper needs one thread. More, and little time for each: the slow and the silent hold a thread
      // until their time is over, and the scraper waits behind them.
      impl->exposer = std::make_unique<prometheus::Exposer>(
          std::vector<std::string>{"listening_ports", impl->address.ToString(), "num_threads", "16",
                                   "tcp_nodelay", "1", "connection_queue", "64", "request_timeout_ms", "5000",
                                   "enable_keep_alive", "no", "max_request_size", "16384"});
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
