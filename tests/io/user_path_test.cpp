// Home folders and patterns.
#include "src/io/user_path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "src/core/error.h"
#include "tests/support/scratch.h"

namespace lora_dist::user_path_test {
namespace {

using testing::ElementsAre;

/// HOME for one test.
class HomeFolder {
 public:
  explicit HomeFolder(const std::string& home) {
    if (const char* before = std::getenv("HOME")) {
      before_ = before;
    }
    ::setenv("HOME", home.c_str(), 1);
  }
  HomeFolder(const HomeFolder&) = delete;
  HomeFolder& operator=(const HomeFolder&) = delete;
  ~HomeFolder() { ::setenv("HOME", before_.c_str(), 1); }

 private:
  std::string before_;
};

TEST(ExpandHome, OnlyATildeAtTheStartIsTheHomeFolder) {
  const HomeFolder home("/home/ada");
  EXPECT_EQ(expand_home("~"), "/home/ada");
  EXPECT_EQ(expand_home("~/models/x"), "/home/ada/models/x");
  for (const char* path : {"", "~ada/x", "a/~/x", "x~", "/x"}) {
    EXPECT_EQ(expand_home(path), path);
  }
}

TEST(ExpandHome, WithoutHomeTheSystemsRecordCounts) {
  const HomeFolder home("");
  EXPECT_NE(expand_home("~/x"), "/x");
  EXPECT_TRUE(expand_home("~/x").ends_with("/x"));
}

TEST(ExpandFiles, PatternsStandForFilesInTheOrderOfNames) {
  const Scratch folder;
  for (const char* name : {"part-2.jsonl", "part-1.jsonl", "part-10.jsonl", "other.txt", "sub/part-3.jsonl"}) {
    folder.write(name, "");
  }
  const auto in = [&](const char* name) { return (folder / name).string(); };
  EXPECT_THAT(expand_files({in("part-*.jsonl"), in("other.txt")}, "data.train"),
              ElementsAre(in("part-1.jsonl"), in("part-10.jsonl"), in("part-2.jsonl"), in("other.txt")));
  EXPECT_THAT(expand_files({in("part-?.jsonl")}, "data.train"), ElementsAre(in("part-1.jsonl"), in("part-2.jsonl")));
  EXPECT_THAT(expand_files({in("part-[2-9].jsonl")}, "data.train"), ElementsAre(in("part-2.jsonl")));
  EXPECT_THAT(expand_files({in("*/part-*.jsonl")}, "data.train"), ElementsAre(in("sub/part-3.jsonl")));
}

TEST(ExpandFiles, AFileOfThatNameIsNoPattern) {
  const Scratch folder;
  const std::string literal = folder.write("a[1].jsonl", "").string();
  folder.write("a1.jsonl", "");
  EXPECT_THAT(expand_files({literal}, "data.train"), ElementsAre(literal));
  const std::string bracket = folder.write("d[1]/x.jsonl", "").string();
  EXPECT_THAT(expand_files({(folder / "d[[]1]/*").string()}, "data.train"), ElementsAre(bracket));
  EXPECT_THAT(expand_files({"/nowhere/x.jsonl"}, "data.train"), ElementsAre("/nowhere/x.jsonl"));  // whoever reads it complains
}

TEST(ExpandFiles, APatternWithoutFilesIsNamed) {
  const Scratch folder;
  folder.write("sub/x.jsonl", "");
  for (const std::string pattern : {"*.jsonl", "s*", "[z-a]"}) {  // s* is a folder
    try {
      expand_files({(folder / pattern).string()}, "data.validation");
      ADD_FAILURE() << pattern;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::data);
      const std::string hint = pattern == "[z-a]" ? " ([ in a name is written [[])" : "";
      EXPECT_EQ(std::string(error.what()), "data.validation: no file matches the pattern " + (folder / pattern).string() + hint);
    }
  }
}

}  // namespace
}  // namespace lora_dist::user_path_test
