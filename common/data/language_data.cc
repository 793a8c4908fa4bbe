#include "common/data/language_data.h"

#include <algorithm>
#include <utility>

#include "common/numerics/permutation.h"
#include "common/numerics/philox.h"
#include "common/numerics/sample_digest.h"
#include "common/spec/text_spec.h"
#include "common/text/byte_pair_training.h"
#include "common/text/character_tokenizer.h"
#include "common/text/utf8.h"
#include "nlohmann/json.hpp"

namespace lockstep {
namespace {

using Sizes = std::array<int64_t, kParts>;

int64_t Windows(int64_t tokens, int64_t length, Part part) {
  if (tokens <= length) return 0;
  return part == Part::kTrain ? std::max<int64_t>(1, tokens / length - 1) : (tokens - 1) / length;
}

// Where the training part of `epoch` is cut.
int64_t CutOf(uint64_t seed, int64_t epoch, int64_t length) {
  const uint64_t purpose = uint64_t{static_cast<uint32_t>(RandomPurpose::kCut)} << 32;
  const PhiloxBlock block = Philox(seed, purpose, static_cast<uint64_t>(epoch));
  return static_cast<int64_t>((uint64_t{block.value[0]} * static_cast<uint64_t>(length)) >> 32);
}

absl::Status TooShort(Part part, int64_t have, const char* what, int64_t length) {
  return absl::InvalidArgumentError(
      absl::StrCat("the ", PartName(part), " part has ", have, " ", what,
                   ", but a sample of dataset.text.sequence_length ", length, " takes ", length + 1,
                   " (its targets are moved by one); lower the length, raise dataset.split.", PartName(part),
                   ", or add text"));
}

absl::StatusOr<std::unique_ptr<Tokenizer>> MakeTokenizer(const v1::Dataset& dataset,
                                                         const v1::TokenizerSpec& spec,
                                                         std::string_view training) {
  if (dataset.tokenizer_files_size() == 2) {
    return BytePairTokenizer::Load(dataset.tokenizer_files(0), dataset.tokenizer_files(1));
  }
  if (spec.has_bpe()) {
    absl::StatusOr<std::unique_ptr<BytePairTokenizer>> trained =
        TrainBytePairs(training, spec.bpe().vocabulary());
    if (!trained.ok()) return Annotate(trained.status(), "dataset.text.tokenizer.bpe");
    return trained;
  }
  return CharacterTokenizer::Fit(training);
}

absl::Status CheckTokens(const TokenShard& shard, const std::string& path, int32_t bound,
                         const std::string& whose) {
  const int64_t outside = shard.FirstOutside(bound);
  if (outside < 0) return absl::OkStatus();
  int32_t token = 0;
  shard.Copy(outside, 1, &token);
  return absl::InvalidArgumentError(absl::StrCat(
      "token ", outside + 1, " of ", shard.size(), " in ", path, " (byte ",
      kTokenShardHeaderBytes + static_cast<size_t>(outside) * sizeof(uint16_t), ") is ", token, ", but ",
      whose, " has the ids 0 .. ", bound - 1, "; was the shard written with another tokenizer?"));
}

}  // namespace

absl::Status CheckTokenFiles(const v1::Dataset& dataset, int32_t bound, const std::string& whose) {
  for (const std::string& path : dataset.files()) {
    const auto file = FileBytes::Open(path);
    if (!file.ok()) return file.status();
    const auto shard = TokenShard::Parse(file->content());
    if (!shard.ok()) return Annotate(shard.status(), path);
    RETURN_IF_ERROR(CheckTokens(*shard, path, bound, whose));
  }
  return absl::OkStatus();
}

absl::Status CheckWindows(const v1::Dataset& dataset, const v1::JobSpec& spec) {
  const bool text = dataset.format() == v1::DATASET_FORMAT_TEXT;
  // Of a text cut into byte pairs, only the tokenizer knows how many tokens it has.
  if (text && (dataset.tokenizer_files_size() > 0 || spec.dataset().text().tokenizer().has_bpe())) {
    return absl::OkStatus();
  }
  const Sizes sizes = PartSizes(dataset.records(), spec.dataset().split());
  const int64_t length = spec.dataset().text().sequence_length();
  for (int p = 0; p < kParts; ++p) {
    const Part part = static_cast<Part>(p);
    const int64_t size = sizes[static_cast<size_t>(p)];
    if (size == 0 || Windows(size, length, part) > 0) continue;
    return Annotate(TooShort(part, size, text ? "characters" : "tokens", length), dataset.path());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<LanguageData>> LanguageData::Prepare(const v1::Dataset& dataset,
                                                                    const v1::JobSpec& spec) {
  auto self = std::unique_ptr<LanguageData>(new LanguageData());
  self->seed_ = spec.has_seed() ? spec.seed() : 1;
  self->sequence_length_ = spec.dataset().text().sequence_length();
  if (self->sequence_length_ < 1) self->sequence_length_ = ContextOf(spec.model());
  if (self->sequence_length_ < 1) {
    return absl::InvalidArgumentError(
        "dataset.text.sequence_length: expected the number of tokens of a sample");
  }
  const std::vector<std::string> tokenizer(dataset.tokenizer_files().begin(),
                                           dataset.tokenizer_files().end());
  std::vector<std::string> data(dataset.files().begin(), dataset.files().end());
  ASSIGN_OR_RETURN(self->source_, LoadLanguage(dataset.format(), data, tokenizer));
  RETURN_IF_ERROR(CheckSplit(self->source_.records, spec.dataset().split()));
  const Sizes sizes = PartSizes(self->source_.records, spec.dataset().split());
  const absl::Status taken = dataset.format() == v1::DATASET_FORMAT_TEXT
                                 ? self->EncodeText(dataset, spec, sizes)
                                 : self->TakeShards(dataset, spec, sizes);
  if (!taken.ok()) return Annotate(taken, dataset.path());
  if (const absl::Status cut = self->CutWindows(); !cut.ok()) return Annotate(cut, dataset.path());
  return self;
}

absl::Status LanguageData::EncodeText(const v1::Dataset& dataset, const v1::JobSpec& spec,
                                      const Sizes& sizes) {
  std::array<std::string_view, kParts> texts;
  size_t at = 0;
  for (size_t p = 0; p < kParts; ++p) {
    const size_t begin = at;
    for (int64_t i = 0; i < sizes[p]; ++i) at += DecodeUtf8(source_.text, at).bytes;
    texts[p] = source_.text.substr(begin, at - begin);
  }
  ASSIGN_OR_RETURN(tokenizer_, MakeTokenizer(dataset, spec.dataset().text().tokenizer(), texts[0]));
  vocabulary_ = tokenizer_->vocabulary();
  const int32_t fixed = FixedVocabulary(spec.model());
  if (fixed > 0 && fixed < vocabulary_) {
    return absl::InvalidArgumentError(absl::StrCat("the model's vocabulary (", fixed,
                                                   ") is smaller than the ", vocabulary_,
                                                   " tokens of its tokenizer; leave it out, or raise it"));
  }
  for (size_t p = 0; p < kParts; ++p) {
    RETURN_IF_ERROR(tokenizer_->Encode(texts[p], &parts_[p].tokens));
    parts_[p].size = static_cast<int64_t>(parts_[p].tokens.size());
  }
  // The text has served its purpose.
  source_.text = {};
  source_.joined.reset();
  source_.files.clear();
  return absl::OkStatus();
}

absl::Status LanguageData::TakeShards(const v1::Dataset& dataset, const v1::JobSpec& spec,
                                      const Sizes& sizes) {
  const auto largest = static_cast<int32_t>(dataset.columns(0).maximum());
  vocabulary_ = largest + 1;
  int32_t bound = FixedVocabulary(spec.model());
  std::string whose = "the model's vocabulary";
  if (dataset.tokenizer_files_size() == 2) {
    ASSIGN_OR_RETURN(tokenizer_, MakeTokenizer(dataset, {}, ""));
    vocabulary_ = tokenizer_->vocabulary();
    if (bound == 0 || vocabulary_ < bound) {
      bound = vocabulary_;
      whose = "the tokenizer";
    }
  }
  int64_t begin = 0;
  for (size_t s = 0; s < source_.shards.size(); ++s) {
    const TokenShard& shard = source_.shards[s];
    shard_begins_.push_back(begin);
    begin += shard.size();
    if (bound > 0 && largest >= bound) {
      RETURN_IF_ERROR(CheckTokens(shard, source_.paths[s], bound, whose));
    }
  }
  shard_begins_.push_back(begin);
  int64_t first = 0;
  for (size_t p = 0; p < kParts; ++p) {
    parts_[p].first = first;
    parts_[p].size = sizes[p];
    first += sizes[p];
  }
  return absl::OkStatus();
}

absl::Status LanguageData::CutWindows() {
  for (int p = 0; p < kParts; ++p) {
    Stretch& stretch = parts_[static_cast<size_t>(p)];
    if (stretch.size == 0) continue;  // left out on purpose: CheckSplit
    stretch.windows = Windows(stretch.size, sequence_length_, static_cast<Part>(p));
    if (stretch.windows == 0) return TooShort(static_cast<Part>(p), stretch.size, "tokens", sequence_length_);
  }
  return absl::OkStatus();
}

int64_t LanguageData::WindowAt(Part part, int64_t epoch, int64_t position) const {
  if (part != Part::kTrain) return position;
  return Permutation(seed_, static_cast<uint64_t>(epoch), stretch(part).windows).At(position);
}

int64_t LanguageData::Begin(Part part, int64_t epoch, int64_t window) const {
  const int64_t length = sequence_length_;
  // With the least length of training, no cut has room.
  const bool cut = part == Part::kTrain && stretch(part).size / length >= 2;
  return (cut ? CutOf(seed_, epoch, length) : 0) + window * length;
}

void LanguageData::Copy(const Stretch& from, int64_t at, int64_t count, int32_t* out) const {
  if (source_.shards.empty()) {
    std::copy_n(from.tokens.data() + at, count, out);
    return;
  }
  at += from.first;
  auto shard = static_cast<size_t>(std::upper_bound(shard_begins_.begin(), shard_begins_.end(), at) -
                                   shard_begins_.begin() - 1);
  while (count > 0) {
    const int64_t some = std::min(count, shard_begins_[shard + 1] - at);
    source_.shards[shard].Copy(at - shard_begins_[shard], some, out);
    at += some;
    out += some;
    count -= some;
    ++shard;
  }
}

uint64_t LanguageData::FetchTokens(Part part, int64_t epoch, int64_t first, int64_t count, int32_t* tokens,
                                   int32_t* targets) const {
  const int64_t length = sequence_length_;
  uint64_t digest = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t window = WindowAt(part, epoch, first + i);
    digest += SampleShare(window);
    const int64_t at = Begin(part, epoch, window);
    Copy(stretch(part), at, length, tokens + i * length);
    if (targets == nullptr) continue;
    std::copy_n(tokens + i * length + 1, length - 1, targets + i * length);
    Copy(stretch(part), at + length, 1, targets + (i + 1) * length - 1);
  }
  return digest;
}

void LanguageData::DescribeTo(nlohmann::ordered_json* json) const {
  (*json)["sequence_length"] = sequence_length_;
  (*json)["vocabulary"] = vocabulary_;
  if (tokenizer_ != nullptr) (*json)["tokenizer"] = tokenizer_->ToJson();
}

}  // namespace lockstep
