// One line per event on stderr, for people and for grep:
//   2024-05-01T12:00:00.123Z INFO  coordinator: job started job=01HX... generation=1
// stdout stays free for data. Values with spaces or quotes are quoted. Levels are coloured on a terminal,
// unless NO_COLOR is set. Until InitLogging is called, lines carry the daemon name "lockstep" and the level
// is info.
//
// Thread-safe, except InitLogging, which a daemon calls once, before its threads.
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace lockstep {

// `level`: debug, info, warning, error or off; INVALID_ARGUMENT lists them.
absl::Status InitLogging(std::string_view daemon, std::string_view level);

enum class LogLevel { kDebug = 0, kInfo, kWarning, kError, kOff };

struct LogField {
  LogField(std::string_view field_key, std::string_view text) : key(field_key), value(text) {}
  LogField(std::string_view field_key, absl::string_view text) : key(field_key), value(text) {}
  LogField(std::string_view field_key, const char* text) : key(field_key), value(text) {}
  LogField(std::string_view field_key, const std::string& text) : key(field_key), value(text) {}
  LogField(std::string_view field_key, const absl::Status& status)
      : key(field_key), value(status.ToString()) {}
  template <typename Number>
  requires std::integral<Number> || std::floating_point<Number> LogField(std::string_view field_key,
                                                                         Number number)
      : key(field_key), value(absl::StrCat(number)) {}

  std::string_view key;
  std::string value;
};

bool LogEnabled(LogLevel level);
void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

inline void LogDebug(std::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kDebug, message, fields);
}
inline void LogInfo(std::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kInfo, message, fields);
}
inline void LogWarning(std::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kWarning, message, fields);
}
inline void LogError(std::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kError, message, fields);
}

// The part of a line after the daemon's name: the message and its fields, on one line whatever they contain.
std::string FormatLogLine(std::string_view message, std::initializer_list<LogField> fields);

}  // namespace lockstep
