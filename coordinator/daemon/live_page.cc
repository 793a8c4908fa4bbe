#include "coordinator/daemon/live_page.h"

#include "absl/synchronization/notification.h"
#include "common/http/http_server.h"
#include "coordinator/http/job_feed.h"
#include "coordinator/http/page_routes.h"
#include "coordinator/http/router.h"

namespace lockstep {
namespace {

HttpGuard GuardOf(const Gatekeeper& gatekeeper) {
  if (gatekeeper.authorizer == nullptr) return [](std::string_view, Role) { return Scope(); };
  return [authorizer = gatekeeper.authorizer.get(), audit = gatekeeper.audit.get()](
             std::string_view authorization, Role needed) -> absl::StatusOr<Scope> {
    Caller caller;
    RETURN_IF_ERROR(authorizer->Admit(authorization, needed, &caller));
    if (needed != Role::kViewer) RETURN_IF_ERROR(audit->status());
    return caller.scope;
  };
}

HttpNote NoteOf(const Gatekeeper& gatekeeper) {
  if (gatekeeper.audit == nullptr) return nullptr;
  return [authorizer = gatekeeper.authorizer.get(), audit = gatekeeper.audit.get()](
             const HttpRequest& request, const std::vector<std::string>& arguments,
             const absl::Status& outcome) {
    const Caller caller = authorizer->Identify(request.Header("authorization"));
    AuditEntry entry = {.who = caller.name,
                        .role = caller.role,
                        .certificate = "",
                        .peer = request.peer,
                        .rpc = absl::StrCat(request.method, " ", request.path),
                        .job = arguments.empty() ? "" : arguments.front(),
                        .target = "",
                        .outcome = std::string(absl::StatusCodeToString(outcome.code())),
                        .reason = std::string(outcome.message())};
    if (absl::IsUnauthenticated(outcome) || absl::IsPermissionDenied(outcome)) {
      audit->AppendDenied(std::move(entry));
      return;
    }
    absl::Notification written;
    audit->Append(std::move(entry), [&] { written.Notify(); });
    written.WaitForNotification();
  };
}

}  // namespace

// In this order: the server ends before what it serves.
struct LivePage::Parts {
  Parts(const CoordinatorFlags& flags, const Gatekeeper& gatekeeper, Controller* controller, Store* store,
        Clock* clock)
      : feed(FeedOf(controller, store), clock),
        router({.loopback_hosts_only = ServesLoopbackAlone(flags.http_listen), .note = NoteOf(gatekeeper)},
               GuardOf(gatekeeper), PageRoutes({controller, store, &feed})) {}

  JobFeed feed;
  const Router router;
  std::unique_ptr<HttpServer> server;
};

absl::StatusOr<std::unique_ptr<LivePage>> LivePage::Start(const CoordinatorFlags& flags,
                                                          const Gatekeeper& gatekeeper,
                                                          Controller* controller, Store* store,
                                                          Clock* clock) {
  auto parts = std::make_unique<Parts>(flags, gatekeeper, controller, store, clock);
  ASSIGN_OR_RETURN(parts->server, HttpServer::Start({.listen = flags.http_listen, .tls = PageTls(flags)},
                                                    [router = &parts->router](const HttpRequest& request) {
                                                      return router->Handle(request);
                                                    }));
  return std::unique_ptr<LivePage>(new LivePage(std::move(parts)));
}

LivePage::LivePage(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
LivePage::~LivePage() = default;

std::string LivePage::address() const { return parts_->server->address(); }
const Router& LivePage::router() const { return parts_->router; }

}  // namespace lockstep
