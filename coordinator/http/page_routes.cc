#include "coordinator/http/page_routes.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/spec/message_text.h"
#include "common/spec/text_names.h"
#include "coordinator/jobs/job_time.h"
#include "coordinator/jobs/visible_workers.h"
#include "coordinator/page/assets.h"
#include "nlohmann/json.hpp"

namespace lockstep {
namespace {

using Answer = absl::StatusOr<HttpResponse>;
using Json = nlohmann::ordered_json;

constexpr int kMostPoints = 4'000;
constexpr int kMostLines = 2'000;
constexpr absl::Duration kPatience = absl::Seconds(10);

std::string StateText(v1::JobState state) { return EnumText(*v1::JobState_descriptor(), state); }

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

std::string Text(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

// [a,b,...] of messages.
template <typename Messages>
std::string List(const Messages& messages) {
  std::string text = "[";
  for (const auto& message : messages) {
    absl::StrAppend(&text, text.size() > 1 ? ",\n" : "", MessageToCompactJson(message));
  }
  return text + "]";
}

HttpResponse Body(std::string json) {
  HttpResponse response;
  response.body = std::move(json);
  return response;
}

// {"goodput": in [0, 1], or null before there is any, "seconds": {"compute": ..., and each other kind}}
Json DeviceTimeJson(const v1::DeviceTime& time) {
  const std::optional<double> goodput = Goodput(time);
  Json json = {{"goodput", goodput.has_value() ? Json(*goodput) : Json()}};
  for (const auto& [kind, seconds] : SecondsByKind(time)) json["seconds"][kind] = seconds;
  return json;
}

Answer JobPage(const PageContext& context, const HttpCall& call) {
  ASSIGN_OR_RETURN(const StoredJob stored, context.store->GetJob(call.arguments[0]));
  ASSIGN_OR_RETURN(const auto transitions, context.store->ListTransitions(stored.job.id()));
  Json moves = Json::array();
  for (const StoredTransition& move : transitions) {
    moves.push_back({{"time", TimeText(move.time)}, {"to", StateText(move.to)}, {"reason", move.reason}});
  }
  return Body(absl::StrCat("{\"job\":", MessageToCompactJson(stored.job), ",\"transitions\":", Text(moves),
                           ",\"device_time\":", Text(DeviceTimeJson(TotalTime(stored.time))),
                           ",\"spec\":", Text(Json(MessageToYaml(stored.job.spec()))), "}"));
}

Answer MetricsPage(const PageContext& context, const HttpCall& call) {
  ASSIGN_OR_RETURN(const int64_t from, call.Number("from", 0));
  ASSIGN_OR_RETURN(const auto points, context.store->ReadMetrics(call.arguments[0], from - 1, kMostPoints));
  const bool more = points.size() == static_cast<size_t>(kMostPoints);
  return Body(absl::StrCat("{\"more\":", more ? "true" : "false", ",\"points\":", List(points), "}"));
}

Answer LogsPage(const PageContext& context, const HttpCall& call) {
  ASSIGN_OR_RETURN(int64_t position, call.Number("after", 0));
  ASSIGN_OR_RETURN(const int64_t tail, call.Number("tail", 0));
  if (tail > 0) {
    ASSIGN_OR_RETURN(position,
                     context.store->LogTail(call.arguments[0], std::min<int64_t>(tail, kMostLines)));
  }
  ASSIGN_OR_RETURN(const LogPage page, context.store->ReadLogs(call.arguments[0], position, kMostLines));
  return Body(absl::StrCat("{\"position\":", page.position, ",\"lines\":", List(page.lines), "}"));
}

Answer CheckpointsPage(const PageContext& context, const HttpCall& call) {
  ASSIGN_OR_RETURN(const auto checkpoints, context.store->ListCheckpoints(call.arguments[0]));
  return Body(absl::StrCat("{\"checkpoints\":", List(checkpoints), "}"));
}

const char* KindText(FleetEvent::Kind kind) {
  switch (kind) {
    case FleetEvent::Kind::kJoined:
      return "joined";
    case FleetEvent::Kind::kDraining:
      return "draining";
    case FleetEvent::Kind::kLost:
      return "lost";
    case FleetEvent::Kind::kLeft:
      return "left";
    case FleetEvent::Kind::kFailure:
      return "failure";
    case FleetEvent::Kind::kCordoned:
      return "cordoned";
    case FleetEvent::Kind::kQuarantined:
      return "quarantined";
    case FleetEvent::Kind::kUncordoned:
      return "uncordoned";
  }
  return "";
}

Answer WorkersPage(const PageContext& context, const HttpCall& call) {
  Json events = Json::array();
  for (const FleetEvent& event : FleetEventsFor(context.controller, call.scope)) {
    events.push_back({{"time", TimeText(event.time)},
                      {"kind", KindText(event.kind)},
                      {"worker", event.worker},
                      {"device", event.device},
                      {"job", event.job},
                      {"text", event.text}});
  }
  return Body(absl::StrCat("{\"workers\":", List(WorkersFor(context.controller, call.scope)),
                           ",\"events\":", Text(events), "}"));
}

using Verb = std::function<void(const std::string& job, Controller::JobCallback done)>;

// Waits until it is on disk, as the API's calls do.
Answer Steer(const Verb& verb, const HttpCall& call) {
  struct Outcome {
    absl::Notification there;
    absl::StatusOr<v1::Job> job = absl::UnknownError("");
  };
  const auto outcome = std::make_shared<Outcome>();
  verb(call.arguments[0], [outcome](absl::StatusOr<v1::Job> job) {
    outcome->job = std::move(job);
    outcome->there.Notify();
  });
  if (!outcome->there.WaitForNotificationWithTimeout(kPatience)) {
    return absl::DeadlineExceededError("the coordinator is busy: whether this was done will show in the job");
  }
  RETURN_IF_ERROR(outcome->job.status());
  return Body(absl::StrCat("{\"job\":", MessageToCompactJson(*outcome->job), "}"));
}

HttpRoute FileRoute(const PageAsset& asset) {
  return {"GET", std::string(asset.path), std::nullopt, [&asset](const HttpCall&) -> Answer {
            HttpResponse response;
            response.type = std::string(asset.type);
            response.body = std::string(asset.bytes);
            response.headers = {{"ETag", absl::StrCat("\"", std::string(asset.digest), "\"")},
                                {"Cache-Control", "no-cache"}};
            return response;
          }};
}

}  // namespace

JobFeed::Source FeedOf(Controller* controller, Store* store) {
  return {.changes = [controller](int64_t after) { return controller->ChangedJobs(after); },
          .job = [store](const std::string& id) -> absl::StatusOr<v1::Job> {
            ASSIGN_OR_RETURN(StoredJob stored, store->GetJob(id));
            return std::move(stored.job);
          },
          .newest = [store](int most) -> absl::StatusOr<std::vector<v1::Job>> {
            ASSIGN_OR_RETURN(auto stored, store->ListJobs(JobFilter(), "", most));
            std::vector<v1::Job> jobs;
            for (StoredJob& job : stored) jobs.push_back(std::move(job.job));
            return jobs;
          },
          .snapshot = [controller] { return controller->Snapshot(); }};
}

std::vector<HttpRoute> PageRoutes(const PageContext& context) {
  std::vector<HttpRoute> routes;
  for (const PageAsset& asset : PageAssets()) routes.push_back(FileRoute(asset));

  const auto read = [&](const char* pattern, Answer (*page)(const PageContext&, const HttpCall&)) {
    routes.push_back({"GET", pattern, Role::kViewer,
                      [context, page](const HttpCall& call) { return page(context, call); }});
  };
  // Of a job that the caller may see: for the others it is as if there were none.
  const auto find = [context](const HttpCall& call) -> absl::StatusOr<HttpCall> {
    ASSIGN_OR_RETURN(const v1::Job job, context.controller->GetJob(call.arguments[0], call.scope));
    return HttpCall{call.request, {job.id()}, call.scope};
  };
  const auto read_job = [&](const char* pattern, Answer (*page)(const PageContext&, const HttpCall&)) {
    routes.push_back({"GET", pattern, Role::kViewer, [context, page, find](const HttpCall& call) -> Answer {
                        ASSIGN_OR_RETURN(const HttpCall of_job, find(call));
                        return page(context, of_job);
                      }});
  };
  const auto steer = [&](const char* pattern, const Verb& verb) {
    routes.push_back({"POST", pattern, Role::kSubmitter, [verb, find](const HttpCall& call) -> Answer {
                        ASSIGN_OR_RETURN(const HttpCall of_job, find(call));
                        return Steer(verb, of_job);
                      }});
  };
  const auto wish = [&](void (Controller::*call)(std::string, Controller::JobCallback)) -> Verb {
    return [controller = context.controller, call](const std::string& job, Controller::JobCallback done) {
      (controller->*call)(job, std::move(done));
    };
  };
  routes.push_back({"GET", "/api/jobs", Role::kViewer, [context](const HttpCall& call) -> Answer {
                      ASSIGN_OR_RETURN(std::string jobs, context.feed->After(call.Text("after"), call.scope));
                      return Body(std::move(jobs));
                    }});
  read_job("/api/jobs/{}", &JobPage);
  read_job("/api/jobs/{}/metrics", &MetricsPage);
  read_job("/api/jobs/{}/logs", &LogsPage);
  read_job("/api/jobs/{}/checkpoints", &CheckpointsPage);
  read("/api/workers", &WorkersPage);
  steer("/api/jobs/{}/cancel", wish(&Controller::Cancel));
  steer("/api/jobs/{}/pause", wish(&Controller::Pause));
  steer("/api/jobs/{}/resume", wish(&Controller::Resume));
  steer("/api/jobs/{}/delete",
        [controller = context.controller](const std::string& job, const Controller::JobCallback& done) {
          controller->Delete(job, false, [done](absl::StatusOr<Controller::Deleted> deleted) {
            deleted.ok() ? done(std::move(deleted->job)) : done(deleted.status());
          });
        });
  return routes;
}

}  // namespace lockstep
