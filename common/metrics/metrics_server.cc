#include "common/metrics/metrics_server.h"

#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/version.h"
#include "common/http/http_error.h"
#include "common/http/http_server.h"
#include "common/metrics/common_metrics.h"
#include "common/metrics/families.h"
#include "common/metrics/process_metrics.h"
#include "common/metrics/scrape_guard.h"
#include "common/net/address.h"

namespace lockstep {

struct MetricsServer::Impl {
  explicit Impl(ScrapeGuard allowed) : guard(std::move(allowed)) {}

  HttpResponse Answer(const HttpRequest& request) {
    if (request.path != "/metrics") return ErrorResponse(absl::NotFoundError("only /metrics is here"));
    if (request.method != "GET" && request.method != "HEAD") {
      HttpResponse response = ErrorResponse(absl::UnimplementedError("/metrics takes GET alone"));
      response.headers.emplace_back("Allow", "GET, HEAD");
      return response;
    }
    if (const absl::Status status = guard.Admit(request.Header("authorization")); !status.ok())
      return ErrorResponse(status);
    HttpResponse response;
    response.type = "text/plain; version=0.0.4; charset=utf-8";
    response.headers.emplace_back("Cache-Control", "no-store");
    response.body = prometheus::TextSerializer().Serialize(Collect());
    return response;
  }

  std::vector<prometheus::MetricFamily> Collect() {
    std::vector<std::shared_ptr<prometheus::Collectable>> live = {registry, process};
    {
      absl::MutexLock lock(&mutex);
      for (const auto& weak : added) {
        if (auto collectable = weak.lock()) live.push_back(std::move(collectable));
      }
    }
    std::vector<prometheus::MetricFamily> all;
    for (const auto& collectable : live) {
      auto some = collectable->Collect();
      all.insert(all.end(), std::make_move_iterator(some.begin()), std::make_move_iterator(some.end()));
    }
    return all;
  }

  const ScrapeGuard guard;
  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  std::shared_ptr<prometheus::Collectable> process = MakeProcessMetrics();
  absl::Mutex mutex;
  std::vector<std::weak_ptr<prometheus::Collectable>> added ABSL_GUARDED_BY(mutex);
  std::unique_ptr<HttpServer> server;  // last: stops before what it scrapes
};

MetricsServer::MetricsServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
MetricsServer::~MetricsServer() { Stop(); }

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(const Options& options) {
  ASSIGN_OR_RETURN(ScrapeGuard guard, ScrapeGuard::Open(options.token_file, options.token_flag));
  auto impl = std::make_unique<Impl>(std::move(guard));
  RegisterGauge(kBuildInfo, impl->registry.get())
      .Add({{"daemon", options.daemon}, {"version", Version()}})
      .Set(1);
  ASSIGN_OR_RETURN(impl->server, HttpServer::Start({.listen = options.listen,
                                                    .flag = options.flag,
                                                    .what = "the metrics page",
                                                    .tls = options.tls,
                                                    .most_body_bytes = 0},
                                                   [impl = impl.get()](const HttpRequest& request) {
                                                     return impl->Answer(request);
                                                   }));
  return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(impl)));
}

prometheus::Registry& MetricsServer::registry() { return *impl_->registry; }

void MetricsServer::Add(const std::shared_ptr<prometheus::Collectable>& collectable) {
  absl::MutexLock lock(&impl_->mutex);
  impl_->added.push_back(collectable);
}

void MetricsServer::Stop() { impl_->server->Stop(); }

int MetricsServer::port() const {
  const std::string at = address();
  return at.empty() ? 0 : ParseHostPort(at)->port;
}

std::string MetricsServer::address() const { return impl_->server->address(); }

}  // namespace lockstep
