// Appending: the content of the file, and the messages of the system.
#include "src/io/append_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/scratch.h"

namespace lora_dist::append_file_test {
namespace {

TEST(AppendFile, AddsToWhatIsThere) {
  const Scratch scratch;
  put_file(scratch / "log", "one\n");
  AppendFile file(scratch / "log", "output.dir");
  file.append("two\n");
  EXPECT_EQ(get_file(scratch / "log"), "one\ntwo\n");  // at once, before it is closed
  file.sync();
}

TEST(AppendFile, NamesTheFileTheReasonAndTheKey) {
  const Scratch scratch;
  const Thrown missing = thrown_by([&] { AppendFile(scratch / "no/log", "--output"); });
  EXPECT_EQ(missing.code, ExitCode::usage);
  EXPECT_EQ(missing.message,
            "cannot append to " + (scratch / "no/log").string() + ": No such file or directory (--output says where it is)");
  std::filesystem::create_symlink("/dev/full", scratch / "full");  // a device on which every write finds no space
  AppendFile file(scratch / "full", "output.dir");
  const Thrown full = thrown_by([&] { file.append("x"); });
  EXPECT_EQ(full.code, ExitCode::model);
  EXPECT_THAT(full.message, testing::StartsWith("cannot write " + (scratch / "full").string() +
                                                ": No space left on device; free some space on that file system ("));
  EXPECT_THAT(full.message, testing::EndsWith(" are free), or choose a folder on another one (output.dir says where it is)"));
}

}  // namespace
}  // namespace lora_dist::append_file_test
