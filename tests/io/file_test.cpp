// Plain files: reading, atomic writing, and system errors.
#include "src/io/file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cerrno>

#include "tests/support/scratch.h"

namespace lora_dist::file_test {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::MatchesRegex;

TEST(InputFile, ReadsFromAnyPlaceAndNamesAShortFile) {
  const Scratch scratch;
  put_file(scratch / "f", "0123456789");
  InputFile file(scratch / "f", ExitCode::data);
  EXPECT_EQ(file.size(), 10U);
  std::string piece(3, ' ');
  file.read_at(4, std::as_writable_bytes(std::span(piece)));
  EXPECT_EQ(piece, "456");
  InputFile moved = std::move(file);
  const Thrown error = thrown_by([&] { moved.read_at(8, std::as_writable_bytes(std::span(piece))); });
  EXPECT_EQ(error.code, ExitCode::data);
  EXPECT_EQ(error.message, (scratch / "f").string() +
                               " ends at byte 10, expected at least 11; the file is truncated: copy or download it again");
}

TEST(InputFile, RefusesWhatIsNotAFile) {
  const Scratch scratch;
  ASSERT_EQ(::mkfifo((scratch / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(thrown_by([&] { InputFile(scratch.path(), ExitCode::model); }).message,
            "cannot read " + scratch.path().string() + ": it is a folder");
  EXPECT_EQ(thrown_by([&] { InputFile(scratch / "fifo", ExitCode::model); }).message,
            "cannot read " + (scratch / "fifo").string() + ": it is not a regular file");
  EXPECT_EQ(thrown_by([&] { read_text_file(scratch / "none", ExitCode::usage); }).code, ExitCode::usage);
}

TEST(OutputFile, ReportsAFullDisk) {
  OutputFile full("/dev/full", ExitCode::usage);
  const Thrown error = thrown_by([&] { full.write("x"); });
  EXPECT_EQ(error.code, ExitCode::model);  // as in a checkpoint, whatever is written
  EXPECT_THAT(error.message,
              MatchesRegex(R"(cannot write /dev/full: No space left on device; free some space on that file system )"
                           R"(\([0-9.]+ [KMGT]?i?B of [0-9.]+ [KMGT]?i?B are free\), or choose a folder on another one)"));
}

TEST(SystemErrorText, SaysWhatToDoAboutAFullDiskAlone) {
  const Scratch scratch;
  EXPECT_EQ(system_error_text("write", scratch / "x", EIO), "cannot write " + (scratch / "x").string() + ": Input/output error");
  EXPECT_THAT(system_error_text("write", scratch / "no/x", ENOSPC),
              EndsWith("space on that file system, or choose a folder on another one"));
  EXPECT_THAT(system_error_text("write", scratch / "x", EDQUOT),  // the disk has room, and the user has none
              EndsWith("Disk quota exceeded; free some space on that file system, or choose a folder on another one"));
  EXPECT_EQ(exit_code_of(ENOSPC, ExitCode::usage), ExitCode::model);
  EXPECT_EQ(exit_code_of(EDQUOT, ExitCode::data), ExitCode::model);
  EXPECT_EQ(exit_code_of(EIO, ExitCode::usage), ExitCode::usage);
}

TEST(OutputFile, LeavesNothingBehindUnlessClosed) {
  const Scratch scratch;
  {
    OutputFile file(scratch / "half", ExitCode::model);
    file.write("half");
  }
  EXPECT_FALSE(std::filesystem::exists(scratch / "half"));
  {
    OutputFile file(scratch / "whole", ExitCode::model);
    file.write("whole");
    file.close();
  }
  EXPECT_EQ(get_file(scratch / "whole"), "whole");
  EXPECT_THAT(thrown_by([&] { OutputFile(scratch / "no/such/folder", ExitCode::model); }).message, HasSubstr("cannot create"));
}

TEST(WriteFileAtomically, ReplacesAndLeavesNoTemporaryFile) {
  const Scratch scratch;
  put_file(scratch / "f", "old");
  write_file_atomically(scratch / "f", "new", ExitCode::model);
  EXPECT_EQ(read_text_file(scratch / "f", ExitCode::model), "new");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch.path()), {}), 1);
}

TEST(WriteFileAtomically, NamesFolderAndReason) {
  const Scratch scratch;
  const Thrown error = thrown_by([&] { write_file_atomically(scratch / "none/f", "x", ExitCode::usage); });
  EXPECT_EQ(error.code, ExitCode::usage);
  EXPECT_THAT(error.message, EndsWith("No such file or directory"));
  std::filesystem::create_directory(scratch / "f");
  EXPECT_THAT(thrown_by([&] { write_file_atomically(scratch / "f", "x", ExitCode::usage); }).message, EndsWith("Is a directory"));
  EXPECT_FALSE(std::filesystem::exists(scratch / ".tmp-f"));
}

TEST(MakeOutputDirectory, MakesParentsAndNamesTheKey) {
  const Scratch scratch;
  make_output_directory(scratch / "a/b/c", "output.dir");
  make_output_directory(scratch / "a/b/c", "output.dir");
  EXPECT_TRUE(std::filesystem::is_directory(scratch / "a/b/c"));
  put_file(scratch / "file", "");
  const Thrown error = thrown_by([&] { make_output_directory(scratch / "file/x", "output.dir"); });
  EXPECT_EQ(error.code, ExitCode::usage);
  EXPECT_EQ(error.message, "cannot use the folder " + (scratch / "file/x").string() +
                               " (output.dir): Not a directory; set output.dir to a folder that you may write to");
  EXPECT_EQ(thrown_by([&] { make_output_directory("/proc/1/x", "output.dir"); }).code, ExitCode::usage);
  EXPECT_EQ(thrown_by([&] { make_output_directory(scratch / "file", "output.dir"); }).code, ExitCode::usage);
}

}  // namespace
}  // namespace lora_dist::file_test
