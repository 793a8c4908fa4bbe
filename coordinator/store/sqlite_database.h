// One SQLite connection with its prepared statements. Errors are values: the message has SQLite's words and
// the file. Not thread-safe: the owner locks.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace lockstep {

// A prepared statement in use: bind, step, read. Goes back to its connection's cache at the end of its scope.
// Binding is positional in the order of the calls. Texts are bound by reference: they must outlive the
// stepping.
class SqliteStatement {
 public:
  explicit SqliteStatement(sqlite3_stmt* statement) : statement_(statement) {}
  ~SqliteStatement();
  SqliteStatement(const SqliteStatement&) = delete;
  SqliteStatement& operator=(const SqliteStatement&) = delete;

  SqliteStatement& Text(std::string_view value);
  SqliteStatement& Text(const char* value) { return Text(std::string_view(value)); }
  SqliteStatement& Text(std::string&& value) = delete;  // it would end before the stepping
  SqliteStatement& Blob(std::string_view value);
  SqliteStatement& Blob(std::string&& value) = delete;
  SqliteStatement& Int(int64_t value);

  // True: there is a row to read. False: done.
  absl::StatusOr<bool> Step();
  absl::Status Run();  // for statements without rows

  std::string GetText(int column) const;
  std::string_view GetBlob(int column) const;  // valid until the next Step
  int64_t GetInt(int column) const;

 private:
  sqlite3_stmt* statement_;
  int bound_ = 0;
};

class SqliteDatabase {
 public:
  struct Options {
    bool read_only = false;
    int cache_kib = 512;          // page cache; small, the kernel caches the file anyway
    int busy_timeout_ms = 5'000;  // another process (a backup, the sqlite3 shell) holds the lock
  };
  // Creates the file unless read_only. DATA_LOSS: not a database or damaged. PERMISSION_DENIED / NOT_FOUND.
  static absl::StatusOr<std::unique_ptr<SqliteDatabase>> Open(const std::string& path,
                                                              const Options& options);
  ~SqliteDatabase();
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  // Several statements without parameters or results.
  absl::Status Execute(const std::string& sql);
  // `sql` is prepared once and kept. The statement must not be in use elsewhere. nullptr never: a failed
  // preparation gives a status.
  absl::StatusOr<std::unique_ptr<SqliteStatement>> Prepare(const char* sql);
  absl::StatusOr<int64_t> QueryInt(const char* sql);
  int64_t changes() const;

 private:
  SqliteDatabase() = default;
  sqlite3* db_ = nullptr;
  std::map<std::string, sqlite3_stmt*, std::less<>> statements_;
};

}  // namespace lockstep
