#include "common/data/csv_scanner.h"

#include <algorithm>
#include <cstring>

namespace lockstep {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

}  // namespace

CsvScanner::CsvScanner(std::string_view text, uint64_t begin) : text_(text), at_(begin) {
  if (begin == 0 && text.substr(0, 3) == "\xEF\xBB\xBF") at_ = 3;
}

bool CsvScanner::Next() {
  cells_.clear();
  unescaped_.clear();
  while (at_ < text_.size() && (text_[at_] == '\n' || text_.substr(at_, 2) == "\r\n")) {
    at_ += text_[at_] == '\n' ? 1 : 2;
  }
  record_begin_ = at_;
  if (at_ >= text_.size() || !problem_.empty()) return false;
  while (true) {
    if (at_ < text_.size() && text_[at_] == '"') {
      if (!ReadQuoted()) return false;
    } else {
      ReadPlain();
    }
    if (at_ == text_.size()) return true;
    if (text_[at_++] == '\n') return true;  // else a comma: another cell follows, perhaps an empty one
  }
}

// Leaves at_ on the comma or line feed that ends the cell, or at the end of the text.
void CsvScanner::ReadPlain() {
  const char* const data = text_.data();
  const size_t size = text_.size();
  size_t begin = at_;
  while (at_ < size && data[at_] != ',' && data[at_] != '\n') ++at_;
  size_t end = at_;
  if (end > begin && data[end - 1] == '\r' && (at_ == size || data[at_] == '\n')) --end;
  while (begin < end && IsBlank(data[begin])) ++begin;
  while (begin < end && IsBlank(data[end - 1])) --end;
  cells_.push_back({text_.substr(begin, end - begin), false});
}

bool CsvScanner::ReadQuoted() {
  size_t begin = ++at_;
  std::string* copy = nullptr;
  while (true) {
    const void* quote =
        at_ < text_.size() ? std::memchr(text_.data() + at_, '"', text_.size() - at_) : nullptr;
    if (quote == nullptr) {
      problem_ = "a quoted cell is never closed; is a quote missing or not doubled?";
      return false;
    }
    at_ = static_cast<size_t>(static_cast<const char*>(quote) - text_.data());
    if (at_ + 1 >= text_.size() || text_[at_ + 1] != '"') break;
    if (copy == nullptr) copy = &unescaped_.emplace_back();
    copy->append(text_.substr(begin, at_ + 1 - begin));
    at_ += 2;
    begin = at_;
  }
  std::string_view cell = text_.substr(begin, at_ - begin);
  if (copy != nullptr) cell = copy->append(cell);
  ++at_;
  while (at_ < text_.size() && IsBlank(text_[at_])) ++at_;
  if (at_ < text_.size() && text_[at_] == '\r' && (at_ + 1 == text_.size() || text_[at_ + 1] == '\n')) ++at_;
  if (at_ < text_.size() && text_[at_] != ',' && text_[at_] != '\n') {
    problem_ = "text follows a closing quote; a quote inside a quoted cell is written twice";
    return false;
  }
  cells_.push_back({cell, true});
  return true;
}

int64_t LineOf(std::string_view text, uint64_t offset) {
  const std::string_view before = text.substr(0, offset);
  return 1 + std::count(before.begin(), before.end(), '\n');
}

}  // namespace lockstep
