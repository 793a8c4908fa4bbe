#include "common/checkpoint/checkpoint_parts.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "common/checkpoint/durable_file.h"
#include "common/checkpoint/folder_write.h"

namespace lockstep {
namespace {

constexpr int64_t kMaxNoteBytes = 4096;
constexpr char kFailed[] = "failed: ";

std::string TemporaryOf(const CheckpointPlace& place) {
  return absl::StrCat(place.directory, "/", kTemporaryPrefix, StepName(place.step), "-", place.attempt);
}

std::string NoteOf(int index, int count) {
  return absl::StrCat(".", OptimizerFileName(index, count), ".done");
}

// Appears whole or not at all.
absl::Status WriteNote(const std::string& folder, const std::string& name, const std::string& text) {
  const std::string draft = absl::StrCat(name, ".new");
  RETURN_IF_ERROR(WriteText(folder, draft, text, nullptr).status());
  RETURN_IF_ERROR(Rename(absl::StrCat(folder, "/", draft), absl::StrCat(folder, "/", name)));
  return SyncDirectory(folder);
}

absl::StatusOr<ManifestFile> ParseNote(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> fields =
      absl::StrSplit(absl::StripSuffix(text, "\n"), absl::MaxSplits(' ', 1));
  ManifestFile file;
  if (!absl::SimpleAtoi(fields.first, &file.bytes) || !absl::SimpleHexAtoi(fields.second, &file.xxh3)) {
    return absl::DataLossError(absl::StrCat("its note says '", text, "', expected bytes and checksum"));
  }
  return file;
}

}  // namespace

absl::Status WriteCheckpointPart(const CheckpointPlace& place, int index, int count,
                                 const std::vector<TensorView>& tensors) {
  const std::string folder = TemporaryOf(place), name = OptimizerFileName(index, count);
  RETURN_IF_ERROR(MakeDirectories(folder));
  StoredManifest stored;
  absl::Status status = WriteTensors(folder, name, tensors, &stored, nullptr);
  if (status.ok()) {
    const ManifestFile& file = stored.files[name];
    status = WriteNote(folder, NoteOf(index, count), absl::StrFormat("%d %016x\n", file.bytes, file.xxh3));
  }
  if (!status.ok()) {
    RemoveTree(absl::StrCat(folder, "/", name)).IgnoreError();  // a full disk has room for the note then
    WriteNote(folder, NoteOf(index, count),
              absl::StrCat(kFailed, status.message().substr(0, kMaxNoteBytes - sizeof kFailed)))
        .IgnoreError();
  }
  return status;
}

LeadCheckpoint::LeadCheckpoint(const CheckpointPlace& place)
    : path_(absl::StrCat(place.directory, "/", StepName(place.step))), temporary_(TemporaryOf(place)) {}

absl::StatusOr<LeadCheckpoint> LeadCheckpoint::Write(const CheckpointPlace& place,
                                                     const CheckpointContent& content, int parts) {
  if (place.step < 0 || parts < 0 || (parts == 0 && !content.optimizer.empty())) {
    return absl::InvalidArgumentError(absl::StrCat("step ", place.step, ", ", parts, " parts"));
  }
  LeadCheckpoint lead(place);
  lead.parts_ = parts;
  for (int part = content.optimizer.empty() ? 0 : 1; part < parts; ++part) lead.awaited_.insert(part);
  lead.stored_.content = content.manifest;
  lead.stored_.written_at_unix_nanos = absl::GetCurrentTimeNanos();
  const auto write = [&]() -> absl::Status {
    RETURN_IF_ERROR(CheckFileNames(content.files));
    RETURN_IF_ERROR(MakeDirectories(lead.temporary_));
    RETURN_IF_ERROR(WriteTensors(lead.temporary_, kModelName, content.model, &lead.stored_, nullptr));
    if (!content.optimizer.empty()) {
      RETURN_IF_ERROR(WriteTensors(lead.temporary_, OptimizerFileName(0, parts), content.optimizer,
                                   &lead.stored_, nullptr));
    }
    for (const auto& [name, text] : content.files) {
      RETURN_IF_ERROR(WriteText(lead.temporary_, name, text, &lead.stored_).status());
    }
    return absl::OkStatus();
  };
  if (absl::Status status = write(); !status.ok()) {
    lead.Abandon();
    return Annotate(status, absl::StrCat("cannot write ", lead.path_, " (what was there is untouched)"));
  }
  return lead;
}

absl::StatusOr<int> LeadCheckpoint::Missing() {
  for (auto part = awaited_.begin(); part != awaited_.end();) {
    const std::string name = OptimizerFileName(*part, parts_);
    const std::string note = absl::StrCat(temporary_, "/", NoteOf(*part, parts_));
    absl::StatusOr<std::string> text = ReadSmallFile(note, kMaxNoteBytes);
    if (absl::IsNotFound(text.status())) {
      ++part;
      continue;
    }
    RETURN_IF_ERROR(text.status());
    if (absl::string_view cause = *text; absl::ConsumePrefix(&cause, kFailed)) {
      return absl::AbortedError(absl::StrCat(name, " could not be written by its rank: ", cause));
    }
    ASSIGN_OR_RETURN(const ManifestFile file, ParseNote(*text));
    ASSIGN_OR_RETURN(const RegularFile opened, RegularFile::Open(absl::StrCat(temporary_, "/", name)));
    if (opened.size() != file.bytes) {
      return absl::DataLossError(absl::StrCat(name, " has ", opened.size(), " bytes, its rank wrote ",
                                              file.bytes, ": do all nodes see the same storage?"));
    }
    stored_.files[name] = file;
    part = awaited_.erase(part);
  }
  return static_cast<int>(awaited_.size());
}

absl::StatusOr<CheckpointInfo> LeadCheckpoint::Commit() {
  const auto commit = [&]() -> absl::StatusOr<CheckpointInfo> {
    for (int part = 0; part < parts_; ++part) {
      RETURN_IF_ERROR(RemoveTree(absl::StrCat(temporary_, "/", NoteOf(part, parts_))));
    }
    ASSIGN_OR_RETURN(CheckpointInfo info, WriteManifest(temporary_, stored_));
    RETURN_IF_ERROR(ReplaceDirectory(temporary_, path_));
    info.path = path_;
    return info;
  };
  absl::StatusOr<CheckpointInfo> info = commit();
  if (info.ok()) return info;
  Abandon();
  return Annotate(info.status(), absl::StrCat("cannot write ", path_, " (what was there is untouched)"));
}

void LeadCheckpoint::Abandon() { RemoveTree(temporary_).IgnoreError(); }

}  // namespace lockstep
