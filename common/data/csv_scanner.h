// Cuts CSV text (RFC 4180) into records and cells in one pass, without copying: a cell is a view into the
// text, except where a quoted cell holds doubled quotes. Beyond the RFC: line ends may be LF or CRLF, blank
// lines are skipped, and spaces and tabs around an unquoted cell are dropped. A quoted cell may hold commas
// and line ends.
//
//   CsvScanner scanner(text);
//   while (scanner.Next()) Use(scanner.cells());
//   if (!scanner.problem().empty()) ...
//
// Not thread-safe; the text must outlive it.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

struct CsvCell {
  std::string_view text;
  bool quoted = false;
};

class CsvScanner {
 public:
  // Starts at byte `begin` of `text`, which must be the start of a record; 0 skips a UTF-8 byte order mark.
  explicit CsvScanner(std::string_view text, uint64_t begin = 0);

  // Reads the next record; false at the end of the text or at malformed quotes (problem() tells).
  bool Next();

  // The record just read; valid until the next call of Next.
  const std::vector<CsvCell>& cells() const { return cells_; }
  uint64_t record_begin() const { return record_begin_; }
  uint64_t position() const { return at_; }

  // Empty, or what is wrong with the record that begins at record_begin().
  const std::string& problem() const { return problem_; }

 private:
  bool ReadQuoted();
  void ReadPlain();

  std::string_view text_;
  size_t at_ = 0;
  uint64_t record_begin_ = 0;
  std::vector<CsvCell> cells_;
  std::deque<std::string> unescaped_;
  std::string problem_;
};

// The line (1 = first) on which byte `offset` of `text` lies.
int64_t LineOf(std::string_view text, uint64_t offset);

// Where each record lies, for ranged reading: byte offsets of the records and of the end of the last one.
class RecordIndex {
 public:
  struct Range {
    uint64_t begin = 0;
    uint64_t end = 0;
  };

  void Append(uint64_t begin) { begins_.push_back(begin); }
  void Finish(uint64_t end) { end_ = end; }

  int64_t records() const { return static_cast<int64_t>(begins_.size()); }

  // The bytes of records [first, first + count). REQUIRES: count >= 1, first + count <= records().
  Range Bytes(int64_t first, int64_t count) const {
    const size_t last = static_cast<size_t>(first + count);
    return {begins_[static_cast<size_t>(first)], last < begins_.size() ? begins_[last] : end_};
  }

 private:
  std::vector<uint64_t> begins_;
  uint64_t end_ = 0;
};

}  // namespace lockstep
