#include "coordinator/store/sqlite_reads.h"

#include <algorithm>

#include "coordinator/namespaces/names.h"

namespace lockstep {
namespace {

template <typename Message>
absl::Status Parse(std::string_view bytes, const std::string& what, Message* message) {
  if (message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("store: the row of ", what, " cannot be read (", bytes.size(),
                                          " bytes that are not its message): the store is damaged"));
}

// Columns: id, job, restore_from, weights_only, from_path, time.
absl::StatusOr<StoredJob> JobOfRow(const SqliteStatement& row) {
  StoredJob stored;
  RETURN_IF_ERROR(Parse(row.GetBlob(1), absl::StrCat("job ", row.GetText(0)), &stored.job));
  stored.restore_from = row.GetText(2);
  stored.weights_only = row.GetInt(3) != 0;
  stored.from_path = row.GetText(4);
  RETURN_IF_ERROR(Parse(row.GetBlob(5), absl::StrCat("job ", row.GetText(0)), &stored.time));
  if (stored.job.namespace_().empty()) stored.job.set_namespace_(kDefaultNamespace);  // older than namespaces
  return stored;
}

absl::StatusOr<std::vector<StoredJob>> JobsOf(SqliteStatement& statement, size_t limit) {
  std::vector<StoredJob> jobs;
  while (jobs.size() < limit) {
    ASSIGN_OR_RETURN(const bool row, statement.Step());
    if (!row) break;
    ASSIGN_OR_RETURN(StoredJob job, JobOfRow(statement));
    jobs.push_back(std::move(job));
  }
  return jobs;
}

// Messages of a one-column result.
template <typename Message>
absl::StatusOr<std::vector<Message>> MessagesOf(SqliteStatement& statement, const std::string& what) {
  std::vector<Message> messages;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, statement.Step());
    if (!row) return messages;
    RETURN_IF_ERROR(Parse(statement.GetBlob(0), what, &messages.emplace_back()));
  }
}

}  // namespace

absl::StatusOr<std::vector<StoredJob>> ReadActiveJobs(SqliteDatabase& database) {
  ASSIGN_OR_RETURN(
      auto select,
      database.Prepare("SELECT id, job, restore_from, weights_only, from_path, time FROM jobs WHERE "
                       "state IN (?, ?, ?, ?, ?) ORDER BY id"));
  for (const v1::JobState state : {v1::JOB_STATE_QUEUED, v1::JOB_STATE_STARTING, v1::JOB_STATE_RUNNING,
                                   v1::JOB_STATE_RECOVERING, v1::JOB_STATE_PAUSED}) {
    select->Int(state);
  }
  return JobsOf(*select, SIZE_MAX);
}

absl::StatusOr<StoredJob> ReadJob(SqliteDatabase& database, const std::string& id) {
  ASSIGN_OR_RETURN(
      auto select,
      database.Prepare("SELECT id, job, restore_from, weights_only, from_path, time FROM jobs WHERE id = ?"));
  ASSIGN_OR_RETURN(const bool row, select->Text(id).Step());
  if (!row) return absl::NotFoundError(absl::StrCat("no job '", id, "'"));
  return JobOfRow(*select);
}

absl::StatusOr<StoredJob> ReadJobByName(SqliteDatabase& database, const std::string& space,
                                        const std::string& name) {
  ASSIGN_OR_RETURN(
      auto select,
      database.Prepare("SELECT id, job, restore_from, weights_only, from_path, time FROM jobs WHERE "
                       "namespace = ? AND name = ? ORDER BY id DESC LIMIT 1"));
  ASSIGN_OR_RETURN(const bool row, select->Text(space).Text(name).Step());
  if (!row) return absl::NotFoundError(absl::StrCat("no job named '", name, "'"));
  return JobOfRow(*select);
}

absl::StatusOr<std::vector<StoredJob>> ReadJobs(SqliteDatabase& database, const JobFilter& filter,
                                                const std::string& before, int limit) {
  // "~" sorts after every id.
  const std::string bound = before.empty() ? "~" : before;
  if (filter.states.empty() && filter.space.empty()) {
    ASSIGN_OR_RETURN(auto select,
                     database.Prepare("SELECT id, job, restore_from, weights_only, from_path, time FROM jobs "
                                      "WHERE id < ? ORDER BY id DESC LIMIT ?"));
    select->Text(bound).Int(limit);
    return JobsOf(*select, limit);
  }
  std::vector<v1::JobState> states = filter.states;
  if (states.empty()) {
    for (int state = v1::JobState_MIN; state <= v1::JobState_MAX; ++state)
      states.push_back(static_cast<v1::JobState>(state));
  }
  // Each state has its own index range; merging them keeps a page's cost independent of the number of jobs.
  std::vector<StoredJob> jobs;
  for (const v1::JobState state : states) {
    const char* const query =
        filter.space.empty() ? "SELECT id, job, restore_from, weights_only, from_path, time FROM jobs WHERE "
                               "state = ? AND id < ? ORDER BY id DESC LIMIT ?"
                             : "SELECT id, job, restore_from, weights_only, from_path, time FROM jobs WHERE "
                               "namespace = ? AND state = ? AND id < ? ORDER BY id DESC LIMIT ?";
    ASSIGN_OR_RETURN(auto select, database.Prepare(query));
    if (!filter.space.empty()) select->Text(filter.space);
    select->Int(state).Text(bound).Int(limit);
    ASSIGN_OR_RETURN(auto found, JobsOf(*select, limit));
    std::move(found.begin(), found.end(), std::back_inserter(jobs));
  }
  std::sort(jobs.begin(), jobs.end(),
            [](const StoredJob& a, const StoredJob& b) { return a.job.id() > b.job.id(); });
  jobs.erase(std::unique(jobs.begin(), jobs.end(),
                         [](const StoredJob& a, const StoredJob& b) { return a.job.id() == b.job.id(); }),
             jobs.end());
  if (jobs.size() > static_cast<size_t>(limit)) jobs.resize(limit);
  return jobs;
}

absl::StatusOr<std::map<v1::JobState, int64_t>> ReadJobCounts(SqliteDatabase& database) {
  ASSIGN_OR_RETURN(auto select, database.Prepare("SELECT state, count(*) FROM jobs GROUP BY state"));
  std::map<v1::JobState, int64_t> counts;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select->Step());
    if (!row) return counts;
    counts[static_cast<v1::JobState>(select->GetInt(0))] = select->GetInt(1);
  }
}

absl::StatusOr<std::string> ReadLastJobId(SqliteDatabase& database) {
  ASSIGN_OR_RETURN(auto select, database.Prepare("SELECT id FROM jobs ORDER BY id DESC LIMIT 1"));
  ASSIGN_OR_RETURN(const bool row, select->Step());
  return row ? select->GetText(0) : "";
}

absl::StatusOr<std::optional<StoredRequest>> ReadRequest(SqliteDatabase& database,
                                                         const std::string& request_id) {
  ASSIGN_OR_RETURN(auto select, database.Prepare("SELECT job, spec_digest FROM requests WHERE id = ?"));
  ASSIGN_OR_RETURN(const bool row, select->Text(request_id).Step());
  if (!row) return std::nullopt;
  return StoredRequest{request_id, select->GetText(0), select->GetText(1)};
}

absl::StatusOr<std::vector<StoredTransition>> ReadTransitions(SqliteDatabase& database,
                                                              const std::string& job_id) {
  ASSIGN_OR_RETURN(auto select, database.Prepare("SELECT time, from_state, to_state, reason FROM transitions "
                                                 "WHERE job = ? ORDER BY position"));
  select->Text(job_id);
  std::vector<StoredTransition> transitions;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select->Step());
    if (!row) return transitions;
    transitions.push_back({job_id, static_cast<v1::JobState>(select->GetInt(1)),
                           static_cast<v1::JobState>(select->GetInt(2)), select->GetText(3),
                           absl::FromUnixNanos(select->GetInt(0))});
  }
}

absl::StatusOr<std::vector<v1::Dataset>> ReadDatasets(SqliteDatabase& database) {
  ASSIGN_OR_RETURN(auto select, database.Prepare("SELECT dataset FROM datasets ORDER BY name, version"));
  return MessagesOf<v1::Dataset>(*select, "a dataset");
}

absl::StatusOr<std::optional<v1::Dataset>> ReadDataset(SqliteDatabase& database, const std::string& name,
                                                       int version) {
  ASSIGN_OR_RETURN(auto select,
                   database.Prepare("SELECT dataset FROM datasets WHERE name = ? AND version = ?"));
  select->Text(name).Int(version);
  ASSIGN_OR_RETURN(auto datasets, MessagesOf<v1::Dataset>(*select, absl::StrCat("dataset ", name)));
  if (datasets.empty()) return std::nullopt;
  return std::move(datasets.front());
}

absl::StatusOr<std::vector<v1::MetricPoint>> ReadPoints(SqliteDatabase& database, const std::string& job_id,
                                                        int64_t after_step, int limit) {
  ASSIGN_OR_RETURN(
      auto select,
      database.Prepare("SELECT point FROM points WHERE job = ? AND step > ? ORDER BY step LIMIT ?"));
  select->Text(job_id).Int(after_step).Int(limit);
  return MessagesOf<v1::MetricPoint>(*select, absl::StrCat("a metric point of job ", job_id));
}

absl::StatusOr<LogPage> ReadLines(SqliteDatabase& database, const std::string& job_id, int64_t position,
                                  int limit) {
  ASSIGN_OR_RETURN(auto select,
                   database.Prepare("SELECT line, position FROM lines WHERE job = ? AND position "
                                    "> ? ORDER BY position LIMIT ?"));
  select->Text(job_id).Int(position).Int(limit);
  LogPage page;
  page.position = position;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select->Step());
    if (!row) return page;
    RETURN_IF_ERROR(
        Parse(select->GetBlob(0), absl::StrCat("a log line of job ", job_id), &page.lines.emplace_back()));
    page.position = select->GetInt(1);
  }
}

absl::StatusOr<int64_t> ReadLineTail(SqliteDatabase& database, const std::string& job_id, int64_t lines) {
  ASSIGN_OR_RETURN(auto select, database.Prepare("SELECT position FROM lines WHERE job = ? ORDER BY position "
                                                 "DESC LIMIT 1 OFFSET ?"));
  ASSIGN_OR_RETURN(const bool row, select->Text(job_id).Int(lines).Step());
  return row ? select->GetInt(0) : 0;
}

absl::StatusOr<std::vector<v1::Checkpoint>> ReadCheckpoints(SqliteDatabase& database,
                                                            const std::string& job_id) {
  ASSIGN_OR_RETURN(auto select,
                   database.Prepare("SELECT checkpoint FROM checkpoints WHERE job = ? ORDER BY step DESC"));
  select->Text(job_id);
  return MessagesOf<v1::Checkpoint>(*select, absl::StrCat("a checkpoint of job ", job_id));
}

absl::StatusOr<std::vector<v1::Checkpoint>> ReadNewestCheckpoints(SqliteDatabase& database,
                                                                  const std::vector<v1::JobState>& states) {
  std::vector<v1::Checkpoint> newest;
  for (const v1::JobState state : states) {
    ASSIGN_OR_RETURN(
        auto select,
        database.Prepare("SELECT checkpoint FROM jobs JOIN checkpoints AS newest ON newest.job = jobs.id AND "
                         "newest.step = (SELECT max(step) FROM checkpoints AS its WHERE its.job = "
                         "jobs.id) WHERE jobs.state = ?"));
    select->Int(state);
    ASSIGN_OR_RETURN(auto found, MessagesOf<v1::Checkpoint>(*select, "a job's newest checkpoint"));
    std::move(found.begin(), found.end(), std::back_inserter(newest));
  }
  return newest;
}

absl::StatusOr<std::vector<v1::Cordon>> ReadCordons(SqliteDatabase& database) {
  ASSIGN_OR_RETURN(auto select, database.Prepare("SELECT cordon FROM cordons ORDER BY worker, device"));
  return MessagesOf<v1::Cordon>(*select, "a cordon");
}

absl::StatusOr<std::vector<FleetEvent>> ReadFleetEvents(SqliteDatabase& database) {
  ASSIGN_OR_RETURN(
      auto select,
      database.Prepare("SELECT time, kind, worker, device, job, text FROM fleet_events ORDER BY position"));
  std::vector<FleetEvent> events;
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, select->Step());
    if (!row) return events;
    events.push_back({absl::FromUnixNanos(select->GetInt(0)),
                      static_cast<FleetEvent::Kind>(select->GetInt(1)), select->GetText(2),
                      select->GetText(3), select->GetText(4), select->GetText(5)});
  }
}

absl::StatusOr<std::vector<v1::Namespace>> ReadNamespaces(SqliteDatabase& database) {
  ASSIGN_OR_RETURN(auto select, database.Prepare("SELECT namespace FROM namespaces ORDER BY name"));
  return MessagesOf<v1::Namespace>(*select, "a namespace");
}

absl::StatusOr<std::vector<StoredDeletion>> ReadDeletions(SqliteDatabase& database) {
  ASSIGN_OR_RETURN(auto select, database.Prepare("SELECT job, keep_model FROM deletions ORDER BY job"));
  std::vector<StoredDeletion> deletions;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select->Step());
    if (!row) return deletions;
    deletions.push_back({select->GetText(0), select->GetInt(1) != 0});
  }
}

absl::StatusOr<int64_t> ReadStorage(SqliteDatabase& database, const std::string& space) {
  ASSIGN_OR_RETURN(
      auto select,
      database.Prepare("SELECT ifnull((SELECT sum(bytes) FROM checkpoints WHERE namespace = ?1), 0) + ifnull("
                       "(SELECT sum(model_bytes) FROM jobs WHERE namespace = ?1 AND model_bytes > 0), 0)"));
  ASSIGN_OR_RETURN(const bool row, select->Text(space).Step());
  return row ? select->GetInt(0) : 0;
}

absl::StatusOr<std::map<std::string, int64_t>> ReadAllStorage(SqliteDatabase& database) {
  std::map<std::string, int64_t> storage;
  for (const char* query :
       {"SELECT namespace, sum(bytes) FROM checkpoints GROUP BY namespace",
        "SELECT namespace, sum(model_bytes) FROM jobs WHERE model_bytes > 0 GROUP BY namespace"}) {
    ASSIGN_OR_RETURN(auto select, database.Prepare(query));
    for (;;) {
      ASSIGN_OR_RETURN(const bool row, select->Step());
      if (!row) break;
      storage[select->GetText(0)] += select->GetInt(1);
    }
  }
  return storage;
}

}  // namespace lockstep
