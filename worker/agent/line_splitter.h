// Bytes of a pipe in, whole lines out. A line longer than the limit is cut into several, so that a program
// that never ends its line cannot fill the memory. A '\r' before the end is dropped. Not thread-safe.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lockstep {

class LineSplitter {
 public:
  explicit LineSplitter(size_t limit = 8 << 10) : limit_(limit) {}

  // The lines that `bytes` completes.
  std::vector<std::string> Take(std::string_view bytes) {
    std::vector<std::string> lines;
    while (!bytes.empty()) {
      const size_t newline = bytes.find('\n');
      const size_t length =
          std::min(newline == bytes.npos ? bytes.size() : newline, limit_ - partial_.size());
      partial_.append(bytes.substr(0, length));
      bytes.remove_prefix(length);
      if (!bytes.empty() && bytes.front() == '\n') {
        bytes.remove_prefix(1);
        Finish(&lines);
      } else if (partial_.size() == limit_) {
        Finish(&lines);
      }
    }
    return lines;
  }

  // The last line, if it had no end.
  std::vector<std::string> End() {
    std::vector<std::string> lines;
    if (!partial_.empty()) Finish(&lines);
    return lines;
  }

 private:
  void Finish(std::vector<std::string>* lines) {
    if (!partial_.empty() && partial_.back() == '\r') partial_.pop_back();
    lines->push_back(std::exchange(partial_, {}));
  }

  size_t limit_;
  std::string partial_;
};

}  // namespace lockstep
