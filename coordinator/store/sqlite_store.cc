#include "coordinator/store/sqlite_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/synchronization/mutex.h"
#include "coordinator/store/sqlite_database.h"
#include "coordinator/store/sqlite_reads.h"
#include "coordinator/store/sqlite_schema.h"
#include "coordinator/store/sqlite_writes.h"

namespace lockstep {
namespace {

// A full check reads the whole file; a larger one is checked page by page as it is used.
constexpr int64_t kQuickCheckBytes = 64 << 20;

// Held for the store's life; the kernel drops it when the process dies, however it dies.
class LockFile {
 public:
  static absl::StatusOr<std::unique_ptr<LockFile>> Take(const std::string& store) {
    const std::string path = store + ".lock";
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
      const int error = errno;
      const std::string message =
          absl::StrCat("store ", store, ": cannot create ", path, ": ", strerror(error),
                       "; does its folder exist, and may this user write there?");
      return error == ENOENT ? absl::NotFoundError(message) : absl::PermissionDeniedError(message);
    }
    auto lock = std::unique_ptr<LockFile>(new LockFile(fd));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
      const std::string pid = absl::StrCat(getpid(), "\n");
      if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) {
        return absl::UnavailableError(absl::StrCat("cannot write ", path, ": ", strerror(errno)));
      }
      return lock;
    }
    char holder[32] = {};
    const ssize_t size = pread(fd, holder, sizeof(holder) - 1, 0);
    const std::string pid = size > 1 ? std::string(holder, size - 1) : "unknown";
    return absl::FailedPreconditionError(absl::StrCat("store ", store,
                                                      " is in use by another coordinator (process ", pid,
                                                      "); stop it, or give this one another store"));
  }
  ~LockFile() { close(fd_); }

 private:
  explicit LockFile(int fd) : fd_(fd) {}
  int fd_;
};

class SqliteStore : public Store {
 public:
  SqliteStore(const SqliteStoreOptions& options, std::unique_ptr<LockFile> lock,
              std::unique_ptr<SqliteDatabase> writer, std::unique_ptr<SqliteDatabase> reader)
      : lock_(std::move(lock)),
        writer_(std::move(writer)),
        reader_(std::move(reader)),
        log_cap_(options.max_log_lines_per_job) {}

  absl::Status Commit(const Batch& batch) override {
    if (batch.empty()) return absl::OkStatus();
    absl::MutexLock lock(&write_mutex_);
    RETURN_IF_ERROR(Unavailable(writer_->Execute("BEGIN IMMEDIATE")));
    absl::Status status = WriteBatch(*writer_, batch);
    if (status.ok()) status = log_cap_.Apply(*writer_, batch);
    if (status.ok()) status = writer_->Execute("COMMIT");
    if (status.ok()) return status;
    writer_->Execute("ROLLBACK").IgnoreError();  // fails if SQLite has already rolled back
    log_cap_.Reset();
    return Unavailable(status);
  }

  absl::StatusOr<bool> RemoveSome(const std::string& job_id, int limit) override {
    absl::MutexLock lock(&write_mutex_);
    RETURN_IF_ERROR(Unavailable(writer_->Execute("BEGIN IMMEDIATE")));
    absl::StatusOr<bool> more = RemoveSomeRows(*writer_, job_id, limit);
    absl::Status status = more.status();
    if (status.ok()) status = writer_->Execute("COMMIT");
    if (status.ok()) return more;
    writer_->Execute("ROLLBACK").IgnoreError();
    return Unavailable(status);
  }

  absl::StatusOr<std::vector<StoredDeletion>> LoadDeletions() override {
    absl::MutexLock lock(&read_mutex_);
    return ReadDeletions(*reader_);
  }

  absl::Status SaveDataset(const v1::Dataset& dataset) override {
    Batch batch;
    batch.datasets.push_back(dataset);
    return Commit(batch);
  }

  absl::StatusOr<std::vector<StoredJob>> LoadActiveJobs() override {
    absl::MutexLock lock(&read_mutex_);
    return ReadActiveJobs(*reader_);
  }
  absl::StatusOr<StoredJob> GetJob(const std::string& id) override {
    absl::MutexLock lock(&read_mutex_);
    return ReadJob(*reader_, id);
  }
  absl::StatusOr<StoredJob> FindJobByName(const std::string& space, const std::string& name) override {
    absl::MutexLock lock(&read_mutex_);
    return ReadJobByName(*reader_, space, name);
  }
  absl::StatusOr<std::vector<StoredJob>> ListJobs(const JobFilter& filter, const std::string& before,
                                                  int limit) override {
    absl::MutexLock lock(&read_mutex_);
    return ReadJobs(*reader_, filter, before, limit);
  }
  absl::StatusOr<std::map<v1::JobState, int64_t>> CountJobs() override {
    absl::MutexLock lock(&read_mutex_);
    return ReadJobCounts(*reader_);
  }
  absl::StatusOr<std::string> LastJobId() override {
    absl::MutexLock lock(&read_mutex_);
    return ReadLastJobId(*reader_);
  }
  absl::StatusOr<std::optional<StoredRequest>> FindRequest(const std::string& request_id) override {
    absl::MutexLock lock(&read_mutex_);
    return ReadRequest(*reader_, request_id);
  }
  absl::StatusOr<std::vector<StoredTransition>> ListTransitions(const std::string& job_id) override {
    absl::MutexLock lock(&read_mutex_);
    return ReadTransitions(*reader_, job_id);
  }
  absl::StatusOr<std::vector<v1::Dataset>> LoadDatasets() override {
    absl::MutexLock lock(&read_mutex_);
    return ReadDatasets(*reader_);
  }
  absl::StatusOr<std::optional<v1::Dataset>> FindDataset(const std::string& name, int version) override {
    absl::MutexLock lock(&read_mutex_);
    return ReadDataset(*reader_, name, version);
  }
  absl::StatusOr<std::vector<v1::MetricPoint>> ReadMetrics(const std::string& job_id, int64_t after_step,
                                                           int limit) override {
    absl::MutexLock lock(&read_mutex_);
    return ReadPoints(*reader_, job_id, after_step, limit);
  }
  absl::StatusOr<LogPage> ReadLogs(const std::string& job_id, int64_t position, int limit) override {
    absl::MutexLock lock(&read_mutex_);
    return ReadLines(*reader_, job_id, position, limit);
  }
  absl::StatusOr<int64_t> LogTail(const std::string& job_id, int64_t lines) override {
    absl::MutexLock lock(&read_mutex_);
    return ReadLineTail(*reader_, job_id, lines);
  }
  absl::StatusOr<std::vector<v1::Checkpoint>> ListCheckpoints(const std::string& job_id) override {
    absl::MutexLock lock(&read_mutex_);
    return ReadCheckpoints(*reader_, job_id);
  }

  absl::StatusOr<std::vector<v1::Checkpoint>> NewestCheckpoints(
      const std::vector<v1::JobState>& states) override {
    absl::MutexLock lock(&read_mutex_);
    return ReadNewestCheckpoints(*reader_, states);
  }
  absl::StatusOr<std::vector<v1::Cordon>> LoadCordons() override {
    absl::MutexLock lock(&read_mutex_);
    return ReadCordons(*reader_);
  }
  absl::StatusOr<std::vector<FleetEvent>> LoadFleetEvents() override {
    absl::MutexLock lock(&read_mutex_);
    return ReadFleetEvents(*reader_);
  }
  absl::StatusOr<std::vector<v1::Namespace>> LoadNamespaces() override {
    absl::MutexLock lock(&read_mutex_);
    return ReadNamespaces(*reader_);
  }
  absl::StatusOr<int64_t> StorageOf(const std::string& space) override {
    absl::MutexLock lock(&read_mutex_);
    return ReadStorage(*reader_, space);
  }
  absl::StatusOr<std::map<std::string, int64_t>> StorageOfAll() override {
    absl::MutexLock lock(&read_mutex_);
    return ReadAllStorage(*reader_);
  }

 private:
  // Whatever SQLite's reason, to a caller it means: not stored, try again.
  static absl::Status Unavailable(const absl::Status& status) {
    if (status.ok()) return status;
    return absl::UnavailableError(absl::StrCat("nothing was stored: ", status.message()));
  }

  const std::unique_ptr<LockFile> lock_;
  absl::Mutex write_mutex_;
  absl::Mutex read_mutex_;
  const std::unique_ptr<SqliteDatabase> writer_ ABSL_PT_GUARDED_BY(write_mutex_);
  const std::unique_ptr<SqliteDatabase> reader_ ABSL_PT_GUARDED_BY(read_mutex_);
  LogCap log_cap_ ABSL_GUARDED_BY(write_mutex_);
};

absl::Status QuickCheck(SqliteDatabase& database, const std::string& path) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  if (error || static_cast<int64_t>(bytes) > kQuickCheckBytes) return absl::OkStatus();
  ASSIGN_OR_RETURN(auto check, database.Prepare("PRAGMA quick_check(1)"));
  ASSIGN_OR_RETURN(const bool row, check->Step());
  if (!row || check->GetBlob(0) == "ok") return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("store ", path, " is damaged: ", check->GetText(0),
                   "; restore it from a backup, or move it away to start with an empty one"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const std::string& path,
                                                       const SqliteStoreOptions& options) {
  ASSIGN_OR_RETURN(auto lock, LockFile::Take(path));
  ASSIGN_OR_RETURN(auto writer, SqliteDatabase::Open(path, {}));
  RETURN_IF_ERROR(writer->Execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"));
  RETURN_IF_ERROR(QuickCheck(*writer, path));
  RETURN_IF_ERROR(MigrateStore(*writer, path));
  SqliteDatabase::Options read_only;
  read_only.read_only = true;
  ASSIGN_OR_RETURN(auto reader, SqliteDatabase::Open(path, read_only));
  return std::make_unique<SqliteStore>(options, std::move(lock), std::move(writer), std::move(reader));
}

}  // namespace lockstep
