// Detection of repeated files, for all ways to write a path.
#include "src/data/repeated_files.h"

#include <gmock/gmock.h>

#include "tests/data/load.h"

namespace lora_dist::repeated_files_test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(RepeatedFiles, AreNamedOnce) {
  EXPECT_THAT(notes_on_repeated_files({"a.jsonl", "b.jsonl"}, {"c.jsonl"}), IsEmpty());
  EXPECT_THAT(notes_on_repeated_files({"d/a.jsonl", "b.jsonl", "d/./a.jsonl", "d/x/../a.jsonl"}, {}),
              ElementsAre("data.train names d/a.jsonl 3 times; each of its rows trains 3 times an epoch"));
  EXPECT_THAT(
      notes_on_repeated_files({"a.jsonl", "b.jsonl"}, {"./b.jsonl", "b.jsonl"}),
      ElementsAre("b.jsonl is in data.train and in data.validation; the validation loss is that of rows that are trained on"));
}

TEST(RepeatedFiles, AreFoundThroughLinks) {
  const Scratch folder;
  folder.write("a.jsonl", "");
  std::filesystem::create_symlink("a.jsonl", folder.path() / "b.jsonl");
  EXPECT_THAT(notes_on_repeated_files({folder.path() / "a.jsonl", folder.path() / "b.jsonl"}, {}),
              ElementsAre(HasSubstr("a.jsonl 2 times")));
}

TEST(RepeatedFiles, StandInTheReport) {
  const Scratch folder;
  const auto file = folder.write("a.jsonl", "{\"input_ids\": [1, 2]}\n");
  DataOptions options = without_split();
  options.train = {file, file};
  EXPECT_THAT(load_dataset(options, nullptr, 512).report.notes, Contains(HasSubstr("a.jsonl 2 times; each of its rows trains")));
}

}  // namespace
}  // namespace lora_dist::repeated_files_test
