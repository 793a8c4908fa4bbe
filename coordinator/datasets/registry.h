// The datasets the coordinator knows. Registering reads a file once, whole, and gives its content a version
// under a name; a version's content and schema never change, and a job pins one.
//
//   same content and schema under the name    the existing version (its path becomes the one just read)
//   anything else                             the next version
//
// Reading is remembered by what stat() says of the files and by the fields of the spec that decide the
// schema, so that submitting many jobs on one unchanged file reads it once.
//
// Load once, then use. Thread-safe; Register, Resolve and OpenShard may read files and block for that long,
// the others do not block.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "coordinator/datasets/file_identity.h"
#include "coordinator/datasets/shard_reader.h"
#include "coordinator/namespaces/scope.h"
#include "lockstep/v1/datasets.pb.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep {

// Where versions are kept. SaveDataset returns when it is on disk; (name, version) is the key, and saving it
// again replaces it.
class DatasetStore {
 public:
  virtual ~DatasetStore() = default;
  virtual absl::StatusOr<std::vector<v1::Dataset>> LoadDatasets() = 0;
  virtual absl::Status SaveDataset(const v1::Dataset& dataset) = 0;
};

struct Registration {
  v1::Dataset dataset;
  bool created = false;  // false: this content was already registered
};

class DatasetRegistry {
 public:
  // Both outlive the registry.
  DatasetRegistry(DatasetStore* store, Clock* clock) : store_(store), clock_(clock) {}

  // Takes in what the store holds. Call once, before anything else.
  absl::Status Load();

  // An empty name means the file's stem; `space`: the namespace that it is a name of. Errors as
  // InspectDataset, and INVALID_ARGUMENT for the name.
  absl::StatusOr<Registration> Register(const std::string& name, const v1::DatasetSpec& spec,
                                        const std::string& space = kDefaultNamespace);

  // "name" (newest version) or "name@version", both also after "NAMESPACE/". NOT_FOUND lists the nearest
  // names of that namespace or the versions; what `scope` does not see is not there.
  absl::StatusOr<v1::Dataset> Find(const std::string& reference, const Scope& scope = {}) const {
    return Find(reference, scope, scope.Meant());
  }

  // By name, then version.
  std::vector<v1::Dataset> List() const;

  // The version a job runs on: the registered one that spec.name means, or spec.path registered under its
  // stem. INVALID_ARGUMENT: the spec asks for another label, task, format or column type than was registered,
  // or its split leaves a part empty. DATA_LOSS: the registered file has changed. Otherwise errors as Find
  // and Register. `space`: the job's namespace, `scope`: what its submitter sees.
  absl::StatusOr<v1::Dataset> Resolve(const v1::DatasetSpec& spec,
                                      const std::string& space = kDefaultNamespace, const Scope& scope = {});

  // Opens shard `shard` of `shards` of a file (numbered as FilesOf). NOT_FOUND, INVALID_ARGUMENT; DATA_LOSS:
  // the file has changed since it was registered.
  absl::StatusOr<std::unique_ptr<ShardReader>> OpenShard(const std::string& reference, int file,
                                                         int64_t shard, int64_t shards);

  // How often files were read whole; for tests and metrics.
  int64_t reads() const;

 private:
  absl::StatusOr<v1::Dataset> Find(const std::string& reference, const Scope& scope,
                                   const std::string& meant) const;

  using Key = std::pair<std::string, int32_t>;  // name, version

  absl::StatusOr<Registration> Insert(v1::Dataset inspected) ABSL_EXCLUSIVE_LOCKS_REQUIRED(insert_mutex_);
  absl::StatusOr<std::vector<FileIdentity>> VerifyContent(const v1::Dataset& dataset);
  void Remember(const std::vector<FileIdentity>& files, const std::string& cache_key, const Key& version,
                const std::string& fingerprint);

  DatasetStore* const store_;
  Clock* const clock_;

  absl::Mutex insert_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);  // one decision about versions at a time
  mutable absl::Mutex mutex_;
  std::map<Key, v1::Dataset> datasets_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, Key> version_of_ ABSL_GUARDED_BY(mutex_);  // by name, files, schema
  absl::flat_hash_map<std::string, std::string> fingerprint_of_ ABSL_GUARDED_BY(mutex_);  // by files
  absl::flat_hash_set<std::string> being_read_ ABSL_GUARDED_BY(mutex_);  // keys of version_of_
  int64_t reads_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace lockstep
