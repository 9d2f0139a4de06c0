// Atomic folders.
#include "src/io/atomic_directory.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/scratch.h"

namespace lora_dist::atomic_directory_test {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

TEST(AtomicDirectory, AppearsOnlyAtCommit) {
  const Scratch scratch;
  const fs::path target = scratch / "deep/er/run";
  const fs::path temporary = begin_atomic_directory(target);
  EXPECT_EQ(temporary, scratch / "deep/er/.tmp-run");
  put_file(temporary / "a", "1");
  fs::create_directory(temporary / "sub");
  put_file(temporary / "sub/b", "2");
  EXPECT_FALSE(fs::exists(target));
  commit_atomic_directory(temporary, target);
  EXPECT_EQ(get_file(target / "a"), "1");
  EXPECT_EQ(get_file(target / "sub/b"), "2");
  EXPECT_THAT(names_in(scratch / "deep/er"), testing::ElementsAre("run"));
}

TEST(AtomicDirectory, ReplacesAnOlderOneWhole) {
  const Scratch scratch;
  fs::create_directory(scratch / "run");
  put_file(scratch / "run/old", "");
  for (const char* name : {"run", "run/"}) {
    const fs::path temporary = begin_atomic_directory(scratch / name);
    put_file(temporary / "new", "");
    EXPECT_TRUE(fs::exists(scratch / "run"));
    commit_atomic_directory(temporary, scratch / name);
    EXPECT_THAT(names_in(scratch / "run"), testing::ElementsAre("new"));
    EXPECT_THAT(names_in(scratch.path()), testing::ElementsAre("run"));
  }
}

TEST(AtomicDirectory, ClearsWhatAKilledRunLeft) {
  const Scratch scratch;
  fs::create_directories(scratch / ".tmp-run/x");
  fs::create_directories(scratch / ".tmp-other");
  const fs::path temporary = begin_atomic_directory(scratch / "run");
  EXPECT_TRUE(fs::is_empty(temporary));
  EXPECT_TRUE(fs::exists(scratch / ".tmp-other"));
}

TEST(AtomicDirectory, BringsBackAFolderThatStoodAsideWhenTheRunWasKilled) {
  const Scratch scratch;
  fs::create_directory(scratch / ".tmp-old-run");
  put_file(scratch / ".tmp-old-run/kept", "");
  begin_atomic_directory(scratch / "run");
  EXPECT_TRUE(fs::exists(scratch / "run/kept"));
  EXPECT_FALSE(fs::exists(scratch / ".tmp-old-run"));
}

TEST(AtomicDirectory, NamesFolderAndReason) {
  const Scratch scratch;
  put_file(scratch / "file", "");
  const Thrown error = thrown_by([&] { begin_atomic_directory(scratch / "file/run"); });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_EQ(error.message, "cannot make the folder " + (scratch / "file").string() + ": Not a directory");
  EXPECT_THAT(thrown_by([&] { commit_atomic_directory(scratch / "none", scratch / "run"); }).message,
              testing::HasSubstr("No such file or directory"));
}

}  // namespace
}  // namespace lora_dist::atomic_directory_test
