#include "coordinator/store/point_log.h"

#include <algorithm>

#include "absl/time/clock.h"

namespace lockstep {
namespace {

// Columns: job, position, step, ended, refused, state.
TrackedJob TrackedOfRow(const SqliteStatement& row) {
  return {row.GetText(0),     row.GetInt(1),      row.GetInt(2),
          row.GetInt(3) != 0, row.GetInt(4) != 0, row.GetText(5)};
}

absl::Status ForgetOthers(SqliteDatabase& database, const std::vector<std::string>& sinks) {
  std::vector<std::string> known;
  {
    ASSIGN_OR_RETURN(auto select, database.Prepare("SELECT sink FROM trackers"));
    while (true) {
      ASSIGN_OR_RETURN(const bool row, select->Step());
      if (!row) break;
      known.push_back(select->GetText(0));
    }
  }
  for (const std::string& sink : known) {
    if (std::find(sinks.begin(), sinks.end(), sink) != sinks.end()) continue;
    ASSIGN_OR_RETURN(auto remove, database.Prepare("DELETE FROM trackers WHERE sink = ?"));
    RETURN_IF_ERROR(remove->Text(sink).Run());
    ASSIGN_OR_RETURN(auto drop, database.Prepare("DELETE FROM point_changes WHERE sink = ?"));
    RETURN_IF_ERROR(drop->Text(sink).Run());
  }
  return absl::OkStatus();
}

// The points that active jobs already have, as changes for this sink alone.
absl::Status Begin(SqliteDatabase& database, const std::string& sink) {
  {
    ASSIGN_OR_RETURN(auto select, database.Prepare("SELECT 1 FROM trackers WHERE sink = ?"));
    ASSIGN_OR_RETURN(const bool known, select->Text(sink).Step());
    if (known) return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(auto insert, database.Prepare("INSERT INTO trackers (sink, position) VALUES (?, (SELECT "
                                                 "coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = "
                                                 "'point_changes'))"));
  RETURN_IF_ERROR(insert->Text(sink).Run());
  ASSIGN_OR_RETURN(auto copy,
                   database.Prepare("INSERT INTO point_changes (sink, job, time, point) "
                                    "SELECT ?1, p.job, ?2, p.point FROM points p JOIN jobs j ON j.id = p.job "
                                    "LEFT JOIN tracked_jobs t ON t.sink = ?1 AND t.job = p.job "
                                    "WHERE j.state BETWEEN ?3 AND ?4 AND p.step > coalesce(t.step, -1) "
                                    "ORDER BY p.job, p.step"));
  copy->Text(sink).Int(absl::ToUnixNanos(absl::Now()));
  return copy->Int(v1::JOB_STATE_QUEUED).Int(v1::JOB_STATE_PAUSED).Run();
}

// What no registered sink waits for.
absl::Status Trim(SqliteDatabase& database) {
  ASSIGN_OR_RETURN(auto remove,
                   database.Prepare("DELETE FROM point_changes WHERE position <= "
                                    "coalesce((SELECT min(position) FROM trackers), 9223372036854775807)"));
  return remove->Run();
}

absl::Status WriteTracked(SqliteDatabase& database, const std::string& sink, const TrackedJob& job) {
  ASSIGN_OR_RETURN(auto insert,
                   database.Prepare("INSERT OR REPLACE INTO tracked_jobs (sink, job, position, step, ended, "
                                    "refused, state) VALUES (?, ?, ?, ?, ?, ?, ?)"));
  insert->Text(sink).Text(job.job_id).Int(job.position).Int(job.step);
  return insert->Int(job.ended).Int(job.refused).Text(job.state).Run();
}

template <typename Action>
absl::Status Atomically(SqliteDatabase& database, Action action) {
  absl::Status status = database.Execute("BEGIN IMMEDIATE");
  if (status.ok()) {
    status = action();
    if (status.ok()) status = database.Execute("COMMIT");
    if (status.ok()) return status;
    database.Execute("ROLLBACK").IgnoreError();  // fails if SQLite has already rolled back
  }
  return absl::UnavailableError(absl::StrCat("the trackers' positions were not stored: ", status.message()));
}

absl::Status WritePosition(SqliteDatabase& database, const std::string& sink, int64_t position,
                           const std::vector<TrackedJob>& jobs) {
  for (const TrackedJob& job : jobs) RETURN_IF_ERROR(WriteTracked(database, sink, job));
  ASSIGN_OR_RETURN(auto update, database.Prepare("UPDATE trackers SET position = ? WHERE sink = ?"));
  RETURN_IF_ERROR(update->Int(position).Text(sink).Run());
  return Trim(database);
}

}  // namespace

absl::StatusOr<std::unique_ptr<PointLog>> PointLog::Open(const std::string& path,
                                                         const std::vector<std::string>& sinks) {
  ASSIGN_OR_RETURN(auto database, SqliteDatabase::Open(path, {}));
  RETURN_IF_ERROR(database->Execute("PRAGMA synchronous=FULL;"));
  std::unique_ptr<PointLog> log(new PointLog(std::move(database)));
  RETURN_IF_ERROR(log->Register(sinks));
  return log;
}

absl::Status PointLog::Register(const std::vector<std::string>& sinks) {
  absl::MutexLock lock(&mutex_);
  SqliteDatabase& database = *database_;
  return Atomically(database, [&]() -> absl::Status {
    RETURN_IF_ERROR(ForgetOthers(database, sinks));
    for (const std::string& sink : sinks) RETURN_IF_ERROR(Begin(database, sink));
    return Trim(database);
  });
}

absl::StatusOr<int64_t> PointLog::Position(const std::string& sink) {
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(auto select, database_->Prepare("SELECT position FROM trackers WHERE sink = ?"));
  ASSIGN_OR_RETURN(const bool row, select->Text(sink).Step());
  if (!row) return absl::NotFoundError(absl::StrCat("no sink '", sink, "' is registered"));
  return select->GetInt(0);
}

absl::StatusOr<int64_t> PointLog::End() {
  absl::MutexLock lock(&mutex_);
  return database_->QueryInt(
      "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'point_changes'");
}

absl::StatusOr<std::vector<PointChange>> PointLog::Read(const std::string& sink, int64_t position,
                                                        int limit) {
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(auto select,
                   database_->Prepare("SELECT position, job, time, point FROM point_changes WHERE position > "
                                      "? AND sink IN ('', ?) ORDER BY position LIMIT ?"));
  select->Int(position).Text(sink).Int(limit);
  std::vector<PointChange> changes;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select->Step());
    if (!row) return changes;
    PointChange& change = changes.emplace_back();
    change.position = select->GetInt(0);
    change.job_id = select->GetText(1);
    change.time = absl::FromUnixNanos(select->GetInt(2));
    const std::string_view bytes = select->GetBlob(3);
    if (!change.point.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return absl::DataLossError(
          absl::StrCat("store: change ", change.position, " of job ", change.job_id, " cannot be read"));
    }
  }
}

absl::StatusOr<std::optional<TrackedJob>> PointLog::FindJob(const std::string& sink,
                                                            const std::string& job_id) {
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(auto select, database_->Prepare("SELECT job, position, step, ended, refused, state FROM "
                                                   "tracked_jobs WHERE sink = ? AND job = ?"));
  ASSIGN_OR_RETURN(const bool row, select->Text(sink).Text(job_id).Step());
  if (!row) return std::nullopt;
  return TrackedOfRow(*select);
}

absl::StatusOr<std::vector<TrackedJob>> PointLog::OpenJobs(const std::string& sink) {
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(auto select, database_->Prepare("SELECT job, position, step, ended, refused, state FROM "
                                                   "tracked_jobs WHERE sink = ? AND ended = 0"));
  select->Text(sink);
  std::vector<TrackedJob> jobs;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select->Step());
    if (!row) return jobs;
    jobs.push_back(TrackedOfRow(*select));
  }
}

absl::Status PointLog::Commit(const std::string& sink, int64_t position,
                              const std::vector<TrackedJob>& jobs) {
  absl::MutexLock lock(&mutex_);
  SqliteDatabase& database = *database_;
  return Atomically(database, [&] { return WritePosition(database, sink, position, jobs); });
}

}  // namespace lockstep
