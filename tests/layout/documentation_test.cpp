// The documentation names only existing files, and every configuration key.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

namespace lora_dist::documentation_test {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = LORA_DIST_SOURCE_DIR;

std::string read(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// First group of every match.
std::vector<std::string> all_matches(const std::string& text, const std::string& pattern) {
  const std::regex expression(pattern);
  std::vector<std::string> found;
  for (std::sregex_iterator match(text.begin(), text.end(), expression), end; match != end; ++match) {
    found.push_back((*match)[1]);
  }
  return found;
}

std::vector<fs::path> documents() {
  std::vector<fs::path> paths = {kRoot / "README.md", kRoot / "CONTRIBUTING.md"};
  for (const auto& entry : fs::directory_iterator(kRoot / "docs")) {
    if (entry.path().extension() == ".md") {
      paths.push_back(entry.path());
    }
  }
  return paths;
}

TEST(Documentation, NamesOnlyFilesThatAreThere) {
  int named = 0;
  for (const fs::path& document : documents()) {
    const std::string path =
        R"(`((?:src|kernels|tests|cmake|configs|launch|docs|benchmarks|demo)/[A-Za-z0-9_./-]*[A-Za-z0-9_]/?)`)";
    for (const std::string& file : all_matches(read(document), path)) {
      EXPECT_TRUE(fs::exists(kRoot / file)) << document.filename() << " names " << file;
      ++named;
    }
  }
  EXPECT_GT(named, 30);  // the pattern matches
}

TEST(Documentation, LinksLeadSomewhere) {
  int links = 0;
  for (const fs::path& document : documents()) {
    for (const std::string& target : all_matches(read(document), R"(\]\(([^)#]+)[^)]*\))")) {
      if (!target.starts_with("http")) {
        EXPECT_TRUE(fs::exists(document.parent_path() / target)) << document.filename() << " links to " << target;
        ++links;
      }
    }
  }
  EXPECT_GT(links, 4);
}

TEST(Documentation, DescribesEveryConfigurationKeyAndNoOther) {
  const auto keys = all_matches(read(kRoot / "src/config/config_keys.cpp"), R"re(key\("([a-z]+\.[a-z0-9_.]+)", \[\])re");
  const auto rows = all_matches(read(kRoot / "docs/configuration.md"), R"(\n\| `([a-z]+\.[a-z0-9_.]+)` \|)");
  EXPECT_GT(keys.size(), 50U);
  EXPECT_THAT(rows, testing::ElementsAreArray(keys));
}

}  // namespace
}  // namespace lora_dist::documentation_test
