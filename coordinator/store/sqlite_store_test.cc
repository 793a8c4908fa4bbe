#include "coordinator/store/sqlite_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "coordinator/store/sqlite_schema.h"

namespace lockstep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SqliteStoreTest : public ::testing::Test {
 protected:
  SqliteStoreTest() {
    std::string pattern = ::testing::TempDir() + "/store-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    path_ = directory_ + "/lockstep.db";
  }
  ~SqliteStoreTest() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<Store> Open(const SqliteStoreOptions& options = {}) {
    auto store = OpenSqliteStore(path_, options);
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }

  static StoredJob Job(const std::string& id, v1::JobState state = v1::JOB_STATE_QUEUED,
                       const std::string& name = "digits") {
    StoredJob stored;
    stored.job.set_id(id);
    stored.job.set_name(name);
    stored.job.set_state(state);
    return stored;
  }
  static Batch OfJobs(const std::vector<StoredJob>& jobs) {
    Batch batch;
    batch.jobs = jobs;
    return batch;
  }
  static StoredLine Line(const std::string& job, int64_t sequence, const std::string& text, int rank = 0) {
    StoredLine line;
    line.job_id = job;
    line.line.set_generation(1);
    line.line.set_rank(rank);
    line.line.set_sequence(sequence);
    line.line.set_text(text);
    return line;
  }
  static StoredPoint Point(const std::string& job, int64_t step, const std::string& key, double value) {
    StoredPoint point;
    point.job_id = job;
    point.point.set_step(step);
    (*point.point.mutable_values())[key] = value;
    return point;
  }
  static std::vector<std::string> Ids(const absl::StatusOr<std::vector<StoredJob>>& jobs) {
    std::vector<std::string> ids;
    if (jobs.ok()) {
      for (const StoredJob& job : *jobs) ids.push_back(job.job.id());
    } else {
      ids.push_back(jobs.status().ToString());
    }
    return ids;
  }
  void Sql(const std::string& sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
  }

  std::string directory_, path_;
};

TEST_F(SqliteStoreTest, WhatWasCommittedIsThereAfterReopening) {
  {
    auto store = Open();
    Batch batch = OfJobs({Job("a")});
    batch.jobs[0].restore_from = "/checkpoints/step-5";
    batch.jobs[0].weights_only = true;
    batch.jobs[0].from_path = "/models/older";
    batch.transitions.push_back(
        {"a", v1::JOB_STATE_UNSPECIFIED, v1::JOB_STATE_QUEUED, "submitted", absl::FromUnixNanos(17)});
    batch.requests.push_back({"request-1", "a", "digest"});
    v1::Dataset& dataset = batch.datasets.emplace_back();
    dataset.set_name("digits");
    dataset.set_version(3);
    dataset.set_records(1797);
    v1::Checkpoint& checkpoint = batch.checkpoints.emplace_back();
    checkpoint.set_job_id("a");
    checkpoint.set_step(5);
    checkpoint.set_path("/checkpoints/step-5");
    ASSERT_TRUE(store->Commit(batch).ok());
  }
  auto store = Open();
  auto job = store->GetJob("a");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->restore_from, "/checkpoints/step-5");
  EXPECT_TRUE(job->weights_only);
  EXPECT_EQ(job->from_path, "/models/older");
  auto transitions = store->ListTransitions("a");
  ASSERT_TRUE(transitions.ok() && transitions->size() == 1);
  EXPECT_EQ(transitions->front().to, v1::JOB_STATE_QUEUED);
  EXPECT_EQ(transitions->front().time, absl::FromUnixNanos(17));
  auto request = store->FindRequest("request-1");
  ASSERT_TRUE(request.ok() && request->has_value());
  EXPECT_EQ((*request)->job_id, "a");
  EXPECT_EQ((*request)->spec_digest, "digest");
  auto dataset = store->FindDataset("digits", 3);
  ASSERT_TRUE(dataset.ok() && dataset->has_value());
  EXPECT_EQ((*dataset)->records(), 1797);
  EXPECT_FALSE((*store->FindDataset("digits", 4)).has_value());
  EXPECT_EQ(store->ListCheckpoints("a")->size(), 1u);
  Batch removal;
  removal.removed_checkpoints.push_back({"a", "/checkpoints/step-5"});
  ASSERT_TRUE(store->Commit(removal).ok());
  EXPECT_TRUE(store->ListCheckpoints("a")->empty());
}

TEST_F(SqliteStoreTest, OnlyUnfinishedJobsAreLoadedAtStart) {
  auto store = Open();
  ASSERT_TRUE(store
                  ->Commit(OfJobs({Job("a", v1::JOB_STATE_SUCCEEDED), Job("b", v1::JOB_STATE_RUNNING),
                                   Job("c", v1::JOB_STATE_FAILED), Job("d", v1::JOB_STATE_QUEUED),
                                   Job("e", v1::JOB_STATE_PAUSED), Job("f", v1::JOB_STATE_CANCELLED)}))
                  .ok());
  EXPECT_THAT(Ids(store->LoadActiveJobs()), ElementsAre("b", "d", "e"));
  EXPECT_EQ(*store->LastJobId(), "f");
  EXPECT_EQ((*store->CountJobs())[v1::JOB_STATE_PAUSED], 1);
}

TEST_F(SqliteStoreTest, JobsAreListedNewestFirstInPages) {
  auto store = Open();
  ASSERT_TRUE(store
                  ->Commit(OfJobs({Job("a"), Job("b", v1::JOB_STATE_FAILED), Job("c"), Job("d"),
                                   Job("e", v1::JOB_STATE_RUNNING)}))
                  .ok());
  EXPECT_THAT(Ids(store->ListJobs({}, "", 2)), ElementsAre("e", "d"));
  EXPECT_THAT(Ids(store->ListJobs({}, "d", 2)), ElementsAre("c", "b"));
  EXPECT_THAT(Ids(store->ListJobs(
                  {.states = {v1::JOB_STATE_QUEUED, v1::JOB_STATE_FAILED, v1::JOB_STATE_QUEUED}}, "d", 9)),
              ElementsAre("c", "b", "a"));
  EXPECT_EQ(store->FindJobByName("default", "digits")->job.id(), "e");
  EXPECT_EQ(store->FindJobByName("default", "nothing").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(SqliteStoreTest, ReplayedLinesAndPointsAreHarmless) {
  auto store = Open();
  Batch batch = OfJobs({Job("a")});
  batch.lines = {Line("a", 1, "one"), Line("a", 2, "two"), Line("a", 1, "other rank", 1)};
  batch.points = {Point("a", 10, "train/loss", 0.5)};
  ASSERT_TRUE(store->Commit(batch).ok());
  ASSERT_TRUE(store->Commit(batch).ok());
  Batch later;
  later.points = {Point("a", 10, "validation/loss", 0.75), Point("a", 20, "train/loss", 0.25)};
  ASSERT_TRUE(store->Commit(later).ok());
  auto page = store->ReadLogs("a", 0, 100);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->lines.size(), 3u);
  auto points = store->ReadMetrics("a", -1, 100);
  ASSERT_TRUE(points.ok() && points->size() == 2);
  EXPECT_EQ(points->at(0).values().at("train/loss"), 0.5);
  EXPECT_EQ(points->at(0).values().at("validation/loss"), 0.75);
  EXPECT_EQ(store->ReadMetrics("a", 10, 100)->size(), 1u);
}

TEST_F(SqliteStoreTest, LogsAreReadInPagesAndFromTheTail) {
  auto store = Open();
  Batch batch = OfJobs({Job("a")});
  for (int i = 0; i < 10; ++i) batch.lines.push_back(Line("a", i, absl::StrCat("line ", i)));
  ASSERT_TRUE(store->Commit(batch).ok());
  auto page = store->ReadLogs("a", 0, 4);
  ASSERT_EQ(page->lines.size(), 4u);
  page = store->ReadLogs("a", page->position, 100);
  ASSERT_EQ(page->lines.size(), 6u);
  EXPECT_EQ(page->lines.front().text(), "line 4");
  EXPECT_EQ(store->ReadLogs("a", page->position, 100)->position, page->position);
  const int64_t tail = *store->LogTail("a", 3);
  EXPECT_EQ(store->ReadLogs("a", tail, 100)->lines.front().text(), "line 7");
  EXPECT_EQ(*store->LogTail("a", 100), 0);
}

TEST_F(SqliteStoreTest, LogsKeepTheNewestLinesOnly) {
  SqliteStoreOptions options;
  options.max_log_lines_per_job = 100;
  auto store = Open(options);
  ASSERT_TRUE(store->Commit(OfJobs({Job("a"), Job("b")})).ok());
  for (int i = 0; i < 400; ++i) {
    Batch batch;
    batch.lines = {Line("a", i, absl::StrCat(i))};
    if (i < 50) batch.lines.push_back(Line("b", i, absl::StrCat(i)));
    ASSERT_TRUE(store->Commit(batch).ok());
  }
  auto page = store->ReadLogs("a", 0, 10'000);
  EXPECT_LE(page->lines.size(), 110u);
  EXPECT_GE(page->lines.size(), 100u);
  EXPECT_EQ(page->lines.back().text(), "399");
  EXPECT_EQ(store->ReadLogs("b", 0, 10'000)->lines.size(), 50u);
}

TEST_F(SqliteStoreTest, CordonsStayUntilTheyAreRemoved) {
  v1::Cordon whole, one;
  whole.set_worker("node-0");
  whole.set_reason("memory test");
  one.set_worker("node-1");
  one.set_device("cpu:1");
  one.set_automatic(true);
  {
    const auto store = Open();
    Batch batch;
    batch.cordons = {whole, one};
    ASSERT_TRUE(store->Commit(batch).ok());
    batch.cordons.front().set_reason("new fan");  // one more of the same: the last one counts
    ASSERT_TRUE(store->Commit(batch).ok());
  }
  const auto store = Open();
  auto cordons = store->LoadCordons();
  ASSERT_TRUE(cordons.ok()) << cordons.status();
  ASSERT_EQ(cordons->size(), 2u);
  EXPECT_EQ(cordons->front().reason(), "new fan");
  EXPECT_TRUE(cordons->back().automatic());
  Batch removal;
  removal.removed_cordons = {{"node-0", ""}, {"node-9", ""}};
  ASSERT_TRUE(store->Commit(removal).ok());
  cordons = store->LoadCordons();
  ASSERT_EQ(cordons->size(), 1u);
  EXPECT_EQ(cordons->front().device(), "cpu:1");
}

TEST_F(SqliteStoreTest, TheLastFleetEventsAreKeptInTheirOrder) {
  using Kind = FleetEvent::Kind;
  const absl::Time time = absl::FromUnixNanos(1'800'000'000'123'456'789);
  {
    const auto store = Open();
    EXPECT_TRUE(store->LoadFleetEvents()->empty());
    Batch batch;
    batch.fleet_events = {{time, Kind::kFailure, "node-0", "cpu:1", "j1", "SIGKILL"},
                          {time, Kind::kLost, "node-0", "", "", ""}};
    EXPECT_FALSE(batch.empty());
    ASSERT_TRUE(store->Commit(batch).ok());
  }
  const auto store = Open();
  auto events = store->LoadFleetEvents();
  ASSERT_TRUE(events.ok()) << events.status();
  ASSERT_EQ(events->size(), 2u);
  EXPECT_EQ(events->front().time, time);
  EXPECT_EQ(events->front().kind, Kind::kFailure);
  EXPECT_EQ(events->front().worker, "node-0");
  EXPECT_EQ(events->front().device, "cpu:1");
  EXPECT_EQ(events->front().job, "j1");
  EXPECT_EQ(events->front().text, "SIGKILL");
  EXPECT_EQ(events->back().kind, Kind::kLost);
  Batch more;
  for (int i = 0; i < kMostFleetEvents; ++i) {
    more.fleet_events.push_back({time, Kind::kJoined, absl::StrCat("node-", i + 1), "", "", ""});
  }
  ASSERT_TRUE(store->Commit(more).ok());
  events = store->LoadFleetEvents();
  ASSERT_EQ(events->size(), size_t{kMostFleetEvents});
  EXPECT_EQ(events->front().worker, "node-1");
  EXPECT_EQ(events->back().worker, absl::StrCat("node-", kMostFleetEvents));
}

TEST_F(SqliteStoreTest, ANameIsOfItsNamespaceAndSoIsAPage) {
  const auto store = Open();
  std::vector<StoredJob> jobs = {Job("a"), Job("b"), Job("c", v1::JOB_STATE_FAILED), Job("d")};
  jobs[1].job.set_namespace_("team-a");
  jobs[2].job.set_namespace_("team-a");
  ASSERT_TRUE(store->Commit(OfJobs(jobs)).ok());
  EXPECT_EQ(store->FindJobByName("default", "digits")->job.id(), "d");
  EXPECT_EQ(store->FindJobByName("team-a", "digits")->job.id(), "c");
  EXPECT_EQ(store->GetJob("a")->job.namespace_(), "default") << "a job of before there were namespaces";
  EXPECT_TRUE(absl::IsNotFound(store->FindJobByName("team-b", "digits").status()));
  EXPECT_THAT(Ids(store->ListJobs({.space = "team-a"}, "", 9)), ElementsAre("c", "b"));
  EXPECT_THAT(Ids(store->ListJobs({.space = "team-a"}, "c", 9)), ElementsAre("b"));
  EXPECT_THAT(Ids(store->ListJobs({.states = {v1::JOB_STATE_QUEUED}, .space = "team-a"}, "", 9)),
              ElementsAre("b"));
  EXPECT_THAT(Ids(store->ListJobs({.space = "default"}, "", 9)), ElementsAre("d", "a"));
}

TEST_F(SqliteStoreTest, NamespacesAreThereAfterReopeningUntilTheyAreRemoved) {
  {
    const auto store = Open();
    ASSERT_EQ(store->LoadNamespaces()->size(), 1u);
    EXPECT_EQ(store->LoadNamespaces()->front().name(), "default");
    Batch batch;
    v1::Namespace& space = batch.namespaces.emplace_back();
    space.set_name("team-a");
    space.mutable_quota()->set_jobs(3);
    ASSERT_TRUE(store->Commit(batch).ok());
  }
  const auto store = Open();
  ASSERT_EQ(store->LoadNamespaces()->size(), 2u);
  EXPECT_EQ(store->LoadNamespaces()->back().quota().jobs(), 3);
  Batch removal;
  removal.removed_namespaces = {"team-a", "nowhere"};
  ASSERT_TRUE(store->Commit(removal).ok());
  EXPECT_EQ(store->LoadNamespaces()->size(), 1u);
}

TEST_F(SqliteStoreTest, StorageIsWhatThereIsOfCheckpointsAndModels) {
  const auto store = Open();
  Batch batch = OfJobs({Job("a", v1::JOB_STATE_SUCCEEDED), Job("b"), Job("c")});
  batch.jobs[0].job.set_namespace_("team-a");
  batch.jobs[0].job.set_model_bytes(1'000);
  batch.jobs[1].job.set_namespace_("team-a");
  const auto checkpoint = [&batch](const std::string& job, int64_t step, int64_t bytes) {
    v1::Checkpoint& one = batch.checkpoints.emplace_back();
    one.set_job_id(job);
    one.set_step(step);
    one.set_path(absl::StrCat("/", job, "/", step));
    one.set_bytes(bytes);
  };
  checkpoint("a", 1, 10);
  checkpoint("b", 1, 20);
  checkpoint("b", 2, 30);
  checkpoint("b", 2, 40);  // reported twice
  checkpoint("c", 1, 500);
  ASSERT_TRUE(store->Commit(batch).ok());
  EXPECT_EQ(*store->StorageOf("team-a"), 1'070);
  EXPECT_EQ(*store->StorageOf("default"), 500);
  EXPECT_EQ(*store->StorageOf("nowhere"), 0);
  EXPECT_EQ(*store->StorageOfAll(), (std::map<std::string, int64_t>{{"default", 500}, {"team-a", 1'070}}));
  Batch removal;
  removal.removed_checkpoints = {{"b", "/b/1"}};
  ASSERT_TRUE(store->Commit(removal).ok());
  EXPECT_EQ(*store->StorageOf("team-a"), 1'050) << "retention removed one";
}

// What version 4 has written: jobs without a namespace, checkpoints whose size is in their message alone.
TEST_F(SqliteStoreTest, AStoreOfBeforeNamespacesIsMigrated) {
  {
    const auto store = Open();
    Batch batch = OfJobs({Job("a")});
    v1::Checkpoint& checkpoint = batch.checkpoints.emplace_back();
    checkpoint.set_job_id("a");
    checkpoint.set_step(5);
    checkpoint.set_bytes(77);
    ASSERT_TRUE(store->Commit(batch).ok());
  }
  Sql("DROP TABLE deletions; DROP TABLE fleet_events; DROP TABLE namespaces; DROP INDEX jobs_by_name; DROP "
      "INDEX jobs_of_namespace; "
      "DROP INDEX "
      "models_of_namespace;"
      "DROP INDEX checkpoints_of_namespace; ALTER TABLE jobs DROP COLUMN namespace;"
      "ALTER TABLE jobs DROP COLUMN model_bytes; ALTER TABLE checkpoints DROP COLUMN namespace;"
      "ALTER TABLE checkpoints DROP COLUMN bytes; CREATE INDEX jobs_by_name ON jobs (name, id);"
      "PRAGMA user_version = 4;");
  const auto store = Open();
  ASSERT_NE(store, nullptr);
  EXPECT_EQ(store->FindJobByName("default", "digits")->job.id(), "a");
  EXPECT_EQ(*store->StorageOf("default"), 77);
  EXPECT_EQ(store->LoadNamespaces()->size(), 1u);
  EXPECT_THAT(Ids(store->ListJobs({.space = "default"}, "", 9)), ElementsAre("a"));
}

TEST_F(SqliteStoreTest, ADeletedJobTakesAllItsRowsWithItAndNoOthers) {
  auto store = Open();
  Batch batch = OfJobs({Job("a"), Job("b")});
  batch.jobs[0].job.set_model_bytes(7);
  for (const char* job : {"a", "b"}) {
    for (int i = 1; i <= 5; ++i) {
      batch.lines.push_back(Line(job, i, "text"));
      batch.points.push_back(Point(job, i, "train/loss", 1));
    }
    v1::Checkpoint& checkpoint = batch.checkpoints.emplace_back();
    checkpoint.set_job_id(job);
    checkpoint.set_bytes(100);
    batch.transitions.push_back({job, v1::JOB_STATE_UNSPECIFIED, v1::JOB_STATE_QUEUED, "submitted", {}});
    batch.requests.push_back({absl::StrCat("request of ", job), job, "digest"});
  }
  batch.deletions = {{"a", true}};
  ASSERT_TRUE(store->Commit(batch).ok());
  store.reset();
  store = Open();
  const auto marked = store->LoadDeletions();
  ASSERT_EQ(marked->size(), 1u);
  EXPECT_EQ(marked->front().job_id, "a");
  EXPECT_TRUE(marked->front().keep_model);
  EXPECT_TRUE(store->GetJob("a").ok()) << "a mark alone removes nothing";

  EXPECT_TRUE(*store->RemoveSome("a", 3));
  EXPECT_EQ(store->ReadLogs("a", 0, 100)->lines.size(), 2u);
  EXPECT_EQ(store->ReadMetrics("a", 0, 100)->size(), 2u);
  EXPECT_FALSE(*store->RemoveSome("a", 3));
  Batch removal;
  removal.removed_jobs = {"a"};
  ASSERT_TRUE(store->Commit(removal).ok());
  EXPECT_TRUE(absl::IsNotFound(store->GetJob("a").status()));
  EXPECT_TRUE(store->LoadDeletions()->empty());
  EXPECT_TRUE(store->ListTransitions("a")->empty());
  EXPECT_TRUE(store->ListCheckpoints("a")->empty());
  EXPECT_FALSE(store->FindRequest("request of a")->has_value());
  EXPECT_EQ(*store->StorageOf("default"), 100);
  EXPECT_EQ(store->ReadLogs("b", 0, 100)->lines.size(), 5u);
  EXPECT_EQ(store->ReadMetrics("b", 0, 100)->size(), 5u);
  EXPECT_TRUE(store->FindRequest("request of b")->has_value());
}

TEST_F(SqliteStoreTest, AFailedBatchLeavesNothingBehind) {
  auto store = Open();
  Batch batch = OfJobs({Job("a")});
  batch.points = {Point("no-such-job", 1, "train/loss", 1)};  // violates the foreign key
  const absl::Status status = store->Commit(batch);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(store->GetJob("a").status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(store->Commit(OfJobs({Job("a")})).ok());
}

// The child acknowledges each commit through a pipe and is killed in the middle of its work.
TEST_F(SqliteStoreTest, AcknowledgedCommitsSurviveKillNine) {
  int acks[2];
  ASSERT_EQ(pipe(acks), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto store = OpenSqliteStore(path_);
    if (!store.ok()) _exit(1);
    for (int i = 0;; ++i) {
      char id[16];
      snprintf(id, sizeof(id), "j%06d", i);
      if (!(*store)->Commit(OfJobs({Job(id)})).ok() || write(acks[1], &i, sizeof(i)) != sizeof(i)) _exit(2);
    }
  }
  close(acks[1]);
  int last = -1;
  while (last < 50) ASSERT_EQ(read(acks[0], &last, sizeof(last)), static_cast<ssize_t>(sizeof(last)));
  ASSERT_EQ(kill(child, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  for (int ack; read(acks[0], &ack, sizeof(ack)) == sizeof(ack);) last = ack;
  close(acks[0]);
  auto store = Open();
  auto jobs = store->LoadActiveJobs();
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  EXPECT_GE(static_cast<int>(jobs->size()), last + 1);
  EXPECT_LE(static_cast<int>(jobs->size()), last + 2);  // at most the one in flight besides
}

TEST_F(SqliteStoreTest, ASecondCoordinatorIsKeptOut) {
  auto store = Open();
  auto second = OpenSqliteStore(path_);
  ASSERT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition) << second.status();
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(absl::StrCat("process ", getpid())));
}

TEST_F(SqliteStoreTest, AStoreOfANewerVersionIsRefused) {
  Open().reset();
  Sql(absl::StrCat("PRAGMA user_version=", StoreVersion() + 1));
  auto store = OpenSqliteStore(path_);
  ASSERT_EQ(store.status().code(), absl::StatusCode::kFailedPrecondition) << store.status();
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("newer"));
}

TEST_F(SqliteStoreTest, ADatabaseOfSomethingElseIsRefused) {
  Sql("CREATE TABLE recipes (name TEXT)");
  auto store = OpenSqliteStore(path_);
  ASSERT_EQ(store.status().code(), absl::StatusCode::kDataLoss) << store.status();
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("not a Lockstep store"));
}

TEST_F(SqliteStoreTest, AFileThatIsNoDatabaseIsRefused) {
  std::ofstream(path_) << std::string(10'000, 'x');
  auto store = OpenSqliteStore(path_);
  ASSERT_EQ(store.status().code(), absl::StatusCode::kDataLoss) << store.status();
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("lockstep.db: file is not a database"));
}

TEST_F(SqliteStoreTest, ADamagedStoreIsRefused) {
  {
    auto store = Open();
    std::vector<StoredJob> jobs;
    for (int i = 0; i < 500; ++i) jobs.push_back(Job(absl::StrCat("job-", 1000 + i)));
    ASSERT_TRUE(store->Commit(OfJobs(jobs)).ok());
  }
  {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    for (int offset = 4096; offset < 60'000; offset += 64) {
      file.seekp(offset);
      file << "garbage";
    }
  }
  auto store = OpenSqliteStore(path_);
  ASSERT_EQ(store.status().code(), absl::StatusCode::kDataLoss) << store.status();
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("backup"));
}

TEST_F(SqliteStoreTest, AMissingFolderIsNamed) {
  auto store = OpenSqliteStore(directory_ + "/missing/lockstep.db");
  ASSERT_EQ(store.status().code(), absl::StatusCode::kNotFound) << store.status();
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("missing/lockstep.db"));
}

}  // namespace
}  // namespace lockstep
