#include "client/render/plot.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace lockstep {
namespace {

constexpr const char* kColors[] = {"36", "33", "35", "32"};
constexpr char kMarks[] = {'*', 'o', '+', 'x'};

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void Add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  // A constant gets some room on both sides, so that it has a place.
  void Widen() {
    if (high > low) return;
    const double room = low == 0 ? 1 : std::abs(low) * 0.1;
    low -= room;
    high += room;
  }
  double Place(double value) const { return (value - low) / (high - low); }
};

// Cells of the drawing area; each cell has `kDotsX` x `kDotsY` dots in braille and one in ASCII, and the
// color of the series that touched it last.
class Canvas {
 public:
  Canvas(int columns, int rows, bool unicode)
      : columns_(columns),
        rows_(rows),
        dots_x_(unicode ? 2 : 1),
        dots_y_(unicode ? 4 : 1),
        unicode_(unicode),
        dots_(static_cast<size_t>(columns * rows), 0),
        owner_(dots_.size(), -1) {}

  int width() const { return columns_ * dots_x_; }
  int height() const { return rows_ * dots_y_; }

  // (0, 0) is at the lower left.
  void Dot(int x, int y, int series) {
    if (x < 0 || y < 0 || x >= width() || y >= height()) return;
    const int from_top = height() - 1 - y;
    const auto cell = static_cast<size_t>(from_top / dots_y_ * columns_ + x / dots_x_);
    constexpr int kBraille[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    dots_[cell] |= unicode_ ? kBraille[from_top % 4][x % 2] : 1;
    owner_[cell] = series;
  }

  void Line(int x0, int y0, int x1, int y1, int series) {
    const int steps = std::max({std::abs(x1 - x0), std::abs(y1 - y0), 1});
    for (int i = 0; i <= steps; ++i) {
      Dot(x0 + static_cast<int>(std::lround(static_cast<double>(x1 - x0) * i / steps)),
          y0 + static_cast<int>(std::lround(static_cast<double>(y1 - y0) * i / steps)), series);
    }
  }

  std::string Row(int row, const Style& style) const {
    std::string out;
    for (int column = 0; column < columns_; ++column) {
      const auto cell = static_cast<size_t>(row * columns_ + column);
      if (dots_[cell] == 0) {
        out += ' ';
        continue;
      }
      const auto owner = static_cast<size_t>(owner_[cell]) % std::size(kColors);
      std::string mark(1, kMarks[owner]);
      if (unicode_ &&
          (style.color || owner == 0)) {  // U+2800 + dots; without color a letter tells the others apart
        mark = {static_cast<char>(0xE2), static_cast<char>(0xA0 | dots_[cell] >> 6),
                static_cast<char>(0x80 | (dots_[cell] & 0x3F))};
      }
      out += style.Paint(kColors[owner], mark);
    }
    out.erase(out.find_last_not_of(' ') + 1);
    return out;
  }

 private:
  const int columns_, rows_, dots_x_, dots_y_;
  const bool unicode_;
  std::vector<int> dots_;
  std::vector<int> owner_;
};

void Draw(const std::vector<std::pair<double, double>>& points, const Range& xs, const Range& ys, int series,
          Canvas* canvas) {
  bool has_previous = false;
  int previous_x = 0, previous_y = 0;
  for (const auto& [x, y] : points) {
    const int at_x = static_cast<int>(std::lround(xs.Place(x) * (canvas->width() - 1)));
    const int at_y = static_cast<int>(std::lround(ys.Place(y) * (canvas->height() - 1)));
    canvas->Line(has_previous ? previous_x : at_x, has_previous ? previous_y : at_y, at_x, at_y, series);
    previous_x = at_x;
    previous_y = at_y;
    has_previous = true;
  }
}

std::string Legend(const std::vector<Series>& series, const Style& style, size_t indent) {
  std::string line(indent, ' ');
  for (size_t i = 0; i < series.size(); ++i) {
    if (series[i].points.empty()) continue;
    const auto owner = i % std::size(kColors);
    const bool braille = style.unicode && (style.color || owner == 0);
    const std::string mark = braille ? "⠤⠤" : std::string(2, kMarks[owner]);
    absl::StrAppend(&line, style.Paint(kColors[owner], mark), " ", series[i].name, " (last ",
                    NumberText(series[i].points.back().second), ")   ");
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

}  // namespace

std::string PlotText(const std::vector<Series>& series, const PlotOptions& options) {
  std::vector<Series> finite = series;  // what can be drawn, in the drawing's y
  Range xs, ys;
  for (auto& one : finite) {
    std::vector<std::pair<double, double>> points;
    for (const auto& [x, y] : one.points) {
      if (!std::isfinite(x) || !std::isfinite(y) || (options.logarithmic && y <= 0)) continue;
      points.emplace_back(x, y);
      xs.Add(x);
      ys.Add(options.logarithmic ? std::log10(y) : y);
    }
    one.points = std::move(points);
  }
  if (!(xs.low <= xs.high)) return "";
  xs.Widen();
  ys.Widen();

  const int rows = std::max(options.height, 3);
  const bool unicode = options.style.unicode;
  auto label = [&](int row) {  // of the row's middle
    const double y = ys.high - (ys.high - ys.low) * row / (rows - 1);
    return NumberText(options.logarithmic ? std::pow(10.0, y) : y);
  };
  const auto has_label = [&](int row) { return row % 5 == 0 || row == rows - 1; };
  size_t label_width = 0;
  for (int row = 0; row < rows; ++row) {
    if (has_label(row)) label_width = std::max(label_width, label(row).size());
  }
  const int columns = std::max(options.style.width - static_cast<int>(label_width) - 3, 20);

  Canvas canvas(columns, rows, unicode);
  for (size_t i = 0; i < finite.size(); ++i) {
    auto points = finite[i].points;
    if (options.logarithmic) {
      for (auto& point : points) point.second = std::log10(point.second);
    }
    Draw(points, xs, ys, static_cast<int>(i), &canvas);
  }

  std::string out = Legend(finite, options.style, label_width + 2);
  for (int row = 0; row < rows; ++row) {
    const std::string text = has_label(row) ? label(row) : "";
    absl::StrAppend(&out, std::string(label_width - text.size(), ' '), text,
                    has_label(row) ? (unicode ? " ┤" : " +") : (unicode ? " │" : " |"),
                    canvas.Row(row, options.style), "\n");
  }
  absl::StrAppend(&out, std::string(label_width + 1, ' '), unicode ? "└" : "+");
  for (int i = 0; i < columns; ++i) out += unicode ? "─" : "-";
  const std::string left = NumberText(xs.low), right = NumberText(xs.high);
  const int free = columns - static_cast<int>(left.size() + right.size() + options.x_label.size());
  const auto before = static_cast<size_t>(std::max(free / 2, 1));
  const auto after = static_cast<size_t>(std::max(free - free / 2, 1));
  absl::StrAppend(&out, "\n", std::string(label_width + 2, ' '), left, std::string(before, ' '),
                  options.x_label, std::string(after, ' '), right, "\n");
  return out;
}

}  // namespace lockstep
