#include "common/checkpoint/manifest.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "common/base/version.h"
#include "common/checkpoint/durable_file.h"

namespace lockstep {
namespace {

using Json = nlohmann::json;

// The last bytes of the file. The checksum covers every byte before them.
std::string Tail(absl::string_view body) {
  return absl::StrFormat(",\"manifest_xxh3\":\"%016x\"}\n", Xxh3(body));
}
const size_t kTailBytes = Tail("").size();

// JSON has no word for these, and a diverged job's metrics may hold them.
Json FromDouble(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}
double ToDouble(const Json& value) {
  if (!value.is_string()) return value.get<double>();
  const std::string text = value.get<std::string>();
  if (text == "inf") return std::numeric_limits<double>::infinity();
  if (text == "-inf") return -std::numeric_limits<double>::infinity();
  return std::numeric_limits<double>::quiet_NaN();
}

Json FromProfile(const v1::NumericProfile& profile) {
  return {{"device_kind", profile.device_kind()},
          {"device_model", profile.device_model()},
          {"instruction_set", profile.instruction_set()},
          {"math_library", profile.math_library()},
          {"threads", profile.threads()},
          {"arithmetic_revision", profile.arithmetic_revision()}};
}
v1::NumericProfile ToProfile(const Json& json) {
  v1::NumericProfile profile;
  profile.set_device_kind(json.at("device_kind").get<std::string>());
  profile.set_device_model(json.at("device_model").get<std::string>());
  profile.set_instruction_set(json.at("instruction_set").get<std::string>());
  profile.set_math_library(json.at("math_library").get<std::string>());
  profile.set_arithmetic_revision(json.at("arithmetic_revision").get<int32_t>());
  profile.set_threads(json.at("threads").get<int32_t>());
  return profile;
}

StoredManifest FromJson(const Json& json) {
  StoredManifest stored;
  CheckpointManifest& content = stored.content;
  content.job_id = json.at("job_id").get<std::string>();
  content.step = json.at("step").get<int64_t>();
  content.epoch = ToDouble(json.at("epoch"));
  content.spec_hash = json.at("spec_hash").get<std::string>();
  content.dataset_version = json.at("dataset_version").get<std::string>();
  content.dataset_fingerprint = json.at("dataset_fingerprint").get<std::string>();
  content.profile = ToProfile(json.at("profile"));
  for (const auto& [name, value] : json.at("metrics").items()) content.metrics[name] = ToDouble(value);
  content.program_state = json.at("program_state").get<std::map<std::string, std::string>>();
  content.best = json.at("best").get<bool>();
  stored.written_at_unix_nanos = json.at("written_at_unix_nanos").get<int64_t>();
  for (const auto& [name, file] : json.at("files").items()) {
    ManifestFile& entry = stored.files[name];
    entry.bytes = file.at("bytes").get<int64_t>();
    const std::string hex = file.at("xxh3").get<std::string>();
    if (hex.size() != 16 || hex.find_first_not_of("0123456789abcdef") != std::string::npos) entry.bytes = -1;
    if (entry.bytes >= 0) entry.xxh3 = std::stoull(hex, nullptr, 16);
  }
  return stored;
}

}  // namespace

bool IsBaseName(absl::string_view name) {
  return !name.empty() && name.size() <= 255 && name[0] != '.' && name.find('/') == absl::string_view::npos &&
         name.find('\0') == absl::string_view::npos;
}

absl::StatusOr<std::string> FormatManifest(const StoredManifest& manifest) {
  const CheckpointManifest& content = manifest.content;
  Json metrics = Json::object(), files = Json::object();
  for (const auto& [name, value] : content.metrics) metrics[name] = FromDouble(value);
  for (const auto& [name, file] : manifest.files) {
    files[name] = {{"bytes", file.bytes}, {"xxh3", absl::StrFormat("%016x", file.xxh3)}};
  }
  const Json json = {{"format", kManifestFormat},
                     {"version", kManifestVersion},
                     {"written_by", Version()},
                     {"written_at_unix_nanos", manifest.written_at_unix_nanos},
                     {"job_id", content.job_id},
                     {"step", content.step},
                     {"epoch", FromDouble(content.epoch)},
                     {"spec_hash", content.spec_hash},
                     {"dataset_version", content.dataset_version},
                     {"dataset_fingerprint", content.dataset_fingerprint},
                     {"profile", FromProfile(content.profile)},
                     {"metrics", std::move(metrics)},
                     {"program_state", content.program_state},
                     {"best", content.best},
                     {"files", std::move(files)}};
  std::string body;
  try {
    body = json.dump(1);
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("a text in the manifest is not UTF-8 (encode bytes, e.g. as "
                     "hex): ",
                     error.what()));
  }
  body.resize(body.size() - 2);  // the closing "\n}", which the tail brings
  return body + Tail(body);
}

absl::StatusOr<StoredManifest> ParseManifest(absl::string_view text) {
  if (text.size() < kTailBytes) {
    return absl::DataLossError(absl::StrCat("has ", text.size(), " bytes, too short: truncated"));
  }
  const absl::string_view body = text.substr(0, text.size() - kTailBytes);
  if (text.substr(body.size()) != Tail(body)) {
    return absl::DataLossError("its own checksum does not match: truncated or altered");
  }
  // Whoever wrote a matching checksum may still have written nonsense.
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  try {
    if (!json.is_object() || json.at("format") != kManifestFormat) {
      return absl::DataLossError(absl::StrCat("is not a ", kManifestFormat));
    }
    if (json.at("version") != kManifestVersion) {
      return absl::UnimplementedError(absl::StrCat("format version ", json.at("version").dump(),
                                                   "; this program (", Version(), ") reads version ",
                                                   kManifestVersion));
    }
    StoredManifest stored = FromJson(json);
    for (const auto& [name, file] : stored.files) {
      if (!IsBaseName(name) || name == kManifestName || file.bytes < 0) {
        return absl::DataLossError(absl::StrCat("its entry for file '", name, "' is not valid"));
      }
    }
    if (stored.content.step < 0) return absl::DataLossError("its step is negative");
    return stored;
  } catch (const Json::exception& error) {
    return absl::DataLossError(absl::StrCat("is not as docs/checkpoint-format.md says: ", error.what()));
  }
}

absl::StatusOr<StoredManifest> ReadManifest(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/", kManifestName);
  const absl::StatusOr<std::string> text = ReadSmallFile(path, kMaxManifestBytes);
  if (absl::IsNotFound(text.status()) || absl::IsResourceExhausted(text.status())) {
    return absl::DataLossError(text.status().message());
  }
  if (!text.ok()) return text.status();
  absl::StatusOr<StoredManifest> manifest = ParseManifest(*text);
  if (!manifest.ok()) return Annotate(manifest.status(), path);
  return manifest;
}

absl::Status CheckSizes(const std::string& folder, const StoredManifest& manifest) {
  for (const auto& [name, expected] : manifest.files) {
    const std::string path = absl::StrCat(folder, "/", name);
    const absl::StatusOr<RegularFile> file = RegularFile::Open(path);
    if (absl::IsNotFound(file.status())) return absl::DataLossError(absl::StrCat(path, ": missing"));
    if (!file.ok()) return file.status();
    if (file->size() != expected.bytes) {
      return absl::DataLossError(absl::StrCat(path, ": has ", file->size(), " bytes, the manifest says ",
                                              expected.bytes, ": truncated or altered"));
    }
  }
  return absl::OkStatus();
}

CheckpointInfo MakeInfo(const std::string& folder, const StoredManifest& manifest) {
  CheckpointInfo info;
  info.path = folder;
  info.manifest = manifest.content;
  info.written_at_unix_nanos = manifest.written_at_unix_nanos;
  for (const auto& [name, file] : manifest.files) info.bytes += file.bytes;
  return info;
}

}  // namespace lockstep
