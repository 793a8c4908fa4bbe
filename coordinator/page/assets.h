// The live page's files, which the build put into the program: the page needs no folder and no internet.
#pragma once

#include <span>
#include <string_view>

namespace lockstep {

struct PageAsset {
  std::string_view path;    // "/chart.js"; "/" is index.html
  std::string_view type;    // for Content-Type
  std::string_view digest;  // of the bytes, hex
  std::string_view bytes;
};

std::span<const PageAsset> PageAssets();

}  // namespace lockstep
