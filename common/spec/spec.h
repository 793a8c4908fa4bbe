// Job specs: YAML in, a complete and validated JobSpec out. Errors name file, line, field, what was expected,
// what came and, for an unknown name, the nearest valid one: "digits.yaml:7: train.optimzer: unknown field;
// did you mean 'optimizer'?"
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep {

// Parses `yaml` (named `file` in errors) and then applies `overrides` ("train.epochs=5", the value in YAML)
// in order. Walks the message descriptor, so a new proto field needs no code here. A relative dataset.path,
// dataset.labels, dataset.text.tokenizer.bpe.path or from.path is resolved against `base_directory`. Does not
// fill defaults.
absl::StatusOr<v1::JobSpec> ParseSpec(std::string_view yaml, std::string_view file,
                                      std::string_view base_directory,
                                      const std::vector<std::string>& overrides);

// ParseSpec of a file; base_directory is the file's folder. NOT_FOUND names the path.
absl::StatusOr<v1::JobSpec> ReadSpec(const std::string& path, const std::vector<std::string>& overrides);

// Fills every default that does not need the dataset, and checks ranges and combinations. INVALID_ARGUMENT
// names the field. Idempotent. loss and dataset.task stay unspecified until the dataset is known.
absl::Status CompleteSpec(v1::JobSpec* spec);

// The spec as YAML that ParseSpec reads back to an equal message.
std::string SpecToYaml(const v1::JobSpec& spec);

// 16 hex digits over the fields that decide the weights (not name, workers, priority, checkpoint).
std::string SpecHash(const v1::JobSpec& spec);

// The candidate nearest to `name` by edit distance, or "" if none is near.
std::string Nearest(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace lockstep
