// Mapped files: content and errors.
#include "src/io/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/scratch.h"

namespace lora_dist::mapped_file_test {
namespace {

using testing::HasSubstr;

std::string text_of(const MappedFile& file) { return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()}; }

TEST(MappedFile, ShowsTheBytes) {
  const Scratch scratch;
  const std::string long_text(1'000'001, 'x');
  EXPECT_EQ(text_of(MappedFile(scratch.write("a", "abc"), ExitCode::data)), "abc");
  EXPECT_EQ(text_of(MappedFile(scratch.write("b", long_text), ExitCode::data)), long_text);
  EXPECT_TRUE(MappedFile(scratch.write("c", ""), ExitCode::data).bytes().empty());
}

TEST(MappedFile, StaysAsItWasWhenAnotherIsRenamedOverIt) {
  const Scratch scratch;
  MappedFile file(scratch.write("a", "old"), ExitCode::data);
  std::filesystem::rename(scratch.write("b", "new"), scratch / "a");
  MappedFile moved = std::move(file);
  EXPECT_EQ(text_of(moved), "old");
  moved = MappedFile(scratch / "a", ExitCode::data);
  EXPECT_EQ(text_of(moved), "new");
}

TEST(MappedFile, NamesWhatCannotBeRead) {
  const Scratch scratch;
  const Thrown none = thrown_by([&] { MappedFile(scratch / "none", ExitCode::model); });
  EXPECT_EQ(none.code, ExitCode::model);
  EXPECT_THAT(none.message, testing::AllOf(HasSubstr("cannot open"), HasSubstr("none"), HasSubstr("No such file")));
  EXPECT_THAT(thrown_by([&] { MappedFile(scratch.path(), ExitCode::data); }).message, HasSubstr("Is a directory"));
}

}  // namespace
}  // namespace lora_dist::mapped_file_test
