#include "coordinator/store/sqlite_writes.h"

#include <set>

#include "absl/time/clock.h"
#include "coordinator/namespaces/names.h"

namespace lockstep {
namespace {

absl::Status WriteJobs(SqliteDatabase& database, const Batch& batch) {
  for (const StoredJob& stored : batch.jobs) {
    ASSIGN_OR_RETURN(
        auto insert,
        database.Prepare(
            "INSERT INTO jobs (id, name, state, job, restore_from, weights_only, from_path, time, namespace, "
            "model_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET state = "
            "excluded.state, job = excluded.job, restore_from = excluded.restore_from, weights_only = "
            "excluded.weights_only, from_path = excluded.from_path, time = excluded.time, model_bytes = "
            "excluded.model_bytes"));
    const std::string bytes = stored.job.SerializeAsString();
    insert->Text(stored.job.id()).Text(stored.job.name()).Int(stored.job.state()).Blob(bytes);
    insert->Text(stored.restore_from).Int(stored.weights_only).Text(stored.from_path);
    const std::string time = stored.time.SerializeAsString();
    const std::string& given = stored.job.namespace_();
    const std::string space = given.empty() ? kDefaultNamespace : given;
    insert->Blob(time).Text(space);
    RETURN_IF_ERROR(insert->Int(stored.job.model_bytes()).Run());
  }
  for (const StoredTransition& transition : batch.transitions) {
    ASSIGN_OR_RETURN(auto insert,
                     database.Prepare("INSERT INTO transitions (job, time, from_state, to_state, reason) "
                                      "VALUES (?, ?, ?, ?, ?)"));
    insert->Text(transition.job_id).Int(absl::ToUnixNanos(transition.time)).Int(transition.from);
    RETURN_IF_ERROR(insert->Int(transition.to).Text(transition.reason).Run());
  }
  for (const StoredRequest& request : batch.requests) {
    ASSIGN_OR_RETURN(
        auto insert,
        database.Prepare("INSERT OR REPLACE INTO requests (id, job, spec_digest) VALUES (?, ?, ?)"));
    RETURN_IF_ERROR(insert->Text(request.request_id).Text(request.job_id).Text(request.spec_digest).Run());
  }
  return absl::OkStatus();
}

absl::Status WriteDatasets(SqliteDatabase& database, const Batch& batch) {
  for (const v1::Dataset& dataset : batch.datasets) {
    ASSIGN_OR_RETURN(
        auto insert,
        database.Prepare("INSERT OR REPLACE INTO datasets (name, version, dataset) VALUES (?, ?, ?)"));
    const std::string bytes = dataset.SerializeAsString();
    RETURN_IF_ERROR(insert->Text(dataset.name()).Int(dataset.version()).Blob(bytes).Run());
  }
  return absl::OkStatus();
}

// What the step did not have yet, for those that follow the points (point_log.h); nothing if nobody does.
absl::Status WriteChange(SqliteDatabase& database, const v1::MetricPoint& before, const StoredPoint& stored) {
  v1::MetricPoint fresh = stored.point;
  for (const auto& [name, value] : before.values()) fresh.mutable_values()->erase(name);
  if (fresh.values().empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(auto insert,
                   database.Prepare("INSERT INTO point_changes (sink, job, time, point) SELECT '', ?, ?, ? "
                                    "WHERE EXISTS (SELECT 1 FROM trackers)"));
  const std::string bytes = fresh.SerializeAsString();
  return insert->Text(stored.job_id).Int(absl::ToUnixNanos(absl::Now())).Blob(bytes).Run();
}

// A step may be reported twice: by a replay, or with other values (training first, validation later).
absl::Status WritePoint(SqliteDatabase& database, const StoredPoint& stored) {
  v1::MetricPoint merged;
  {
    ASSIGN_OR_RETURN(auto select, database.Prepare("SELECT point FROM points WHERE job = ? AND step = ?"));
    ASSIGN_OR_RETURN(const bool exists, select->Text(stored.job_id).Int(stored.point.step()).Step());
    if (exists) {
      const std::string_view bytes = select->GetBlob(0);
      if (!merged.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) merged.Clear();
    }
  }
  RETURN_IF_ERROR(WriteChange(database, merged, stored));
  merged.MergeFrom(stored.point);
  ASSIGN_OR_RETURN(auto insert,
                   database.Prepare("INSERT OR REPLACE INTO points (job, step, point) VALUES (?, ?, ?)"));
  const std::string bytes = merged.SerializeAsString();
  return insert->Text(stored.job_id).Int(stored.point.step()).Blob(bytes).Run();
}

absl::Status WriteLine(SqliteDatabase& database, const StoredLine& stored) {
  ASSIGN_OR_RETURN(
      auto insert,
      database.Prepare("INSERT INTO lines (job, generation, rank, sequence, line) VALUES "
                       "(?, ?, ?, ?, ?) ON CONFLICT (job, generation, rank, sequence) DO NOTHING"));
  const std::string bytes = stored.line.SerializeAsString();
  insert->Text(stored.job_id).Int(stored.line.generation()).Int(stored.line.rank());
  return insert->Int(stored.line.sequence()).Blob(bytes).Run();
}

absl::Status WriteCheckpoints(SqliteDatabase& database, const Batch& batch) {
  for (const v1::Checkpoint& checkpoint : batch.checkpoints) {
    ASSIGN_OR_RETURN(auto insert,
                     database.Prepare("INSERT OR REPLACE INTO checkpoints (job, step, path, checkpoint, "
                                      "bytes, namespace) VALUES (?1, ?2, ?3, ?4, ?5, "
                                      "ifnull((SELECT namespace FROM jobs WHERE id = ?1), 'default'))"));
    const std::string bytes = checkpoint.SerializeAsString();
    insert->Text(checkpoint.job_id()).Int(checkpoint.step()).Text(checkpoint.path());
    RETURN_IF_ERROR(insert->Blob(bytes).Int(checkpoint.bytes()).Run());
  }
  for (const RemovedCheckpoint& removed : batch.removed_checkpoints) {
    ASSIGN_OR_RETURN(auto remove, database.Prepare("DELETE FROM checkpoints WHERE job = ? AND path = ?"));
    RETURN_IF_ERROR(remove->Text(removed.job_id).Text(removed.path).Run());
  }
  return absl::OkStatus();
}

absl::Status WriteCordons(SqliteDatabase& database, const Batch& batch) {
  for (const v1::Cordon& cordon : batch.cordons) {
    ASSIGN_OR_RETURN(
        auto insert,
        database.Prepare("INSERT OR REPLACE INTO cordons (worker, device, cordon) VALUES (?, ?, ?)"));
    const std::string bytes = cordon.SerializeAsString();
    RETURN_IF_ERROR(insert->Text(cordon.worker()).Text(cordon.device()).Blob(bytes).Run());
  }
  for (const RemovedCordon& removed : batch.removed_cordons) {
    ASSIGN_OR_RETURN(auto remove, database.Prepare("DELETE FROM cordons WHERE worker = ? AND device = ?"));
    RETURN_IF_ERROR(remove->Text(removed.worker).Text(removed.device).Run());
  }
  return absl::OkStatus();
}

absl::Status WriteNamespaces(SqliteDatabase& database, const Batch& batch) {
  for (const v1::Namespace& space : batch.namespaces) {
    ASSIGN_OR_RETURN(auto insert,
                     database.Prepare("INSERT OR REPLACE INTO namespaces (name, namespace) VALUES (?, ?)"));
    const std::string bytes = space.SerializeAsString();
    RETURN_IF_ERROR(insert->Text(space.name()).Blob(bytes).Run());
  }
  for (const std::string& name : batch.removed_namespaces) {
    ASSIGN_OR_RETURN(auto remove, database.Prepare("DELETE FROM namespaces WHERE name = ?"));
    RETURN_IF_ERROR(remove->Text(name).Run());
  }
  return absl::OkStatus();
}

absl::Status WriteFleetEvents(SqliteDatabase& database, const Batch& batch) {
  for (const FleetEvent& event : batch.fleet_events) {
    ASSIGN_OR_RETURN(auto insert,
                     database.Prepare("INSERT INTO fleet_events (time, kind, worker, device, job, text) "
                                      "VALUES (?, ?, ?, ?, ?, ?)"));
    insert->Int(absl::ToUnixNanos(event.time)).Int(static_cast<int64_t>(event.kind)).Text(event.worker);
    RETURN_IF_ERROR(insert->Text(event.device).Text(event.job).Text(event.text).Run());
  }
  if (batch.fleet_events.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(auto remove, database.Prepare("DELETE FROM fleet_events WHERE position <= (SELECT "
                                                 "max(position) FROM fleet_events) - ?"));
  return remove->Int(kMostFleetEvents).Run();
}

// What else is the job's goes with its row.
absl::Status WriteDeletions(SqliteDatabase& database, const Batch& batch) {
  for (const StoredDeletion& deletion : batch.deletions) {
    ASSIGN_OR_RETURN(auto insert,
                     database.Prepare("INSERT OR REPLACE INTO deletions (job, keep_model) VALUES (?, ?)"));
    RETURN_IF_ERROR(insert->Text(deletion.job_id).Int(deletion.keep_model).Run());
  }
  for (const std::string& id : batch.removed_jobs) {
    ASSIGN_OR_RETURN(auto remove, database.Prepare("DELETE FROM jobs WHERE id = ?"));
    RETURN_IF_ERROR(remove->Text(id).Run());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<bool> RemoveSomeRows(SqliteDatabase& database, const std::string& job_id, int limit) {
  bool more = false;
  for (const char* sql : {"DELETE FROM lines WHERE job = ?1 AND position IN (SELECT position FROM lines "
                          "WHERE job = ?1 LIMIT ?2)",
                          "DELETE FROM points WHERE job = ?1 AND step IN (SELECT step FROM points WHERE job "
                          "= ?1 LIMIT ?2)"}) {
    ASSIGN_OR_RETURN(auto remove, database.Prepare(sql));
    RETURN_IF_ERROR(remove->Text(job_id).Int(limit).Run());
    more |= database.changes() >= limit;
  }
  return more;
}

absl::Status WriteBatch(SqliteDatabase& database, const Batch& batch) {
  RETURN_IF_ERROR(WriteDatasets(database, batch));
  RETURN_IF_ERROR(WriteJobs(database, batch));
  for (const StoredPoint& point : batch.points) RETURN_IF_ERROR(WritePoint(database, point));
  for (const StoredLine& line : batch.lines) RETURN_IF_ERROR(WriteLine(database, line));
  RETURN_IF_ERROR(WriteCheckpoints(database, batch));
  RETURN_IF_ERROR(WriteCordons(database, batch));
  RETURN_IF_ERROR(WriteNamespaces(database, batch));
  RETURN_IF_ERROR(WriteFleetEvents(database, batch));
  return WriteDeletions(database, batch);
}

absl::Status LogCap::Apply(SqliteDatabase& database, const Batch& batch) {
  std::map<std::string, int64_t> added;
  for (const StoredLine& line : batch.lines) ++added[line.job_id];
  for (const auto& [job, count] : added) {
    auto known = counts_.find(job);
    if (known == counts_.end()) {
      ASSIGN_OR_RETURN(auto select, database.Prepare("SELECT count(*) FROM lines WHERE job = ?"));
      ASSIGN_OR_RETURN(const bool row, select->Text(job).Step());
      known = counts_.emplace(job, row ? select->GetInt(0) : 0).first;
    } else {
      known->second += count;
    }
    if (known->second <= max_lines_ + max_lines_ / 10) continue;
    ASSIGN_OR_RETURN(
        auto remove,
        database.Prepare("DELETE FROM lines WHERE job = ?1 AND position <= (SELECT position FROM "
                         "lines WHERE job = ?1 ORDER BY position DESC LIMIT 1 OFFSET ?2)"));
    RETURN_IF_ERROR(remove->Text(job).Int(max_lines_).Run());
    known->second = max_lines_;
  }
  // A bound on memory: a job that writes again is counted again.
  if (counts_.size() > 1'000) counts_.clear();
  return absl::OkStatus();
}

}  // namespace lockstep
