// Datasets, from bytes to batches: inspect (coordinator, at registration), prepare (trainer, at start), fetch
// rows (trainer, each step). Two kinds: tables (table.h), whose samples are rows of features, and language
// models' data (language_data.h), whose samples are windows of tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/data/split.h"
#include "lockstep/v1/datasets.pb.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep {

class Tokenizer;

// Reads the file(s) of `spec` (path, labels, label, format, columns, task, text.tokenizer.bpe.path) whole and
// describes them: format, fingerprint, records, columns with statistics, task, classes, files. name, version
// and registered_at stay empty. Of a text that is not UTF-8, the error names the file and the byte.
// Every error of content names the row (1 = first data row) and the column. NOT_FOUND / PERMISSION_DENIED for
// the file, INVALID_ARGUMENT for its content.
absl::StatusOr<v1::Dataset> InspectDataset(const v1::DatasetSpec& spec);

// A dataset split and preprocessed for one job: a pure function of (file content, spec, seed), the same on
// every rank. Immutable after Prepare; safe to read from several threads.
class PreparedDataset {
 public:
  // `spec` is complete (CompleteSpec). Checks the fingerprint against `dataset` (DATA_LOSS if it differs).
  // INVALID_ARGUMENT: a part of the split is empty, or a class is missing from training.
  static absl::StatusOr<std::unique_ptr<PreparedDataset>> Prepare(const v1::Dataset& dataset,
                                                                  const v1::JobSpec& spec);
  ~PreparedDataset();

  int features() const;  // after one-hot; language models: sequence_length()
  int outputs()
      const;  // classes, 1 for regression, features() for reconstruction, vocabulary() for language models
  v1::Task task() const;
  const std::vector<std::string>& classes() const;  // empty for regression
  int64_t size(Part part) const;

  // Rows [first, first + count) of `part` into features (count, features()) and, by task, classes (count) or
  // targets (count, 1), for reconstruction (count, features()); the other pointer may be null. Training rows
  // come in the order of `epoch` (a keyed Feistel permutation of (seed, epoch)); the other parts in record
  // order, whatever the epoch. Returns the digest (sample_digest.h) of the rows that were read, by their
  // numbers in the part. REQUIRES: the range lies inside the part.
  uint64_t Fetch(Part part, int64_t epoch, int64_t first, int64_t count, float* features, int32_t* classes,
                 float* targets) const;

  // Language models, in place of Fetch: samples [first, first + count) as tokens (count, sequence_length())
  // and their targets, moved by one (same shape; may be null), of ids below vocabulary(). A sample's number
  // is that of its window. REQUIRES: as Fetch.
  uint64_t FetchTokens(Part part, int64_t epoch, int64_t first, int64_t count, int32_t* tokens,
                       int32_t* targets) const;
  int sequence_length() const;         // 0 for tables
  int vocabulary() const;              // 0 for tables
  const Tokenizer* tokenizer() const;  // null for tables, and for token shards that came without

  // The record number behind position `position` of `epoch`, of a language model the position in its part of
  // the sample's first token; for audits and tests.
  int64_t RecordAt(Part part, int64_t epoch, int64_t position) const;

  // Regression: targets are standardised with the training part's mean and deviation; predictions are brought
  // back with these.
  double target_mean() const;
  double target_scale() const;

  // Everything that was fitted (column order and types, means, scales, categories, class names, target scale)
  // as JSON, for the model folder.
  std::string PreprocessingJson() const;

 private:
  struct Impl;
  explicit PreparedDataset(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep
