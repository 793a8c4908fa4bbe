#include "coordinator/store/sqlite_database.h"

namespace lockstep {
namespace {

absl::StatusCode CodeOf(int code) {
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return absl::StatusCode::kPermissionDenied;
    case SQLITE_CANTOPEN:
      return absl::StatusCode::kNotFound;
    case SQLITE_FULL:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_CONSTRAINT:
      return absl::StatusCode::kFailedPrecondition;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

absl::Status ErrorOf(sqlite3* db, int code) {
  const char* path = db != nullptr ? sqlite3_db_filename(db, "main") : nullptr;
  std::string message =
      absl::StrCat("store ", path != nullptr ? path : "(unknown)", ": ",
                   db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code), " (SQLite code ", code, ")");
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      absl::StrAppend(
          &message,
          ": the file is damaged or is not a Lockstep store; restore it from a backup, or move it "
          "away to start with an empty one");
      break;
    case SQLITE_FULL:
      absl::StrAppend(&message, ": the disk is full; free some space");
      break;
    case SQLITE_BUSY:
      absl::StrAppend(&message, ": another process holds the store's lock");
      break;
    case SQLITE_CANTOPEN:
      absl::StrAppend(&message, ": does its folder exist, and may this user write there?");
      break;
  }
  return absl::Status(CodeOf(code), message);
}

}  // namespace

SqliteStatement::~SqliteStatement() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

SqliteStatement& SqliteStatement::Text(std::string_view value) {
  sqlite3_bind_text(statement_, ++bound_, value.empty() ? "" : value.data(), static_cast<int>(value.size()),
                    SQLITE_STATIC);
  return *this;
}

SqliteStatement& SqliteStatement::Blob(std::string_view value) {
  sqlite3_bind_blob(statement_, ++bound_, value.empty() ? "" : value.data(), static_cast<int>(value.size()),
                    SQLITE_STATIC);
  return *this;
}

SqliteStatement& SqliteStatement::Int(int64_t value) {
  sqlite3_bind_int64(statement_, ++bound_, value);
  return *this;
}

absl::StatusOr<bool> SqliteStatement::Step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return ErrorOf(sqlite3_db_handle(statement_), code);
}

absl::Status SqliteStatement::Run() {
  auto row = Step();
  return row.ok() ? absl::OkStatus() : row.status();
}

std::string SqliteStatement::GetText(int column) const { return std::string(GetBlob(column)); }

std::string_view SqliteStatement::GetBlob(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return data == nullptr ? std::string_view() : std::string_view(static_cast<const char*>(data), size);
}

int64_t SqliteStatement::GetInt(int column) const { return sqlite3_column_int64(statement_, column); }

absl::StatusOr<std::unique_ptr<SqliteDatabase>> SqliteDatabase::Open(const std::string& path,
                                                                     const Options& options) {
  std::unique_ptr<SqliteDatabase> database(new SqliteDatabase);
  const int flags = (options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) |
                    SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(path.c_str(), &database->db_, flags, nullptr);
  if (code != SQLITE_OK) return Annotate(ErrorOf(database->db_, code), path);
  sqlite3_extended_result_codes(database->db_, 1);
  sqlite3_busy_timeout(database->db_, options.busy_timeout_ms);
  RETURN_IF_ERROR(database->Execute(absl::StrCat("PRAGMA cache_size=-", options.cache_kib,
                                                 "; PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY;")));
  return database;
}

SqliteDatabase::~SqliteDatabase() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(db_);
}

absl::Status SqliteDatabase::Execute(const std::string& sql) {
  const int code = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : ErrorOf(db_, code);
}

absl::StatusOr<std::unique_ptr<SqliteStatement>> SqliteDatabase::Prepare(const char* sql) {
  auto found = statements_.find(std::string_view(sql));
  if (found == statements_.end()) {
    sqlite3_stmt* statement = nullptr;
    const int code = sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) return ErrorOf(db_, code);
    found = statements_.emplace(sql, statement).first;
  }
  return std::make_unique<SqliteStatement>(found->second);
}

absl::StatusOr<int64_t> SqliteDatabase::QueryInt(const char* sql) {
  ASSIGN_OR_RETURN(auto statement, Prepare(sql));
  ASSIGN_OR_RETURN(const bool row, statement->Step());
  return row ? statement->GetInt(0) : 0;
}

int64_t SqliteDatabase::changes() const { return sqlite3_changes64(db_); }

}  // namespace lockstep
