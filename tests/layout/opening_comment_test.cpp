// Every source file begins with a comment.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace lora_dist::opening_comment_test {
namespace {

namespace fs = std::filesystem;

TEST(OpeningComment, EverySourceFileHasOne) {
  const fs::path root = LORA_DIST_SOURCE_DIR;
  int files = 0;
  for (const char* folder : {"src", "kernels", "tests", "benchmarks"}) {
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      if (extension != ".h" && extension != ".cpp" && extension != ".cu") {
        continue;
      }
      std::string line;
      std::getline(std::ifstream(entry.path()), line);
      EXPECT_TRUE(line.starts_with("// ")) << fs::relative(entry.path(), root) << " starts with: " << line;
      EXPECT_GT(line.size(), 12U) << fs::relative(entry.path(), root) << " says too little: " << line;
      ++files;
    }
  }
  EXPECT_GT(files, 200);  // files were found
}

}  // namespace
}  // namespace lora_dist::opening_comment_test
