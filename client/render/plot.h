// Curves in the terminal: axes, legend, and points at eight per character cell (Unicode braille), or one per
// cell in ASCII. A pure function.
#pragma once

#include <string>
#include <vector>

#include "client/render/text.h"

namespace lockstep {

struct Series {
  std::string name;
  std::vector<std::pair<double, double>>
      points;  // (x, y) by rising x; those that are not finite are left out
};

struct PlotOptions {
  Style style;
  int height = 16;           // rows of the drawing area
  std::string x_label;       // below the axis
  bool logarithmic = false;  // y; points at or below 0 are left out
};

// "" if no series has a point to draw.
std::string PlotText(const std::vector<Series>& series, const PlotOptions& options);

}  // namespace lockstep
