// TensorBoard's event files, as far as we write them: TFRecord framing around Event messages. Formats:
// tensorflow/core/lib/io/record_writer.h, core/util/event.proto and core/framework/summary.proto. The bytes
// are a function of the arguments alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "lockstep/v1/jobs.pb.h"

namespace lockstep {

// CRC-32C (Castagnoli), as TFRecord masks it.
uint32_t MaskedCrc32c(std::string_view data);

// length (8, little-endian), its crc (4), data, their crc (4).
std::string TfRecord(std::string_view data);

std::string FileVersionEvent(absl::Time time);  // the first of a file
std::string TextEvent(absl::Time time, int64_t step, const std::string& tag, const std::string& markdown);
// One scalar for each value, in the order of their names.
std::string ScalarsEvent(absl::Time time, int64_t step,
                         const google::protobuf::Map<std::string, double>& values);

}  // namespace lockstep
