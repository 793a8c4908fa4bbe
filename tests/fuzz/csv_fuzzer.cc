// The CSV reader over any text, with its first column as the label.
#include <cstdint>
#include <string>
#include <string_view>

#include "common/data/csv_table.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  lockstep::CsvScanner header(text);
  lockstep::v1::DatasetSpec spec;
  if (header.Next() && !header.cells().empty()) spec.set_label(std::string(header.cells()[0].text));
  lockstep::Table table;
  if (!lockstep::ParseCsv(text, spec, &table).ok()) return 0;
  FUZZ_CHECK(table.label < table.columns.size());
  FUZZ_CHECK(table.index.records() == table.records);
  for (int64_t row = 0; row < table.records; ++row) {
    const auto bytes = table.index.Bytes(row, 1);
    FUZZ_CHECK(bytes.begin < bytes.end && bytes.end <= size);
  }
  return 0;
}
