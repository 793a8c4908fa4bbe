// A folder of its own for a test, which goes when the test ends, after its fixture.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace lockstep {

class FoldersOfTest : public ::testing::EmptyTestEventListener {
 public:
  static FoldersOfTest& Get() {
    static auto* const folders = [] {
      auto* made = new FoldersOfTest;
      ::testing::UnitTest::GetInstance()->listeners().Append(made);  // who owns it from now on
      return made;
    }();
    return *folders;
  }
  void Add(const std::string& path) { paths_.push_back(path); }
  void OnTestEnd(const ::testing::TestInfo&) override {
    std::error_code ignored;
    for (const std::string& path : std::exchange(paths_, {})) std::filesystem::remove_all(path, ignored);
  }

 private:
  std::vector<std::string> paths_;
};

// REQUIRES: called by a test or its fixture, on the test's own thread.
inline std::string FolderForTest(const std::string& name) {
  std::string path = (std::filesystem::path(::testing::TempDir()) / (name + "-XXXXXX")).string();
  EXPECT_NE(::mkdtemp(path.data()), nullptr) << path;
  FoldersOfTest::Get().Add(path);
  return path;
}

}  // namespace lockstep
