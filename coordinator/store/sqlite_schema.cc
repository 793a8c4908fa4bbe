#include "coordinator/store/sqlite_schema.h"

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/v1/jobs.pb.h"

namespace lockstep {
namespace {

// kMigrations[n] brings version n to n + 1. Never edit one that was released: append.
constexpr std::array<const char*, 7> kMigrations = {
    R"sql(
CREATE TABLE jobs (
  id TEXT PRIMARY KEY,            -- sorts by submission time
  name TEXT NOT NULL,
  state INTEGER NOT NULL,         -- v1::JobState
  job BLOB NOT NULL,              -- v1::Job
  restore_from TEXT NOT NULL,
  weights_only INTEGER NOT NULL,
  from_path TEXT NOT NULL
) STRICT;
CREATE INDEX jobs_by_name ON jobs (name, id);
CREATE INDEX jobs_by_state ON jobs (state, id);

CREATE TABLE transitions (
  position INTEGER PRIMARY KEY,
  job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  time INTEGER NOT NULL,          -- Unix nanoseconds
  from_state INTEGER NOT NULL,
  to_state INTEGER NOT NULL,
  reason TEXT NOT NULL
) STRICT;
CREATE INDEX transitions_by_job ON transitions (job, position);

CREATE TABLE requests (
  id TEXT PRIMARY KEY,
  job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  spec_digest TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_by_job ON requests (job);

CREATE TABLE datasets (
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  dataset BLOB NOT NULL,          -- v1::Dataset
  PRIMARY KEY (name, version)
) STRICT;

CREATE TABLE points (
  job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  step INTEGER NOT NULL,
  point BLOB NOT NULL,            -- v1::MetricPoint
  PRIMARY KEY (job, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE lines (
  position INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of arrival; never reused
  job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  generation INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  line BLOB NOT NULL,             -- v1::LogLine
  UNIQUE (job, generation, rank, sequence)
) STRICT;
CREATE INDEX lines_by_job ON lines (job, position);

CREATE TABLE checkpoints (
  job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  step INTEGER NOT NULL,
  path TEXT NOT NULL,
  checkpoint BLOB NOT NULL,       -- v1::Checkpoint
  PRIMARY KEY (job, step)
) STRICT, WITHOUT ROWID;
)sql",
    R"sql(
CREATE TABLE cordons (
  worker TEXT NOT NULL,
  device TEXT NOT NULL,           -- empty: all of the worker
  cordon BLOB NOT NULL,           -- v1::Cordon
  PRIMARY KEY (worker, device)
) STRICT, WITHOUT ROWID;
)sql",
    R"sql(
CREATE TABLE trackers (
  sink TEXT PRIMARY KEY,          -- who follows the points; none: nothing is written to point_changes
  position INTEGER NOT NULL       -- of the last change that it is done with
) STRICT, WITHOUT ROWID;

CREATE TABLE point_changes (
  position INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of arrival; never reused
  sink TEXT NOT NULL,             -- empty: for all
  job TEXT NOT NULL,
  time INTEGER NOT NULL,          -- Unix nanoseconds
  point BLOB NOT NULL             -- v1::MetricPoint: what the step did not have before
) STRICT;

CREATE TABLE tracked_jobs (
  sink TEXT NOT NULL,
  job TEXT NOT NULL,
  position INTEGER NOT NULL,      -- of the last change that was sent
  step INTEGER NOT NULL,          -- furthest one that was sent
  ended INTEGER NOT NULL,
  refused INTEGER NOT NULL,
  state TEXT NOT NULL,            -- the sink's own
  PRIMARY KEY (sink, job)
) STRICT, WITHOUT ROWID;
CREATE INDEX tracked_jobs_open ON tracked_jobs (sink) WHERE ended = 0;
)sql",
    R"sql(
ALTER TABLE jobs ADD COLUMN time BLOB NOT NULL DEFAULT x'';  -- v1::JobTime
)sql",
    R"sql(
CREATE TABLE namespaces (
  name TEXT PRIMARY KEY,
  namespace BLOB NOT NULL         -- v1::Namespace, without its use
) STRICT, WITHOUT ROWID;
INSERT INTO namespaces VALUES ('default', x'0a0764656661756c74');

ALTER TABLE jobs ADD COLUMN namespace TEXT NOT NULL DEFAULT 'default';
ALTER TABLE jobs ADD COLUMN model_bytes INTEGER NOT NULL DEFAULT 0;
DROP INDEX jobs_by_name;
CREATE INDEX jobs_by_name ON jobs (namespace, name, id);
CREATE INDEX jobs_of_namespace ON jobs (namespace, state, id);
CREATE INDEX models_of_namespace ON jobs (namespace, model_bytes) WHERE model_bytes > 0;

ALTER TABLE checkpoints ADD COLUMN namespace TEXT NOT NULL DEFAULT 'default';  -- its job's
ALTER TABLE checkpoints ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
CREATE INDEX checkpoints_of_namespace ON checkpoints (namespace, bytes);
)sql",
    R"sql(
CREATE TABLE deletions (          -- begun, and ended when the job is gone
  job TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
  keep_model INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
)sql",
    R"sql(
CREATE TABLE fleet_events (       -- the last ones
  position INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of arrival; never reused
  time INTEGER NOT NULL,          -- Unix nanoseconds
  kind INTEGER NOT NULL,          -- FleetEvent::Kind
  worker TEXT NOT NULL,
  device TEXT NOT NULL,
  job TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT;
)sql",
};

// To version 5: the size of a checkpoint was in its message alone.
absl::Status FillCheckpointBytes(SqliteDatabase& database) {
  std::vector<std::pair<std::pair<std::string, int64_t>, int64_t>> sizes;
  {
    ASSIGN_OR_RETURN(auto select, database.Prepare("SELECT job, step, checkpoint FROM checkpoints"));
    for (;;) {
      ASSIGN_OR_RETURN(const bool row, select->Step());
      if (!row) break;
      v1::Checkpoint checkpoint;
      const std::string_view bytes = select->GetBlob(2);
      if (!checkpoint.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
        continue;  // reading it says so
      sizes.push_back({{select->GetText(0), select->GetInt(1)}, checkpoint.bytes()});
    }
  }
  for (const auto& [key, bytes] : sizes) {
    ASSIGN_OR_RETURN(auto update,
                     database.Prepare("UPDATE checkpoints SET bytes = ? WHERE job = ? AND step = ?"));
    RETURN_IF_ERROR(update->Int(bytes).Text(key.first).Int(key.second).Run());
  }
  return absl::OkStatus();
}

absl::Status Migrate(SqliteDatabase& database, const std::string& path) {
  ASSIGN_OR_RETURN(const int64_t version, database.QueryInt("PRAGMA user_version"));
  if (version == StoreVersion()) return absl::OkStatus();
  if (version > StoreVersion()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "store ", path, " has version ", version, ", but this coordinator writes version ", StoreVersion(),
        " and cannot read a newer one; start the newer coordinator, or give another --store"));
  }
  ASSIGN_OR_RETURN(const int64_t tables, database.QueryInt("SELECT count(*) FROM sqlite_master"));
  if (version <= 0 && tables > 0) {
    return absl::DataLossError(absl::StrCat("store ", path,
                                            " is a SQLite database, but not a Lockstep store (", tables,
                                            " foreign tables or indexes, no version); give another path"));
  }
  for (int64_t step = version; step < StoreVersion(); ++step) {
    RETURN_IF_ERROR(Annotate(database.Execute(kMigrations[step]),
                             absl::StrCat("migrating the store from version ", step, " to ", step + 1)));
    if (step == 4) RETURN_IF_ERROR(FillCheckpointBytes(database));
  }
  return database.Execute(absl::StrCat("PRAGMA user_version=", StoreVersion()));
}

}  // namespace

int StoreVersion() { return static_cast<int>(kMigrations.size()); }

absl::Status MigrateStore(SqliteDatabase& database, const std::string& path) {
  RETURN_IF_ERROR(database.Execute("BEGIN IMMEDIATE"));
  if (absl::Status status = Migrate(database, path); !status.ok()) {
    database.Execute("ROLLBACK").IgnoreError();
    return status;
  }
  return database.Execute("COMMIT");
}

}  // namespace lockstep
