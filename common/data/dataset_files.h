// Which files a dataset is. A table is one file, or two (IDX: pixels, labels). A text or a row of token
// shards may be a folder (its *.txt, *.txt.gz or *.bin files) or a pattern of names ("src/*.cc", as glob(7));
// what it means is settled once, when the dataset is registered, and kept with it. A tokenizer that the spec
// names by its path belongs to the dataset's content: its two files come last.
//
// All who speak of file i of a dataset (the coordinator's shards, a worker's cache) number FilesOf.
#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"
#include "lockstep/v1/datasets.pb.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep {

struct DatasetFiles {
  std::vector<std::string> data;  // in the order of reading: by name, byte by byte
  std::string labels;
  std::vector<std::string> tokenizer;

  std::vector<std::string> All() const;
};

// Looks at names alone. NOT_FOUND: nothing there, or nothing in the folder or of the pattern.
absl::StatusOr<DatasetFiles> FindFiles(const v1::DatasetSpec& spec);

// Of a dataset that was registered.
std::vector<std::string> FilesOf(const v1::Dataset& dataset);
// The same dataset with its files elsewhere. REQUIRES: as many as FilesOf(*dataset).
void SetFiles(const std::vector<std::string>& files, v1::Dataset* dataset);

// TEXT or TOKENS if the spec or, where it does not say, the files mean a language model; else UNSPECIFIED: a
// table. Reads a few bytes of the first file at most. INVALID_ARGUMENT: the spec contradicts itself.
absl::StatusOr<v1::DatasetFormat> LanguageFormat(const v1::DatasetSpec& spec, const DatasetFiles& files);

}  // namespace lockstep
