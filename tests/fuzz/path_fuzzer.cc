// Any path against a fence around a folder that has links out of it: what is opened lies inside, and what
// Check lets through is what can be opened.
#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "common/paths/path_fence.h"
#include "tests/fuzz/fuzz.h"

namespace {

namespace fs = std::filesystem;

struct Tree {
  Tree() {
    top = fs::canonical(scratch.path()).string();
    for (const char* folder : {"/in", "/in/d", "/out"}) fs::create_directories(top + folder);
    for (const char* file : {"/in/a", "/in/d/b", "/in/%2e", "/in/..\\a", "/out/s"})
      std::ofstream(top + file) << "x";
    fs::create_symlink("../out/s", top + "/in/l");
    fs::create_symlink("../out", top + "/in/o");
    fs::create_symlink("d/b", top + "/in/s");
    fs::create_symlink("/proc/self/root", top + "/in/m");
    const auto made = lockstep::PathFence::Around({top + "/in"}, "--data-root");
    FUZZ_CHECK(made.ok());
    fence = *made;
  }
  ScratchFolder scratch;
  std::string top;
  lockstep::PathFence fence;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Tree tree;
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const std::string& path : {text, tree.top + "/in/" + text, tree.top + text}) {
    const bool allowed = tree.fence.Check("dataset.path", path).ok();
    (void)tree.fence.Check("dataset.path", path, /*pattern=*/true);
    const std::string until_nul = path.c_str();
    const int fd = tree.fence.Open(until_nul, O_PATH);
    FUZZ_CHECK(fd >= 0 || !allowed);
    if (fd < 0) continue;
    std::error_code error;
    const std::string real = fs::read_symlink("/proc/self/fd/" + std::to_string(fd), error).string();
    ::close(fd);
    FUZZ_CHECK(real == tree.top + "/in" || real.rfind(tree.top + "/in/", 0) == 0);
  }
  return 0;
}
