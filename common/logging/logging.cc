#include "common/logging/logging.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace lockstep {
namespace {

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      break;
  }
  return spdlog::level::off;
}

std::shared_ptr<spdlog::logger> MakeLogger(std::string_view daemon, spdlog::level::level_enum level) {
  const char* no_color = std::getenv("NO_COLOR");
  const bool plain = no_color != nullptr && no_color[0] != '\0';
  auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>(plain ? spdlog::color_mode::never
                                                                          : spdlog::color_mode::automatic);
  auto logger = std::make_shared<spdlog::logger>(std::string(daemon), std::move(sink));
  logger->set_formatter(std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ %^%-7l%$ %n: %v",
                                                                    spdlog::pattern_time_type::utc));
  logger->set_level(level);
  logger->flush_on(spdlog::level::debug);
  return logger;
}

std::shared_ptr<spdlog::logger>& TheLogger() {
  static std::shared_ptr<spdlog::logger>& logger =  // never destroyed: threads may log while the process ends
      *new std::shared_ptr<spdlog::logger>(MakeLogger("lockstep", spdlog::level::info));
  return logger;
}

bool NeedsQuotes(std::string_view text) {
  if (text.empty()) return true;
  for (const unsigned char c : text) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return true;
  }
  return false;
}

void AppendOnOneLine(std::string_view text, std::string* out) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= ' ' && byte != 0x7f) {
      out->push_back(c);
    } else {
      out->append(absl::CEscape(absl::string_view(&c, 1)));
    }
  }
}

}  // namespace

absl::Status InitLogging(std::string_view daemon, std::string_view level) {
  static constexpr std::pair<std::string_view, LogLevel> kLevels[] = {{"debug", LogLevel::kDebug},
                                                                      {"info", LogLevel::kInfo},
                                                                      {"warning", LogLevel::kWarning},
                                                                      {"error", LogLevel::kError},
                                                                      {"off", LogLevel::kOff}};
  for (const auto& [name, value] : kLevels) {
    if (name == level) {
      TheLogger() = MakeLogger(daemon, ToSpdlog(value));
      spdlog::set_default_logger(
          TheLogger());  // libraries that call spdlog themselves speak in the same form
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("log level '", std::string(level), "' is not one of debug, info, warning, error, off"));
}

bool LogEnabled(LogLevel level) { return TheLogger()->should_log(ToSpdlog(level)); }

std::string FormatLogLine(std::string_view message, std::initializer_list<LogField> fields) {
  std::string line;
  AppendOnOneLine(message, &line);
  for (const LogField& field : fields) {
    line.append(" ").append(field.key).append("=");
    if (NeedsQuotes(field.value)) {
      absl::StrAppend(&line, "\"", absl::Utf8SafeCEscape(field.value), "\"");
    } else {
      line.append(field.value);
    }
  }
  return line;
}

void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (!LogEnabled(level)) return;
  TheLogger()->log(ToSpdlog(level), spdlog::string_view_t(FormatLogLine(message, fields)));
}

}  // namespace lockstep
