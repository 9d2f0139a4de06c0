// Locks a folder for one job.
#include "src/io/directory_lock.h"

#include <gtest/gtest.h>

#include <optional>

#include "src/core/error.h"
#include "tests/support/scratch.h"

namespace lora_dist::directory_lock_test {
namespace {

TEST(DirectoryLock, RefusesASecondHolderUntilTheFirstLetsGo) {
  const Scratch scratch;
  std::optional<DirectoryLock> first;
  first.emplace(scratch.path(), "output.dir");
  try {
    const DirectoryLock second(scratch.path(), "output.dir");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_NE(std::string(error.what()).find("another job is writing to this folder"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("output.dir"), std::string::npos);
  }
  first.reset();
  EXPECT_NO_THROW(DirectoryLock(scratch.path(), "output.dir"));
}

TEST(DirectoryLock, NamesAFolderThatCannotBeWritten) {
  const Scratch scratch;
  EXPECT_THROW(DirectoryLock(scratch / "nothing", "output.dir"), Error);
}

}  // namespace
}  // namespace lora_dist::directory_lock_test
