// The reading half of the SQLite store: one function per question. Contracts in store.h.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "coordinator/store/sqlite_database.h"
#include "coordinator/store/store.h"

namespace lockstep {

absl::StatusOr<std::vector<StoredJob>> ReadActiveJobs(SqliteDatabase& database);
absl::StatusOr<StoredJob> ReadJob(SqliteDatabase& database, const std::string& id);
absl::StatusOr<StoredJob> ReadJobByName(SqliteDatabase& database, const std::string& space,
                                        const std::string& name);
absl::StatusOr<std::vector<StoredJob>> ReadJobs(SqliteDatabase& database, const JobFilter& filter,
                                                const std::string& before, int limit);
absl::StatusOr<std::map<v1::JobState, int64_t>> ReadJobCounts(SqliteDatabase& database);
absl::StatusOr<std::string> ReadLastJobId(SqliteDatabase& database);
absl::StatusOr<std::optional<StoredRequest>> ReadRequest(SqliteDatabase& database,
                                                         const std::string& request_id);
absl::StatusOr<std::vector<StoredTransition>> ReadTransitions(SqliteDatabase& database,
                                                              const std::string& job_id);
absl::StatusOr<std::vector<v1::Dataset>> ReadDatasets(SqliteDatabase& database);
absl::StatusOr<std::optional<v1::Dataset>> ReadDataset(SqliteDatabase& database, const std::string& name,
                                                       int version);
absl::StatusOr<std::vector<v1::MetricPoint>> ReadPoints(SqliteDatabase& database, const std::string& job_id,
                                                        int64_t after_step, int limit);
absl::StatusOr<LogPage> ReadLines(SqliteDatabase& database, const std::string& job_id, int64_t position,
                                  int limit);
absl::StatusOr<int64_t> ReadLineTail(SqliteDatabase& database, const std::string& job_id, int64_t lines);
absl::StatusOr<std::vector<v1::Checkpoint>> ReadCheckpoints(SqliteDatabase& database,
                                                            const std::string& job_id);
absl::StatusOr<std::vector<v1::Checkpoint>> ReadNewestCheckpoints(SqliteDatabase& database,
                                                                  const std::vector<v1::JobState>& states);
absl::StatusOr<std::vector<v1::Cordon>> ReadCordons(SqliteDatabase& database);
absl::StatusOr<std::vector<FleetEvent>> ReadFleetEvents(SqliteDatabase& database);
absl::StatusOr<std::vector<v1::Namespace>> ReadNamespaces(SqliteDatabase& database);
absl::StatusOr<std::vector<StoredDeletion>> ReadDeletions(SqliteDatabase& database);
absl::StatusOr<int64_t> ReadStorage(SqliteDatabase& database, const std::string& space);
absl::StatusOr<std::map<std::string, int64_t>> ReadAllStorage(SqliteDatabase& database);

}  // namespace lockstep
