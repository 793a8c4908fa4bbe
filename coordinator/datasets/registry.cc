#include "coordinator/datasets/registry.h"

#include <filesystem>
#include <limits>
#include <set>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_join.h"
#include "common/base/proto_time.h"
#include "common/data/dataset.h"
#include "common/data/dataset_files.h"
#include "common/data/table.h"
#include "common/paths/path_fence.h"
#include "common/spec/spec.h"
#include "coordinator/datasets/compatible.h"
#include "coordinator/datasets/names.h"

namespace lockstep {
namespace {

// Entries a cache may hold; beyond that it is cleared, which costs one read for each file in use.
constexpr size_t kMaxRemembered = 4096;

std::string Absolute(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.lexically_normal().string();
}

absl::StatusOr<std::vector<FileIdentity>> IdentifyAll(const std::vector<std::string>& paths) {
  std::vector<FileIdentity> files;
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(const FileIdentity file, IdentifyFile(path));
    files.push_back(file);
  }
  return files;
}

std::string KeyOf(const std::vector<FileIdentity>& files) {
  return absl::StrJoin(files, "/",
                       [](std::string* out, const FileIdentity& file) { out->append(file.ToKey()); });
}

// Length-prefixed, so that no two lists of fields make one key.
void AppendField(const std::string& field, std::string* key) {
  absl::StrAppend(key, field.size(), ":", field, ";");
}

std::string CacheKey(const std::string& name, const v1::DatasetSpec& spec,
                     const std::vector<FileIdentity>& files) {
  std::string key = KeyOf(files);
  for (const std::string& field :
       {name, spec.path(), spec.labels(), spec.label(), spec.text().tokenizer().bpe().path()}) {
    AppendField(field, &key);
  }
  absl::StrAppend(&key, spec.has_text() ? "text," : "table,");
  absl::StrAppend(&key, static_cast<int>(spec.format()), ",", static_cast<int>(spec.task()));
  const std::map<std::string, v1::ColumnType> columns(spec.columns().begin(), spec.columns().end());
  for (const auto& [column, type] : columns) {
    AppendField(column, &key);
    absl::StrAppend(&key, static_cast<int>(type));
  }
  return key;
}

absl::Status CheckPaths(const v1::DatasetSpec& spec) {
  const PathFence& fence = ReadFence();
  RETURN_IF_ERROR(fence.Check("dataset.path", spec.path(), /*pattern=*/true));
  if (!spec.labels().empty()) RETURN_IF_ERROR(fence.Check("dataset.labels", spec.labels()));
  const std::string& tokenizer = spec.text().tokenizer().bpe().path();
  return tokenizer.empty() ? absl::OkStatus() : fence.Check("dataset.text.tokenizer.bpe.path", tokenizer);
}

}  // namespace

absl::Status DatasetRegistry::Load() {
  ASSIGN_OR_RETURN(const std::vector<v1::Dataset> stored, store_->LoadDatasets());
  absl::MutexLock lock(&mutex_);
  for (const v1::Dataset& dataset : stored) datasets_[{dataset.name(), dataset.version()}] = dataset;
  return absl::OkStatus();
}

absl::StatusOr<Registration> DatasetRegistry::Register(const std::string& name, const v1::DatasetSpec& given,
                                                       const std::string& space) {
  v1::DatasetSpec spec = given;
  if (spec.path().empty()) {
    return absl::InvalidArgumentError("dataset.path is not set: name the file to register");
  }
  RETURN_IF_ERROR(CheckPaths(spec));
  spec.set_path(Absolute(spec.path()));
  if (!spec.labels().empty()) spec.set_labels(Absolute(spec.labels()));
  if (!spec.text().tokenizer().bpe().path().empty()) {
    auto* bpe = spec.mutable_text()->mutable_tokenizer()->mutable_bpe();
    bpe->set_path(Absolute(bpe->path()));
  }
  const std::string plain = name.empty() ? NameFromPath(spec.path()) : name;
  RETURN_IF_ERROR(CheckDatasetName(plain));
  const std::string chosen = JoinName(space, plain);

  ASSIGN_OR_RETURN(const DatasetFiles found_files, FindFiles(spec));
  const std::vector<std::string> paths = found_files.All();
  for (const std::string& path : found_files.data) RETURN_IF_ERROR(ReadFence().Check("dataset.path", path));
  ASSIGN_OR_RETURN(const std::vector<FileIdentity> before, IdentifyAll(paths));
  const std::string cache_key = CacheKey(chosen, spec, before);
  {
    // Those who ask for a file that is being read wait for what its reader finds.
    absl::MutexLock lock(&mutex_);
    const auto is_free = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return !being_read_.contains(cache_key);
    };
    mutex_.Await(absl::Condition(&is_free));
    if (const auto found = version_of_.find(cache_key); found != version_of_.end()) {
      return Registration{datasets_.at(found->second), false};
    }
    being_read_.insert(cache_key);
    ++reads_;
  }
  const absl::Cleanup done = [&] {
    absl::MutexLock lock(&mutex_);
    being_read_.erase(cache_key);
  };
  ASSIGN_OR_RETURN(v1::Dataset inspected, InspectDataset(spec));
  ASSIGN_OR_RETURN(const std::vector<FileIdentity> after, IdentifyAll(paths));
  if (before != after) {
    return absl::UnavailableError(
        absl::StrCat(spec.path(), ": changed while it was read; try again when its writer is done"));
  }
  inspected.set_name(chosen);
  absl::MutexLock insert_lock(&insert_mutex_);
  ASSIGN_OR_RETURN(Registration registration, Insert(std::move(inspected)));
  Remember(after, cache_key, {registration.dataset.name(), registration.dataset.version()},
           registration.dataset.fingerprint());
  return registration;
}

absl::StatusOr<Registration> DatasetRegistry::Insert(v1::Dataset inspected) {
  int32_t newest = 0;
  {
    absl::MutexLock lock(&mutex_);
    for (auto at = datasets_.lower_bound({inspected.name(), 0});
         at != datasets_.end() && at->first.first == inspected.name(); ++at) {
      newest = at->first.second;
      if (!SameVersion(at->second, inspected)) continue;
      if (FilesOf(at->second) == FilesOf(inspected) && at->second.path() == inspected.path()) {
        return Registration{at->second, false};
      }
      // The content moved, or has a copy: the path just read is the one known to hold it.
      inspected.set_version(at->second.version());
      *inspected.mutable_registered_at() = at->second.registered_at();
    }
  }
  const bool created = inspected.version() == 0;
  if (created) {
    if (newest == std::numeric_limits<int32_t>::max()) {
      return absl::ResourceExhaustedError(
          absl::StrCat("dataset ", inspected.name(), " has too many versions"));
    }
    inspected.set_version(newest + 1);
    *inspected.mutable_registered_at() = ToProto(clock_->Now());
  }
  RETURN_IF_ERROR(store_->SaveDataset(inspected));
  absl::MutexLock lock(&mutex_);
  datasets_[{inspected.name(), inspected.version()}] = inspected;
  return Registration{std::move(inspected), created};
}

void DatasetRegistry::Remember(const std::vector<FileIdentity>& files, const std::string& cache_key,
                               const Key& version, const std::string& fingerprint) {
  const int64_t now = absl::ToUnixNanos(clock_->Now());
  for (const FileIdentity& file : files) {
    if (!file.Settled(now)) return;
  }
  absl::MutexLock lock(&mutex_);
  if (version_of_.size() >= kMaxRemembered) version_of_.clear();
  if (fingerprint_of_.size() >= kMaxRemembered) fingerprint_of_.clear();
  if (!cache_key.empty()) version_of_[cache_key] = version;
  fingerprint_of_[KeyOf(files)] = fingerprint;
}

absl::StatusOr<v1::Dataset> DatasetRegistry::Find(const std::string& text, const Scope& scope,
                                                  const std::string& meant) const {
  ASSIGN_OR_RETURN(const DatasetReference reference, ParseReference(text, meant));
  if (!scope.Sees(reference.space)) {
    return absl::NotFoundError(absl::StrCat("no dataset '", reference.name, "' is registered"));
  }
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> versions;
  const v1::Dataset* newest = nullptr;
  for (auto at = datasets_.lower_bound({reference.name, 0});
       at != datasets_.end() && at->first.first == reference.name; ++at) {
    if (at->first.second == reference.version) return at->second;
    versions.push_back(absl::StrCat(at->first.second));
    newest = &at->second;
  }
  if (newest != nullptr && reference.version == 0) return *newest;
  if (newest != nullptr) {
    return absl::NotFoundError(absl::StrCat("dataset ", reference.name, " has no version ", reference.version,
                                            "; its versions are ", absl::StrJoin(versions, ", ")));
  }
  std::set<std::string> names;
  for (const auto& [key, dataset] : datasets_) {
    if (SplitName(key.first, kDefaultNamespace).space == reference.space) names.insert(key.first);
  }
  const std::string nearest = Nearest(reference.name, {names.begin(), names.end()});
  return absl::NotFoundError(absl::StrCat("no dataset '", reference.name, "' is registered",
                                          !nearest.empty() ? absl::StrCat("; did you mean '", nearest, "'?")
                                          : names.empty()
                                              ? std::string("; none is: register one, or give dataset.path")
                                              : absl::StrCat("; there are ", absl::StrJoin(names, ", "))));
}

std::vector<v1::Dataset> DatasetRegistry::List() const {
  absl::MutexLock lock(&mutex_);
  std::vector<v1::Dataset> all;
  for (const auto& [key, dataset] : datasets_) all.push_back(dataset);
  return all;
}

absl::StatusOr<std::vector<FileIdentity>> DatasetRegistry::VerifyContent(const v1::Dataset& dataset) {
  const std::vector<std::string> paths = FilesOf(dataset);
  absl::StatusOr<std::vector<FileIdentity>> files = IdentifyAll(paths);
  const std::string who = absl::StrCat("dataset ", dataset.name(), "@", dataset.version());
  if (!files.ok()) return Annotate(files.status(), who);
  std::string fingerprint;
  bool known = false;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = fingerprint_of_.find(KeyOf(*files));
    known = found != fingerprint_of_.end();
    if (known) {
      fingerprint = found->second;
    } else {
      ++reads_;
    }
  }
  if (!known) {
    absl::StatusOr<std::string> read = FingerprintPaths(paths);
    if (!read.ok()) return Annotate(read.status(), who);
    fingerprint = *std::move(read);
    ASSIGN_OR_RETURN(const std::vector<FileIdentity> after, IdentifyAll(paths));
    if (after == *files) Remember(after, "", {}, fingerprint);
  }
  if (fingerprint == dataset.fingerprint()) return files;
  return absl::DataLossError(absl::StrCat(
      who, ": ", dataset.path(), " has changed since it was registered (fingerprint ", dataset.fingerprint(),
      " then, ", fingerprint, " now); restore the file, or register it again and use the new version"));
}

absl::StatusOr<v1::Dataset> DatasetRegistry::Resolve(const v1::DatasetSpec& spec, const std::string& space,
                                                     const Scope& scope) {
  if (spec.name().empty() == spec.path().empty()) {
    return absl::InvalidArgumentError(
        spec.name().empty() ? "dataset: set either dataset.path or dataset.name"
                            : "dataset: dataset.path and dataset.name exclude each other; remove one");
  }
  const auto check_split = [&spec](const v1::Dataset& dataset) {
    if (!spec.has_split()) return absl::OkStatus();
    return Annotate(CheckSplit(dataset.records(), spec.split()), dataset.path());
  };
  if (spec.name().empty()) {
    ASSIGN_OR_RETURN(Registration registration, Register("", spec, space));
    RETURN_IF_ERROR(check_split(registration.dataset));
    return std::move(registration.dataset);
  }
  absl::StatusOr<v1::Dataset> dataset = Find(spec.name(), scope, space);
  if (!dataset.ok()) return Annotate(dataset.status(), "dataset.name");
  v1::DatasetSpec absolute = spec;
  if (!spec.labels().empty()) absolute.set_labels(Absolute(spec.labels()));
  if (!spec.text().tokenizer().bpe().path().empty()) {
    auto* bpe = absolute.mutable_text()->mutable_tokenizer()->mutable_bpe();
    bpe->set_path(Absolute(bpe->path()));
  }
  RETURN_IF_ERROR(CheckCompatible(absolute, *dataset));
  RETURN_IF_ERROR(VerifyContent(*dataset).status());
  RETURN_IF_ERROR(check_split(*dataset));
  return dataset;
}

absl::StatusOr<std::unique_ptr<ShardReader>> DatasetRegistry::OpenShard(const std::string& reference,
                                                                        int file, int64_t shard,
                                                                        int64_t shards) {
  ASSIGN_OR_RETURN(const v1::Dataset dataset, Find(reference));
  const std::vector<std::string> paths = FilesOf(dataset);
  if (file < 0 || static_cast<size_t>(file) >= paths.size()) {
    return absl::InvalidArgumentError(absl::StrCat("file: dataset ", reference, " has ", paths.size(),
                                                   " file(s), counted from 0; got ", file));
  }
  ASSIGN_OR_RETURN(const std::vector<FileIdentity> files, VerifyContent(dataset));
  const FileIdentity& identity = files[static_cast<size_t>(file)];
  ASSIGN_OR_RETURN(const ShardReader::Range range, ShardReader::RangeOf(identity.bytes, shard, shards));
  return ShardReader::Open(paths[static_cast<size_t>(file)], identity, range);
}

int64_t DatasetRegistry::reads() const {
  absl::MutexLock lock(&mutex_);
  return reads_;
}

}  // namespace lockstep
